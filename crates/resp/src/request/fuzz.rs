//! Requests of any bytes, in any pieces: the same requests and the same error as at once, no panic,
//! and never more memory than what came and the limits explain. Never what a request means.

use std::path::Path;

use ::fuzz::{Random, Target, corpus_of};

use super::*;

/// So small that inputs of a few bytes meet them.
const NARROW: Limits =
    Limits { args_max: 4, bulk_bytes_max: 24, request_bytes_max: 64, unauthenticated: false };

/// What a vector may have room for beyond what it holds.
const ROOM: usize = 2;

/// What came of the bytes.
#[derive(Debug, PartialEq)]
struct Read {
    requests: Vec<Vec<Bytes>>,
    error: Option<ProtocolError>,
    /// What was left over, where there was no error.
    left: Bytes,
}

/// Feeds the bytes in pieces, each as long as `piece` says.
fn read(bytes: &[u8], limits: &Limits, mut piece: impl FnMut() -> usize) -> Read {
    let (mut parser, mut input, mut args) = (RequestParser::new(), BytesMut::new(), Vec::new());
    let (mut requests, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let missing = parser.bytes_missing(&input);
        let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
        input.extend_from_slice(now);
        rest = later;
        loop {
            match parser.next(&mut input, limits, &mut args) {
                Ok(true) => {
                    assert!(now.len() >= missing, "{missing} bytes were said to be missing");
                    check_request(&args, limits);
                    requests.push(args.clone());
                }
                Ok(false) => break,
                Err(error) => return Read { requests, error: Some(error), left: Bytes::new() },
            }
        }
        check_memory(&parser, &input, &args, limits, now.len());
    }
    Read { requests, error: None, left: input.freeze() }
}

fn check_request(args: &[Bytes], limits: &Limits) {
    assert!(!args.is_empty(), "a request of nothing");
    assert!(args.len() <= limits.args_max, "{} arguments", args.len());
    // A line's arguments are bounded by the line.
    let most = limits.bulk_bytes_max.max(limits::LINE_BYTES_MAX);
    assert!(args.iter().all(|arg| arg.len() <= most), "an argument too long");
}

/// A request that isn't there yet holds its own bytes and a place for each argument that came.
fn check_memory(
    parser: &RequestParser,
    input: &BytesMut,
    args: &[Bytes],
    limits: &Limits,
    came: usize,
) {
    let most = limits.request_bytes_max.max(limits::LINE_BYTES_MAX) + limits::LINE_BYTES_MAX;
    assert!(input.len() <= most + came, "{} bytes wait", input.len());
    assert!(parser.at <= input.len() && parser.scanned <= input.len());
    let came = parser.args.len().max(4);
    let kept = limits::REPLY_ITEMS_AHEAD_MAX.max(came * ROOM);
    assert!(parser.args.capacity() <= kept, "room for {} places", parser.args.capacity());
    assert!(args.is_empty(), "arguments of a request that isn't there");
    assert!(parser.bytes_missing(input) <= limits.bulk_bytes_max + 2);
}

fn check(bytes: &[u8]) {
    let mut random =
        Random::new(bytes.iter().fold(bytes.len() as u64, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
        }));
    let piece_max = *random.pick(&[1, 3, 16, 100]);
    for limits in [NARROW, Limits::unauthenticated(), Limits::authenticated(1 << 20, 4 << 20)] {
        let at_once = read(bytes, &limits, || usize::MAX);
        let pieces = read(bytes, &limits, || random.below(piece_max) + 1);
        assert_eq!(at_once, pieces);
    }
}

/// A request as a client writes it, one with something wrong, a line, or noise.
fn make(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(4) {
        match random.below(10) {
            0..4 => array(random, &mut bytes),
            4..6 => line(random, &mut bytes),
            6 => bytes.extend(announced(random, '*').into_bytes()),
            7 => bytes.extend(announced(random, '$').into_bytes()),
            8 => bytes
                .extend_from_slice(random.pick::<&[u8]>(&[b"\r\n", b"*0\r\n", b"*-1\r\n", b"\n"])),
            _ => bytes.extend(random.bytes(30)),
        }
    }
    // Once in a while a line without an end.
    if random.one_in(2_000) {
        let byte = random.byte();
        bytes.resize(limits::LINE_BYTES_MAX + random.below(3), byte);
    }
    bytes
}

fn announced(random: &mut Random, kind: char) -> String {
    let near = ["4", "5", "10", "11", "24", "25", "64", "16384", "16385", "1048576", "1048577"];
    let end = *random.pick(&["\r\n", "\r\n", "\r\n", "\n", "\r", " \r\n"]);
    match random.one_in(2) {
        true => format!("{kind}{}{end}", random.pick(&near)),
        false => format!("{kind}{}{end}", random.number()),
    }
}

fn array(random: &mut Random, bytes: &mut Vec<u8>) {
    let count = random.below(6);
    bytes.extend(format!("*{count}\r\n").into_bytes());
    for _ in 0..count {
        let arg = random.bytes(28);
        bytes.extend(format!("${}\r\n", arg.len()).into_bytes());
        bytes.extend(arg);
        bytes.extend(b"\r\n");
    }
}

fn line(random: &mut Random, bytes: &mut Vec<u8>) {
    const WORDS: &[&str] =
        &["PING", "set", "\"a b\"", "'c'", "\"\\x41\\n", "\"", "'\\''", "\\", "", "x\"y\""];
    for _ in 0..random.below(6) {
        bytes.extend(random.pick(WORDS).bytes());
        bytes.extend_from_slice(random.pick::<&[u8]>(&[b" ", b"\t", b"", b"\0", b"  "]));
    }
    bytes.extend_from_slice(random.pick::<&[u8]>(&[b"\r\n", b"\n"]));
}

#[test]
fn fuzz_requests() {
    let corpus = corpus_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/requests"));
    let target = Target { name: "requests", inputs_count: 100_000, corpus, make: &make };
    target.run(|| check);
}
