//! Reads that wait: what wakes them, what ends them, and that nothing is left of them.

use std::time::Duration;

use raft::Shards;
use tokio::time::Instant;

use crate::client::{Client, request};
use crate::door::Door;

/// A client that is blocked by this request.
async fn blocked(door: &Door, words: &str) -> Client {
    let before = door.shards.waits_count();
    let mut client = door.client().await;
    client.send(request(words)).await;
    door.until_waiting(before + 1).await;
    client
}

async fn with_group(door: &Door) -> Client {
    let mut client = door.client().await;
    assert_eq!(client.ask("XGROUP CREATE s g $ MKSTREAM").await, "+OK");
    client
}

#[tokio::test]
async fn a_reader_waits_for_what_comes_after_its_call() {
    let door = Door::open();
    let mut writer = door.client().await;
    writer.ask("XADD s 1-1 a old").await;
    let mut after_last = blocked(&door, "XREAD BLOCK 0 STREAMS s $").await;
    let mut newest = blocked(&door, "XREAD BLOCK 0 STREAMS none +").await;
    let mut by_id = blocked(&door, "XREAD BLOCK 0 COUNT 1 STREAMS s 2-0").await;
    writer.ask("XADD s 2-0 a new").await;
    assert_eq!(after_last.said().await, "*1[*2['s', *1[*2['2-0', *2['a', 'new']]]]]");
    assert_eq!(door.shards.waits_count(), 2);
    writer.ask("XADD s 3-0 a newer").await;
    assert_eq!(by_id.said().await, "*1[*2['s', *1[*2['3-0', *2['a', 'newer']]]]]");
    writer.ask("XADD none 5-5 a b").await;
    assert_eq!(newest.said().await, "*1[*2['none', *1[*2['5-5', *2['a', 'b']]]]]");
    assert_eq!(door.shards.waits_count(), 0);
}

#[tokio::test]
async fn a_wait_ends_with_nil_when_its_time_is_over() {
    let door = Door::open();
    let mut client = with_group(&door).await;
    for read in ["XREAD BLOCK 50 STREAMS s $", "XREADGROUP GROUP g c BLOCK 50 STREAMS s >"] {
        let asked = Instant::now();
        assert_eq!(client.ask(read).await, "nil-array");
        assert!(asked.elapsed() >= Duration::from_millis(50), "{read}");
    }
    assert_eq!(door.shards.waits_count(), 0);
    client.ask("HELLO 3").await;
    assert_eq!(client.ask("XREAD BLOCK 5 STREAMS s $").await, "nil");
}

#[tokio::test]
async fn what_is_there_is_given_at_once_and_history_never_waits() {
    let door = Door::open();
    let mut client = with_group(&door).await;
    client.ask("XADD s 1-1 a b").await;
    let given = "*1[*2['s', *1[*2['1-1', *2['a', 'b']]]]]";
    assert_eq!(client.ask("XREAD BLOCK 0 STREAMS s 0").await, given);
    assert_eq!(client.ask("XREAD BLOCK 0 STREAMS s +").await, given);
    assert_eq!(client.ask("XREADGROUP GROUP g c BLOCK 0 STREAMS s >").await, given);
    assert_eq!(client.ask("XREADGROUP GROUP g d BLOCK 0 STREAMS s 0").await, "*1[*2['s', *0[]]]");
    assert_eq!(
        client.ask("XREADGROUP GROUP none c BLOCK 0 STREAMS s >").await,
        "-NOGROUP No such key 's' or consumer group 'none' in XREADGROUP with GROUP option"
    );
}

/// One stream of each of three shards.
fn apart(door: &Door) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in (0..).map(|number| format!("s{number}")) {
        let shard = door.shards.shard_of(name.as_bytes());
        if names.iter().all(|other| door.shards.shard_of(other.as_bytes()) != shard) {
            names.push(name);
        }
        if names.len() == 3 {
            break;
        }
    }
    names
}

#[tokio::test]
async fn a_reader_of_streams_of_several_shards_is_woken_by_any() {
    let door = Door::open();
    let mut writer = door.client().await;
    let streams = apart(&door);
    let all = streams.join(" ");
    for stream in &streams {
        writer.ask(&format!("XGROUP CREATE {stream} g $ MKSTREAM")).await;
    }
    for stream in &streams {
        let mut alone = door.client().await;
        alone.send(request(&format!("XREAD BLOCK 0 STREAMS {all} $ $ $"))).await;
        door.until_waiting(3).await;
        let mut member = door.client().await;
        member.send(request(&format!("XREADGROUP GROUP g c BLOCK 0 STREAMS {all} > > >"))).await;
        door.until_waiting(6).await;
        writer.ask(&format!("XADD {stream} 7-7 f v")).await;
        let given = format!("*1[*2['{stream}', *1[*2['7-7', *2['f', 'v']]]]]");
        assert_eq!((alone.said().await, member.said().await), (given.clone(), given));
        door.until_waiting(0).await;
    }
}

