//! openraft under load, with real processes: snapshots installed into nodes that live, a follower
//! that is slow, one that was away for long, a leader whose disk takes nothing. Writes go on, nothing
//! acknowledged is lost, memory stays bounded. `WEIR_TEST_LONG=1` runs the long forms.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::BytesMut;
use tests::client::Client;
use tests::cluster::{Cluster, Node, Options, READY_WAIT, Seat, edit};
use tests::machine::proxy::{Proxy, Rule};
use tests::machine::syscalls::{self, Injected};
use tests::skips;
use tests::wait;

/// Checkpoints are made and the beginning of the journal goes before long.
const SMALL: &str = "[checkpoint]\ndirty_bytes = \"1MiB\"\n[journal]\nsegment_bytes = \"1MiB\"\n\
                     kept_bytes = \"1MiB\"\n";
/// Leaders stay where they are on a machine that has much else to do.
const PATIENT: &str = "[raft]\nheartbeat_ms = 250\nelection_ms = [2500, 5000]\n";
/// More than a follower can lack and still be fed from the journal.
const FAR_BEHIND: u64 = 5 << 20;
/// A snapshot is there, or a follower level again, within this.
const LEVEL_WAIT: Duration = Duration::from_secs(300);
const PIPELINE: u64 = 20;
/// After an error a writer comes back after this.
const AGAIN: Duration = Duration::from_millis(50);
/// Between two pipelines of a writer, in the short forms: a busy machine keeps up, too.
const PACE: Duration = Duration::from_millis(50);

fn is_long() -> bool {
    std::env::var_os("WEIR_TEST_LONG").is_some()
}

/// Writers that go on until the value is finished.
struct Load {
    stop: Arc<AtomicBool>,
    /// Bytes of values that were acknowledged.
    bytes: Arc<AtomicU64>,
    writers: Vec<JoinHandle<Vec<u64>>>,
}

