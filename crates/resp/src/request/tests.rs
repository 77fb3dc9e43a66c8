//! Requests in one piece, in many, malformed, and made of noise.

use proptest::prelude::*;

use super::*;
use crate::write_request;

fn limits() -> Limits {
    Limits::authenticated(1 << 20, 4 << 20)
}

/// Everything that a connection's bytes say, fed in pieces of the given sizes (the rest at once).
fn parse(
    bytes: &[u8],
    pieces: &[usize],
    limits: &Limits,
) -> (Vec<Vec<Bytes>>, Option<ProtocolError>) {
    let (mut parser, mut input, mut args) = (RequestParser::new(), BytesMut::new(), Vec::new());
    let (mut requests, mut rest) = (Vec::new(), bytes);
    for piece in pieces.iter().copied().chain([usize::MAX]) {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        input.extend_from_slice(now);
        rest = later;
        loop {
            match parser.next(&mut input, limits, &mut args) {
                Ok(true) => requests.push(args.clone()),
                Ok(false) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
    }
    (requests, None)
}

fn check(bytes: &[u8], expected: &[&[&str]], error: Option<ProtocolError>) {
    let expected: Vec<Vec<Bytes>> = expected
        .iter()
        .map(|args| args.iter().map(|arg| Bytes::copy_from_slice(arg.as_bytes())).collect())
        .collect();
    let all_at_once = parse(bytes, &[], &limits());
    assert_eq!(all_at_once, (expected, error), "{}", bytes.escape_ascii());
    for at in 0..bytes.len().min(300) {
        assert_eq!(parse(bytes, &[at], &limits()), all_at_once, "split at {at}");
    }
    let one_by_one = vec![1; bytes.len().min(300)];
    assert_eq!(parse(bytes, &one_by_one, &limits()), all_at_once);
}

#[test]
fn arrays_and_lines_are_requests() {
    check(b"*1\r\n$4\r\nPING\r\n", &[&["PING"]], None);
    check(b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", &[&["ECHO", ""]], None);
    check(b"PING\r\nECHO \"a b\"\n", &[&["PING"], &["ECHO", "a b"]], None);
    check(b"*1\r\n$2\r\n\r\n\r\nPING\r\n", &[&["\r\n"], &["PING"]], None);
}

/// CVE-2026-27623: an empty request left state behind.
#[test]
fn empty_requests_are_passed_over_and_leave_nothing_behind() {
    check(b"*0\r\n*-1\r\n\r\n  \r\n*-7\r\nPING\r\n", &[&["PING"]], None);
    check(b"*0\r\n*1\r\n$4\r\nPING\r\n*0\r\n", &[&["PING"]], None);
}

#[test]
fn each_malformed_request_has_its_error() {
    use ProtocolError as E;
    let cases: &[(&[u8], ProtocolError)] = &[
        (b"*x\r\n", E::ArrayLength),
        (b"*\r\n", E::ArrayLength),
        (b"*+1\r\n", E::ArrayLength),
        (b"*01\r\n", E::ArrayLength),
        (b"* 1\r\n", E::ArrayLength),
        (b"*1048577\r\n", E::ArrayLength),
        (b"*99999999999999999999\r\n", E::ArrayLength),
        (b"*1\r\nx4\r\n", E::ExpectedBulk(b'x')),
        (b"*1\r\n\r\n", E::ExpectedBulk(b'\r')),
        (b"*1\r\n$-1\r\n", E::BulkLength),
        (b"*1\r\n$x\r\n", E::BulkLength),
        (b"*1\r\n$1048577\r\n", E::BulkLength),
        (b"*1\r\n$99999999999999999999\r\n", E::BulkLength),
        (b"*1\r\n$4\r\nPINGxx", E::LineEnd),
        (b"*1\n", E::LineEnd),
        (b"*1\r$4\r\n", E::LineEnd),
        (b"set \"a b\r\n", E::UnbalancedQuotes),
    ];
    for (bytes, error) in cases {
        check(bytes, &[], Some(*error));
        let behind = [b"PING\r\n".as_slice(), bytes].concat();
        check(&behind, &[&["PING"]], Some(*error));
    }
}

#[test]
fn errors_are_worded_as_in_redis() {
    let said = |error: ProtocolError| error.to_string();
    assert_eq!(said(ProtocolError::ExpectedBulk(b'x')), "Protocol error: expected '$', got 'x'");
    assert_eq!(said(ProtocolError::ExpectedBulk(b'\n')), "Protocol error: expected '$', got ' '");
    assert_eq!(said(ProtocolError::BulkLength), "Protocol error: invalid bulk length");
}

#[test]
fn a_line_without_an_end_is_refused_at_the_limit() {
    let cases = [
        ("PING", ProtocolError::InlineTooBig),
        ("*", ProtocolError::ArrayLineTooBig),
        ("*1\r\n$", ProtocolError::BulkLineTooBig),
    ];
    for (start, error) in cases {
        let mut bytes = start.as_bytes().to_vec();
        bytes.resize(bytes.len() + limits::LINE_BYTES_MAX + 1, b'1');
        check(&bytes, &[], Some(error));
        bytes.extend_from_slice(b"\r\n");
        check(&bytes, &[], Some(error));
    }
}

#[test]
fn a_stranger_may_say_little() {
    use ProtocolError as E;
    let stranger = |bytes: &[u8]| parse(bytes, &[], &Limits::unauthenticated()).1;
    assert_eq!(stranger(b"*10\r\n"), None);
    assert_eq!(stranger(b"*11\r\n"), Some(E::UnauthenticatedArrayLength));
    assert_eq!(stranger(b"*1048577\r\n"), Some(E::ArrayLength));
    assert_eq!(stranger(b"*1\r\n$16384\r\n"), None);
    assert_eq!(stranger(b"*1\r\n$16385\r\n"), Some(E::UnauthenticatedBulkLength));
    assert_eq!(stranger(b"1 2 3 4 5 6 7 8 9 10 11\r\n"), Some(E::UnauthenticatedArrayLength));
    let mut many = b"*10\r\n".to_vec();
    for _ in 0..5 {
        many.extend_from_slice(b"$16384\r\n");
        many.resize(many.len() + 16384, b'x');
        many.extend_from_slice(b"\r\n");
    }
    assert_eq!(stranger(&many), Some(E::RequestTooBig));
}

#[test]
fn a_request_is_bounded_as_a_whole() {
    let limits = Limits::authenticated(1000, 1500);
    let mut bytes = b"*2\r\n".to_vec();
    write_request(&mut BytesMut::new(), &["x"]);
    for _ in 0..2 {
        bytes.extend_from_slice(b"$1000\r\n");
        bytes.resize(bytes.len() + 1000, b'x');
        bytes.extend_from_slice(b"\r\n");
    }
    assert_eq!(parse(&bytes, &[], &limits).1, Some(ProtocolError::RequestTooBig));
}

/// CVE-2021-32675: what is announced takes no memory until it comes.
#[test]
fn nothing_is_allocated_ahead_of_the_bytes_that_came() {
    let (mut parser, mut args) = (RequestParser::new(), Vec::new());
    let mut input = BytesMut::from(&b"*1048576\r\n$1048576\r\n"[..]);
    let before = input.capacity();
    assert_eq!(parser.next(&mut input, &limits(), &mut args), Ok(false));
    assert_eq!((args.capacity(), parser.args.capacity(), input.capacity()), (0, 0, before));
    assert_eq!(parser.bytes_missing(&input), (1 << 20) + 2);
}

#[test]
fn arguments_share_the_bytes_they_arrived_in() {
    let mut input = BytesMut::new();
    write_request(&mut input, &["XADD", "key", "*", "f", "v"]);
    let arrived = input.as_ptr_range();
    let mut args = Vec::new();
    assert_eq!(RequestParser::new().next(&mut input, &limits(), &mut args), Ok(true));
    assert!(args.iter().all(|arg| arrived.contains(&arg.as_ptr())));
}

fn request() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6)
}

/// Bytes that look like the protocol more often than chance would have it.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"*2\r\n".to_vec()),
        Just(b"$3\r\n".to_vec()),
        Just(b"*1\r\n$4\r\nPING\r\n".to_vec()),
        Just(b"\"a".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_was_written_is_read_however_it_is_split(
        requests in proptest::collection::vec(request(), 0..8),
        pieces in proptest::collection::vec(0usize..30, 0..40),
    ) {
        let mut bytes = BytesMut::new();
        requests.iter().for_each(|args| write_request(&mut bytes, args));
        let (read, error) = parse(&bytes, &pieces, &limits());
        prop_assert_eq!(error, None);
        let read: Vec<Vec<Vec<u8>>> =
            read.iter().map(|args| args.iter().map(|arg| arg.to_vec()).collect()).collect();
        prop_assert_eq!(read, requests);
    }

    #[test]
    fn any_bytes_mean_the_same_however_they_are_split(
        bytes in noise(),
        pieces in proptest::collection::vec(0usize..6, 0..60),
    ) {
        for limits in [limits(), Limits::unauthenticated()] {
            prop_assert_eq!(parse(&bytes, &pieces, &limits), parse(&bytes, &[], &limits));
        }
    }
}
