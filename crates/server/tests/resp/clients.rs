//! What one client does to others, or to its own replies: CLIENT KILL, PAUSE, REPLY.

use crate::client::{Client, request};
use crate::door::Door;

/// The id and the address of a client.
async fn known(client: &mut Client) -> (String, String) {
    let id = client.ask("CLIENT ID").await;
    (id.trim_start_matches(':').to_owned(), client.stream.local_addr().unwrap().to_string())
}

#[tokio::test]
async fn a_client_ends_others_by_id_and_by_address() {
    let door = Door::open();
    let (mut by_id, mut by_address, mut left) =
        (door.client().await, door.client().await, door.client().await);
    let (id, _) = known(&mut by_id).await;
    let (_, address) = known(&mut by_address).await;
    let mut killer = door.client().await;
    assert_eq!(killer.ask(&format!("CLIENT KILL ID {id}")).await, ":1");
    assert_eq!(by_id.said().await, "closed");
    assert_eq!(killer.ask(&format!("CLIENT KILL {address}")).await, "+OK");
    assert_eq!(by_address.said().await, "closed");
    assert_eq!(left.ask("PING").await, "+PONG");
    door.until(|stats| stats.clients == 2).await;
    // All others, and not itself.
    assert_eq!(killer.ask("CLIENT KILL TYPE normal").await, ":1");
    assert_eq!(left.said().await, "closed");
    assert_eq!(killer.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn a_client_that_waits_for_its_answer_can_be_ended() {
    let door = Door::open();
    door.shards.hold();
    let mut waiting = door.client().await;
    let (id, _) = known(&mut waiting).await;
    waiting.send(request("XADD s 5-1 a 1")).await;
    door.until_held(1).await;
    assert_eq!(door.client().await.ask(&format!("CLIENT KILL ID {id}")).await, ":1");
    assert_eq!(waiting.said().await, "closed");
}

#[tokio::test]
async fn a_client_that_ends_itself_is_told_so_first() {
    let door = Door::open();
    let mut client = door.client().await;
    let (_, address) = known(&mut client).await;
    assert_eq!(client.ask(&format!("CLIENT KILL {address}")).await, "+OK");
    assert_eq!(client.said().await, "closed");
}

#[tokio::test]
async fn a_list_tells_what_clients_say_and_ask() {
    let door = Door::open();
    let mut client = door.client().await;
    let quiet = door.client().await;
    door.until(|stats| stats.clients == 2).await;
    client.ask("HELLO 3 SETNAME me").await;
    client.ask("XLEN s").await;
    let list = client.ask("CLIENT LIST TYPE normal").await;
    assert_eq!(list.matches("id=").count(), 2, "{list}");
    assert!(list.contains("name=me") && list.contains("cmd=client|list"), "{list}");
    assert!(list.contains("name= ") && list.contains("cmd=NULL"), "{list}");
    assert_eq!(client.ask("CLIENT LIST TYPE pubsub").await, "=''");
    drop(quiet);
}

#[tokio::test]
async fn a_pause_holds_writes_and_lets_reads_pass() {
    let door = Door::open();
    let mut other = door.client().await;
    let mut client = door.client().await;
    assert_eq!(other.ask("CLIENT PAUSE 1000000 WRITE").await, "+OK");
    assert_eq!(client.ask("XLEN s").await, ":0");
    // What comes behind a request that waits, waits too.
    client.send([request("XADD s 5-1 a 1"), request("XLEN s")].concat()).await;
    assert_eq!(other.ask("XLEN s").await, ":0");
    assert_eq!(other.ask("CLIENT UNPAUSE").await, "+OK");
    assert_eq!(client.said().await, "'5-1'");
    assert_eq!(client.said().await, ":1");
}

#[tokio::test]
async fn a_pause_of_all_holds_reads_and_ends_by_itself() {
    let door = Door::open();
    let mut other = door.client().await;
    let mut client = door.client().await;
    assert_eq!(other.ask("CLIENT PAUSE 1000000 ALL").await, "+OK");
    // A weaker one doesn't make it shorter.
    client.send(request("PING")).await;
    let mut third = door.client().await;
    assert_eq!(third.ask("CLIENT UNPAUSE").await, "+OK");
    assert_eq!(client.said().await, "+PONG");
    assert_eq!(other.ask("CLIENT PAUSE 50").await, "+OK");
    assert_eq!(client.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn replies_are_left_out_as_asked() {
    let door = Door::open();
    let mut client = door.client().await;
    client.send(b"CLIENT REPLY OFF\r\nXADD s 5-1 a 1\r\nNOSUCH\r\nPING\r\n").await;
    client.send(b"CLIENT REPLY SKIP\r\nPING\r\nCLIENT REPLY ON\r\n").await;
    assert_eq!(client.said().await, "+OK");
    client.send(b"CLIENT REPLY SKIP\r\nXADD s 5-2 a 1\r\nXLEN s\r\n").await;
    assert_eq!(client.said().await, ":2");
    client.send(b"CLIENT REPLY SKIP\r\nNOSUCH\r\nPING\r\n").await;
    assert_eq!(client.said().await, "+PONG");
    client.send(b"CLIENT REPLY OFF\r\nRESET\r\nPING\r\n").await;
    assert_eq!(client.said().await, "+RESET");
    assert_eq!(client.said().await, "+PONG");
}

#[tokio::test]
async fn the_line_of_a_client_tells_what_it_queued_and_watches() {
    let door = Door::open();
    let (mut busy, mut other) = (door.client().await, door.client().await);
    busy.ask("CLIENT SETNAME busy").await;
    for (words, shown) in [
        ("WATCH {t}a {t}b {t}a", "flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 watch=2 "),
        ("MULTI", "flags=x db=0 sub=0 psub=0 ssub=0 multi=0 watch=2 "),
        ("XLEN {t}a", "flags=x db=0 sub=0 psub=0 ssub=0 multi=1 watch=2 "),
        ("EXEC", "flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 watch=0 "),
        ("WATCH {t}a", "flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 watch=1 "),
        ("UNWATCH", "flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 watch=0 "),
        ("MULTI", "flags=x db=0 sub=0 psub=0 ssub=0 multi=0 watch=0 "),
        ("RESET", "flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 watch=0 "),
    ] {
        busy.ask(words).await;
        let list = other.ask("CLIENT LIST ID 1").await;
        assert!(list.contains(shown), "{words}: {list}");
    }
}
