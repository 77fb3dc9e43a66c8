//! All shards of this node: opens the data directory, joins or forms the cluster, runs a group for
//! each shard and answers for any of them. Never a socket for clients.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Disk, Entropy, NodeId, ShardId};
use store::Stores;
use streams::command::Command;
use streams::query::Query;
use tokio::time::Instant;
use topology::{Addresses, MetaCommand, MetaReply};

use crate::bus::Bus;
use crate::link::Link;
use crate::settings::{self, Settings};
use crate::shards::{Held, NodeStatus, PeerStatus, Pending, ProposeError, Shards};
use crate::waits::Watch;

mod host;
pub(crate) mod inner;
pub(crate) mod running;

use inner::Inner;

/// Everything that the world can change, handed in.
#[derive(Clone)]
pub struct World {
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub link: Arc<dyn Link>,
    pub stores: Arc<dyn Stores>,
    pub driver: Driver,
}

/// Who drives the committer of the journal, and the checkpointer.
#[derive(Clone)]
pub enum Driver {
    /// A thread of its own each: production.
    Thread,
    /// A task of the runtime each, with the time that one write and sync takes: simulation.
    Task(Pace),
}

/// How long the disk takes this time.
pub type Pace = Arc<dyn Fn() -> Duration + Send + Sync>;

impl Driver {
    /// A task whose disk takes no time.
    pub fn task() -> Self {
        Self::Task(Arc::new(|| Duration::ZERO))
    }
}

/// A line of the `[[node]]` list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Where other nodes reach it.
    pub peer: String,
    /// Where clients reach it.
    pub resp: String,
    pub resp_cluster: String,
    pub grpc: String,
}

/// What a node is told.
#[derive(Clone, Debug)]
pub struct Options {
    pub node: NodeId,
    pub data_dir: PathBuf,
    /// The `[[node]]` list, this node included. Read when the cluster forms; later only to find
    /// peers until the meta group has been heard.
    pub members: BTreeMap<NodeId, Member>,
    /// How many data shards the cluster is made with.
    pub shards: u16,
    /// Checksum of the `[cluster]` section: peers must agree on it.
    pub settings: u32,
    pub heartbeat: Duration,
    /// Shortest and longest.
    pub election: (Duration, Duration),
    /// From a command's arrival to `Unknown` or `Expired`.
    pub request_timeout: Duration,
    /// Caches, buffers and queues together, in bytes.
    pub memory_bytes: u64,
    /// Below this many bytes free, only what frees space is taken.
    pub disk_free_min: u64,
    pub segment_bytes: u64,
    pub ballast_bytes: u64,
    /// Of the journal, kept for followers that were away briefly.
    pub kept_bytes: u64,
    /// Dirty bytes of a shard that make it write a checkpoint.
    pub checkpoint_dirty_bytes: u64,
    pub reads: Reads,
}

/// How reads make sure that they are not stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// A round to a majority, shared by all reads that wait.
    #[default]
    Quorum,
    /// Under the leader's lease.
    Lease,
}

impl Default for Options {
    /// The documented defaults; `node`, `data_dir` and `members` are to be set.
    fn default() -> Self {
        Self {
            node: NodeId(0),
            data_dir: PathBuf::new(),
            members: BTreeMap::new(),
            shards: 1,
            settings: 0,
            heartbeat: Duration::from_millis(100),
            election: (Duration::from_millis(400), Duration::from_millis(800)),
            request_timeout: Duration::from_secs(10),
            memory_bytes: 1 << 30,
            disk_free_min: 2 << 30,
            segment_bytes: 64 << 20,
            ballast_bytes: 64 << 20,
            kept_bytes: 256 << 20,
            checkpoint_dirty_bytes: 8 << 20,
            reads: Reads::Quorum,
        }
    }
}

/// Why a node doesn't start, or ends. The message is one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What it was told can't be right.
    #[error("{0}")]
    Config(String),
    /// Its data can't be trusted, or is gone.
    #[error("{0}")]
    Untrusted(String),
    /// The machine refuses: repair it, then start again.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    pub(crate) fn panicked(said: &str) -> Self {
        Self::Refused(format!(
            "a part of this node panicked, please report it: {said}; start again"
        ))
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Config(_) => 1,
            Failure::Untrusted(_) => 2,
            Failure::Refused(_) => 3,
        }
    }
}

/// What [`Node::panic_core`] panics with.
pub const SIMULATED_PANIC: &str = "a simulated error in the core";

/// All shards of this node.
pub struct Node(Arc<Inner>);

impl Node {
    /// Opens the data directory, starts a group for each shard and returns; the cluster forms, and
    /// leaders appear, behind it ([`NodeStatus::ready`]). Call it inside the tokio runtime that is
    /// to carry the shards.
    ///
    /// # Errors
    /// What is wrong with the configuration, the data directory, or the machine.
    pub async fn start(options: Options, world: World) -> Result<Arc<Node>, Failure> {
        Ok(Arc::new(Node(Inner::start(options, world).await?)))
    }

    /// From here on a panic in any task of the shards on this thread ends the node: see [`Node::failed`].
    pub fn end_on_panic(&self) {
        let node = Arc::downgrade(&self.0);
        crate::runtime::on_panic(move |said| {
            if let Some(node) = node.upgrade() {
                node.fail(Failure::panicked(said));
            }
        });
    }

    /// Ends when the node must: the process says why and exits with [`Failure::exit_code`].
    pub async fn failed(&self) -> Failure {
        self.0.failed().await
    }

    /// Hands every leadership over and waits (bounded) until others lead: first step of SIGTERM.
    /// Commands are still taken and forwarded.
    pub async fn hand_over(&self) {
        crate::supervisor::hand_over(&self.0).await;
    }

