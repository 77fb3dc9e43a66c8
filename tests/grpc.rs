//! gRPC through real nodes: every node for every stream, both doors to one stream, a leader killed
//! and all nodes restarted under appends that never stop.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::{Append, Client, Entry, EntryId, Error, Range};
use futures::{StreamExt, TryStreamExt};
use tests::cluster::{Cluster, Options, READY_WAIT};
use tests::wait;

/// Between two appends of the load: it lasts, and does not fill the machine.
const PACE: Duration = Duration::from_millis(2);

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.unwrap().block_on(work)
}

fn client(cluster: &Cluster, index: usize) -> Client {
    Client::connect([cluster.nodes[index].grpc()]).unwrap()
}

fn entry(stream: &str, number: usize) -> Append {
    Append::to(stream.to_owned()).field("number", number.to_string())
}

async fn read(client: &Client, stream: &str) -> Vec<(EntryId, usize)> {
    let entries: Vec<Entry> =
        client.range(Range::of(stream.to_owned())).try_collect().await.unwrap();
    let number = |entry: &Entry| {
        let value = entry.value("number").expect("every entry has its number");
        std::str::from_utf8(value).unwrap().parse().unwrap()
    };
    entries.iter().map(|entry| (entry.id, number(entry))).collect()
}

#[test]
fn any_node_takes_and_gives_any_stream_and_both_doors_lead_to_it() {
    const COUNT: usize = 200;
    let cluster = Cluster::start(&Options::default()).unwrap();
    block_on(async {
        let clients: Vec<_> = (0..3).map(|index| client(&cluster, index)).collect();
        for (index, client) in clients.iter().enumerate() {
            // A stream for each shard, more or less.
            for stream in 0..16 {
                client.append(entry(&format!("s{stream}"), index)).await.unwrap();
            }
        }
        for client in &clients {
            for stream in 0..16 {
                let numbers = read(client, &format!("s{stream}")).await;
                assert_eq!(numbers.iter().map(|of| of.1).collect::<Vec<_>>(), [0, 1, 2]);
            }
        }
        let appends = futures::stream::iter((0..COUNT).map(|number| entry("many", number)));
        let ids: Vec<EntryId> = clients[0].append_many(appends).try_collect().await.unwrap();
        let expected: Vec<_> = ids.into_iter().zip(0..COUNT).collect();
        assert_eq!(read(&clients[2], "many").await, expected);
        assert_eq!(clients[1].describe("many").await.unwrap().length, COUNT as u64);
        let error = clients[1].describe("none").await.unwrap_err();
        assert!(matches!(error, Error::NotFound(_)), "{error:?}");
        let low = Append::to("many").field("n", "v").id(EntryId::new(1, 1));
        let error = clients[1].append(low).await.unwrap_err();
        assert!(
            matches!(&error, Error::Refused(detail) if detail.reason == "ID_NOT_ABOVE"),
            "{error:?}"
        );
    });
    let mut redis = cluster.nodes[1].client().unwrap();
    let length = redis.call(&["XLEN", "many"]).unwrap();
    assert_eq!(length, resp::Value::Integer(i64::try_from(COUNT).unwrap()));
}

/// Appends without a pause until told to stop; every append's id, in order.
struct Load {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<Result<EntryId, Error>>>,
}

impl Load {
    fn start(client: impl FnOnce() -> Client + Send + 'static, stream: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let appends = futures::stream::unfold(0, move |number| {
            let stopped = Arc::clone(&stopped);
            let append = entry(&stream, number);
            async move {
                tokio::time::sleep(PACE).await;
                (!stopped.load(Ordering::SeqCst)).then_some((append, number + 1))
            }
        });
        let run = move || block_on(async { client().append_many(appends).collect().await });
        Self { stop, thread: std::thread::spawn(run) }
    }

    /// The ids; panics at the first append that failed.
    fn finish(self) -> Vec<EntryId> {
        self.stop.store(true, Ordering::SeqCst);
        let results = self.thread.join().expect("the load ends");
        let ids = results.into_iter().enumerate();
        ids.map(|(number, id)| id.unwrap_or_else(|error| panic!("append {number}: {error}")))
            .collect()
    }
}

/// Each acknowledged append is there once, under its id and in its place.
fn assert_whole(cluster: &Cluster, index: usize, stream: &str, ids: Vec<EntryId>) {
    assert!(!ids.is_empty());
    let expected: Vec<_> = ids.into_iter().enumerate().map(|(number, id)| (id, number)).collect();
    let found = block_on(async { read(&client(cluster, index), stream).await });
    assert_eq!(found, expected, "{stream}");
}

#[test]
fn a_killed_leader_is_a_pause_for_clients_of_the_other_nodes() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    let victim = cluster.leader_of_most().expect("there are leaders");
    let others: Vec<usize> = (0..3).filter(|index| *index != victim).collect();
    let loads: Vec<_> = (0..8)
        .map(|stream| {
            let address = cluster.nodes[others[stream % 2]].grpc();
            let connect = move || Client::connect([address]).unwrap();
            (format!("s{stream}"), Load::start(connect, format!("s{stream}")))
        })
        .collect();
    wait::pause(Duration::from_secs(1));
    cluster.nodes[victim].kill();
    wait::pause(Duration::from_secs(6));
    cluster.nodes[victim].start().unwrap();
    cluster.wait_ready(READY_WAIT).unwrap();
    for (stream, load) in loads {
        assert_whole(&cluster, victim, &stream, load.finish());
    }
}

#[test]
fn restarting_every_node_in_turn_shows_no_client_an_error() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    let loads: Vec<_> = (0..6)
        .map(|stream| {
            let mut addresses: Vec<_> =
                cluster.nodes.iter().map(tests::cluster::Node::grpc).collect();
            addresses.rotate_left(stream % 3);
            let connect = move || Client::connect(addresses).unwrap();
            (format!("s{stream}"), Load::start(connect, format!("s{stream}")))
        })
        .collect();
    for index in 0..3 {
        wait::pause(Duration::from_millis(500));
        cluster.restart(index).unwrap();
    }
    wait::pause(Duration::from_millis(500));
    for (index, (stream, load)) in loads.into_iter().enumerate() {
        assert_whole(&cluster, index % 3, &stream, load.finish());
    }
}
