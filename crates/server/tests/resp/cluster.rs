//! The port for cluster-aware clients: who is named as the leader of which slots, and where a
//! request is sent.

use base::{NodeId, ShardId};
use raft::{NodeStatus, PeerStatus, ShardStatus};
use resp::Value;
use server::resp::Port;
use topology::slot_of;

use crate::client::{Client, request};
use crate::door::Door;

/// The name of node 1 of cluster 7, but for its last digit.
const NAME: &str = "000000000000000000000000000000070000000";

/// Three nodes; this one is 1 and leads shard 0, 2 leads shards 1 and 2, 3 leads shard 3.
fn three_nodes(status: &mut NodeStatus) {
    let peer = |id: u64| PeerStatus {
        node: NodeId(id),
        resp_cluster: format!("10.0.0.{id}:6380"),
        peer: format!("10.0.0.{id}:6382"),
        connected: true,
        ..PeerStatus::default()
    };
    let voters = || (1..=3).map(NodeId).collect();
    let shard = |(at, leader): (u16, u64)| ShardStatus {
        shard: ShardId(at),
        leader: Some(NodeId(leader)),
        term: 5,
        applied_index: 40,
        voters: voters(),
        ..ShardStatus::default()
    };
    status.peers = (1..=3).map(peer).collect();
    status.shards = [(0, 1), (1, 2), (2, 2), (3, 3)].map(shard).into();
}

async fn open() -> (Door, Client) {
    let door = Door::open_with(|options| options.port = Port::Cluster);
    door.shards.learn(three_nodes);
    let client = door.client().await;
    (door, client)
}

/// A key of a shard: slots go to the four shards in order.
fn key_of(shard: u16) -> String {
    let keys = (0..).map(|number| format!("k{number}"));
    keys.into_iter().find(|key| slot_of(key.as_bytes()).0 / 4096 == shard).unwrap()
}

async fn value(client: &mut Client, line: &str) -> Value {
    client.send(request(line)).await;
    client.reply().await.expect("a reply")
}

async fn text(client: &mut Client, line: &str) -> String {
    let value = value(client, line).await;
    value.as_text().unwrap_or_else(|| panic!("{value}")).to_owned()
}