    /// Stops all groups, syncs the journal, closes the link. Nothing is taken any more.
    pub async fn stop(&self) {
        self.0.stop().await;
    }

    /// Ends as a killed process would: nothing more is written or sent, nobody is answered. For
    /// simulation; what is left of its groups ends behind it.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// Makes a group's core panic, as an error in openraft would. For simulation.
    pub async fn panic_core(&self, shard: ShardId) {
        if let Some(group) = self.0.running().and_then(|running| running.group(shard)) {
            let panicked = group.raft.with_raft_state(|_| panic!("{SIMULATED_PANIC}"));
            let _: Result<(), _> = panicked.await;
        }
    }

    /// Has nothing taken to the store any more, or again, as where the disk takes nothing. For
    /// simulation: only [`Driver::Task`] looks at it.
    pub fn hold_checkpoints(&self, hold: bool) {
        if let Some(running) = self.0.running() {
            running.hold_checkpoints(hold);
        }
    }

    /// Whether an entry of a shard's log is on this node's disk, as its journal knows it: openraft hears of it
    /// later. For simulation.
    pub fn is_synced(&self, shard: ShardId, index: u64) -> bool {
        self.0.running().is_none_or(|running| running.journal.is_synced(shard, index))
    }

    /// The term of an entry of a shard's log, where this node's journal has it. For simulation.
    pub fn term_of(&self, shard: ShardId, index: u64) -> Option<u64> {
        self.0.running()?.journal.term_of(shard, index)
    }

    /// Asks a shard's leader, where it is this node, to hand over to a voter that has caught up. Nothing says
    /// whether it comes to that.
    pub async fn step_down(&self, shard: ShardId) {
        crate::supervisor::step_down(&self.0, shard).await;
    }

    /// Bytes that this node's shards hold in memory because they aren't in the store yet.
    pub fn dirty_bytes(&self) -> usize {
        self.0.running().map_or(0, inner::Running::dirty_bytes)
    }

    /// Puts a new node, with the returned id, into the place of one that is lost, in every shard.
    /// Returns once the meta group has it; the shards follow behind it.
    ///
    /// # Errors
    /// One line that says why not.
    pub async fn replace(&self, lost: NodeId, member: Member) -> Result<NodeId, String> {
        let running = self.0.running().ok_or("this node belongs to no cluster yet")?;
        let meta = running.group(ShardId::META).ok_or("the meta group doesn't run here")?;
        let command = MetaCommand::Replace { lost, addresses: member.into() };
        let timeout = self.0.options.request_timeout;
        match crate::meta::propose(&self.0.router, &meta, &command, timeout).await? {
            MetaReply::Node(id) => Ok(id),
            _ => Err("the meta group allotted no id".into()),
        }
    }
}

impl From<Member> for Addresses {
    fn from(member: Member) -> Self {
        let Member { peer, resp, resp_cluster, grpc } = member;
        Self { peer, resp, resp_cluster, grpc }
    }
}

impl Shards for Node {
    fn write(&self, shard: ShardId, command: Command) -> Pending {
        match self.0.gateway(shard) {
            Ok(gateway) => {
                if let Some(low) = self.0.low_disk(shard, &command) {
                    return Pending::ready(Err(ProposeError::DiskFull(low)));
                }
                let (answer, pending) = Pending::new();
                gateway.write(command, answer);
                pending
            }
            Err(error) => Pending::ready(Err(error)),
        }
    }

    fn read(&self, shard: ShardId, query: Query) -> Pending {
        match self.0.gateway(shard) {
            Ok(gateway) => {
                let (answer, pending) = Pending::new();
                gateway.read(query, answer);
                pending
            }
            Err(error) => Pending::ready(Err(error)),
        }
    }

    fn read_here(&self, shard: ShardId, query: Query) -> Pending {
        let group = self.0.running().and_then(|running| running.group(shard));
        Pending::ready(match group {
            Some(group) => crate::read::here(&group, &query),
            None => Err(ProposeError::Expired),
        })
    }

    fn leader(&self, shard: ShardId) -> Option<NodeId> {
        let leader = self.0.running()?.group(shard)?.leader()?;
        let reached = leader == self.0.options.node || self.0.router.is_connected(leader);
        reached.then_some(leader)
    }

    fn watch(&self, shard: ShardId, query: Query) -> Watch {
        let running = self.0.running();
        let watcher = running.and_then(|running| running.watcher(shard));
        watcher.map_or_else(Watch::never, |watcher| watcher.watch(query))
    }

    fn settings(&self) -> Settings {
        self.0.running().and_then(settings::heard).unwrap_or_default()
    }

    fn choose(&self, numbers: BTreeMap<String, u64>) -> Pending {
        let (answer, pending) = Pending::new();
        let node = Arc::clone(&self.0);
        self.0.spawn(async move { drop(answer.send(settings::choose(node, numbers).await)) });
        pending
    }

    fn held(&self, shard: ShardId, wanted: usize, deadline: Option<Instant>) -> Held {
        Box::pin(crate::held::ask(Arc::clone(&self.0), shard, wanted, deadline))
    }

    fn bus(&self) -> Option<&Bus> {
        Some(&self.0.bus)
    }

    fn shard_of(&self, key: &[u8]) -> ShardId {
        self.0.map.shard_of(key)
    }

    fn shards(&self) -> Vec<ShardId> {
        self.0.map.shards().collect()
    }

    fn status(&self) -> NodeStatus {
        self.0.status(true)
    }

    fn outline(&self) -> NodeStatus {
        self.0.status(false)
    }
}
