//! What tools see of other clients' requests: MONITOR, SLOWLOG, LATENCY; and what they do to a node.

use std::time::Duration;

use crate::client::{Client, request};
use crate::door::{Door, START_MS};

#[tokio::test]
async fn a_monitoring_client_sees_what_others_ask_and_no_password() {
    let door = Door::open_with_password("secret");
    let mut watching = door.client().await;
    assert_eq!(watching.ask("AUTH secret").await, "+OK");
    assert_eq!(watching.ask("MONITOR").await, "+OK");
    let mut other = door.client().await;
    let from = other.stream.local_addr().unwrap();
    other.ask("HELLO 2 AUTH default secret").await;
    other.ask_inline("XADD s 5-1 a \"x \\r\\n\"").await;
    other.ask("XLEN s").await;
    let seconds = START_MS / 1000;
    let said = async |client: &mut Client| {
        let reply = client.reply().await.expect("a line");
        reply.as_text().expect("text").to_owned()
    };
    let expected = format!(r#"{seconds}.000000 [0 {from}] "XADD" "s" "5-1" "a" "x \r\n""#);
    assert_eq!(said(&mut watching).await, expected);
    let expected = format!(r#"{seconds}.000000 [0 {from}] "XLEN" "s""#);
    assert_eq!(said(&mut watching).await, expected);
    assert!(other.ask("CLIENT LIST").await.contains("flags=O"));
    // Until it no longer wants to.
    watching.said().await;
    assert_eq!(watching.ask("RESET").await, "+RESET");
    assert_eq!(watching.ask("AUTH secret").await, "+OK");
    other.ask("XLEN s").await;
    assert_eq!(watching.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn a_monitoring_client_that_reads_nothing_is_closed_and_holds_nobody_up() {
    let door = Door::open();
    let mut watching = door.client().await;
    assert_eq!(watching.ask("MONITOR").await, "+OK");
    let mut busy = door.client().await;
    let echo = request(&format!("ECHO {}", "x".repeat(500)));
    while door.handle.stats().output_closed == 0 {
        busy.send(echo.repeat(100)).await;
        for _ in 0..100 {
            busy.said().await;
        }
    }
    door.until(|stats| stats.clients == 1).await;
}

#[tokio::test]
async fn a_slow_request_is_kept_and_its_second_noted() {
    let door = Door::open();
    let mut client = door.client().await;
    client.ask("CONFIG SET latency-monitor-threshold 10").await;
    door.shards.hold();
    for (length, held) in [(20, "XADD s 5-1 a 1"), (30, "XADD s 5-2 a 1"), (5, "XADD s 5-3 a 1")] {
        client.send(request(held)).await;
        door.until_held(1).await;
        door.clock.advance(Duration::from_millis(length));
        door.shards.answer_held();
        client.said().await;
    }
    door.shards.let_go();
    let slow = client.ask("SLOWLOG GET").await;
    assert!(slow.starts_with("*2[*6[:1, :1700000000, :30000, *5['XADD', 's', '5-2'"), "{slow}");
    let latest = "*1[*4['fast-command', :1700000000, :30, :30]]";
    assert_eq!(client.ask("LATENCY LATEST").await, latest);
    let history = client.ask("LATENCY HISTORY fast-command").await;
    assert_eq!(history, "*1[*2[:1700000000, :30]]");
    assert!(client.ask("LATENCY DOCTOR").await.contains("30 ms at most"));
    assert_eq!(client.ask("LATENCY RESET fast-command").await, ":1");
    assert_eq!(client.ask("LATENCY LATEST").await, "*0[]");
}

#[tokio::test]
async fn what_is_not_in_weir_says_why_and_the_connection_stays() {
    let door = Door::open();
    let mut client = door.client().await;
    for (asked, why) in [
        ("SET k v", "'SET': Weir keeps streams, and no other data types"),
        ("hgetall h", "'hgetall': Weir keeps streams, and no other data types"),
        ("EVAL x 0", "'EVAL': Weir keeps streams, and runs no scripts or functions"),
        ("SWAPDB 0 1", "'SWAPDB': Weir has one database, 0"),
        ("RESTORE k 0 x", "'RESTORE': Weir takes and gives no keys as raw bytes"),
        ("REPLICAOF NO ONE", "'REPLICAOF': nodes of Weir replicate each other by themselves"),
    ] {
        assert_eq!(client.ask(asked).await, format!("-ERR unknown command {why}"));
    }
    assert_eq!(client.ask("SELECT 9").await, "-ERR DB index is out of range");
    assert_eq!(client.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn a_client_stops_the_node() {
    let door = Door::open();
    let handle = door.handle.clone();
    let wanted = tokio::spawn(async move { handle.shutdown_wanted().await });
    let mut client: Client = door.client().await;
    client.send(request("SHUTDOWN NOSAVE")).await;
    tokio::time::timeout(crate::client::PATIENCE, wanted).await.unwrap().unwrap();
    door.stop.cancel();
    assert_eq!(client.said().await, "closed");
}

#[tokio::test]
async fn what_redisinsight_asks_to_show_a_stream_is_answered() {
    let door = Door::open();
    let mut client = door.client().await;
    client.ask("XADD s 1-1 f v").await;
    client.ask("XGROUP CREATE s g 0").await;
    for (asked, known) in [
        ("INFO", "redis_version:"),
        ("COMMAND", "'xadd', :-5"),
        ("DBSIZE", ":1"),
        ("MODULE LIST", "*0[]"),
        ("CONFIG GET databases", "*2['databases', '1']"),
        ("CLIENT SETNAME redisinsight-browser-1", "+OK"),
        ("CLIENT LIST", "name=redisinsight-browser-1"),
        ("SCAN 0 MATCH * COUNT 10000 TYPE stream", "*1['s']"),
        ("TYPE s", "+stream"),
        ("TTL s", ":-1"),
        ("MEMORY USAGE s SAMPLES 0", ":"),
        ("XINFO STREAM s", "'last-generated-id', '1-1'"),
        ("XINFO GROUPS s", "'name', 'g'"),
        ("XINFO CONSUMERS s g", "*0[]"),
        ("XREVRANGE s + - COUNT 500", "*1[*2['1-1', *2['f', 'v']]]"),
        ("XPENDING s g - + 500", "*0[]"),
        ("SLOWLOG GET 50", "*"),
        ("CONFIG GET slowlog*", "'slowlog-log-slower-than', '10000'"),
        ("ACL WHOAMI", "'default'"),
    ] {
        let said = client.ask(asked).await;
        assert!(said.contains(known) && !said.starts_with('-'), "{asked}: {said}");
    }
    // It shows modules where there are some, and goes on without.
    assert!(client.ask("FT._LIST").await.starts_with("-ERR unknown command 'FT._LIST'"));
    assert_eq!(client.ask("PING").await, "+PONG");
}