#[tokio::test]
async fn a_key_that_is_led_elsewhere_is_moved_to_its_leaders_cluster_port() {
    let (_door, mut client) = open().await;
    let (here, there) = (key_of(0), key_of(2));
    assert_eq!(client.ask(&format!("XADD {here} 1-1 f v")).await, "'1-1'");
    let slot = slot_of(there.as_bytes()).0;
    for request in ["XADD {} 1-1 f v", "XLEN {}", "XREADGROUP GROUP g c STREAMS {} >", "DEL {}"] {
        let said = client.ask(&request.replace("{}", &there)).await;
        assert_eq!(said, format!("-MOVED {slot} 10.0.0.2:6380"), "{request}");
    }
    assert_eq!(client.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn keys_of_different_slots_are_not_taken_together_on_this_port() {
    let (_door, mut client) = open().await;
    let said = "-CROSSSLOT Keys in request don't hash to the same slot";
    assert_eq!(client.ask("DEL k1 k2").await, said);
    assert_eq!(client.ask("XREAD STREAMS k1 k2 0 0").await, said);
    let tag = key_of(0);
    let request = format!("DEL {{{tag}}}a {{{tag}}}b");
    assert_eq!(client.ask(&request).await, ":0");
}

#[tokio::test]
async fn a_shard_without_a_leader_in_reach_is_asked_here_and_waited_for() {
    let (door, mut client) = open().await;
    door.shards.learn(|status| status.shards[2].leader = None);
    door.shards.learn(|status| status.peers[2].connected = false);
    for shard in [2, 3] {
        let key = key_of(shard);
        assert_eq!(client.ask(&format!("XADD {key} 1-1 f v")).await, "'1-1'");
    }
    let slots = value(&mut client, "CLUSTER SLOTS").await;
    let primaries: Vec<String> =
        slots.as_items().unwrap().iter().map(|it| it.as_items().unwrap()[2].to_string()).collect();
    let node = |id| format!("*4['10.0.0.{id}', :6380, '{NAME}{id}', *0[]]");
    assert_eq!(primaries, [node(1), node(2), node(1), node(1)]);
    assert!(text(&mut client, "CLUSTER INFO").await.contains("cluster_state:fail\r\n"));
    let nodes = text(&mut client, "CLUSTER NODES").await;
    assert!(nodes.contains(&format!("{NAME}3 10.0.0.3:6380@6382 slave,fail {NAME}1 ")), "{nodes}");
}

#[tokio::test]
async fn after_readonly_this_node_answers_reads_of_what_it_has_applied() {
    let (door, mut client) = open().await;
    let key = key_of(1);
    assert_eq!(client.ask("READONLY").await, "+OK");
    assert_eq!(client.ask(&format!("XLEN {key}")).await, ":0");
    assert_eq!(door.shards.asked_here(), 1);
    assert_eq!(client.ask(&format!("XREAD STREAMS {key} 0")).await, "nil-array");
    // What changes something, and what is led here, goes where it always goes.
    assert!(client.ask(&format!("XADD {key} * f v")).await.starts_with("-MOVED "));
    assert_eq!(client.ask(&format!("XLEN {}", key_of(0))).await, ":0");
    assert_eq!(door.shards.asked_here(), 1);
    for back in ["READWRITE", "RESET"] {
        client.ask("READONLY").await;
        client.ask(back).await;
        assert!(client.ask(&format!("XLEN {key}")).await.starts_with("-MOVED "));
    }
    assert_eq!(client.ask("ASKING").await, "+OK");
}

#[tokio::test]
async fn slots_and_shards_name_the_leader_first_and_every_replica() {
    let (_door, mut client) = open().await;
    let slots = value(&mut client, "CLUSTER SLOTS").await;
    let node = |id| format!("*4['10.0.0.{id}', :6380, '{NAME}{id}', *0[]]");
    let range = |first, last, [a, b, c]: [u8; 3]| {
        format!("*5[:{first}, :{last}, {}, {}, {}]", node(a), node(b), node(c))
    };
    let expected = [
        range(0, 4095, [1, 2, 3]),
        range(4096, 8191, [2, 1, 3]),
        range(8192, 12287, [2, 1, 3]),
        range(12288, 16383, [3, 1, 2]),
    ];
    assert_eq!(slots.to_string(), format!("*4[{}]", expected.join(", ")));

    client.ask("HELLO 3").await;
    let shards = value(&mut client, "CLUSTER SHARDS").await;
    let node = |id, role| {
        format!(
            "%7{{'id': '{NAME}{id}', 'port': :6380, 'ip': '10.0.0.{id}', 'endpoint': \
             '10.0.0.{id}', 'role': '{role}', 'replication-offset': :40, 'health': 'online'}}"
        )
    };
    let last = [node(3, "master"), node(1, "replica"), node(2, "replica")].join(", ");
    let expected = format!("%2{{'slots': *2[:12288, :16383], 'nodes': *3[{last}]}}");
    assert_eq!(shards.as_items().unwrap()[3].to_string(), expected);
}

#[tokio::test]
async fn nodes_lists_contiguous_slots_and_who_follows_whom() {
    let (door, mut client) = open().await;
    door.shards.learn(|status| status.shards[3].leader = Some(NodeId(2)));
    let nodes = text(&mut client, "CLUSTER NODES").await;
    let expected = [
        format!("{NAME}1 10.0.0.1:6380@6382 myself,master - 0 0 20 connected 0-4095\n"),
        format!("{NAME}2 10.0.0.2:6380@6382 master - 0 0 20 connected 4096-16383\n"),
        format!("{NAME}3 10.0.0.3:6380@6382 slave {NAME}1 0 0 20 connected\n"),
    ];
    assert_eq!(nodes, expected.concat());
}

#[tokio::test]
async fn the_keys_of_a_slot_are_counted_and_listed() {
    let (door, mut client) = open().await;
    // Without leaders, every key is taken here.
    door.shards.learn(|status| status.shards.iter_mut().for_each(|it| it.leader = None));
    let slot = slot_of(b"t").0;
    for key in ["{t}a".to_owned(), "{t}b".to_owned(), key_of(slot / 4096)] {
        client.ask(&format!("XADD {key} 1-1 f v")).await;
    }
    assert_eq!(client.ask(&format!("CLUSTER COUNTKEYSINSLOT {slot}")).await, ":2");
    let both = client.ask(&format!("CLUSTER GETKEYSINSLOT {slot} 10")).await;
    assert_eq!(both, "*2['{t}a', '{t}b']");
    assert_eq!(client.ask(&format!("CLUSTER GETKEYSINSLOT {slot} 1")).await, "*1['{t}a']");
    assert_eq!(client.ask("CLUSTER COUNTKEYSINSLOT 16384").await, "-ERR Invalid slot");
    let said = "-ERR Invalid slot or number of keys";
    assert_eq!(client.ask("CLUSTER GETKEYSINSLOT 1 -1").await, said);
}

#[tokio::test]
async fn this_port_says_that_it_is_a_cluster() {
    let (_door, mut client) = open().await;
    assert_eq!(client.ask("CLUSTER MYID").await, format!("'{NAME}1'"));
    let shard = "'0000000000000000000000000000000780000000'";
    assert_eq!(client.ask("CLUSTER MYSHARDID").await, shard);
    assert_eq!(client.ask("CLUSTER KEYSLOT somekey").await, ":11058");
    let info = text(&mut client, "CLUSTER INFO").await;
    for line in ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:3"] {
        assert!(info.contains(&format!("{line}\r\n")), "{info}");
    }
    assert!(info.contains("cluster_size:3\r\n") && info.contains("cluster_current_epoch:20\r\n"));
    let info = text(&mut client, "INFO").await;
    assert!(info.contains("redis_mode:cluster\r\n") && info.contains("cluster_enabled:1\r\n"));
    assert!(info.contains(&format!("run_id:{NAME}1\r\n")), "{info}");
    let hello = client.ask("HELLO 2").await;
    assert!(hello.contains("'mode', 'cluster'"), "{hello}");
    let links = value(&mut client, "CLUSTER LINKS").await;
    assert_eq!(links.as_items().unwrap().len(), 2);
    assert!(client.ask("CLUSTER HELP").await.contains("MYSHARDID"));
}
