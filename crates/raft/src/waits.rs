//! Readers that wait for something to arrive: who is to be woken, in which order, and how a node's
//! waits follow a shard's leader. Only ever a hint that it is worth asking again: what a reader is
//! given, it asks for as any other does. So a wake that is lost or comes twice loses and doubles
//! nothing.
//!
//! ```text
//! watcher    each node, for each shard: the waits of its clients, told to the leader
//! serve      at the leader: who waits, told by what is applied
//! registry   the order of those who wait; pure
//! codec      their messages as bytes
//! ```
//!
//! Readers of a group are woken in the order in which they came, as many as there is something for.

pub(crate) mod codec;
mod registry;
mod serve;
mod watcher;

pub use watcher::{WaitWork, Watch, Watches};

pub(crate) use serve::{Asked, Replies, serve};
pub(crate) use watcher::{Watcher, WatcherSetup};

use base::NodeId;
use streams::query::Query;

/// What a node tells the leader of its waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// What changed. Answered at once; one at a time.
    Tell(Tell),
    /// Whom to wake? Answered when there is somebody, or after a while.
    Poll { epoch: u64 },
}

/// Changes of a node's waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tell {
    /// Waits that were told under another epoch are forgotten.
    pub(crate) epoch: u64,
    /// The first of its epoch.
    pub(crate) first: bool,
    pub(crate) add: Vec<(u64, Query)>,
    /// They wait no longer.
    pub(crate) done: Vec<u64>,
    /// They were woken for nothing, and wait on in their places.
    pub(crate) again: Vec<u64>,
}

/// What the leader answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// To a poll: these. To changes: noted.
    Woken(Vec<u64>),
    /// This epoch isn't known here (any more): everything is to be told anew.
    Unknown,
    /// This node doesn't lead; perhaps that one does.
    NotLeader(Option<NodeId>),
}
