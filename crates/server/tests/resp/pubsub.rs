//! Messages from client to client, and what happens to keys, on one port.

use crate::client::{Client, request};
use crate::door::Door;

async fn listening(door: &Door, protocol: u8, words: &str) -> Client {
    let mut client = door.client().await;
    if protocol == 3 {
        client.ask("HELLO 3").await;
    }
    client.ask(words).await;
    client
}

#[tokio::test]
async fn who_listens_is_told_in_the_order_of_publishing() {
    let door = Door::open();
    let mut by_channel = listening(&door, 2, "SUBSCRIBE c").await;
    let mut by_pattern = listening(&door, 3, "PSUBSCRIBE c* C*").await;
    assert_eq!(by_pattern.said().await, ">3['psubscribe', 'C*', :2]");
    let mut other = listening(&door, 3, "SSUBSCRIBE c").await;
    let mut teller = door.client().await;
    for payload in ["one", "two"] {
        assert_eq!(teller.ask(&format!("PUBLISH c {payload}")).await, ":2");
        let expected = format!("*3['message', 'c', '{payload}']");
        assert_eq!(by_channel.said().await, expected);
        let expected = format!(">4['pmessage', 'c*', 'c', '{payload}']");
        assert_eq!(by_pattern.said().await, expected);
    }
    assert_eq!(teller.ask("SPUBLISH c three").await, ":1");
    assert_eq!(other.said().await, ">3['smessage', 'c', 'three']");
    assert_eq!(teller.ask("PUBLISH d four").await, ":0");
    let channels = teller.ask("PUBSUB CHANNELS").await;
    assert_eq!((channels.as_str(), &*teller.ask("PUBSUB NUMPAT").await), ("*1['c']", ":2"));
    assert_eq!(teller.ask("PUBSUB NUMSUB c d").await, "*4['c', :1, 'd', :0]");
    assert_eq!(teller.ask("PUBSUB SHARDNUMSUB c").await, "*2['c', :1]");
    let list = teller.ask("CLIENT LIST TYPE pubsub").await;
    assert_eq!(list.matches("flags=P").count(), 3, "{list}");
    assert!(list.contains("sub=0 psub=2 ssub=0"), "{list}");
    // Who goes away listens no longer.
    drop((by_channel, by_pattern, other));
    door.until(|stats| stats.clients == 1).await;
    assert_eq!(teller.ask("PUBLISH c five").await, ":0");
    assert_eq!(teller.ask("PUBSUB CHANNELS").await, "*0[]");
}

#[tokio::test]
async fn a_client_of_resp2_that_listens_may_ask_little_else() {
    let door = Door::open();
    let mut client = listening(&door, 2, "SUBSCRIBE a").await;
    let refused = "-ERR Can\\'t execute \\'xlen\\': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / \
                   PING / QUIT / RESET are allowed in this context";
    assert_eq!(client.ask("XLEN s").await.replace("'", "\\'"), refused);
    assert_eq!(client.ask("PING").await, "*2['pong', '']");
    assert_eq!(client.ask("PING hi").await, "*2['pong', 'hi']");
    assert_eq!(client.ask("SSUBSCRIBE b").await, "*3['ssubscribe', 'b', :1]");
    assert_eq!(client.ask("UNSUBSCRIBE a").await, "*3['unsubscribe', 'a', :0]");
    assert!(client.ask("XLEN s").await.starts_with("-ERR Can"));
    assert_eq!(client.ask("SUNSUBSCRIBE").await, "*3['sunsubscribe', 'b', :0]");
    assert_eq!(client.ask("XLEN s").await, ":0");
    client.ask("SUBSCRIBE a").await;
    assert_eq!(client.ask("RESET").await, "+RESET");
    assert_eq!(client.ask("XLEN s").await, ":0");
    assert_eq!(client.ask("PUBLISH a m").await, ":0");
}

#[tokio::test]
async fn a_client_of_resp3_that_listens_may_ask_everything() {
    let door = Door::open();
    let mut client = listening(&door, 3, "SUBSCRIBE c").await;
    assert_eq!(client.ask("XADD s 5-1 a 1").await, "'5-1'");
    // Its own message comes behind the reply.
    assert_eq!(client.ask("PUBLISH c m").await, ":1");
    assert_eq!(client.said().await, ">3['message', 'c', 'm']");
    // And others' don't wait for an answer that is on its way.
    door.shards.hold();
    client.send(request("XADD s 5-2 a 1")).await;
    door.until_held(1).await;
    assert_eq!(door.client().await.ask("PUBLISH c n").await, ":1");
    assert_eq!(client.said().await, ">3['message', 'c', 'n']");
    door.shards.let_go();
    assert_eq!(client.said().await, "'5-2'");
}

#[tokio::test]
async fn a_confirmation_comes_before_the_first_message() {
    let door = Door::open();
    door.shards.hold();
    let mut client = door.client().await;
    client.ask("HELLO 3").await;
    client.send([request("XADD s 5-1 a 1"), request("SUBSCRIBE c")].concat()).await;
    door.until_held(1).await;
    let mut teller = door.client().await;
    assert_eq!(teller.ask("PUBLISH c m").await, ":1");
    door.shards.let_go();
    assert_eq!(client.said().await, "'5-1'");
    assert_eq!(client.said().await, ">3['subscribe', 'c', :1]");
    assert_eq!(client.said().await, ">3['message', 'c', 'm']");
}

