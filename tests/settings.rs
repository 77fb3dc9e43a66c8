//! What is chosen for the whole cluster, on real processes: asked of any node, whoever was asked to
//! set it, and through the loss of a leader and a restart of all.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use tests::client::Client;
use tests::cluster::{Cluster, Options, READY_WAIT};
use tests::wait;

/// A request of words, and its reply as text.
fn ask(client: &mut Client, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    client.call(&words).unwrap().to_string()
}

/// Every node comes to show a setting so.
fn shown_everywhere(cluster: &Cluster, name: &str, value: &str) {
    for node in &cluster.nodes {
        let mut client = node.client().unwrap();
        let expected = format!("*2['{name}', '{value}']");
        wait::until("a setting to be shown", READY_WAIT, || {
            match ask(&mut client, &format!("CONFIG GET {name}")) {
                shown if shown == expected => Ok(()),
                shown => Err(shown),
            }
        })
        .unwrap();
    }
}

#[test]
fn what_is_chosen_at_one_node_holds_at_all_of_them_and_stays() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    let mut client = cluster.nodes[1].client().unwrap();
    assert_eq!(ask(&mut client, "CONFIG SET stream-node-max-entries 2 compat-version 7.2"), "+OK");
    // Done where it was asked, and in every shard.
    assert_eq!(ask(&mut client, "CONFIG GET compat-version"), "*2['compat-version', '7.2']");
    for key in 0..8 {
        for _ in 0..5 {
            ask(&mut client, &format!("XADD key-{key} * f v"));
        }
        assert_eq!(ask(&mut client, &format!("XTRIM key-{key} MAXLEN ~ 0 LIMIT 3")), ":2");
    }
    shown_everywhere(&cluster, "stream-node-max-entries", "2");
    shown_everywhere(&cluster, "compat-version", "7.2");
    let leader = cluster.leader_of_most().unwrap();
    cluster.nodes[leader].kill();
    let mut client = cluster.nodes[(leader + 1) % 3].client().unwrap();
    assert_eq!(ask(&mut client, "CONFIG SET stream-idmp-maxsize 7"), "+OK");
    assert_eq!(ask(&mut client, "XTRIM key-0 MAXLEN ~ 0 LIMIT 3"), ":3");
    cluster.nodes[leader].start().unwrap();
    cluster.wait_ready(READY_WAIT).unwrap();
    cluster.wait_equal(READY_WAIT).unwrap();
    cluster.stop().unwrap();
    for node in &mut cluster.nodes {
        node.start().unwrap();
    }
    cluster.wait_ready(READY_WAIT).unwrap();
    shown_everywhere(&cluster, "stream-idmp-maxsize", "7");
    shown_everywhere(&cluster, "stream-node-max-entries", "2");
    let mut client = cluster.nodes[0].client().unwrap();
    assert!(ask(&mut client, "XINFO STREAM key-1").starts_with("*20["));
    assert_eq!(ask(&mut client, "CONFIG SET compat-version newest"), "+OK");
    let described = ask(&mut client, "XINFO STREAM key-1");
    assert!(described.contains("'idmp-duration', :86400, 'idmp-maxsize', :7"), "{described}");
}
