//! One group under openraft in one process, over calls instead of a link: killed and started
//! again at any moment nothing acknowledged is missing, and a follower that was away too long
//! takes the leader's checkpoint.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base::{Clock, Entropy, NodeId, SeededEntropy, SimDisk};
use journal::Marks as JournalMarks;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::error::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::v2::RaftNetworkV2;
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{Config, Raft, SnapshotPolicy};
use store::Memory;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;
use crate::checkpoint::{Checkpointer, Options, Step, follow};
use crate::log::LogStore;
use crate::machine::cells::Cells;
use crate::snapshot::Snapshot;
use crate::types::{Proposal, Vote};

const SHARD: ShardId = ShardId(0);
type Group = Raft<TypeConfig, StateMachine>;

/// Which groups can be called; a node that isn't in it is down or cut off.
type Reachable = Arc<Mutex<BTreeMap<u64, Group>>>;

#[derive(Clone)]
struct Calls {
    reachable: Reachable,
    from: u64,
    to: u64,
}

impl Calls {
    fn target(&self) -> Result<Group, Unreachable<TypeConfig>> {
        let reachable = self.reachable.lock().unwrap();
        let target = reachable.get(&self.to).filter(|_| reachable.contains_key(&self.from));
        target.cloned().ok_or_else(|| Unreachable::from_string("it is cut off"))
    }
}

fn lost(error: impl std::error::Error + 'static) -> Unreachable<TypeConfig> {
    Unreachable::new(&error)
}

impl RaftNetworkFactory<TypeConfig> for Calls {
    type Network = Self;

    async fn new_client(&mut self, target: u64, (): &()) -> Self {
        Self { to: target, ..self.clone() }
    }
}

impl RaftNetworkV2<TypeConfig> for Calls {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        Ok(self.target()?.append_entries(request).await.map_err(lost)?)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Ok(self.target()?.vote(request).await.map_err(lost)?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        _cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        Ok(self.target()?.install_full_snapshot(vote, snapshot).await.map_err(lost)?)
    }
}

/// tokio's clock, which stands still while anything can run.
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn wall_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What of a node outlives its process.
struct Node {
    id: u64,
    disk: SimDisk,
    store: Memory,
    reachable: Reachable,
}

struct Running {
    raft: Group,
    replica: Arc<Replica>,
    tasks: Vec<JoinHandle<()>>,
}

fn config() -> Arc<Config> {
    let config = Config {
        heartbeat_interval: 200,
        election_timeout_min: 800,
        election_timeout_max: 1600,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        enable_leader_restore: Some(false),
        ..Config::default()
    };
    Arc::new(config.validate().unwrap())
}

impl Node {
    fn new(id: u64, seed: u64, reachable: &Reachable) -> Self {
        let disk = SimDisk::new(seed * 10 + id);
        Self { id, disk, store: Memory::new(), reachable: reachable.clone() }
    }

    async fn start(&self) -> Running {
        self.start_with(Arc::new(|shard, broken| panic!("shard {shard}: {broken}"))).await
    }

