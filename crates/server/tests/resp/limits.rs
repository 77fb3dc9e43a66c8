//! Clients that say too little, too much, too slowly, or nothing at all.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::{PATIENCE, request};
use crate::door::Door;

/// Bytes that no socket's buffers hold.
const SOCKET_BYTES: usize = 32 << 20;

/// Time stands still while anybody computes, and jumps to the next deadline when nobody does: what
/// must happen after a minute happens at once.
#[tokio::test(start_paused = true)]
async fn a_stranger_that_says_nothing_is_closed_after_five_seconds() {
    let door = Door::open_with_password("secret");
    let began = Instant::now();
    let mut silent = door.client().await;
    assert_eq!(silent.said().await, "closed");
    assert_eq!(began.elapsed().as_secs(), 5);
    // Also one that says something else all the time.
    let mut chatty = door.client().await;
    let began = Instant::now();
    while chatty.ask("PING").await != "closed" {
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert!(began.elapsed() < PATIENCE, "a stranger may stay");
        if chatty.stream.try_write(b"").is_err() {
            break;
        }
    }
    assert!(began.elapsed() >= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn who_is_known_may_be_silent() {
    let door = Door::open_with_password("secret");
    let mut client = door.client().await;
    assert_eq!(client.ask("AUTH secret").await, "+OK");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(client.ask("PING").await, "+PONG");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_for_a_minute_is_closed_below_the_hard_limit() {
    let door = Door::open();
    let client = door.client().await;
    let pings = b"PING\r\n".repeat(10_000);
    let mut sent = 0;
    // Until the server takes no more, as its output waits.
    while sent < SOCKET_BYTES {
        match client.stream.try_write(&pings) {
            Ok(bytes) => sent += bytes,
            Err(_) if door.handle.stats().clients == 0 => break,
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
    door.until(|stats| stats.clients == 0).await;
    assert_eq!(door.handle.stats().output_closed, 0, "it is not the hard limit");
}

#[tokio::test]
async fn requests_that_come_byte_by_byte_hold_nobody_up() {
    let door = Door::open();
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut client = door.client().await;
        // A large argument is announced, and only a little of it comes.
        client.send(b"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nf\r\n$60000\r\nx").await;
        slow.push(client);
    }
    let mut quick = door.client().await;
    for number in 1..=20 {
        assert_eq!(quick.ask(&format!("XADD s {number}-1 a 1")).await, format!("'{number}-1'"));
        for client in &mut slow {
            client.send(b"x").await;
        }
    }
    let last = slow.last_mut().unwrap();
    last.send([&[b'x'; 60_000 - 21][..], b"\r\n"].concat()).await;
    assert!(last.said().await.starts_with("'17"));
    assert_eq!(quick.ask("XLEN s").await, ":21");
}

#[tokio::test]
async fn many_idle_connections_cost_others_nothing() {
    /// As many as fit into the descriptors that a process usually has: two for each.
    const IDLE: usize = 400;
    let door = Door::open_with(|options| options.connections_max = 2 * IDLE);
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        let mut client = door.client().await;
        assert_eq!(client.ask("PING").await, "+PONG");
        idle.push(client);
    }
    let mut busy = door.client().await;
    for number in 1..=100 {
        assert_eq!(busy.ask(&format!("XADD s {number}-1 a 1")).await, format!("'{number}-1'"));
    }
    assert_eq!(door.handle.stats().clients, IDLE + 1);
    for client in &mut idle {
        assert_eq!(client.ask("XLEN s").await, ":100");
    }
    drop(idle);
    door.until(|stats| stats.clients == 1).await;
}

/// What was watched grew with every WATCH, and became one entry of the log with EXEC.
#[tokio::test]
async fn what_is_watched_is_bounded_and_a_key_counts_once() {
    const KEY_BYTES: usize = 10_000;
    let door = Door::open();
    let mut client = door.client().await;
    for _ in 0..300 {
        assert_eq!(client.ask(&format!("WATCH {{a}}{}", "x".repeat(KEY_BYTES))).await, "+OK");
    }
    let full = "-ERR too much is watched: at most 1 MiB of keys, EXEC or UNWATCH first";
    let mut watched = 1;
    while watched < 200 {
        match client.ask(&format!("WATCH {{a}}{watched}{}", "x".repeat(KEY_BYTES))).await {
            said if said == "+OK" => watched += 1,
            said => {
                assert_eq!(said, full);
                break;
            }
        }
    }
    assert_eq!(watched, (1 << 20) / (KEY_BYTES + 3 + 64));
    // What is watched is still so.
    assert_eq!(client.ask("MULTI").await, "+OK");
    assert_eq!(client.ask("XLEN {a}").await, "+QUEUED");
    door.client().await.ask(&format!("XADD {{a}}1{} * f v", "x".repeat(KEY_BYTES))).await;
    assert_eq!(client.ask("EXEC").await, "nil-array");
    assert_eq!(client.ask(&format!("WATCH b{}", "x".repeat(KEY_BYTES))).await, "+OK");
    assert_eq!(client.ask("UNWATCH").await, "+OK");
    assert_eq!(client.ask("WATCH {a}1").await, "+OK");
}

/// A key that is watched twice is watched from the first time on.
#[tokio::test]
async fn a_key_that_is_watched_again_is_not_watched_anew() {
    let door = Door::open();
    let (mut client, mut other) = (door.client().await, door.client().await);
    assert_eq!(client.ask("WATCH s").await, "+OK");
    other.ask("XADD s 1-1 f v").await;
    for (asked, said) in [("WATCH s", "+OK"), ("MULTI", "+OK"), ("XLEN s", "+QUEUED")] {
        assert_eq!(client.ask(asked).await, said);
    }
    assert_eq!(client.ask("EXEC").await, "nil-array");
}

/// Every reply of a transaction was made before any was sent: gigabytes, of a request of a few bytes each.
#[tokio::test]
async fn a_transaction_of_long_replies_ends_its_connection_and_changes_nothing() {
    let door = Door::open_with(|options| options.output_bytes_max = 256 << 10);
    let mut client = door.client().await;
    assert_eq!(client.ask("MULTI").await, "+OK");
    for asked in std::iter::once("XADD s 1-1 f v").chain(["COMMAND DOCS"; 100]) {
        assert_eq!(client.ask(asked).await, "+QUEUED");
    }
    assert_eq!(client.ask("EXEC").await, "closed");
    door.until(|stats| stats.output_closed == 1 && stats.clients == 0).await;
    assert_eq!(door.client().await.ask("XLEN s").await, ":0");
    // What fits is told.
    let mut client = door.client().await;
    for (asked, said) in [("MULTI", "+OK"), ("COMMAND COUNT", "+QUEUED"), ("PING", "+QUEUED")] {
        assert_eq!(client.ask(asked).await, said);
    }
    assert!(client.ask("EXEC").await.ends_with(", +PONG]"));
}

/// Each of many clients that read nothing was allowed its own part, and all together took all memory.
#[tokio::test(start_paused = true)]
async fn clients_that_read_nothing_leave_a_part_of_the_memory_unread_together() {
    let door = Door::open_with(|options| options.memory_bytes = 64 << 20);
    let mut client = door.client().await;
    let value = "x".repeat(60_000);
    for _ in 0..100 {
        assert!(!client.ask(&format!("XADD s * f {value}")).await.starts_with('-'));
    }
    let mut deaf = Vec::new();
    let is_busy = |said: &str| said.starts_with("-BUSY too many bytes of answers");
    while !is_busy(&client.ask("XRANGE s - + COUNT 2").await) {
        assert!(deaf.len() < 50, "nobody is refused");
        let one = door.client().await;
        (0..8).for_each(|_| drop(one.stream.try_write(&request("XRANGE s - +"))));
        deaf.push(one);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What is small is answered, and changes are made.
    assert_eq!(client.ask("XLEN s").await, ":100");
    assert!(!client.ask("XADD s * f v").await.starts_with('-'));
    // Those that took nothing for a second are parted from, and there is room again.
    let began = Instant::now();
    while is_busy(&client.ask("XRANGE s - + COUNT 2").await) {
        assert!(began.elapsed() < Duration::from_secs(5), "there is no room");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(door.handle.stats().clients <= deaf.len(), "they are still there");
}
