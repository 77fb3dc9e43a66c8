//! What the doors (RESP, gRPC) see of the replicated shards. Never openraft's types.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base::{ClusterId, NodeId, ShardId};
use streams::command::Command;
use streams::query::Query;
use streams::reply::{Entry, Reply};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::bus::Bus;
use crate::settings::Settings;
use crate::waits::Watch;

/// All shards of the cluster, as seen from this node: led here, or elsewhere and forwarded.
pub trait Shards: Send + Sync + 'static {
    /// Proposes a command; the answer comes when it is applied here or at the leader after commit.
    /// Commands given to one shard in some order are applied in that order. A failover is seen as
    /// latency, up to the request deadline.
    fn write(&self, shard: ShardId, command: Command) -> Pending;

    /// Asks behind a read barrier.
    fn read(&self, shard: ShardId, query: Query) -> Pending;

    /// Asks this node's own replica for what it has applied: no barrier, and perhaps not the newest.
    fn read_here(&self, shard: ShardId, query: Query) -> Pending {
        self.read(shard, query)
    }

    /// Who leads a shard, as far as this node knows, and can be reached.
    fn leader(&self, shard: ShardId) -> Option<NodeId> {
        let status = self.outline();
        let leader = status.shards.iter().find(|it| it.shard == shard)?.leader;
        let reached = |id: &NodeId| status.peers.iter().any(|it| it.node == *id && it.connected);
        leader.filter(reached)
    }

    /// Waits at the shard's leader until it is worth asking a query (again): a [`Query::Read`] whose
    /// places are ids, or a [`Query::WouldDeliver`].
    fn watch(&self, shard: ShardId, query: Query) -> Watch;

    /// Waits until so many replicas beside the leader hold on disk what this shard acknowledged
    /// before, or until `deadline` (none: for ever); tells how many do.
    fn held(&self, shard: ShardId, wanted: usize, deadline: Option<Instant>) -> Held {
        let _ = (shard, wanted, deadline);
        Box::pin(std::future::ready(0))
    }

    /// What was chosen for the whole cluster, as far as this node has heard.
    fn settings(&self) -> Settings;

    /// Chooses for the whole cluster, by the names in [`crate::settings`]. The answer comes when
    /// every shard goes by it.
    fn choose(&self, numbers: BTreeMap<String, u64>) -> Pending;

    /// Where to publish and to listen, over all nodes; none where that isn't offered.
    fn bus(&self) -> Option<&Bus> {
        None
    }

    /// The shard that owns a key's slot.
    fn shard_of(&self, key: &[u8]) -> ShardId;

    /// Every data shard, in order.
    fn shards(&self) -> Vec<ShardId>;

    /// What this node knows of itself and its shards. Costs a walk over every state's metadata,
    /// for its hash: for people who ask.
    fn status(&self) -> NodeStatus;

    /// The same without the hashes, which are 0: cheap enough to be asked for each request.
    fn outline(&self) -> NodeStatus {
        self.status()
    }
}

/// A number of replicas that is on its way.
pub type Held = Pin<Box<dyn Future<Output = usize> + Send>>;

/// The answer to a command or query, or why there is none.
pub type Outcome = Result<Reply<Entry>, ProposeError>;

/// An answer that is on its way. Dropping it does not take the command back.
#[derive(Debug)]
pub struct Pending {
    answer: oneshot::Receiver<Outcome>,
    observer: Option<(Instant, Observer)>,
}

/// Told how long an answer took, once.
pub type Observer = fn(Duration, &Outcome);

impl Pending {
    /// A pending answer and the sender that completes it.
    pub fn new() -> (oneshot::Sender<Outcome>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self { answer: receiver, observer: None })
    }

    /// An answer that is there already.
    pub fn ready(outcome: Outcome) -> Self {
        let (sender, pending) = Self::new();
        drop(sender.send(outcome));
        pending
    }

    /// The same answer, with `observer` told when it is taken how long it took from now.
    #[must_use]
    pub fn observed(mut self, observer: Observer) -> Self {
        self.observer = Some((Instant::now(), observer));
        self
    }
}

impl Future for Pending {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let got = std::task::ready!(Pin::new(&mut self.answer).poll(context));
        let outcome = got.unwrap_or(Err(ProposeError::Stopped));
        if let Some((asked, observer)) = self.observer.take() {
            observer(asked.elapsed(), &outcome);
        }
        Poll::Ready(outcome)
    }
}

/// Why there is no answer, by who must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This node does not lead the shard; perhaps that one does. Never seen through [`Shards`],
    /// which forwards, except on the port for cluster-aware clients.
    #[error("not the leader of shard {shard}")]
    NotLeader { shard: ShardId, leader: Option<NodeId> },
    /// A limit in bytes or in kept replies is reached: try again later.
    #[error("overloaded: {0}")]
    Overloaded(&'static str),
    /// The disk of a node that the majority needs is low: only what frees space is taken.
    #[error("disk space is low on node {0}")]
    DiskFull(NodeId),
    /// The deadline passed and the write may have happened, or may yet.
    #[error("the write may have happened")]
    Unknown,
    /// The deadline passed and surely nothing happened.
    #[error("no leader within the time allowed")]
    Expired,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

/// What a node knows of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    pub cluster: ClusterId,
    pub node: NodeId,
    /// Every local shard has a leader and this replica is caught up.
    pub ready: bool,
    /// Replaced nodes are not listed.
    pub peers: Vec<PeerStatus>,
    /// The meta group included.
    pub shards: Vec<ShardStatus>,
    /// The id that a replacement node would get.
    pub node_id_next: u64,
}

/// Another node, or this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerStatus {
    pub node: NodeId,
    /// As clients reach them.
    pub resp: String,
    pub resp_cluster: String,
    pub grpc: String,
    pub peer: String,
    pub connected: bool,
    /// It is about to stop: it takes no leadership any more.
    pub leaving: bool,
    /// How far its clock is from ours in milliseconds, where known.
    pub clock_offset_ms: Option<i64>,
}

/// One replica of one shard, as this node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardStatus {
    pub shard: ShardId,
    pub leader: Option<NodeId>,
    pub term: u64,
    pub last_index: u64,
    pub committed_index: u64,
    pub applied_index: u64,
    pub synced_index: u64,
    /// The term of that entry.
    pub synced_term: u64,
    /// The term of the vote that is synced.
    pub voted_term: u64,
    /// For whom that vote is.
    pub voted_for: Option<NodeId>,
    pub checkpoint_index: u64,
    pub voters: Vec<NodeId>,
    /// Keys that this replica holds.
    pub keys: u64,
    /// Of these, such as expire.
    pub expiring_keys: u64,
    /// Entries that each follower is behind; known to the leader only.
    pub lag: Vec<(NodeId, u64)>,
    /// Of the state at `applied_index`: equal on every replica that applied as much.
    pub state_hash: u64,
}
