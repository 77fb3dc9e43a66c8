//! The order of a connection: replies, writes and reads, whatever is slow.

use raft::ProposeError;

use crate::client::{Client, request};
use crate::door::Door;

async fn says(client: &mut Client, replies: &[&str]) {
    for reply in replies {
        assert_eq!(client.said().await, *reply);
    }
}

#[tokio::test]
async fn ten_thousand_requests_in_one_pipeline_are_answered_in_order() {
    const REQUESTS: usize = 10_000;
    let door = Door::open();
    let mut client = door.client().await;
    let bytes: Vec<u8> =
        (1..=REQUESTS).flat_map(|ms| request(&format!("XADD s {ms}-1 f {ms}"))).collect();
    let (mut read, mut write) = client.stream.into_split();
    let writer = tokio::spawn(async move {
        tokio::io::AsyncWriteExt::write_all(&mut write, &bytes).await.unwrap();
        write
    });
    let (mut parser, mut input) = (resp::ReplyParser::new(), bytes::BytesMut::new());
    for ms in 1..=REQUESTS {
        let reply = loop {
            if let Some(reply) = parser.next(&mut input).unwrap() {
                break reply;
            }
            let reading = tokio::io::AsyncReadExt::read_buf(&mut read, &mut input);
            let got = tokio::time::timeout(crate::client::PATIENCE, reading).await.unwrap();
            assert!(got.unwrap() > 0, "closed after {ms} replies");
        };
        assert_eq!(reply.to_string(), format!("'{ms}-1'"));
    }
    drop(writer.await.unwrap());
    client = door.client().await;
    assert_eq!(client.ask("XLEN s").await, format!(":{REQUESTS}"));
}

#[tokio::test]
async fn a_read_sees_the_writes_before_it_and_none_after_it() {
    let door = Door::open();
    door.shards.hold();
    let mut client = door.client().await;
    let pipeline =
        ["XADD s 1-1 a 1", "XADD s 2-1 a 1", "XLEN s", "PING", "XADD s 3-1 a 1", "XLEN s"];
    client.send(pipeline.map(|words| request(words).to_vec()).concat()).await;
    // Both writes are under way together, the read isn't asked yet.
    door.until_held(2).await;
    assert_eq!(door.shards.held_count(), 2);
    door.shards.answer_held();
    says(&mut client, &["'1-1'", "'2-1'"]).await;
    // The read is asked, the write behind it isn't.
    door.until_held(1).await;
    door.shards.answer_held();
    says(&mut client, &[":2", "+PONG"]).await;
    door.until_held(1).await;
    door.shards.let_go();
    says(&mut client, &["'3-1'", ":3"]).await;
}

#[tokio::test]
async fn what_is_ready_is_sent_although_something_else_is_slow() {
    let door = Door::open();
    let mut client = door.client().await;
    assert_eq!(client.ask("XADD s 1-1 a 1").await, "'1-1'");
    door.shards.hold();
    let pipeline = ["PING", "XADD s 2-1 a 1", "ECHO behind"];
    client.send(pipeline.map(|words| request(words).to_vec()).concat()).await;
    says(&mut client, &["+PONG"]).await;
    door.until_held(1).await;
    door.shards.let_go();
    says(&mut client, &["'2-1'", "'behind'"]).await;
}

#[tokio::test]
async fn a_group_read_is_looked_up_then_proposed_and_nothing_overtakes_it() {
    let door = Door::open();
    let mut client = door.client().await;
    assert_eq!(client.ask("XGROUP CREATE s g $ MKSTREAM").await, "+OK");
    door.shards.hold();
    let pipeline = [
        "XADD s 1-1 a 1",
        "XREADGROUP GROUP g c STREAMS s >",
        "XACK s g 1-1",
        "XPENDING s g",
        "XREADGROUP GROUP g c STREAMS s >",
    ];
    client.send(pipeline.map(|words| request(words).to_vec()).concat()).await;
    let expected = [
        "'1-1'",                                    // add
        "",                                         // look
        "*1[*2['s', *1[*2['1-1', *2['a', '1']]]]]", // deliver
        ":1",                                       // acknowledge
        "*4[:0, nil, nil, nil-array]",              // pending
        "nil-array",                                // look, and nothing to deliver
    ];
    for reply in expected {
        door.until_held(1).await;
        assert_eq!(door.shards.held_count(), 1);
        door.shards.answer_held();
        if !reply.is_empty() {
            assert_eq!(client.said().await, reply);
        }
    }
    assert_eq!(door.shards.held_count(), 0);
}

#[tokio::test]
async fn replies_are_written_in_the_protocol_of_their_request() {
    let door = Door::open();
    door.shards.hold();
    let mut client = door.client().await;
    let pipeline = ["XREAD STREAMS s $", "HELLO 3", "XREAD STREAMS s $"];
    client.send(pipeline.map(|words| request(words).to_vec()).concat()).await;
    door.until_held(2).await;
    door.shards.let_go();
    assert_eq!(client.said().await, "nil-array");
    assert!(client.said().await.starts_with("%7{'server': 'weir'"));
    assert_eq!(client.said().await, "nil");
}

#[tokio::test]
async fn keys_of_many_shards_are_served_together() {
    let door = Door::open();
    let mut client = door.client().await;
    for key in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(client.ask(&format!("XADD {key} 1-1 k {key}")).await, "'1-1'");
    }
    assert_eq!(client.ask("DBSIZE").await, ":6");
    assert_eq!(client.ask("EXISTS a b c d e f a none").await, ":7");
    let read = client.ask("XREAD STREAMS f e d c b a 0 0 0 0 0 0").await;
    let entry = |key: &str| format!("*2['{key}', *1[*2['1-1', *2['k', '{key}']]]]");
    let entries = ["f", "e", "d", "c", "b", "a"].map(entry).join(", ");
    assert_eq!(read, format!("*6[{entries}]"));
    for key in ["a", "b", "c"] {
        assert_eq!(client.ask(&format!("XGROUP CREATE {key} g 0")).await, "+OK");
    }
    let read = client.ask("XREADGROUP GROUP g c STREAMS c b a > > >").await;
    assert_eq!(read, format!("*3[{}]", ["c", "b", "a"].map(entry).join(", ")));
    let refused = client.ask("XREADGROUP GROUP g c STREAMS a f > >").await;
    assert!(refused.starts_with("-NOGROUP No such key 'f' or consumer group 'g'"), "{refused}");
    assert_eq!(client.ask("DEL a b c d e none").await, ":5");
    assert_eq!(client.ask("DBSIZE").await, ":1");
}

#[tokio::test]
async fn a_missing_answer_is_told_by_who_must_act() {
    let door = Door::open();
    let mut client = door.client().await;
    for (error, write, read) in [
        (ProposeError::Unknown, "-UNKNOWN", "-CLUSTERDOWN"),
        (ProposeError::Expired, "-CLUSTERDOWN", "-CLUSTERDOWN"),
        (ProposeError::Stopped, "-UNKNOWN", "-CLUSTERDOWN"),
        (ProposeError::Overloaded("memory is full"), "-BUSY", "-BUSY"),
        (ProposeError::DiskFull(base::NodeId(2)), "-DISKFULL", "-DISKFULL"),
    ] {
        door.shards.fail(Some(error));
        for (words, code) in [("XADD s * a 1", write), ("XLEN s", read)] {
            let said = client.ask(words).await;
            assert_eq!(said.split(' ').next(), Some(code), "{said}");
        }
    }
    door.shards.fail(None);
    assert_eq!(client.ask("XLEN s").await, ":0");
}
