//! A store that does not open at all, on a node whose journal is whole: it is set aside, the node
//! takes no part in its shards until peers have refilled them, and serves as before.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::path::PathBuf;
use std::time::Duration;

use tests::client::Client;
use tests::cluster::{Cluster, Options, READY_WAIT};
use tests::wait;

/// Appends, each larger than a cluster with these options keeps of its journal before long.
const APPENDS: usize = 200;
const VALUE_BYTES: usize = 20_000;

/// So that checkpoints are made and the beginning of the journal goes at once.
const SMALL: &str = "[checkpoint]\ndirty_bytes = \"64KiB\"\n[journal]\nsegment_bytes = \"1MiB\"\n\
                     kept_bytes = \"1MiB\"\n";

fn append(client: &mut Client, key: &str) {
    let reply = client.call(&["XADD", key, "*", "f", &"x".repeat(VALUE_BYTES)]).unwrap();
    assert!(reply.as_error().is_none(), "{reply}");
}

fn length(client: &mut Client, key: &str) -> i64 {
    let reply = client.call(&["XLEN", key]).unwrap();
    reply.as_integer().unwrap_or_else(|| panic!("{key}: {reply}"))
}

/// Damaged stores beside a node's own.
fn set_aside(cluster: &Cluster, index: usize) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cluster.data_dir(index)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_string_lossy().contains("store.damaged-")).collect()
}

#[test]
fn a_store_that_does_not_open_is_set_aside_refilled_by_peers_and_removed() {
    let options = Options { shards: 3, extra: SMALL.to_owned(), ..Options::default() };
    let mut cluster = Cluster::start(&options).unwrap();
    let mut client = cluster.nodes[0].client().unwrap();
    let keys: Vec<String> = (0..10).map(|number| format!("key-{number}")).collect();
    (0..APPENDS).for_each(|number| append(&mut client, &keys[number % keys.len()]));
    cluster.nodes[2].kill();
    let db = cluster.data_dir(2).join("store").join("db");
    std::fs::write(&db, vec![0x5a; 1 << 20]).unwrap();
    keys.iter().for_each(|key| append(&mut client, key));

    // Without one of the others a majority needs it, so that nothing goes on before its refill is
    // done, and nothing that it acknowledged is lost.
    cluster.nodes[1].kill();
    cluster.nodes[2].start().unwrap();
    cluster.wait_ready(READY_WAIT).unwrap();
    let log = cluster.nodes[2].log_text();
    assert!(log.contains("the store is damaged and set aside"), "{log}");
    assert!(log.contains("the shard is refilled and started"), "{log}");
    let each = i64::try_from(APPENDS / keys.len()).unwrap() + 1;
    let mut client = cluster.nodes[2].client().unwrap();
    keys.iter().for_each(|key| assert_eq!(length(&mut client, key), each, "{key}"));
    wait::until("the damaged store to be removed", Duration::from_secs(10), || {
        let left = set_aside(&cluster, 2);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .unwrap();

    cluster.nodes[1].start().unwrap();
    cluster.wait_ready(READY_WAIT).unwrap();
    cluster.wait_equal(READY_WAIT).unwrap();
    append(&mut client, "after");
    cluster.stop().unwrap();
    cluster.nodes.iter_mut().for_each(|node| node.start().unwrap());
    cluster.wait_ready(READY_WAIT).unwrap();
    cluster.wait_equal(READY_WAIT).unwrap();
    assert_eq!(length(&mut cluster.nodes[2].client().unwrap(), "after"), 1);
}
