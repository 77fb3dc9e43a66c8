//! What a store does, for one replica of each shard of a node. Never how.
//!
//! ```text
//! put, put, ...   parts of checkpoint n, ahead: not visible, forgotten by a crash
//! switch          one small atomic batch: from here on the shard is at checkpoint n
//! sweep           what no checkpoint and no pin refers to goes, a little at a time
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::ShardId;
use bytes::Bytes;

/// Counts a shard's checkpoints; every part is stored under the number that wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointNumber(pub u64);

/// A named piece of a shard's state. A key starts with nothing in particular; keys that share a
/// prefix can be dropped together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub key: Bytes,
    pub value: Bytes,
}

/// What the switch to a checkpoint changes. Everything put under `number` is referred to from then
/// on, so it isn't listed again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    /// Above the shard's current one.
    pub number: CheckpointNumber,
    /// Whatever belongs to the checkpoint as a whole: applied log id, membership, shard clock.
    pub meta: Bytes,
    /// Parts that are no longer referred to. A key that was put under `number` may not be here.
    pub removed: Vec<Bytes>,
    /// Every part whose key starts so, and was not put under `number`, is no longer referred to.
    pub dropped_prefixes: Vec<Bytes>,
}

/// The checkpoint that a shard is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    pub number: CheckpointNumber,
    pub meta: Bytes,
}

/// Keeps everything a checkpoint refers to until it is dropped, while other checkpoints go on. It
/// holds sweeping up, so it needs a deadline.
pub trait Pin: Send + Sync + 'static {
    /// The checkpoint that is held.
    fn root(&self) -> Root;
    /// Keys of its parts, in order, after `after`, at most `limit`.
    fn keys(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<Bytes>, Error>;
    /// One of its parts.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;
}

/// The store of a node. Calls may come from any thread; those that change something for one shard
/// come one after another.
pub trait Store: Send + Sync + 'static {
    /// The checkpoint that the shard is at; `None` before its first. [`Error::Damaged`] for a shard
    /// whose state is not whole, while others of the same store may be.
    fn root(&self, shard: ShardId) -> Result<Option<Root>, Error>;

    /// A part of the current checkpoint.
    fn get(&self, shard: ShardId, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Keys of the current checkpoint that start with `prefix`, in order, after `after`, at most
    /// `limit`.
    fn keys(
        &self,
        shard: ShardId,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Bytes>, Error>;

    /// Writes parts of a checkpoint ahead: at most [`crate::PUT_PARTS_MAX`] at once, each key once
    /// under a number. Not visible, and durable no sooner than the switch. What was put under a
    /// number before a crash is forgotten, so after a restart the number may be used again.
    ///
    /// Several numbers may be open at a time: a snapshot is staged under one far above the current
    /// while checkpoints go on below it. A switch closes every number up to its own.
    fn put(&self, shard: ShardId, number: CheckpointNumber, parts: &[Part]) -> Result<(), Error>;

    /// Forgets what was put under a number, which may then be used again: a transfer that failed.
    fn abandon(&self, shard: ShardId, number: CheckpointNumber) -> Result<(), Error>;

    /// Makes a checkpoint the current one, atomically and durably, with everything it refers to.
    /// Refuses a number that isn't above the current one.
    fn switch(&self, shard: ShardId, switch: Switch) -> Result<(), Error>;

    /// Replaces the shard's whole state by what was put under the number: installing a snapshot.
    /// Atomic, durable and refused like [`Store::switch`].
    fn replace(&self, shard: ShardId, number: CheckpointNumber, meta: Bytes) -> Result<(), Error>;

    /// Gives up a shard's state, damaged or not: it has no checkpoint afterwards, and takes puts and
    /// a [`Store::replace`] again. For repair, when a peer's checkpoint is about to be staged.
    fn forget(&self, shard: ShardId) -> Result<(), Error>;

    /// Holds the current checkpoint; `None` before the first.
    fn pin(&self, shard: ShardId) -> Result<Option<Box<dyn Pin>>, Error>;

    /// Removes a little of what nothing refers to any more. True while there is more that can be
    /// removed now; what a pin holds can't.
    fn sweep(&self, shard: ShardId) -> Result<bool, Error>;

    /// Bytes on disk.
    fn bytes_on_disk(&self) -> Result<u64, Error>;
}

/// Where nodes' stores are: opened, and put out of the way.
pub trait Stores: Send + Sync + 'static {
    /// Opens the store in `dir`, or makes one there. [`Error::Unreadable`] for one that is damaged
    /// as a whole.
    fn open(&self, dir: &Path) -> Result<Arc<dyn Store>, Error>;

    /// Renames a store that can't be read, so that a new one can be made in its place, and says its
    /// new name; none where it was set aside before. No process may have it open. It is removed when
    /// every shard has its replacement.
    fn set_aside(&self, dir: &Path) -> io::Result<Option<PathBuf>>;

    /// Removes the stores that were set aside from `dir`.
    fn remove_set_aside(&self, dir: &Path) -> io::Result<()>;
}

/// Why a store can't do what it is asked. None of these is retried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that is missing or fails its checksum: met while running, the process notes it and
    /// ends; met at open, the shard says so at every call while others go on.
    #[error("damaged value in the store of shard {shard}, key {key}: {detail}")]
    Damaged { shard: ShardId, key: String, detail: String },
    /// The whole store can't be read.
    #[error("damaged store: {0}")]
    Unreadable(String),
    /// Written by a newer program: it is neither read nor set aside.
    #[error("{} has format version {version}, newer than this program: use the newer one", file.display())]
    Newer { file: PathBuf, version: u8 },
    /// The disk refused.
    #[error("store: {0}")]
    Io(#[from] io::Error),
    /// A caller broke the rules of this trait.
    #[error("store misused: {0}")]
    Misuse(&'static str),
}
