//! The words of the journal's interface. No logic.

use std::fmt;
use std::sync::Arc;

use base::ShardId;
use bytes::Bytes;

/// A place in a shard's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    pub term: u64,
    pub index: u64,
}

/// A place in the journal: everything before it comes before it in the one order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The segment's number, from 1.
    pub segment: u64,
    /// Bytes from the start of the segment's file.
    pub offset: u64,
}

/// One entry of a shard's log. What `kind` and `payload` mean is the caller's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub term: u64,
    pub index: u64,
    pub kind: u8,
    pub payload: Bytes,
}

/// What a shard's log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// The last vote saved, as it was given.
    pub vote: Option<Bytes>,
    /// The last commit position saved. After a crash it may be an older one.
    pub committed: Option<LogId>,
    /// Entries up to and with this one are gone.
    pub purged: Option<LogId>,
    /// The last entry, or `purged` where there is none.
    pub last: Option<LogId>,
    /// The index of the first entry; none where there is none.
    pub first_index: Option<u64>,
}

/// The journal can't be trusted any longer: a write or a sync failed. Nothing that was handed in
/// and not acknowledged is certain; the process ends with exit code 3 and never tries again.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub(crate) Arc<str>);

impl Failed {
    pub(crate) fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string().into())
    }
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failed({})", self.0)
    }
}

/// Called once, when what was handed in is durable, or surely won't be acknowledged. On the
/// committer's thread: it must not block.
pub type Done = Box<dyn FnOnce(Result<(), Failed>) + Send>;

/// What the journal occupies, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all segment files, recycled ones that wait included.
    pub bytes: u64,
    /// Segments in use.
    pub segments: u64,
    /// Bytes handed in and not synced yet.
    pub unsynced_bytes: u64,
    /// For each shard with entries, the segment that holds its first; the smallest first. The
    /// shard at the front keeps the oldest segment from being recycled: checkpoint and purge it.
    pub pins: Vec<Pin>,
}

/// A shard's hold on old segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    pub shard: ShardId,
    /// The segment of the shard's first entry.
    pub segment: u64,
    /// Bytes of journal from that segment on.
    pub bytes: u64,
}
