//! Programs of real client libraries against a cluster of real processes, unchanged; cluster-aware
//! ones on their own port, through the death of a leader.
//! `scripts/test tools` installs what they need and says where in `WEIR_TEST_PYTHON`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::client::Client;
use tests::cluster::{Cluster, Options};
use tests::conformance::clients::{cluster_port, through_a_death};
use tests::wait;

const LEARNT_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn redis_py_works_unchanged_through_every_node() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    let ports = cluster.nodes.iter().map(|node| {
        let address = node.resp();
        address.rsplit(':').next().unwrap().to_owned()
    });
    let python = std::env::var_os("WEIR_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/redis_py.py");
    let output = Command::new(&python).arg(program).args(ports).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{python:?} failed (is redis-py missing? `scripts/test tools` installs it):\n{said}{errors}"
    );
    assert!(said.contains("as expected"), "{said}");
    cluster.stop().unwrap();
}

#[test]
fn redis_cli_follows_to_the_leader_from_every_node() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    for node in &cluster.nodes {
        for key in 0..8 {
            let (key, port) = (format!("key-{key}"), cluster_port(node));
            let request = ["-c", "-p", &port, "XADD", &key, "*", "f", "v"];
            let output = Command::new("redis-cli").args(request).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.trim().split('-').all(|part| part.parse::<u64>().is_ok()), "{said}");
        }
    }
    let mut plain = cluster.nodes[0].client().unwrap();
    for key in 0..8 {
        let length = plain.call(&["XLEN", &format!("key-{key}")]).unwrap();
        assert_eq!(length.as_integer(), Some(3), "key-{key}");
    }
}

#[test]
fn a_follower_answers_reads_of_its_own_after_readonly() {
    let cluster = Cluster::start(&Options { shards: 1, ..Options::default() }).unwrap();
    let leader = cluster.leader_of_most().unwrap();
    let mut writer = Client::open(&cluster.nodes[leader].resp_cluster()).unwrap();
    writer.call(&["XADD", "s", "1-1", "f", "v"]).unwrap();
    let mut follower = Client::open(&cluster.nodes[(leader + 1) % 3].resp_cluster()).unwrap();
    let moved = follower.call(&["XLEN", "s"]).unwrap();
    let address = cluster.nodes[leader].resp_cluster();
    assert_eq!(moved.as_error(), Some(&*format!("MOVED 3828 {address}")));
    follower.call(&["READONLY"]).unwrap();
    wait::until("the follower to have applied it", LEARNT_WITHIN, || {
        let length = follower.call(&["XLEN", "s"]).map_err(|error| error.to_string())?;
        if length.as_integer() == Some(1) { Ok(()) } else { Err(length.to_string()) }
    })
    .unwrap();
    let moved = follower.call(&["XADD", "s", "*", "f", "v"]).unwrap();
    assert!(moved.as_error().is_some_and(|error| error.starts_with("MOVED ")), "{moved}");
}

#[test]
fn redis_py_cluster_learns_a_new_leader_and_loses_nothing_acknowledged() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    let python = std::env::var_os("WEIR_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(&python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/redis_py_cluster.py"));
    command.arg("orders").args(cluster.nodes.iter().map(cluster_port));
    let (said, ended_well) = through_a_death(&mut cluster, command).unwrap();
    assert!(
        ended_well,
        "{python:?} failed (is redis-py missing? `scripts/test tools` installs it):\n{said}"
    );
}
