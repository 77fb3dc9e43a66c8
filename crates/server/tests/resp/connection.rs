//! Sockets that say wrong things, too much, or too slowly.

use resp::limits::{LINE_BYTES_MAX, UNAUTHENTICATED_BULK_BYTES_MAX};

use crate::client::{Client, request};
use crate::door::{Door, ENTRY_BYTES_MAX};

/// One bulk of so many bytes behind a command's name and key.
fn xadd_of(value_bytes: usize) -> Vec<u8> {
    let mut bytes = b"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nf\r\n".to_vec();
    bytes.extend_from_slice(format!("${value_bytes}\r\n").as_bytes());
    bytes.resize(bytes.len() + value_bytes, b'x');
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[tokio::test]
async fn each_malformed_request_gets_its_error_and_ends_the_connection() {
    let door = Door::open();
    for (bytes, error) in [
        (&b"*x\r\n"[..], "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*1\r\nx4\r\n", "expected '$', got 'x'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$99999999999\r\n", "invalid bulk length"),
        (b"*1\r\n$4\r\nPINGxx", "invalid CRLF in request"),
        (b"set \"a b\r\n", "unbalanced quotes in request"),
        (&[b'a'; LINE_BYTES_MAX + 2], "too big inline request"),
        (&[b'*'; LINE_BYTES_MAX + 2], "too big mbulk count string"),
    ] {
        let mut client = door.client().await;
        // What was asked properly before is answered.
        client.send(b"PING\r\n").await;
        client.send_anyway(bytes).await;
        assert_eq!(client.said().await, "+PONG");
        assert_eq!(client.said().await, format!("-ERR Protocol error: {error}"));
        assert_eq!(client.said().await, "closed");
    }
    door.until(|stats| stats.clients == 0).await;
}

#[tokio::test]
async fn what_is_cut_off_in_the_middle_does_nothing() {
    let door = Door::open();
    let whole = xadd_of(100);
    for cut in 1..whole.len() {
        let mut client = door.client().await;
        client.send(&whole[..cut]).await;
        drop(client);
    }
    door.until(|stats| stats.clients == 0).await;
    assert_eq!(door.client().await.ask("XLEN s").await, ":0");
}

#[tokio::test]
async fn a_conversation_is_the_same_wherever_it_is_split() {
    const REPLIES: [&str; 6] =
        ["'5-1'", ":1", "+PONG", "*1[*2['5-1', *2['f', 'a b']]]", ":1", ":0"];
    let bytes = [
        &b"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$3\r\n5-1\r\n$1\r\nf\r\n$3\r\na b\r\n"[..],
        b"XLEN s\r\n*0\r\n\r\nPING\r\n",
        &request("XRANGE s - +"),
        &request("DEL s"),
        &request("EXISTS s"),
    ]
    .concat();
    let door = Door::open();
    for at in 0..bytes.len() {
        let mut client = door.client().await;
        client.send(&bytes[..at]).await;
        // An answer in between tells that the first part was looked at.
        tokio::task::yield_now().await;
        client.send(&bytes[at..]).await;
        for reply in REPLIES {
            assert_eq!(client.said().await, reply, "split at {at}");
        }
    }
}

#[tokio::test]
async fn an_entry_too_big_is_refused_and_the_connection_stays() {
    let door = Door::open();
    let mut client = door.client().await;
    client.send(xadd_of(ENTRY_BYTES_MAX)).await;
    assert_eq!(client.said().await, "-ERR Elements are too large to be stored");
    client.send(xadd_of(ENTRY_BYTES_MAX - 1)).await;
    assert!(client.said().await.starts_with("'1700000000000-"));
    assert_eq!(client.ask("XLEN s").await, ":1");
    // A bulk beyond all measure isn't waited for.
    client.send(b"*1\r\n$2000000\r\n").await;
    assert_eq!(client.said().await, "-ERR Protocol error: invalid bulk length");
    assert_eq!(client.said().await, "closed");
}

#[tokio::test]
async fn an_unknown_command_is_told_so_and_the_connection_stays() {
    let door = Door::open();
    let mut client = door.client().await;
    let unknown = "-ERR unknown command 'FOO', with args beginning with: 'bar' ";
    assert_eq!(client.ask("FOO bar").await, unknown);
    let maintenance = "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type internal-ip";
    let unknown = "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.";
    assert_eq!(client.ask(maintenance).await, unknown);
    // CVE-2025-67733: what was sent doesn't become a reply of its own.
    client.send(b"*1\r\n$9\r\nx\r\n+OK\r\n\r\r\n").await;
    assert_eq!(client.said().await, "-ERR unknown command 'x  +OK   ', with args beginning with: ");
    assert_eq!(client.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn a_browser_is_shown_the_door() {
    let door = Door::open();
    for line in ["POST / HTTP/1.1", "Host: localhost"] {
        assert_eq!(door.client().await.ask_inline(line).await, "closed");
    }
}

#[tokio::test]
async fn a_stranger_may_say_little_and_hear_little() {
    let door = Door::open_with_password("secret");
    let noauth = "-NOAUTH Authentication required.";
    let mut client = door.client().await;
    for words in ["PING", "XADD s * a 1", "XLEN s", "INFO", "CONFIG GET *", "CLIENT LIST"] {
        assert_eq!(client.ask(words).await, noauth);
    }
    assert!(client.ask("HELLO 3").await.starts_with("-NOAUTH HELLO must be called"));
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
    assert_eq!(client.ask("AUTH wrong").await, wrong);
    assert_eq!(client.ask("AUTH somebody secret").await, wrong);
    assert_eq!(client.ask("HELLO 3 AUTH default wrong").await, wrong);
    assert_eq!(client.ask("RESET").await, "+RESET");
    assert_eq!(client.ask("AUTH secret").await, "+OK");
    assert_eq!(client.ask("XLEN s").await, ":0");
    assert_eq!(client.ask("RESET").await, "+RESET");
    assert_eq!(client.ask("XLEN s").await, noauth);
    let hello = client.ask("HELLO 2 AUTH default secret SETNAME me").await;
    assert!(hello.starts_with("*14['server', 'weir'"), "{hello}");
    assert_eq!(client.ask("CLIENT GETNAME").await, "'me'");

    // CVE-2021-32675: announcing much is refused at once.
    for (bytes, error) in [
        ("*11\r\n".to_owned(), "unauthenticated multibulk length"),
        (
            format!("*1\r\n${}\r\n", UNAUTHENTICATED_BULK_BYTES_MAX + 1),
            "unauthenticated bulk length",
        ),
    ] {
        let mut client = door.client().await;
        client.send(bytes).await;
        assert_eq!(client.said().await, format!("-ERR Protocol error: {error}"));
        assert_eq!(client.said().await, "closed");
    }
    // Once it is known, it may say more in the same breath.
    let mut client = door.client().await;
    let breath = [&request("AUTH secret")[..], &xadd_of(UNAUTHENTICATED_BULK_BYTES_MAX + 1)];
    client.send(breath.concat()).await;
    assert_eq!(client.said().await, "+OK");
    assert!(client.said().await.starts_with("'17"));
}

/// A stranger that reads nothing made the server's output grow.
#[tokio::test]
async fn cve_2025_21605_what_a_stranger_does_not_read_stops_its_requests() {
    /// More than the sockets' own buffers hold, in either direction.
    const SOCKETS_BYTES: u64 = 16 << 20;
    const ERROR_BYTES: u64 = "-NOAUTH Authentication required.\r\n".len() as u64;
    /// Turns of the server, each with an answer to somebody else, in which it takes nothing more.
    const IDLE_TURNS: u32 = 1_000;

    let door = Door::open_with_password("secret");
    let mut other = door.client().await;
    assert_eq!(other.ask("AUTH secret").await, "+OK");
    let stranger = door.client().await;
    let pings = b"PING\r\n".repeat(10_000);
    let (mut sent, mut idle_turns, mut answered) = (0, 0, 0);
    while idle_turns < IDLE_TURNS {
        assert_eq!(other.ask("PING").await, "+PONG");
        let taken = stranger.stream.try_write(&pings).unwrap_or(0);
        let errors = door.handle.stats().errors;
        idle_turns = if taken == 0 && errors == answered { idle_turns + 1 } else { 0 };
        sent += taken as u64;
        answered = errors;
        let unread = answered * ERROR_BYTES;
        assert!(unread < SOCKETS_BYTES, "{answered} errors were written for nobody");
    }
    assert!(answered > 0 && sent > 0);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_closed_at_the_output_limit() {
    let door = Door::open_with(|options| options.output_bytes_max = 256 << 10);
    let mut client = door.client().await;
    for _ in 0..20 {
        client.send(xadd_of(ENTRY_BYTES_MAX - 1)).await;
        client.said().await;
    }
    // More than the sockets hold and the limit allows.
    client.send(request("XRANGE s - +").repeat(32)).await;
    door.until(|stats| stats.output_closed == 1 && stats.clients == 0).await;
    assert_eq!(door.client().await.ask("XLEN s").await, ":20");
}

#[tokio::test]
async fn a_client_that_reads_late_gets_everything() {
    const PINGS: usize = 300_000;
    let door = Door::open();
    let client = door.client().await;
    let Client { stream, .. } = client;
    let (mut read, mut write) = stream.into_split();
    let writer = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        write.write_all(&b"PING\r\n".repeat(PINGS)).await.unwrap();
        write
    });
    // The server stops taking requests when its output waits.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 16];
    while bytes < PINGS * b"+PONG\r\n".len() {
        let reading = tokio::io::AsyncReadExt::read(&mut read, &mut buffer);
        let got = tokio::time::timeout(crate::client::PATIENCE, reading).await.unwrap().unwrap();
        assert!(got > 0, "closed after {bytes} bytes");
        bytes += got;
    }
    drop(writer.await.unwrap());
}

#[tokio::test]
async fn one_client_too_many_is_told_so() {
    let door = Door::open_with(|options| options.connections_max = 2);
    let mut first = door.client().await;
    assert_eq!(first.ask("PING").await, "+PONG");
    let mut second = door.client().await;
    assert_eq!(second.ask("PING").await, "+PONG");
    let mut third = door.client().await;
    assert_eq!(third.said().await, "-ERR max number of clients reached");
    assert_eq!(third.said().await, "closed");
    drop(second);
    door.until(|stats| stats.clients == 1).await;
    assert_eq!(door.client().await.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn strangers_do_not_take_every_place() {
    let door = Door::open_with(|options| {
        options.connections_max = 8;
        options.password = Some(server::config::Password::new("secret"));
    });
    let full = "-ERR max number of clients reached";
    let mut first = door.client().await;
    let mut second = door.client().await;
    door.until(|stats| stats.clients == 2).await;
    assert_eq!(door.client().await.said().await, full);
    // Who is known makes room for the next stranger, and a stranger who goes, too.
    assert_eq!(first.ask("AUTH secret").await, "+OK");
    let mut third = door.client().await;
    assert_eq!(third.ask("AUTH secret").await, "+OK");
    assert_eq!(third.ask("RESET").await, "+RESET");
    assert_eq!(door.client().await.said().await, full);
    assert_eq!(second.ask("QUIT").await, "+OK");
    door.until(|stats| stats.clients == 2).await;
    assert_eq!(door.client().await.ask("AUTH secret").await, "+OK");
}

#[tokio::test]
async fn quit_is_answered_and_ends_the_connection() {
    let door = Door::open();
    let mut client = door.client().await;
    client.send(b"PING\r\nQUIT\r\nPING\r\n").await;
    assert_eq!(client.said().await, "+PONG");
    assert_eq!(client.said().await, "+OK");
    assert_eq!(client.said().await, "closed");
}

#[tokio::test]
async fn a_client_that_closes_its_side_hears_the_rest() {
    let door = Door::open();
    door.shards.hold();
    let mut client = door.client().await;
    client.send(b"XADD s 5-1 a 1\r\n").await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
    door.until_held(1).await;
    door.shards.let_go();
    assert_eq!(client.said().await, "'5-1'");
    assert_eq!(client.said().await, "closed");
}

#[tokio::test]
async fn a_port_that_stops_answers_what_it_took() {
    let door = Door::open();
    door.shards.hold();
    let mut waiting = door.client().await;
    let mut idle = door.client().await;
    assert_eq!(idle.ask("PING").await, "+PONG");
    waiting.send(request("XADD s 5-1 a 1")).await;
    door.until_held(1).await;
    door.stop.cancel();
    assert_eq!(idle.said().await, "closed");
    door.shards.let_go();
    assert_eq!(waiting.said().await, "'5-1'");
    assert_eq!(waiting.said().await, "closed");
    tokio::time::timeout(crate::client::PATIENCE, door.running).await.unwrap().unwrap();
}

/// A client that asked one thing after the other sent its next request into a connection that was
/// just being closed, and could not know whether it had been done.
#[tokio::test]
async fn the_last_reply_and_the_end_of_the_connection_come_together() {
    for _ in 0..20 {
        let door = Door::open();
        let address = door.address;
        let clients: Vec<_> = (0..4)
            .map(|_| tokio::task::spawn_blocking(move || ask_until_closed(address)))
            .collect();
        door.until(|stats| stats.clients == 4 && stats.commands > 100).await;
        door.stop.cancel();
        for client in clients {
            client.await.unwrap();
        }
        tokio::time::timeout(crate::client::PATIENCE, door.running).await.unwrap().unwrap();
    }
}

/// Asks one thing after the other, looking before each whether the connection is still open.
fn ask_until_closed(address: std::net::SocketAddr) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let mut buffer = [0; 16];
    loop {
        stream.set_nonblocking(true).unwrap();
        let looked = stream.peek(&mut buffer);
        stream.set_nonblocking(false).unwrap();
        match looked {
            Ok(0) => return,
            Ok(bytes) => panic!("{bytes} bytes that nobody asked for"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        stream.write_all(b"PING\r\n").unwrap();
        let bytes = stream.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..bytes], b"+PONG\r\n", "a request was left unanswered");
    }
}

#[tokio::test]
async fn what_was_sent_before_the_stop_is_answered() {
    let door = Door::open();
    let mut client = door.client().await;
    assert_eq!(client.ask("PING").await, "+PONG");
    client.send([request("XADD s 5-1 a 1"), request("XLEN s")].concat()).await;
    door.stop.cancel();
    assert_eq!(client.said().await, "'5-1'");
    assert_eq!(client.said().await, ":1");
    assert_eq!(client.said().await, "closed");
    tokio::time::timeout(crate::client::PATIENCE, door.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_never_pauses_does_not_keep_a_port_from_stopping() {
    let door = Door::open();
    let client = door.client().await;
    let (mut read, mut write) = client.stream.into_split();
    let flood = tokio::spawn(async move {
        let pings = b"PING\r\n".repeat(1000);
        while tokio::io::AsyncWriteExt::write_all(&mut write, &pings).await.is_ok() {}
    });
    let drain = tokio::spawn(async move {
        drop(tokio::io::copy(&mut read, &mut tokio::io::sink()).await);
    });
    door.until(|stats| stats.commands > 10_000).await;
    door.stop.cancel();
    tokio::time::timeout(crate::client::PATIENCE, door.running).await.unwrap().unwrap();
    flood.await.unwrap();
    drain.await.unwrap();
}

#[tokio::test]
async fn noise_harms_nobody_but_who_makes_it() {
    use base::{Entropy, SeededEntropy};
    const PIECES: [&[u8]; 10] = [
        b"\r\n",
        b"*1\r\n",
        b"*3\r\n$4\r\n",
        b"XADD s * a 1\r\n",
        b"$5\r\n",
        b"\"",
        b"PING",
        b"\0",
        b"*2\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n",
        b"XREADGROUP GROUP g c STREAMS s >\r\n",
    ];
    let door = Door::open();
    let entropy = SeededEntropy::new(1);
    let mut quiet = door.client().await;
    for _ in 0..300 {
        let mut noisy = door.client().await;
        for _ in 0..entropy.below(30) {
            let piece = match entropy.below(12) {
                at @ 0..10 => PIECES[at as usize].to_vec(),
                _ => entropy.next_u64().to_le_bytes().to_vec(),
            };
            noisy.send_anyway(piece).await;
        }
        assert_eq!(quiet.ask("PING").await, "+PONG");
    }
    door.until(|stats| stats.clients == 1).await;
}
