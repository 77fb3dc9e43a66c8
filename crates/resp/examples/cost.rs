//! What the protocol costs: nanoseconds for one request to be parsed and one reply to be written,
//! the best of many short rounds. `cargo run --release -p resp --example cost`

#![expect(clippy::print_stdout, reason = "a program that prints its findings")]

use std::hint::black_box;
use std::time::Duration;

use base::{Clock, SystemClock};
use bytes::BytesMut;
use resp::{Limits, Protocol, ReplyParser, RequestParser, Writer, write_request};

/// Requests or replies in one round: as many as fit in one read of a socket.
const ROUND: usize = 100;
const ROUNDS: usize = 20_000;

fn main() {
    let mut requests = BytesMut::new();
    let value = [b'x'; 100];
    for _ in 0..ROUND {
        write_request(&mut requests, &[b"XADD".as_slice(), b"orders", b"*", b"item", &value]);
    }
    let limits = Limits::authenticated(1 << 20, 16 << 20);
    let mut args = Vec::new();
    report("parse a request of five arguments, 100 bytes", || {
        let (mut parser, mut input) = (RequestParser::new(), BytesMut::from(&requests[..]));
        while parser.next(&mut input, &limits, &mut args).expect("well formed") {
            black_box(&args);
        }
        args.clear();
    });
    let mut replies = BytesMut::new();
    report("write a reply of one id", || {
        replies.clear();
        let mut writer = Writer::new(&mut replies, Protocol::Resp3);
        (0..ROUND).for_each(|_| writer.bulk(black_box("1700000000000-12345")));
    });
    report("parse a reply of one id", || {
        let (mut parser, mut input) = (ReplyParser::new(), BytesMut::from(&replies[..]));
        while let Some(value) = parser.next(&mut input).expect("well formed") {
            black_box(value);
        }
    });
}

/// The best round, for one request or reply.
fn report(what: &str, mut round: impl FnMut()) {
    let best = (0..ROUNDS).map(|_| elapsed(&mut round)).min().unwrap_or_default();
    println!("{:>6.1} ns  {what}", best.as_nanos() as f64 / ROUND as f64);
}

fn elapsed(round: &mut impl FnMut()) -> Duration {
    let before = SystemClock.monotonic();
    round();
    SystemClock.monotonic().saturating_sub(before)
}
