//! Clients that say too little, too much, too slowly, or nothing at all.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::{Client, PATIENCE, request};
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

/// What was sent became a reply of its own.
#[tokio::test]
async fn cve_2025_67733_no_error_echoes_a_line_end_or_more_than_a_little() {
    /// The longest of our own words, and what may be echoed.
    const ERROR_BYTES_MAX: usize = 512;
    /// They answer otherwise than with one reply, or begin or end something.
    const LEFT_OUT: [&str; 6] = ["MONITOR", "MULTI", "QUIT", "RESET", "SHUTDOWN", "SUBSCRIBE"];
    let door = Door::open();
    let mut client = door.client().await;
    let evil = [&b"\r\n+OK\r\n\0\xff"[..], &[b'x'; 300], b"\r\n:1\r\n"].concat();
    let mut asked = 0;
    for name in rows(&mut client).await {
        if LEFT_OUT.iter().any(|left_out| name[0].to_uppercase().ends_with(left_out)) {
            continue;
        }
        for count in 0..6 {
            let words = name.iter().map(|word| word.as_bytes());
            let words: Vec<&[u8]> = words.chain(std::iter::repeat_n(&evil[..], count)).collect();
            let mut bytes = bytes::BytesMut::new();
            resp::write_request(&mut bytes, &words);
            client.send(&bytes).await;
            let reply = client.reply().await.unwrap_or_else(|| panic!("{name:?} closed"));
            if let Some(error) = reply.as_error() {
                assert!(error.len() <= ERROR_BYTES_MAX, "{name:?}: {error}");
                assert!(!error.contains(['\r', '\n']), "{name:?}: {error}");
            }
            asked += 1;
        }
    }
    assert!(asked > 300, "only {asked} requests");
    assert_eq!(client.ask("ECHO same").await, "'same'", "a reply was left over");
    client.send(request("PING")).await;
    assert_eq!(client.said().await, "+PONG");
}

/// Every command, and every subcommand behind its container.
async fn rows(client: &mut Client) -> Vec<Vec<String>> {
    client.send(request("COMMAND")).await;
    let reply = client.reply().await.expect("a reply");
    let mut rows = Vec::new();
    for row in reply.as_items().expect("rows") {
        let row = row.as_items().expect("a row");
        let name = |row: &[resp::Value]| -> Vec<String> {
            row[0].as_text().expect("a name").split('|').map(str::to_owned).collect()
        };
        rows.push(name(row));
        let subcommands = row[9].as_items().expect("subcommands");
        rows.extend(subcommands.iter().map(|sub| name(sub.as_items().expect("a row"))));
    }
    rows
}
