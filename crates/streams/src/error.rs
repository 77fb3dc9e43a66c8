//! The two ways not to do what was asked: an answer, or the end of the process.

use bytes::Bytes;

use crate::id::BlockKey;

/// A deterministic answer, the same on every replica; nothing has changed. The texts are those of
/// Redis and are written where RESP is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// XADD with an id that isn't above the stream's last one.
    IdNotAbove,
    /// XADD on a stream whose last id is the greatest there is.
    IdsExhausted,
    /// No such key, where one is required: XINFO, XSETID.
    NoKey,
    /// XGROUP CREATE without MKSTREAM on a missing key, XGROUP SETID and others likewise.
    GroupNeedsKey,
    /// No such key or group in XREADGROUP.
    NoGroupForRead { key: Bytes, group: Bytes },
    /// No such key or group in XPENDING, XCLAIM, XAUTOCLAIM.
    NoGroup { key: Bytes, group: Bytes },
    /// No such group in XGROUP and XINFO CONSUMERS.
    NoGroupForKey { key: Bytes, group: Bytes },
    /// XGROUP CREATE of a group that is there.
    GroupExists,
    /// XSETID below the last entry.
    SetIdBelowLast,
    /// XSETID below the greatest deleted id of the stream.
    SetIdBelowDeleted,
    /// XSETID below the given MAXDELETEDID.
    SetIdBelowGivenDeleted,
    /// XSETID with fewer ENTRIESADDED than there are entries.
    SetIdAddedBelowLength,
    /// The sequence range was applied before and its reply is no longer kept, or belongs to an
    /// older life of the gateway, or leaves a gap.
    Stale,
    /// Too many unanswered replies of one gateway are kept.
    TooManyKept,
    /// COPY of a stream that is too big to be copied in one step.
    TooBigToCopy,
    /// A step of a transaction whose earlier steps read as much as one may.
    TransactionReadsTooMuch,
    /// OBJECT FREQ: nothing counts how often a key is asked for.
    NoFrequency,
    /// The shard that was asked doesn't own the keys: whoever routed the call there is behind.
    Misplaced,
}

/// This node can't be trusted any more. The process ends; nobody is answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A block that `needs` named was not handed in.
    #[error("block {0:?} was needed and not handed in")]
    BlockMissing(BlockKey),
    /// Bytes that don't decode.
    #[error("damaged {what}: {detail}")]
    Damaged { what: &'static str, detail: String },
}

/// Why a command stopped: for `?` inside this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Refused(Refusal),
    Fault(Fault),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