#[tokio::test]
async fn a_listener_that_reads_nothing_is_closed_and_the_others_hear_everything() {
    let door = Door::open();
    let slow = listening(&door, 2, "SUBSCRIBE c").await;
    let mut quick = listening(&door, 2, "SUBSCRIBE c").await;
    let mut teller = door.client().await;
    let publish = format!("PUBLISH c {}", "x".repeat(60_000));
    let mut count = 0;
    while door.handle.stats().output_closed == 0 {
        teller.ask(&publish).await;
        assert!(quick.said().await.starts_with("*3['message'"));
        count += 1;
        assert!(count < 10_000, "a slow listener is never closed");
    }
    door.until(|stats| stats.clients == 2).await;
    assert_eq!(teller.ask("PUBLISH c m").await, ":1");
    assert_eq!(quick.said().await, "*3['message', 'c', 'm']");
    drop(slow);
}

#[tokio::test]
async fn subscriptions_are_bounded() {
    let door = Door::open();
    let mut client = door.client().await;
    client.ask("HELLO 3").await;
    let name = "x".repeat(50_000);
    let mut taken = 0;
    loop {
        let said = client.ask(&format!("SUBSCRIBE {name}{taken}")).await;
        if said.starts_with('-') {
            assert!(said.starts_with("-BUSY this connection listens to too much"), "{said}");
            break;
        }
        taken += 1;
        assert!(taken < 1000, "subscriptions grow without end");
    }
    client.ask("RESET").await;
    assert!(client.ask("SUBSCRIBE c").await.starts_with("*3['subscribe'"));
    assert_eq!(door.client().await.ask("PUBSUB CHANNELS").await, "*1['c']");
}

#[tokio::test]
async fn what_happens_to_keys_is_told_as_asked_for() {
    let door = Door::open();
    let mut client = door.client().await;
    let mut hears = listening(&door, 3, "PSUBSCRIBE __key*").await;
    client.ask("XADD s 1-1 a 1").await;
    assert_eq!(client.ask("CONFIG SET notify-keyspace-events KEt").await, "+OK");
    client.ask("XADD s MAXLEN 1 2-1 a 1").await;
    for (channel, payload) in [
        ("__keyspace@0__:s", "xadd"),
        ("__keyevent@0__:xadd", "s"),
        ("__keyspace@0__:s", "xtrim"),
        ("__keyevent@0__:xtrim", "s"),
    ] {
        let expected = format!(">4['pmessage', '__key*', '{channel}', '{payload}']");
        assert_eq!(hears.said().await, expected);
    }
    assert_eq!(client.ask("CONFIG SET notify-keyspace-events Kgt").await, "+OK");
    for (asked, event) in [
        ("XGROUP CREATE s g 0", "xgroup-create"),
        ("XREADGROUP GROUP g c STREAMS s >", "xgroup-createconsumer"),
        ("XGROUP SETID s g 0", "xgroup-setid"),
        ("XGROUP DELCONSUMER s g c", "xgroup-delconsumer"),
        ("XGROUP DESTROY s g", "xgroup-destroy"),
        ("XDEL s 2-1", "xdel"),
        ("XSETID s 9-9", "xsetid"),
        ("DEL s", "del"),
    ] {
        client.ask(asked).await;
        let expected = format!(">4['pmessage', '__key*', '__keyspace@0__:s', '{event}']");
        assert_eq!(hears.said().await, expected, "{asked}");
    }
    // And no more when it isn't.
    let off = "CONFIG SET notify-keyspace-events \"\"";
    assert_eq!(client.ask_inline(off).await, "+OK");
    client.ask("XADD s 1-1 a 1").await;
    assert_eq!(client.ask("PUBLISH __keyspace@0__:s end").await, ":1");
    assert!(hears.said().await.ends_with("'end']"));
}

#[tokio::test]
async fn of_the_newer_commands_those_that_delete_are_told() {
    let door = Door::open();
    let mut client = door.client().await;
    for id in 1..5 {
        client.ask(&format!("XADD s {id}-1 a 1")).await;
    }
    client.ask("XGROUP CREATE s g 0").await;
    client.ask("XREADGROUP GROUP g c STREAMS s >").await;
    let mut hears = listening(&door, 3, "PSUBSCRIBE __keyspace*").await;
    assert_eq!(client.ask("CONFIG SET notify-keyspace-events KA").await, "+OK");
    for quiet in [
        "XDELEX s ACKED IDS 1 1-1",
        "XNACK s g FAIL IDS 1 1-1",
        "XREADGROUP GROUP g c CLAIM 100 STREAMS s >",
        "XACK s g 1-1",
        "XACKDEL s g IDS 1 9-9",
        "XCFGSET s IDMP-MAXSIZE 5",
        "XADD s IDMP p 1 NOMKSTREAM MAXLEN 100 * a 1",
    ] {
        client.ask(quiet).await;
    }
    let told =
        |event: &str| format!(">4['pmessage', '__keyspace*', '__keyspace@0__:s', '{event}']");
    assert_eq!(hears.said().await, told("xadd"));
    // What was sent before is neither added nor told.
    client.ask("XADD s IDMP p 1 MAXLEN 1 * a 1").await;
    for (asked, event) in
        [("XDELEX s IDS 1 2-1", "xdel"), ("XACKDEL s g IDS 2 3-1 4-1", "xdel"), ("DEL s", "del")]
    {
        client.ask(asked).await;
        assert_eq!(hears.said().await, told(event), "{asked}");
    }
}
