//! What is counted, and how it is shown to Prometheus: one function per observation, no metric's
//! name anywhere else. Names are `weir_<noun>_<unit>[_total]`.
//!
//! Atomics in fixed places: an observation costs a few nanoseconds, allocates nothing, and memory
//! never grows. Never asks the shards anything by itself: what they say is handed in.

mod disk;
mod groups;
mod text;
mod watched;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use disk::TimedDisk;
pub(crate) use groups::Groups;
use text::{Page, label};
pub use watched::Watched;

use raft::{NodeStatus, Outcome, Pending, ProposeError};
use streams::reply::Reply;

/// Upper bounds in seconds: from a sync of a fast disk to the request deadline.
const LATENCY_BOUNDS: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

static APPENDS: AtomicU64 = AtomicU64::new(0);
static APPEND_LATENCY: Histogram = Histogram::new();
static SYNC_LATENCY: Histogram = Histogram::new();
static WRITES_FAILED: AtomicU64 = AtomicU64::new(0);
static WRITES_UNKNOWN: AtomicU64 = AtomicU64::new(0);
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
static CONNECTIONS_TAKEN: AtomicU64 = AtomicU64::new(0);
static CONNECTIONS_REFUSED: AtomicU64 = AtomicU64::new(0);

/// Counts by upper bound, and their sum.
#[derive(Debug)]
struct Histogram {
    counts: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    sum_ns: AtomicU64,
}

impl Histogram {
    const fn new() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; LATENCY_BOUNDS.len() + 1],
            sum_ns: AtomicU64::new(0),
        }
    }

    fn observe(&self, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    fn show(&self, page: &mut Page, name: &str, help: &str) {
        let counts = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let sum = Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)).as_secs_f64();
        page.histogram(name, help, &LATENCY_BOUNDS, &counts, sum);
    }
}

/// A write was given to a shard; counts what comes of it when the answer is there.
fn observe_write(pending: Pending) -> Pending {
    pending.observed(write_done)
}

fn write_done(elapsed: Duration, outcome: &Outcome) {
    match outcome {
        Ok(Reply::Added(_)) => {
            APPENDS.fetch_add(1, Ordering::Relaxed);
            APPEND_LATENCY.observe(elapsed);
        }
        Ok(_) => {}
        Err(ProposeError::Unknown) => {
            WRITES_UNKNOWN.fetch_add(1, Ordering::Relaxed);
        }
        Err(_) => {
            WRITES_FAILED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The journal was synced.
fn observe_journal_sync(elapsed: Duration) {
    SYNC_LATENCY.observe(elapsed);
}

/// A client's connection was taken.
pub fn observe_connection_opened() {
    CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    CONNECTIONS_TAKEN.fetch_add(1, Ordering::Relaxed);
}

/// A client's connection is gone.
pub fn observe_connection_closed() {
    CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
}

/// A client's connection was refused, because there are as many as are allowed.
pub fn observe_connection_refused() {
    CONNECTIONS_REFUSED.fetch_add(1, Ordering::Relaxed);
}

/// Everything, as Prometheus reads it.
pub(crate) fn render(status: Option<&NodeStatus>, groups: &Groups) -> String {
    let mut page = Page::default();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.counter(
        "weir_appends_acknowledged_total",
        "Entries added: on disk on a majority, and answered by this node.",
        read(&APPENDS),
    );
    APPEND_LATENCY.show(
        &mut page,
        "weir_append_latency_seconds",
        "From a request taken by this node to its answer, of entries added.",
    );
    SYNC_LATENCY.show(&mut page, "weir_journal_sync_seconds", "Syncs of the journal.");
    groups.show(&mut page);
    page.counter(
        "weir_writes_refused_total",
        "Writes that surely did not happen: no leader, overload, disk full, stopping.",
        read(&WRITES_FAILED),
    );
    page.counter(
        "weir_writes_unknown_total",
        "Writes answered -UNKNOWN: they may have happened.",
        read(&WRITES_UNKNOWN),
    );
    page.gauge("weir_connections_count", "Connections of clients.", "", read(&CONNECTIONS));
    page.counter("weir_connections_total", "Connections taken.", read(&CONNECTIONS_TAKEN));
    page.counter(
        "weir_connections_refused_total",
        "Connections refused at connections_max.",
        read(&CONNECTIONS_REFUSED),
    );
    if let Some(status) = status {
        show_status(&mut page, status);
    }
    page.into_text()
}

/// Name, help, and the value of one shard.
type ShardGauge = (&'static str, &'static str, fn(&raft::ShardStatus) -> u64);

fn show_status(page: &mut Page, status: &NodeStatus) {
    page.gauge("weir_node_ready", "1: this node may be sent traffic.", "", status.ready.into());
    let gauges: [ShardGauge; 6] = [
        ("weir_shard_term", "Raft term.", |shard| shard.term),
        ("weir_shard_committed_index", "Known to be on a majority.", |shard| shard.committed_index),
        ("weir_shard_applied_index", "Applied by this replica.", |shard| shard.applied_index),
        ("weir_shard_synced_index", "On this node's disk.", |shard| shard.synced_index),
        ("weir_shard_checkpoint_index", "What a restart begins from.", |shard| {
            shard.checkpoint_index
        }),
        ("weir_shard_leader", "Id of the leader, 0 where none is known.", |shard| {
            shard.leader.map_or(0, |leader| leader.0)
        }),
    ];
    for (name, help, value) in gauges {
        for shard in &status.shards {
            page.gauge(name, help, &label("shard", &shard.shard.to_string()), value(shard));
        }
    }
    for shard in &status.shards {
        for (node, lag) in &shard.lag {
            let shard = label("shard", &shard.shard.to_string());
            let labels = format!("{shard},{}", label("node", &node.to_string()));
            page.gauge(
                "weir_follower_lag_entries",
                "How far a follower is behind its leader, seen by the leader.",
                &labels,
                *lag,
            );
        }
    }
    let connected = status.peers.iter().filter(|peer| peer.connected).count();
    page.gauge("weir_peers_connected_count", "Nodes reached, itself too.", "", connected as u64);
}

#[cfg(test)]
mod tests;
