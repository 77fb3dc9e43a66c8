//! What is asked of keys whatever they hold, on real processes: through any node, over all shards.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeSet;

use resp::Value;
use tests::client::Client;
use tests::cluster::{Cluster, Options, READY_WAIT};
use tests::wait;

/// A request of words, and its reply as text.
fn ask(client: &mut Client, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    client.call(&words).unwrap().to_string()
}

fn texts(value: &Value) -> Vec<String> {
    let text = |item: &Value| item.as_text().unwrap().to_owned();
    value.as_items().unwrap().iter().map(text).collect()
}

#[test]
fn keys_of_all_shards_are_gone_through_from_any_node() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let mut clients: Vec<Client> =
        cluster.nodes.iter().map(|node| node.client().unwrap()).collect();
    let names: BTreeSet<String> = (0..60).map(|number| format!("key-{number}")).collect();
    for name in &names {
        ask(&mut clients[0], &format!("XADD {name} * f v"));
    }
    let mut found = Vec::new();
    let mut cursor = "0".to_owned();
    for step in 0.. {
        // Any node goes on where another one ended.
        let client = &mut clients[step % 3];
        let reply = client.call(&["SCAN", &cursor, "COUNT", "7"]).unwrap();
        let [next, keys] = reply.as_items().unwrap() else { panic!("{reply}") };
        found.extend(texts(keys));
        cursor = next.as_text().unwrap().to_owned();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found.len(), names.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), names);

    let covered = texts(&clients[1].call(&["KEYS", "key-1?"]).unwrap());
    let expected: BTreeSet<String> = (10..20).map(|number| format!("key-{number}")).collect();
    assert_eq!(covered.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(ask(&mut clients[2], "DBSIZE"), ":60");
    let some = clients[1].call(&["RANDOMKEY"]).unwrap();
    assert!(names.contains(some.as_text().unwrap()), "{some}");
    assert_eq!(ask(&mut clients[1], "OBJECT ENCODING key-3"), "'stream'");
    assert_eq!(ask(&mut clients[1], "TOUCH key-3 key-4 none"), ":2");
}

#[test]
fn a_key_expires_on_every_node_and_through_the_loss_of_one() {
    let mut cluster = Cluster::start(&Options { shards: 1, ..Options::default() }).unwrap();
    let leader = cluster.leader_of_most().unwrap();
    let other = (leader + 1) % 3;
    let mut client = cluster.nodes[other].client().unwrap();
    for name in ["soon", "late", "never"] {
        ask(&mut client, &format!("XADD {name} * f v"));
    }
    assert_eq!(ask(&mut client, "PEXPIRE soon 1500"), ":1");
    assert_eq!(ask(&mut client, "EXPIRE late 3600"), ":1");
    assert_eq!(ask(&mut client, "EXPIRE never 3600"), ":1");
    assert_eq!(ask(&mut client, "PERSIST never"), ":1");
    cluster.nodes[leader].kill();
    wait::until("the key to expire", READY_WAIT, || match ask(&mut client, "PTTL soon").as_str() {
        ":-2" => Ok(()),
        left => Err(left.to_owned()),
    })
    .unwrap();
    assert_eq!(ask(&mut client, "EXISTS soon"), ":0");
    assert_eq!(ask(&mut client, "DBSIZE"), ":2");
    assert_eq!(ask(&mut client, "TTL never"), ":-1");
    let left = client.call(&["TTL", "late"]).unwrap().as_integer().unwrap();
    assert!((3500..=3600).contains(&left), "{left}");
    cluster.nodes[leader].start().unwrap();
    cluster.wait_ready(READY_WAIT).unwrap();
    cluster.wait_equal(READY_WAIT).unwrap();
}

#[test]
fn keys_are_renamed_copied_and_flushed_over_all_shards() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    let mut client = cluster.nodes[0].client().unwrap();
    for line in ["XADD {a}1 1-1 f v", "XGROUP CREATE {a}1 g 0", "XADD b 1-1 f v", "XADD c 1-1 f v"]
    {
        ask(&mut client, line);
    }
    let pending = "XREADGROUP GROUP g alice STREAMS {a}1 >";
    assert_eq!(ask(&mut client, pending), "*1[*2['{a}1', *1[*2['1-1', *2['f', 'v']]]]]");
    assert_eq!(ask(&mut client, "RENAME {a}1 {a}2"), "+OK");
    assert_eq!(ask(&mut client, "COPY {a}2 {a}3"), ":1");
    assert!(ask(&mut client, "RENAME b c").starts_with("-CROSSSLOT "));
    for node in &cluster.nodes {
        let mut client = node.client().unwrap();
        for key in ["{a}2", "{a}3"] {
            let summary = ask(&mut client, &format!("XPENDING {key} g"));
            assert_eq!(summary, "*4[:1, '1-1', '1-1', *1[*2['alice', '1']]]");
        }
    }
    assert_eq!(ask(&mut client, "DBSIZE"), ":4");
    assert_eq!(ask(&mut client, "FLUSHALL"), "+OK");
    assert_eq!(ask(&mut client, "DBSIZE"), ":0");
    assert_eq!(ask(&mut client, "KEYS *"), "*0[]");
    cluster.stop().unwrap();
    for node in &mut cluster.nodes {
        node.start().unwrap();
    }
    cluster.wait_ready(READY_WAIT).unwrap();
    assert_eq!(ask(&mut cluster.nodes[1].client().unwrap(), "DBSIZE"), ":0");
}