#[tokio::test]
async fn a_group_that_goes_refuses_its_readers_and_not_those_who_read_alone() {
    let door = Door::open();
    for (end, reply) in [
        ("XGROUP DESTROY s g", ":1"),
        ("DEL s", ":1"),
        ("FLUSHALL", "+OK"),
        ("RENAME s {s}2", "+OK"),
        ("PEXPIRE s 0", ":1"),
    ] {
        let mut other = with_group(&door).await;
        let mut alone = blocked(&door, "XREAD BLOCK 0 STREAMS s $").await;
        let mut member = blocked(&door, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >").await;
        assert_eq!(other.ask(end).await, reply, "{end}");
        assert_eq!(
            member.said().await,
            "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"
        );
        door.until_waiting(1).await;
        other.ask("XADD s 9-9 a b").await;
        assert_eq!(alone.said().await, "*1[*2['s', *1[*2['9-9', *2['a', 'b']]]]]");
        other.ask("DEL s").await;
    }
}

#[tokio::test]
async fn a_transaction_wakes_once_and_only_for_what_it_leaves() {
    let door = Door::open();
    let mut other = with_group(&door).await;
    let mut reader = blocked(&door, "XREAD BLOCK 0 STREAMS s $").await;
    let transaction = async |client: &mut Client, steps: &[&str]| {
        assert_eq!(client.ask("MULTI").await, "+OK");
        for step in steps {
            assert_eq!(client.ask(step).await, "+QUEUED");
        }
        client.ask("EXEC").await
    };
    transaction(&mut other, &["XADD s 5-1 a b", "XDEL s 5-1"]).await;
    assert_eq!(door.shards.waits_count(), 1, "nobody is woken by what is gone again");
    transaction(&mut other, &["XADD s 6-1 a 1", "XADD s 6-2 a 2", "XADD s 6-3 a 3"]).await;
    let entry = |sequence: u8| format!("*2['6-{sequence}', *2['a', '{sequence}']]");
    let given = format!("*1[*2['s', *3[{}, {}, {}]]]", entry(1), entry(2), entry(3));
    assert_eq!(reader.said().await, given);
}

#[tokio::test]
async fn a_stream_that_is_renamed_to_what_is_waited_for_serves_its_readers() {
    let door = Door::open();
    let mut other = door.client().await;
    let mut reader = blocked(&door, "XREAD BLOCK 0 STREAMS {s}new 0").await;
    other.ask("XADD {s}old 1-1 a b").await;
    assert_eq!(door.shards.waits_count(), 1);
    assert_eq!(other.ask("RENAME {s}old {s}new").await, "+OK");
    assert_eq!(reader.said().await, "*1[*2['{s}new', *1[*2['1-1', *2['a', 'b']]]]]");
}

#[tokio::test]
async fn another_client_ends_a_wait_with_nil_or_with_an_error() {
    let door = Door::open();
    let mut other = with_group(&door).await;
    for (how, said) in [
        ("", "nil-array"),
        (" TIMEOUT", "nil-array"),
        (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ] {
        let mut client = door.client().await;
        let id = client.ask("CLIENT ID").await.replace(':', "");
        assert_eq!(
            other.ask(&format!("CLIENT UNBLOCK {id}{how}")).await,
            ":0",
            "it is not blocked"
        );
        client.send(request("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")).await;
        door.until_waiting(1).await;
        assert_eq!(other.ask(&format!("CLIENT UNBLOCK {id}{how}")).await, ":1");
        assert_eq!(client.said().await, said);
        assert_eq!(client.ask("PING").await, "+PONG");
        door.until_waiting(0).await;
    }
}

#[tokio::test]
async fn a_client_that_went_away_is_given_nothing() {
    let door = Door::open();
    let mut other = with_group(&door).await;
    let client = blocked(&door, "XREADGROUP GROUP g gone BLOCK 0 STREAMS s >").await;
    drop(client);
    door.until_waiting(0).await;
    other.ask("XADD s 1-1 a b").await;
    assert_eq!(other.ask("XPENDING s g").await, "*4[:0, nil, nil, nil-array]");
    assert_eq!(
        other.ask("XREADGROUP GROUP g c STREAMS s >").await,
        "*1[*2['s', *1[*2['1-1', *2['a', 'b']]]]]"
    );
}

#[tokio::test]
async fn a_client_that_went_away_with_requests_behind_its_read_is_noticed() {
    let door = Door::open();
    let mut other = with_group(&door).await;
    let mut client = door.client().await;
    let pipeline = ["XREADGROUP GROUP g gone BLOCK 0 STREAMS s >", "XADD s 5-5 a never", "QUIT"];
    client.send(pipeline.map(|words| request(words).to_vec()).concat()).await;
    door.until_waiting(1).await;
    drop(client);
    door.until_waiting(0).await;
    door.until(|stats| stats.clients == 1).await;
    assert_eq!(other.ask("XLEN s").await, ":0");
}

#[tokio::test]
async fn what_comes_behind_a_read_that_waits_is_done_after_it() {
    let door = Door::open();
    let mut other = door.client().await;
    let mut client = door.client().await;
    let pipeline = ["XREAD BLOCK 0 STREAMS s $", "XADD s 9-9 a mine", "XLEN s", "PING"];
    client.send(pipeline.map(|words| request(words).to_vec()).concat()).await;
    door.until_waiting(1).await;
    assert_eq!(other.ask("XLEN s").await, ":0");
    other.ask("XADD s 1-1 a b").await;
    assert_eq!(client.said().await, "*1[*2['s', *1[*2['1-1', *2['a', 'b']]]]]");
    assert_eq!(client.said().await, "'9-9'");
    assert_eq!(client.said().await, ":2");
    assert_eq!(client.said().await, "+PONG");
}

#[tokio::test]
async fn a_node_that_stops_ends_waits_as_if_their_time_were_over() {
    let door = Door::open();
    let mut client = blocked(&door, "XREAD BLOCK 0 STREAMS s $").await;
    door.stop.cancel();
    assert_eq!(client.said().await, "nil-array");
    assert_eq!(client.said().await, "closed");
    door.running.await.unwrap();
}

#[tokio::test]
async fn blocked_clients_are_counted_and_named() {
    let door = Door::open();
    let mut other = door.client().await;
    let client = blocked(&door, "XREAD BLOCK 0 STREAMS s $").await;
    let said = async |client: &mut Client, what: &str| client.ask(what).await;
    assert!(said(&mut other, "INFO clients").await.contains("blocked_clients:1"));
    assert!(said(&mut other, "CLIENT LIST").await.contains("flags=b "));
    other.ask("XGROUP CREATE t g $ MKSTREAM").await;
    let member = blocked(&door, "XREADGROUP GROUP g c BLOCK 0 STREAMS t >").await;
    let keys = "total_blocking_keys:2\r\ntotal_blocking_keys_on_nokey:1\r";
    let info = said(&mut other, "INFO clients").await.replace("\\r\\n", "\r\n");
    assert!(info.contains(keys), "{info}");
    drop((client, member));
    door.until(|stats| stats.clients == 1).await;
    assert!(said(&mut other, "INFO clients").await.contains("blocked_clients:0"));
}

#[tokio::test]
async fn what_is_given_back_wakes_a_reader_that_claims() {
    let door = Door::open();
    let mut client = with_group(&door).await;
    client.ask("XADD s 1-1 a b").await;
    client.ask("XREADGROUP GROUP g dead STREAMS s >").await;
    let mut plain = blocked(&door, "XREADGROUP GROUP g plain BLOCK 0 STREAMS s >").await;
    let read = "XREADGROUP GROUP g alive BLOCK 0 CLAIM 3600000 STREAMS s >";
    let mut claims = blocked(&door, read).await;
    assert_eq!(client.ask("XNACK s g FAIL IDS 1 1-1").await, ":1");
    let said = claims.said().await;
    assert!(said.starts_with("*1[*2['s', *1[*4['1-1', *2['a', 'b'], :"), "{said}");
    assert!(said.ends_with(", :1]]]]"), "{said}");
    // Who doesn't claim goes on waiting for what is new.
    assert_eq!(door.shards.waits_count(), 1);
    client.ask("XADD s 2-1 a c").await;
    assert_eq!(plain.said().await, "*1[*2['s', *1[*2['2-1', *2['a', 'c']]]]]");
}
