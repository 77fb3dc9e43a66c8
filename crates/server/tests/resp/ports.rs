//! The two RESP ports of one node: whoever comes by one of them knows of those who came by the other.

use server::resp::Port;

use crate::client::Client;
use crate::door::Door;

async fn both() -> (Door, Client, Client) {
    let door = Door::open();
    let other = door.open_beside(|options| options.port = Port::Cluster);
    let (one, two) = (door.client().await, Client::connect(other).await);
    (door, one, two)
}

#[tokio::test]
async fn what_is_published_at_one_port_is_counted_and_heard_at_the_other() {
    let (_door, mut one, mut two) = both().await;
    one.ask("SUBSCRIBE c").await;
    assert_eq!(two.ask("PUBSUB CHANNELS").await, "*1['c']");
    assert_eq!(two.ask("PUBSUB NUMSUB c").await, "*2['c', :1]");
    assert_eq!(two.ask("PUBLISH c hello").await, ":1");
    assert_eq!(one.said().await, "*3['message', 'c', 'hello']");
    // Once, not once for each port.
    assert_eq!(two.ask("PUBLISH c again").await, ":1");
    assert_eq!(one.said().await, "*3['message', 'c', 'again']");
}

#[tokio::test]
async fn a_setting_holds_for_both_ports() {
    let (_door, mut one, mut two) = both().await;
    assert_eq!(one.ask("CONFIG SET notify-keyspace-events KEt slowlog-max-len 7").await, "+OK");
    let shown = two.ask("CONFIG GET notify-keyspace-events slowlog-max-len").await;
    assert_eq!(shown, "*4['notify-keyspace-events', 'tKE', 'slowlog-max-len', '7']");
    two.ask("SUBSCRIBE __keyevent@0__:xadd").await;
    one.ask("XADD s 1-1 f v").await;
    assert_eq!(two.said().await, "*3['message', '__keyevent@0__:xadd', 's']");
}

#[tokio::test]
async fn clients_of_both_ports_are_listed_and_counted_together() {
    let (door, mut one, mut two) = both().await;
    one.ask("CLIENT SETNAME first").await;
    two.ask("CLIENT SETNAME second").await;
    for client in [&mut one, &mut two] {
        let list = client.ask("CLIENT LIST").await;
        assert!(list.contains("name=first") && list.contains("name=second"), "{list}");
        assert!(list.contains("id=1 ") && list.contains("id=2 "), "{list}");
        assert!(client.ask("INFO clients").await.contains("connected_clients:2"));
    }
    assert_eq!(two.ask("CLIENT KILL ID 1").await, ":1");
    door.until(|stats| stats.clients == 1).await;
}
