//! One life of a cluster: it forms, it is used and hurt, it comes to rest, and all that anybody was
//! told is judged. A broken promise panics with what was promised.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{Entropy, SeededEntropy};
use checker::history::{Final, Op};
use raft::Shards;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::Cluster;
use crate::faults::Faults;
use crate::options::{Chosen, Options};
use crate::pipe;
use crate::trace::Trace;
use crate::watch::Watch;
use crate::work::{Client, Shared, Use};

/// For a new cluster to form.
const FORM_WITHIN: Duration = Duration::from_secs(30);

/// When nothing is wrong any more: until every node is ready, answers, and has the same state.
const REST_WITHIN: Duration = Duration::from_secs(10);

/// Longer than any call of a client takes.
const CALL_WITHIN: Duration = Duration::from_secs(60);

/// What a life came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) simulated: Duration,
    pub(crate) faults: u64,
    pub(crate) operations: u64,
    /// Of these, the ones of which one order was found that explains them.
    pub(crate) explained: u64,
    pub(crate) left_out: u64,
    /// Appends that were asked again under their id.
    pub(crate) retried: u64,
    /// States of replicas that were compared on the way.
    pub(crate) compared: u64,
    pub(crate) replaced: u64,
    pub(crate) trace_sum: u64,
    pub(crate) trace_lines: u64,
}

/// Lives the life of a seed.
pub(crate) fn live(seed: u64, chosen: &Chosen, shown: bool) -> Report {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build();
    runtime.expect("a runtime without sockets").block_on(async {
        let entropy = Arc::new(SeededEntropy::new(seed));
        raft::runtime::seed(&*entropy);
        let trace = Trace::new(shown);
        let options = Options::draw(seed, &*entropy, chosen);
        trace.note(&options);
        Life::new(options, entropy, trace).run().await
    })
}

struct Life {
    cluster: Cluster,
    shared: Arc<Shared>,
    watch: Watch,
    ops: Vec<Op>,
}

impl Life {
    fn new(options: Options, entropy: Arc<SeededEntropy>, trace: Trace) -> Self {
        let (least, most) = options.delay;
        let delay = pipe::delay_between(entropy.clone(), least, most);
        let shared = Shared::new(&options, trace.clone(), delay);
        let cluster = Cluster::new(options, entropy, trace);
        Self { cluster, shared, watch: Watch::default(), ops: Vec::new() }
    }

    async fn run(mut self) -> Report {
        self.form().await;
        let clients = self.spawn_clients();
        let mut faults = Faults::default();
        faults.happen(&mut self.cluster, &mut self.watch, &self.shared).await;
        faults.mend(&mut self.cluster).await;
        self.shared.publish(self.cluster.processes().cloned().collect());
        self.rest().await;
        for client in clients {
            let done = timeout(CALL_WITHIN, client).await.expect("a client hangs at rest");
            self.ops.extend(done.expect("a client panics"));
        }
        self.agree().await;
        self.judge(&faults).await
    }

    async fn form(&mut self) {
        for id in self.cluster.all() {
            self.cluster.start(id).await.expect("a new node starts");
        }
        self.until("formed", FORM_WITHIN, Cluster::is_ready).await;
        self.shared.publish(self.cluster.processes().cloned().collect());
        let first = self.cluster.processes().next().expect("there are nodes").clone();
        Client::at(usize::MAX, &first, &self.shared).make_groups().await;
        self.cluster.trace.note("formed");
    }

    fn spawn_clients(&self) -> Vec<tokio::task::JoinHandle<Vec<Op>>> {
        let options = &self.cluster.options;
        let client =
            |index| Client::new(index, self.cluster.entropy.next_u64(), self.shared.clone());
        let mut tasks = Vec::new();
        for index in 0..options.clients {
            tasks.push(tokio::spawn(client(index).work()));
        }
        let followed: Vec<usize> =
            (0..options.streams).filter(|stream| Use::of(*stream) == Use::Followed).collect();
        for (index, stream) in followed.iter().flat_map(|stream| [*stream; 3]).enumerate() {
            tasks.push(tokio::spawn(client(options.clients + index).follow(stream)));
        }
        tasks
    }

    async fn until(&mut self, what: &str, within: Duration, holds: impl Fn(&Cluster) -> bool) {
        let deadline = Instant::now() + within;
        while !holds(&self.cluster) {
            self.watch.look(&self.cluster);
            let late = Instant::now() >= deadline;
            assert!(!late, "not {what} within {within:?}: {:#?}", self.cluster.statuses());
            if let Some((id, _, failure)) = self.cluster.take_ended().first() {
                panic!("node {id} ends although nothing is wrong: {failure}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everything works again: every node answers, and soon.
    async fn rest(&mut self) {
        self.cluster.trace.note("nothing is wrong any more");
        let began = Instant::now();
        self.shared.stop_writing();
        self.until("ready", REST_WITHIN, Cluster::is_ready).await;
        for process in self.cluster.processes() {
            for stream in 0..self.cluster.options.streams {
                let client = Client::at(usize::MAX, process, &self.shared);
                let (answered, ops) = client.append_once(stream).await;
                self.ops.extend(ops);
                assert!(answered, "an append through {} fails at rest", process.id);
            }
        }
        assert!(began.elapsed() < REST_WITHIN, "it takes {:?} to answer", began.elapsed());
        self.shared.stop_reading();
    }

    /// Every replica has applied as much, and has the same state.
    async fn agree(&mut self) {
        let same = |cluster: &Cluster| {
            let seen: BTreeSet<_> = cluster
                .processes()
                .map(|process| {
                    let of = |shard: &raft::ShardStatus| {
                        (shard.shard, shard.applied_index, shard.state_hash)
                    };
                    process.node.status().shards.iter().map(of).collect::<Vec<_>>()
                })
                .collect();
            seen.len() == 1
        };
        self.until("equal by hash", REST_WITHIN, same).await;
        self.cluster.trace.note("all are equal");
    }

    async fn judge(mut self, faults: &Faults) -> Report {
        let processes: Vec<_> = self.cluster.processes().cloned().collect();
        let client = |index| Client::at(index, &processes[0], &self.shared);
        self.ops.extend(client(self.cluster.options.clients + 100).drain().await);
        let mut end = Final::default();
        for process in &processes {
            let (entries, pending) = Client::at(usize::MAX, process, &self.shared).read_all().await;
            end.entries.push(entries);
            let same = end.pending.is_empty() || end.pending == pending;
            assert!(same, "{} has pending {pending:?}, others {:?}", process.id, end.pending);
            end.pending = pending;
        }
        self.ops.sort_by_key(|op| op.call);
        let verdict = checker::check(&self.ops, &end);
        assert!(verdict.violations.is_empty(), "violations: {:#?}", verdict.violations);
        let (trace_sum, trace_lines) = self.cluster.trace.sum();
        Report {
            simulated: self.cluster.trace.now(),
            faults: self.cluster.trace.faults(),
            operations: self.ops.len() as u64,
            explained: verdict.windows.ops_explained as u64,
            left_out: verdict.windows.ops_left_out as u64,
            retried: self.shared.retried.load(Ordering::SeqCst),
            compared: self.watch.compared,
            replaced: faults.replaced,
            trace_sum,
            trace_lines,
        }
    }
}