impl Load {
    /// One writer a node in `nodes`, each with a stream of its own.
    fn start(cluster: &Cluster, nodes: &[usize], value_bytes: usize) -> Self {
        let (stop, bytes) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let spawn = |(writer, node): (usize, &usize)| {
            let address = cluster.nodes[*node].resp();
            let (stop, bytes) = (stop.clone(), bytes.clone());
            std::thread::spawn(move || write(&address, writer, value_bytes, &stop, &bytes))
        };
        let writers = nodes.iter().enumerate().map(spawn).collect();
        Self { stop, bytes, writers }
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Waits until so much more was acknowledged.
    fn wait_more(&self, cluster: &Cluster, bytes: u64) {
        let until = self.bytes() + bytes;
        let look = || {
            let now = self.bytes();
            if now >= until { Ok(()) } else { Err(format!("{} to go", until - now)) }
        };
        let waited = wait::until("appends to go on", LEVEL_WAIT, look);
        waited.unwrap_or_else(|error| panic!("{error}; {}", seen(cluster)));
    }

    /// Stops the writers: what each had acknowledged.
    fn finish(self) -> Vec<Vec<u64>> {
        self.stop.store(true, Ordering::SeqCst);
        self.writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    }
}

/// Numbers from 1 on, filled up to so many bytes; those that were acknowledged.
fn write(
    address: &str,
    writer: usize,
    value_bytes: usize,
    stop: &AtomicBool,
    bytes: &AtomicU64,
) -> Vec<u64> {
    let (mut acknowledged, mut next) = (Vec::new(), 1);
    let mut client = None;
    while !stop.load(Ordering::SeqCst) {
        if client.is_none() {
            client = Client::open(address).ok();
        }
        let sent = client.as_mut().map(|client| {
            let numbers = next..next + PIPELINE;
            next += PIPELINE;
            let before = acknowledged.len();
            let sent = append(client, writer, numbers, value_bytes, &mut acknowledged);
            let count = acknowledged.len() - before;
            bytes.fetch_add((count * value_bytes) as u64, Ordering::SeqCst);
            sent
        });
        if !matches!(sent, Some(Ok(()))) {
            client = None;
            wait::pause(AGAIN);
        } else if !is_long() {
            wait::pause(PACE);
        }
    }
    acknowledged
}

fn key(writer: usize) -> String {
    format!("behind:{writer}")
}

fn append(
    client: &mut Client,
    writer: usize,
    numbers: std::ops::Range<u64>,
    value_bytes: usize,
    acknowledged: &mut Vec<u64>,
) -> std::io::Result<()> {
    let mut request = BytesMut::new();
    for number in numbers.clone() {
        let value = format!("{number:0value_bytes$}");
        resp::write_request(&mut request, &["XADD", &key(writer), "*", "v", &value]);
    }
    client.send(&request)?;
    for number in numbers {
        let reply = client.reply()?;
        if reply.as_error().is_none() {
            acknowledged.push(number);
        }
    }
    Ok(())
}

/// Every number in a writer's stream, as a node answers; each is there once.
fn stored(node: &Node, writer: usize) -> BTreeSet<u64> {
    let mut client = node.client().unwrap();
    let (mut start, mut numbers) = ("-".to_owned(), BTreeSet::new());
    loop {
        let page = client.call(&["XRANGE", &key(writer), &start, "+", "COUNT", "2000"]).unwrap();
        let page = page.as_items().unwrap_or_else(|| panic!("{page}; {}", node.log_end()));
        let Some(last) = page.last() else { return numbers };
        for entry in page {
            let fields = entry.as_items().unwrap()[1].as_items().unwrap();
            let number = fields[1].as_text().unwrap().parse().unwrap();
            assert!(numbers.insert(number), "{number} is there twice");
        }
        start = format!("({}", last.as_items().unwrap()[0].as_text().unwrap());
    }
}

/// Nothing that was acknowledged is missing at any node, and all of them are equal.
fn check(cluster: &mut Cluster, acknowledged: &[Vec<u64>]) {
    cluster.wait_ready(READY_WAIT).unwrap();
    cluster.wait_equal(LEVEL_WAIT).unwrap();
    for (node, (writer, numbers)) in (0..cluster.nodes.len())
        .flat_map(|node| acknowledged.iter().enumerate().map(move |it| (node, it)))
    {
        let stored = stored(&cluster.nodes[node], writer);
        let lost: Vec<&u64> = numbers.iter().filter(|number| !stored.contains(number)).collect();
        assert!(lost.is_empty(), "node {}: {} lost of writer {writer}", node + 1, lost.len());
        assert!(!numbers.is_empty(), "writer {writer} did nothing");
    }
}

/// What the nodes say of themselves, for a message.
fn seen(cluster: &Cluster) -> String {
    let logs: String = cluster.nodes.iter().map(|node| node.log_end() + "\n").collect();
    format!("{:?}; {logs}", cluster.status())
}

/// How often a node said this.
fn said(cluster: &Cluster, index: usize, words: &str) -> usize {
    cluster.nodes[index].log_text().matches(words).count()
}

/// What the nodes say of the one shard.
fn shard(cluster: &Cluster) -> Result<serde_json::Value, String> {
    let status = cluster.status().map_err(|error| error.to_string())?;
    let shards = status["shards"].as_array().cloned().unwrap_or_default();
    shards.into_iter().find(|it| it["shard"] != "meta").ok_or_else(|| "no shard".to_owned())
}

/// How far a node has applied it.
fn applied(cluster: &Cluster, index: usize) -> Result<u64, String> {
    let shard = shard(cluster)?;
    let replicas = shard["replicas"].as_array().ok_or("no replicas")?;
    let mine = replicas.iter().find(|it| it["node"] == cluster.nodes[index].id);
    mine.and_then(|it| it["applied"].as_u64()).ok_or_else(|| "it doesn't answer".to_owned())
}

/// Waits until a node has applied so much.
fn wait_applied(cluster: &Cluster, index: usize, upto: u64) {
    let look = || {
        let applied = applied(cluster, index)?;
        if applied >= upto { Ok(()) } else { Err(format!("{applied} of {upto}")) }
    };
    let waited = wait::until("what it lacked to be applied", LEVEL_WAIT, look);
    waited.unwrap_or_else(|error| panic!("{error}; {}", seen(cluster)));
}

/// The node that leads it.
fn leader(cluster: &Cluster) -> usize {
    let look = || {
        let shard = shard(cluster)?;
        let leader = shard["leader"].as_u64().filter(|leader| *leader > 0);
        leader.ok_or_else(|| format!("no leader: {shard}"))
    };
    let id = wait::until("a leader", READY_WAIT, look).unwrap();
    cluster.nodes.iter().position(|node| node.id == id).unwrap()
}

fn one_shard(extra: &str) -> Options {
    Options { shards: 1, extra: extra.to_owned(), ..Options::default() }
}

/// A group died when a snapshot was installed into it under load, and with two of them the shard.
#[test]
fn openraft_2116_groups_into_which_snapshots_are_installed_under_load_live_or_come_back() {
    let rounds = if is_long() { 200 } else { 4 };
    let mut cluster = Cluster::prepare(&one_shard(SMALL)).unwrap();
    edit(&cluster.dir().join("cluster.toml"), |text| format!("{PATIENT}{text}")).unwrap();
    cluster.nodes.iter_mut().for_each(|node| node.start().unwrap());
    cluster.wait_ready(READY_WAIT).unwrap();
    let load = Load::start(&cluster, &[0, 1, 2], 1_000);
    load.wait_more(&cluster, FAR_BEHIND);
    for round in 0..rounds {
        let leads = leader(&cluster);
        let follower = (leads + 1 + round % 2) % 3;
        let before = said(&cluster, follower, "a snapshot is installed");
        // Every third one was away, the others live: there it is that the group died.
        if round % 3 == 2 {
            cluster.nodes[follower].kill();
            load.wait_more(&cluster, FAR_BEHIND);
            cluster.nodes[follower].start().unwrap();
        } else {
            cluster.nodes[follower].freeze();
            load.wait_more(&cluster, FAR_BEHIND);
            cluster.nodes[follower].thaw();
        }
        wait::until(&format!("a snapshot, round {round}"), LEVEL_WAIT, || {
            let installed = said(&cluster, follower, "a snapshot is installed");
            if installed > before { Ok(()) } else { Err(seen(&cluster)) }
        })
        .unwrap();
        // A leader keeps what follows a snapshot for a follower that has not asked for it yet: one
        // that is frozen before it does lacks nothing afterwards.
        let there = applied(&cluster, leads).unwrap();
        wait_applied(&cluster, follower, there);
        println!(
            "round {round}: node {} has its snapshot, {} MB",
            follower + 1,
            load.bytes() >> 20
        );
    }
    let bytes = load.bytes();
    check(&mut cluster, &load.finish());
    let sum = |words| (0..3).map(|index| said(&cluster, index, words)).sum::<usize>();
    println!(
        "{} snapshots installed under {} MB of appends, {} groups panicked and came back",
        sum("a snapshot is installed"),
        bytes / 1_000_000,
        sum("openraft panicked"),
    );
}

/// What was not yet acknowledged by a follower that was slow, but lived, stayed in memory.
#[test]
fn a_slow_follower_that_lives_does_not_grow_its_leaders_memory() {
    if !is_long() {
        skips::skip("a slow follower takes 5 minutes: WEIR_TEST_LONG=1");
        return;
    }
    let length = Duration::from_secs(300);
    let extra = format!("[limits]\nmemory = \"64MiB\"\n{SMALL}");
    let mut proxies = Vec::new();
    let mut cluster = Cluster::prepare_seated(&one_shard(&extra), |_, port| {
        let proxy = Proxy::start("127.0.0.1", format!("127.0.0.1:{port}"))?;
        let dialled = Some(proxy.address());
        proxies.push(proxy);
        Ok(Seat { dialled, ..Seat::default() })
    })
    .unwrap();
    cluster.nodes.iter_mut().for_each(|node| node.start().unwrap());
    cluster.wait_ready(READY_WAIT).unwrap();
    // The first node is dialled by both others, so that all of its links go through one proxy.
    // It must not lead.
    while leader(&cluster) == 0 {
        cluster.nodes[0].freeze();
        wait::pause(Duration::from_secs(3));
        cluster.nodes[0].thaw();
        cluster.wait_ready(READY_WAIT).unwrap();
    }
    let load = Load::start(&cluster, &[1, 2], 1_000);
    proxies[0].set(Rule { pause: Duration::from_millis(30), ..Rule::default() });
    let (began, before) = (wait::now(), load.bytes());
    let mut most = [0; 3];
    while wait::now() - began < length {
        wait::pause(Duration::from_millis(500));
        for (most, node) in most.iter_mut().zip(&cluster.nodes) {
            *most = node.resident_bytes().unwrap().max(*most);
        }
    }
    let written = load.bytes() - before;
    let leads = leader(&cluster);
    proxies[0].set(Rule::default());
    check(&mut cluster, &load.finish());
    let mb = most.map(|bytes| bytes / 1_000_000);
    println!(
        "{} MB written, most resident {mb:?} MB, node {} leads",
        written / 1_000_000,
        leads + 1
    );
    assert_ne!(leads, 0, "the slow one leads");
    assert!(most[leads] < RESIDENT_MAX, "{mb:?} MB resident");
    // Through the proxy went 4 MB a minute at most.
    assert!(written > FAR_BEHIND, "{written} bytes would show nothing");
}

/// With `memory = "64MiB"`: that, what is not in the store yet, and the program itself.
const RESIDENT_MAX: u64 = 250_000_000;

/// A leader whose disk took nothing stayed one, and heartbeats kept the others from taking over.
#[test]
fn a_leader_that_can_not_commit_hands_over_within_15_seconds() {
    if let Err(why) = syscalls::check() {
        skips::skip(&format!("a leader whose disk takes nothing: {why}"));
        return;
    }
    let mut cluster = Cluster::start(&one_shard("")).unwrap();
    let load = Load::start(&cluster, &[0, 1, 2], 100);
    load.wait_more(&cluster, 10_000);
    let leads = leader(&cluster);
    let pid = cluster.nodes[leads].pid().unwrap();
    let stuck = Injected::delay_syncs(pid, Duration::from_secs(60)).unwrap();
    let began = wait::now();
    let next = wait::until("another leader", Duration::from_secs(15), || {
        let now = leader(&cluster);
        if now == leads { Err("it still leads".to_owned()) } else { Ok(now) }
    })
    .unwrap();
    let moved = wait::now() - began;
    let mut client = cluster.nodes[next].client().unwrap();
    let reply = client.call(&["XADD", "after", "*", "v", "1"]).unwrap();
    assert!(reply.as_error().is_none(), "{reply}");
    let answered = wait::now() - began;
    println!(
        "another leader after {:.1} s, an append after {:.1} s",
        moved.as_secs_f64(),
        answered.as_secs_f64()
    );
    assert!(answered < Duration::from_secs(15), "{answered:?}");
    drop(stuck);
    check(&mut cluster, &load.finish());
}

/// A follower was away for a million entries and never came level, since writes went on.
#[test]
fn a_follower_that_was_away_for_long_comes_back_while_writes_go_on() {
    let (away, value_bytes) = (if is_long() { 1_000_000 } else { 50_000 }, 100);
    let extra = if is_long() { "" } else { SMALL };
    let mut cluster = Cluster::start(&one_shard(extra)).unwrap();
    let absent = (leader(&cluster) + 1) % 3;
    cluster.nodes[absent].kill();
    let others: Vec<usize> = (0..3).filter(|index| *index != absent).collect();
    let load = Load::start(&cluster, &others, value_bytes);
    let began = wait::now();
    load.wait_more(&cluster, away * value_bytes as u64);
    let (wrote, before) = (wait::now() - began, load.bytes());
    let there = applied(&cluster, others[0]).unwrap();
    cluster.nodes[absent].start().unwrap();
    let began = wait::now();
    wait_applied(&cluster, absent, there);
    cluster.nodes[absent].wait_ready(LEVEL_WAIT).unwrap();
    let back = wait::now() - began;
    // It serves: what was just written is there.
    let mut client = cluster.nodes[absent].client().unwrap();
    let reply = client.call(&["XLEN", &key(0)]).unwrap();
    assert!(reply.as_integer().unwrap() > 0, "{reply}");
    let meanwhile = (load.bytes() - before) / value_bytes as u64;
    println!(
        "away for {} entries ({:.0} s), ready after {:.1} s and {meanwhile} more entries",
        before / value_bytes as u64,
        wrote.as_secs_f64(),
        back.as_secs_f64()
    );
    assert!(meanwhile > 0, "writes did not go on");
    check(&mut cluster, &load.finish());
}
