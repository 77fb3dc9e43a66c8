//! What clients of living nodes see while others are killed, restarted in turn, or replaced: time,
//! never an error, never a loss, never a double.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tests::client::Client;
use tests::cluster::{Cluster, Options, READY_WAIT, weir};
use tests::wait;

/// The nodes' own deadline for a request.
const REQUEST_WAIT: Duration = Duration::from_secs(10);
const STREAMS: usize = 8;

/// What one writer did.
#[derive(Default)]
struct Written {
    acknowledged: Vec<String>,
    errors: Vec<String>,
    slowest: Duration,
}

/// Appends one entry after the other, over all streams, to one node, until told to stop. A
/// connection that is closed between two requests is opened again.
fn write(address: String, name: usize, stop: Arc<AtomicBool>) -> JoinHandle<Written> {
    std::thread::spawn(move || {
        let mut written = Written::default();
        let mut client = None;
        for number in 0.. {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let value = format!("{name}-{number}");
            let began = wait::now();
            match append(&address, &mut client, number % STREAMS, &value) {
                Ok(()) => written.acknowledged.push(value),
                Err(error) => {
                    written.errors.push(error);
                    client = None;
                }
            }
            written.slowest = written.slowest.max(wait::now() - began);
        }
        written
    })
}

fn append(
    address: &str,
    client: &mut Option<Client>,
    stream: usize,
    value: &str,
) -> Result<(), String> {
    if client.as_ref().is_none_or(Client::is_closed) {
        // A node that restarts takes no connections for a while: that is no answer to a request.
        let opened = wait::until("a connection", READY_WAIT, || {
            Client::open(address).map_err(|error| error.to_string())
        });
        *client = Some(opened.map_err(|error| error.to_string())?);
    }
    let client = client.as_mut().expect("just opened");
    let reply = client.call(&["XADD", &format!("s{stream}"), "*", "v", value]);
    match reply {
        Ok(reply) => reply.as_error().map_or(Ok(()), |error| Err(error.to_owned())),
        Err(error) => Err(format!("unanswered: {error}")),
    }
}

/// Everything in the streams, each value once.
fn stored(cluster: &Cluster, index: usize) -> BTreeSet<String> {
    let mut client = cluster.nodes[index].client().unwrap();
    let mut values = BTreeSet::new();
    for stream in 0..STREAMS {
        let reply = client.call(&["XRANGE", &format!("s{stream}"), "-", "+"]).unwrap();
        for entry in reply.as_items().unwrap_or_else(|| panic!("{reply}")) {
            let fields = entry.as_items().unwrap()[1].as_items().unwrap();
            let value = fields[1].as_text().unwrap().to_owned();
            assert!(values.insert(value.clone()), "{value} is there twice");
        }
    }
    values
}

fn check(cluster: &Cluster, index: usize, written: &[Written], slowest: Duration) {
    let stored = stored(cluster, index);
    for one in written {
        assert!(one.errors.is_empty(), "{} errors: {:?}", one.errors.len(), &one.errors[..1]);
        assert!(one.acknowledged.len() > 10, "only {} appends", one.acknowledged.len());
        assert!(one.slowest < slowest, "the slowest append took {:?}", one.slowest);
        for value in &one.acknowledged {
            assert!(stored.contains(value), "{value} was acknowledged and is lost");
        }
    }
}

fn finish(writers: Vec<JoinHandle<Written>>, stop: &AtomicBool) -> Vec<Written> {
    stop.store(true, Ordering::SeqCst);
    writers.into_iter().map(|writer| writer.join().unwrap()).collect()
}

#[test]
fn a_killed_leader_is_only_time_for_clients_of_the_others() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let victim = cluster.leader_of_most().unwrap();
    let living: Vec<usize> = (0..3).filter(|index| *index != victim).collect();
    let writers: Vec<_> = living
        .iter()
        .map(|index| write(cluster.nodes[*index].resp(), *index, Arc::clone(&stop)))
        .collect();
    wait::pause(Duration::from_secs(1));
    cluster.nodes[victim].kill();
    wait::pause(Duration::from_secs(6));
    cluster.nodes[victim].start().unwrap();
    cluster.wait_ready(READY_WAIT).unwrap();
    wait::pause(Duration::from_secs(1));
    let written = finish(writers, &stop);
    check(&cluster, victim, &written, REQUEST_WAIT);
}

#[test]
fn a_rolling_restart_shows_no_client_an_error() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..3).map(|index| write(cluster.nodes[index].resp(), index, Arc::clone(&stop))).collect();
    for index in 0..3 {
        wait::pause(Duration::from_secs(1));
        cluster.restart(index).unwrap();
    }
    let written = finish(writers, &stop);
    check(&cluster, 0, &written, READY_WAIT);
}

/// The last two handed their leaderships to each other until their patience was over.
#[test]
fn nodes_that_stop_together_hand_nothing_to_each_other() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    cluster.stop().unwrap();
    for node in &cluster.nodes {
        let text = node.log_text();
        assert!(text.contains("stopping"), "{}", node.log_end());
        assert!(!text.contains("could not be handed over"), "{}", node.log_end());
    }
}

#[test]
fn a_lost_node_is_replaced_while_writes_go_on() {
    let mut cluster = Cluster::start(&Options { nodes: 4, ..Options::default() }).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..2).map(|index| write(cluster.nodes[index].resp(), index, Arc::clone(&stop))).collect();
    wait::pause(Duration::from_secs(1));
    cluster.nodes[2].kill();
    std::fs::remove_dir_all(cluster.data_dir(2)).unwrap();
    cluster.nodes[3].start().unwrap();
    let output = Command::new(weir().unwrap())
        .args(["node", "replace", "3", "--config"])
        .arg(&cluster.nodes[3].file)
        .args(["--node", &cluster.nodes[0].grpc()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    cluster.wait_ready(READY_WAIT).unwrap();
    let status = cluster.status().unwrap();
    for shard in status["shards"].as_array().unwrap() {
        assert_eq!(shard["voters"], serde_json::json!([1, 2, 4]), "{shard}");
    }
    let written = finish(writers, &stop);
    check(&cluster, 3, &written, REQUEST_WAIT);
}
