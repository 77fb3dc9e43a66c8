//! Peer transport as something that is handed in: messages to and from a node id, connections that
//! come and go. Never what a message means, never who is right about leadership.
//!
//! ```text
//! Link    what a node calls: send, cut, peers      (grpc: sockets; sim: one process, one seed)
//! Party   what a link calls: greet, up, frame, down (the node)
//! ```
//!
//! Each pair of nodes has one connection for all shards, dialled by the higher id, with three lanes
//! that don't wait for each other: votes and heartbeats must not stand behind megabytes of entries.
//! Within a lane messages arrive in order or the connection goes down; after that nothing of the
//! old one arrives any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{ClusterId, Incarnation, NodeId, ShardId};
use bytes::Bytes;

pub(crate) mod queue;
pub mod sim;

/// Which of a connection's lanes a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Small and impatient: votes, heartbeats, questions, answers to them.
    Urgent,
    /// Entries on their way to followers, runs of commands on their way to leaders.
    Log,
    /// Chunks of snapshots.
    Bulk,
}

impl Lane {
    /// Every lane, in the order of its number.
    pub const ALL: [Lane; 3] = [Lane::Urgent, Lane::Log, Lane::Bulk];

    /// Its place in [`Lane::ALL`].
    pub fn number(self) -> usize {
        match self {
            Lane::Urgent => 0,
            Lane::Log => 1,
            Lane::Bulk => 2,
        }
    }
}

/// One message. What `kind`, `session` and `number` mean is up to who reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub shard: ShardId,
    pub kind: u8,
    pub session: u64,
    pub number: u64,
    pub head: Bytes,
    /// Passed through as they are: entries are encoded once for the disk and both peers.
    pub body: Vec<Bytes>,
}

/// What a message costs beside its bytes, roughly: so that a flood of empty ones is bounded too.
const MESSAGE_OVERHEAD_BYTES: usize = 64;

impl Message {
    /// What it counts against limits.
    pub fn bytes(&self) -> usize {
        let body: usize = self.body.iter().map(|part| part.len() + 8).sum();
        MESSAGE_OVERHEAD_BYTES + self.head.len() + body
    }
}

/// What every frame says beside its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    pub cluster: ClusterId,
    pub from: NodeId,
    pub to: NodeId,
    /// The sender's clock in milliseconds since the Unix epoch.
    pub clock_ms: u64,
    /// Bytes free on the sender's disk.
    pub disk_free: u64,
    /// The sender takes no entries until its checkpoints have caught up.
    pub pressed: bool,
    /// The sender is about to stop: it takes no leadership any more.
    pub leaving: bool,
}

/// Messages that arrived together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub envelope: Envelope,
    pub messages: Vec<Message>,
}

/// How a node introduces itself when a connection opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Zero where the node belongs to no cluster yet.
    pub cluster: ClusterId,
    pub from: NodeId,
    /// Whom the sender believes it talks to.
    pub to: NodeId,
    pub incarnation: Incarnation,
    /// Checksum of the `[cluster]` settings.
    pub settings: u32,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no connection.
    #[error("not connected")]
    Down,
    /// Too many bytes wait for this peer.
    #[error("the peer is too far behind")]
    Full,
}

/// The transport of one node.
pub trait Link: Send + Sync + 'static {
    /// Begins to dial and to accept. Called once, inside a tokio runtime.
    fn start(&self, party: Arc<dyn Party>);

    /// Hands a message over; it is on its way, or lost when the connection goes down.
    fn send(&self, to: NodeId, lane: Lane, message: Message) -> Result<(), SendError>;

    /// Closes the connection to a peer; it is opened again.
    fn cut(&self, peer: NodeId);

    /// Whom to be connected with, and where they listen.
    fn set_peers(&self, peers: BTreeMap<NodeId, String>);

    /// Closes everything for good.
    fn stop(&self);
}

/// The node behind a link. Calls come from the link's tasks and must not block.
pub trait Party: Send + Sync + 'static {
    /// What to say to `peer` when a connection opens.
    fn greeting(&self, peer: NodeId) -> Greeting;

    /// Whether to talk to who says this; the error is told to the peer.
    fn greeted(&self, greeting: &Greeting) -> Result<(), String>;

    /// What the next frame says to `peer`.
    fn envelope(&self, peer: NodeId) -> Envelope;

    /// A connection is open, both ways.
    fn up(&self, peer: NodeId);

    /// It is closed; everything that was under way on it is lost.
    fn down(&self, peer: NodeId);

    /// Something arrived. An error closes the connection and is told to the peer.
    fn frame(&self, frame: Frame) -> Result<(), String>;
}
