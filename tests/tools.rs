//! What reaches all nodes of a cluster: messages from client to client, what happens to keys, and
//! whose disks hold a write. Real processes.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::time::Duration;

use tests::client::Client;
use tests::cluster::{Cluster, Options};
use tests::wait;

const PATIENCE: Duration = Duration::from_secs(30);

fn cluster() -> Cluster {
    Cluster::start(&Options { shards: 1, ..Options::default() }).unwrap()
}

/// A client of each node that has asked this, one after the other.
fn clients(cluster: &Cluster, requests: &[&[&str]]) -> Vec<Client> {
    let client = |node: &tests::cluster::Node| {
        let mut client = node.client().unwrap();
        for request in requests {
            let reply = client.call(request).unwrap();
            assert!(reply.as_error().is_none(), "{reply}");
        }
        client
    };
    cluster.nodes.iter().map(client).collect()
}

#[test]
fn what_one_node_is_told_all_listeners_hear_in_order() {
    let cluster = cluster();
    let mut listening = clients(&cluster, &[&["SUBSCRIBE", "c"]]);
    let mut telling = clients(&cluster, &[]);
    for (at, teller) in telling.iter_mut().enumerate() {
        for number in 0..10 {
            let payload = format!("{at}-{number}");
            // The listener of this node is counted; those of others are told as well.
            let heard = teller.call(&["PUBLISH", "c", &payload]).unwrap();
            assert_eq!(heard.as_integer(), Some(1));
        }
        for listener in &mut listening {
            for number in 0..10 {
                let said = listener.reply().unwrap().to_string();
                assert_eq!(said, format!("*3['message', 'c', '{at}-{number}']"));
            }
        }
    }
}

#[test]
fn what_happens_to_keys_is_told_on_every_node_that_wants_it() {
    let cluster = cluster();
    let wanted: &[&[&str]] =
        &[&["CONFIG", "SET", "notify-keyspace-events", "Kt"], &["SUBSCRIBE", "__keyspace@0__:s"]];
    let mut listening = clients(&cluster, wanted);
    let mut client = cluster.nodes[0].client().unwrap();
    client.call(&["XADD", "other", "*", "f", "v"]).unwrap();
    client.call(&["XADD", "s", "*", "f", "v"]).unwrap();
    client.call(&["XGROUP", "CREATE", "s", "g", "0"]).unwrap();
    for listener in &mut listening {
        for event in ["xadd", "xgroup-create"] {
            let said = listener.reply().unwrap().to_string();
            assert_eq!(said, format!("*3['message', '__keyspace@0__:s', '{event}']"));
        }
    }
}

#[test]
fn wait_tells_whose_disks_hold_a_write_also_when_one_is_missing() {
    let mut cluster = cluster();
    for node in &cluster.nodes {
        let mut client = node.client().unwrap();
        client.call(&["XADD", "s", "*", "f", "v"]).unwrap();
        let held = client.call(&["WAIT", "2", "30000"]).unwrap();
        assert_eq!(held.as_integer(), Some(2));
        let held = client.call(&["WAITAOF", "1", "2", "30000"]).unwrap();
        assert_eq!(held.to_string(), "*2[:1, :2]");
    }
    let lost = (cluster.leader_of_most().unwrap() + 1) % 3;
    cluster.nodes[lost].kill();
    let left = (lost + 1) % 3;
    let mut client = cluster.nodes[left].client().unwrap();
    wait::until("a write without the lost node", PATIENCE, || {
        let reply = client.call(&["XADD", "s", "*", "f", "v"]).map_err(|e| e.to_string())?;
        reply.as_error().map_or(Ok(()), |error| Err(error.to_owned()))
    })
    .unwrap();
    let began = wait::now();
    let held = client.call(&["WAIT", "2", "300"]).unwrap();
    assert_eq!(held.as_integer(), Some(1), "the lost node can't hold it");
    assert!(wait::now() - began >= Duration::from_millis(300), "there was no wait for it");
    // It comes back, and is counted when it holds everything.
    cluster.nodes[lost].start().unwrap();
    let held = client.call(&["WAIT", "2", "60000"]).unwrap();
    assert_eq!(held.as_integer(), Some(2));
}

#[test]
fn a_client_stops_a_node_in_good_order() {
    let options = Options { nodes: 1, forming: 1, shards: 1, ..Options::default() };
    let mut cluster = Cluster::start(&options).unwrap();
    let mut client = cluster.nodes[0].client().unwrap();
    client.call(&["XADD", "s", "5-1", "f", "v"]).unwrap();
    // There is no answer but the end of the connection.
    assert!(client.call(&["SHUTDOWN", "NOSAVE"]).is_err());
    assert_eq!(cluster.nodes[0].wait_end(PATIENCE).unwrap(), Some(0));
}
