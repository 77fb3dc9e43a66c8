//! What stands behind a Raft group: a deterministic machine that the shell feeds with entries, and
//! whose changes it takes to the store. Never consensus, never when a checkpoint is made.

pub mod data;

use std::any::Any;

use base::ShardId;
use bytes::Bytes;
use streams::error::Fault;

use crate::types::{DecodeError, Outcomes};

/// A state machine. All calls come one after another. Whatever a machine must look up to apply an
/// entry (sealed blocks) it fetches itself from the store it was made with.
pub trait Machine: Any + Send {
    /// Applies one entry. `answer` is whether somebody waits for the outcome: where not, replies
    /// may be left out. A refusal is an outcome; an error means that this node can't be trusted.
    fn apply(&mut self, proposal: &Bytes, answer: bool) -> Result<Outcomes, Broken>;

    /// What changed since the last [`Machine::checkpoint`].
    fn dirty(&self) -> Dirty;

    /// Whether what the shards of this node hold that isn't in the store should shrink now, however
    /// little each of them holds.
    fn is_filling(&self) -> bool {
        false
    }

    /// Whether this node has more to write to its store than it should take on: nothing more is to
    /// be proposed or taken from a leader until checkpoints have caught up.
    fn is_pressed(&self) -> bool {
        false
    }

    /// Takes everything that changed since the last call, and counts as clean from here on. What
    /// is taken stays readable in the machine until [`Machine::switched`].
    fn checkpoint(&mut self) -> Contents;

    /// The contents of the last checkpoint are in the store: what the machine kept of it only to
    /// be able to read it may go.
    fn switched(&mut self);

    /// None where [`Machine::load`] wants the part with this key; else the last key of a range
    /// from this one on of which it wants none.
    fn unwanted(&self, key: &[u8]) -> Option<Bytes>;

    /// Becomes what a checkpoint describes, whatever it was before. `header` is that of the last
    /// checkpoint, empty where there is none.
    fn load(&mut self, header: &[u8], parts: &mut Parts<'_>) -> Result<(), Broken>;

    /// Equal on every replica that applied as much.
    fn hash(&self) -> u64;
}

/// Parts of a checkpoint, in order of their keys.
pub type Parts<'a> = dyn Iterator<Item = Result<(Bytes, Bytes), Broken>> + 'a;

/// How much changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    pub bytes: usize,
    pub parts: usize,
}

/// What a checkpoint changes in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Whatever belongs to the state as a whole; small.
    pub header: Bytes,
    /// Keys and values.
    pub put: Vec<(Bytes, Bytes)>,
    pub removed: Vec<Bytes>,
    pub dropped_prefixes: Vec<Bytes>,
}

/// This node can't be trusted any more: the process ends, nobody is answered.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The journal failed to sync or to be read.
    #[error("journal: {0}")]
    Journal(String),
}

/// Called once when a replica is broken: ends the process. In a test it may return.
pub type Fatal = std::sync::Arc<dyn Fn(ShardId, &Broken) + Send + Sync>;

#[cfg(test)]
pub(crate) mod cells;