    async fn start_with(&self, fatal: Fatal) -> Running {
        let options = journal::Options {
            segment_bytes: 8192,
            kept_bytes: 24 * 1024,
            ..journal::Options::default()
        };
        let (disk, dir) = (Arc::new(self.disk.clone()), Path::new("/journal"));
        let opened = journal::open(disk, dir, options, &JournalMarks::default());
        let (journal, mut committer) = opened.unwrap();
        let replica = Replica::open(Setup {
            shard: SHARD,
            journal: journal.clone(),
            store: Arc::new(self.store.clone()),
            machine: Box::new(Cells::default()),
            fatal: fatal.clone(),
            dirty: Box::new(|_| {}),
        });
        let replica = replica.unwrap();
        let clock = Arc::new(PausedClock(Instant::now()));
        let when = Options { dirty_parts: 20, journal_bytes: 64 * 1024, ..Options::default() };
        let mut checkpointer = Checkpointer::new(journal.clone(), clock, when, [replica.clone()]);
        let committing = tokio::spawn(async move {
            loop {
                while committer.step().unwrap() {}
                sleep(Duration::from_millis(1)).await;
            }
        });
        let checkpointing = tokio::spawn(async move {
            loop {
                while checkpointer.step().unwrap() == Step::Worked {
                    tokio::task::yield_now().await;
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
        let calls = Calls { reachable: self.reachable.clone(), from: self.id, to: 0 };
        let log = LogStore::new(journal, NodeId(1), SHARD, fatal);
        let machine = StateMachine(replica.clone());
        let raft = Raft::new(self.id, config(), calls, log, machine).await.unwrap();
        let following = tokio::spawn(follow(raft.clone(), replica.marks()));
        self.reachable.lock().unwrap().insert(self.id, raft.clone());
        Running { raft, replica, tasks: vec![committing, checkpointing, following] }
    }

    /// Power goes: nothing is written from here on, and what wasn't synced may be lost.
    async fn kill(&self, running: Running) {
        for task in &running.tasks {
            task.abort();
        }
        self.reachable.lock().unwrap().remove(&self.id);
        drop(running.raft.shutdown().await);
        drop(running);
        self.disk.crash();
        self.store.crash();
    }
}

impl Running {
    /// Writes, again where the leader's lease has run out.
    async fn write(&self, cell: u64, value: u64) -> bool {
        for _ in 0..100 {
            let proposal = Proposal(format!("{}={value}", cell % 50).into());
            match self.raft.client_write(proposal).await {
                Ok(_) => return true,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
        false
    }

    async fn applied(&self, index: u64) {
        let wait = self.raft.wait(Some(Duration::from_secs(60)));
        wait.applied_index_at_least(Some(index), "applied").await.unwrap();
    }

    fn last(&self) -> u64 {
        self.raft.metrics().borrow_watched().last_log_index.unwrap_or(0)
    }

    fn value(&self, cell: u64) -> Option<u64> {
        let cell = Bytes::from((cell % 50).to_string());
        let value = self.replica.with(|cells: &mut Cells| cells.cells.get(&cell).cloned());
        value.map(|value| std::str::from_utf8(&value).unwrap().parse().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_moment_a_group_of_one_misses_nothing_that_was_acknowledged() {
    let entropy = SeededEntropy::new(3);
    crate::runtime::seed(&entropy);
    let node = Node::new(1, 3, &Reachable::default());
    let mut acknowledged: BTreeMap<u64, u64> = BTreeMap::new();
    let mut value = 0;
    for life in 0..30 {
        let running = node.start().await;
        if life == 0 {
            running.raft.initialize(BTreeMap::from([(1, ())])).await.unwrap();
        }
        let wait = running.raft.wait(Some(Duration::from_secs(60)));
        wait.current_leader(1, "it leads again").await.unwrap();
        running.applied(running.last()).await;
        for (cell, value) in &acknowledged {
            assert!(running.value(*cell) >= Some(*value), "cell {cell} in life {life}");
        }
        let until = Instant::now() + Duration::from_millis(entropy.below(300));
        while Instant::now() < until {
            value += 1;
            assert!(running.write(value, value).await);
            acknowledged.insert(value % 50, value);
        }
        // One more is on its way when the power goes.
        value += 1;
        let (raft, lost) = (running.raft.clone(), format!("{}={value}", value % 50));
        let writing = tokio::spawn(async move { raft.client_write(Proposal(lost.into())).await });
        tokio::task::yield_now().await;
        node.kill(running).await;
        drop(writing.await);
    }
    let running = node.start().await;
    assert!(running.replica.checkpoint().unwrap().number.0 > 5, "checkpoints were made");
    node.kill(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_was_away_too_long_takes_the_leaders_checkpoint() {
    crate::runtime::seed(&SeededEntropy::new(5));
    let reachable = Reachable::default();
    let nodes: Vec<Node> = (1..=3).map(|id| Node::new(id, 5, &reachable)).collect();
    let mut running = Vec::new();
    for node in &nodes {
        running.push(node.start().await);
    }
    running[0].raft.initialize(BTreeMap::from([(1, ()), (2, ()), (3, ())])).await.unwrap();
    let wait = running[0].raft.wait(Some(Duration::from_secs(60)));
    let leads = |metrics: &openraft::RaftMetrics<TypeConfig>| metrics.current_leader.is_some();
    let leader = wait.metrics(leads, "a leader").await.unwrap().current_leader.unwrap();
    let leader = usize::try_from(leader).unwrap() - 1;
    let away = (leader + 1) % 3;
    let cut_off = reachable.lock().unwrap().remove(&nodes[away].id).unwrap();
    for value in 0..1_500 {
        assert!(running[leader].write(value, value).await);
    }
    let behind = running[away].last();
    let begins = running[leader].replica.journal.log_state(SHARD).first_index.unwrap();
    assert!(begins > behind + 1, "the log that it misses is purged: {begins}, {behind}");
    reachable.lock().unwrap().insert(nodes[away].id, cut_off);
    let last = running[leader].last();
    running[away].applied(last).await;
    for other in 0..3 {
        running[other].applied(last).await;
        assert_eq!(running[other].replica.hash(), running[leader].replica.hash());
    }
    let state = running[away].replica.journal.log_state(SHARD);
    assert!(state.purged.unwrap().index > behind, "it was given a snapshot");

    // It comes back from its own disk.
    let follower = running.remove(away);
    nodes[away].kill(follower).await;
    let follower = nodes[away].start().await;
    follower.applied(last).await;
    assert!(follower.value(1_499) == Some(1_499));
    nodes[away].kill(follower).await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_while_applying_calls_the_hook_once_and_answers_nobody() {
    crate::runtime::seed(&SeededEntropy::new(9));
    let node = Node::new(1, 9, &Reachable::default());
    let broken = Arc::new(Mutex::new(Vec::new()));
    let notes = broken.clone();
    let fatal: Fatal = Arc::new(move |shard, _| notes.lock().unwrap().push(shard));
    let running = node.start_with(fatal).await;
    running.raft.initialize(BTreeMap::from([(1, ())])).await.unwrap();
    assert!(running.write(1, 1).await);
    let before = running.replica.hash();
    let bad = Proposal(Bytes::from_static(b"it has no equals sign"));
    running.raft.client_write(bad).await.unwrap_err();
    assert!(running.raft.client_write(Proposal("1=2".into())).await.is_err(), "it is over");
    assert_eq!(*broken.lock().unwrap(), [SHARD]);
    assert_eq!(running.replica.hash(), before);
    node.kill(running).await;
}
