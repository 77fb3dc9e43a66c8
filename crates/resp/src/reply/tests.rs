//! Replies in one piece, in many, malformed, and made of noise.

use proptest::prelude::*;

use super::*;
use crate::write::Protocol;

/// Every reply in the bytes, fed in pieces of the given sizes (the rest at once).
fn parse(bytes: &[u8], pieces: &[usize]) -> Result<Vec<Value>, ReplyError> {
    let (mut parser, mut input) = (ReplyParser::new(), BytesMut::new());
    let (mut replies, mut rest) = (Vec::new(), bytes);
    for piece in pieces.iter().copied().chain([usize::MAX]) {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        input.extend_from_slice(now);
        rest = later;
        while let Some(value) = parser.next(&mut input)? {
            replies.push(value);
        }
    }
    Ok(replies)
}

fn check(bytes: &str, expected: &str) {
    for pieces in [vec![], vec![1; bytes.len()]] {
        let got = parse(bytes.as_bytes(), &pieces)
            .map(|replies| replies.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        assert_eq!(got.as_deref(), Ok(expected), "{bytes:?}");
    }
}

#[test]
fn each_type_is_read() {
    check("+OK\r\n-ERR no\r\n:-7\r\n", "+OK -ERR no :-7");
    check("$5\r\na\r\nbc\r\n$0\r\n\r\n$-1\r\n_\r\n*-1\r\n", "'a\\r\\nbc' '' nil nil nil-array");
    check("*2\r\n*0\r\n*1\r\n:1\r\n", "*2[*0[], *1[:1]]");
    check("%1\r\n$1\r\nk\r\n~2\r\n#t\r\n,1.5\r\n", "%1{'k': ~2[#true, ,1.5]}");
    check(">1\r\n+x\r\n=7\r\ntxt:abc\r\n!5\r\nERR x\r\n(123\r\n", ">1[+x] ='abc' -ERR x (123");
    check("%0\r\n", "%0{}");
}

#[test]
fn what_is_no_reply_is_refused() {
    assert_eq!(parse(b"hello\r\n", &[]), Err(ReplyError::Kind(b'h')));
    assert_eq!(parse(b":1x\r\n", &[]), Err(ReplyError::Number));
    assert_eq!(parse(b"$-2\r\n", &[]), Err(ReplyError::Number));
    assert_eq!(parse(b"$1\r\nabc", &[]), Err(ReplyError::End));
    assert_eq!(parse(b"*9223372036854775807\r\n", &[]), Ok(vec![]));
    assert_eq!(parse(&b"*1\r\n".repeat(1000), &[]), Err(ReplyError::Depth));
}

fn value() -> impl Strategy<Value = Value> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    let leaf = prop_oneof![
        "[a-z ]{0,9}".prop_map(|text| Value::Simple(text.into())),
        "[a-zA-Z ]{0,9}".prop_map(|text| Value::Error(text.into())),
        any::<i64>().prop_map(Value::Integer),
        bytes().prop_map(Value::Bulk),
        any::<bool>().prop_map(Value::Boolean),
        Just(Value::Null),
        "[a-z ]{0,9}".prop_map(|text| Value::Verbatim("txt".into(), text.into())),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let items = || proptest::collection::vec(inner.clone(), 0..5);
        prop_oneof![
            items().prop_map(Value::Array),
            items().prop_map(Value::Set),
            items().prop_map(Value::Push),
            proptest::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_however_it_is_split(
        values in proptest::collection::vec(value(), 0..4),
        pieces in proptest::collection::vec(0usize..9, 0..60),
    ) {
        let mut bytes = BytesMut::new();
        values.iter().for_each(|value| value.write(&mut bytes, Protocol::Resp3));
        prop_assert_eq!(parse(&bytes, &pieces), Ok(values));
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in proptest::collection::vec(
            prop_oneof![proptest::sample::select(b"+-:$*_#,(!=%~>\r\n0123".to_vec()), any::<u8>()],
            0..60,
        ),
        pieces in proptest::collection::vec(0usize..6, 0..20),
    ) {
        drop(parse(&bytes, &pieces));
    }
}
