//! What one client can make the server hold: alone in its process, whose memory is looked at.

#![expect(clippy::unwrap_used, reason = "a test that meets an error fails")]
#![expect(dead_code, reason = "what it shares with the other tests has more than it needs")]

#[path = "resp/client.rs"]
mod client;
#[path = "resp/door.rs"]
mod door;
#[path = "resp/lone_shards.rs"]
mod lone_shards;

use bytes::BytesMut;
use client::request;
use door::Door;

/// What may be held of the requests beside what is wanted of them, and what tests need themselves.
const ROOM_BYTES: u64 = 24 << 20;
/// A line of blanks is no request, and only takes its place in what is read.
const BLANK_BYTES: usize = 60 << 10;
/// So many of those with a small request behind each are far more than the room.
const REQUESTS: usize = 1_500;

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

/// Small requests were kept as parts of the large reads in which they came: each held all of its read.
#[tokio::test]
async fn what_waits_for_exec_holds_no_more_than_it_says() {
    let door = Door::open();
    let mut client = door.client().await;
    assert_eq!(client.ask("MULTI").await, "+OK");
    let mut bytes = BytesMut::from(&b" ".repeat(BLANK_BYTES)[..]);
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&request("XADD s * f v"));
    let before = resident_bytes();
    for _ in 0..REQUESTS {
        client.send(&bytes).await;
        assert_eq!(client.said().await, "+QUEUED");
    }
    let held = resident_bytes().saturating_sub(before);
    println!("{held} bytes are held of {REQUESTS} requests");
    assert!(held < ROOM_BYTES, "{held} bytes are held of {REQUESTS} requests");
    assert_eq!(client.ask("DISCARD").await, "+OK");
}
