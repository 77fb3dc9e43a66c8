//! Replies of any bytes, in any pieces: the same values and the same error as at once, no panic, and
//! no room made ahead of what came. Never what a reply means.

use std::path::Path;

use ::fuzz::{Random, Target, corpus_of};

use super::*;

/// Feeds the bytes in pieces, each as long as `piece` says. Tells the values as text: a number that
/// is none isn't equal to itself.
fn read(bytes: &[u8], mut piece: impl FnMut() -> usize) -> (Vec<String>, Option<ReplyError>) {
    let (mut parser, mut input) = (ReplyParser::new(), BytesMut::new());
    let (mut values, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
        input.extend_from_slice(now);
        rest = later;
        loop {
            match parser.next(&mut input) {
                Ok(Some(value)) => values.push(format!("{value:?}")),
                Ok(None) => break,
                Err(error) => return (values, Some(error)),
            }
        }
        assert!(parser.open.len() <= limits::REPLY_DEPTH_MAX);
        let came = bytes.len() - rest.len();
        for open in &parser.open {
            let most = limits::REPLY_ITEMS_AHEAD_MAX.max(2 * came);
            assert!(open.items.capacity() <= most, "room for {}", open.items.capacity());
        }
    }
    (values, None)
}

fn check(bytes: &[u8]) {
    let mut random = Random::new(bytes.iter().map(|byte| u64::from(*byte)).sum());
    let piece_max = *random.pick(&[1, 3, 16, 100]);
    assert_eq!(read(bytes, || usize::MAX), read(bytes, || random.below(piece_max) + 1));
}

fn make(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(12) {
        let kind = char::from(*random.pick(b"+-:$*_#,(!=%~>"));
        let text = match random.below(4) {
            0 => random.number(),
            1 => random.below(5).to_string(),
            2 => (*random.pick(&["t", "f", "inf", "nan", "-1", "1e9", "OK", ""])).to_owned(),
            _ => String::from_utf8_lossy(&random.bytes(6)).into_owned(),
        };
        bytes.extend(format!("{kind}{text}\r\n").into_bytes());
        if random.one_in(3) {
            bytes.extend(random.bytes(5));
            bytes.extend(b"\r\n");
        }
    }
    if random.one_in(20) {
        bytes.extend(b"*1\r\n".repeat(random.below(2 * limits::REPLY_DEPTH_MAX)));
    }
    bytes
}

#[test]
fn fuzz_replies() {
    let corpus = corpus_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/replies"));
    let target = Target { name: "replies", inputs_count: 100_000, corpus, make: &make };
    target.run(|| check);
}
