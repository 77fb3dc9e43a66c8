//! What the state machine is asked to answer without changing anything.

use bytes::Bytes;

use crate::command::Most;
use crate::id::EntryId;

/// A question. Linearizable when asked behind a read barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// XLEN.
    Length { key: Bytes },
    /// XRANGE, XREVRANGE: both ends inclusive, `start <= end` not required (then empty).
    Range { key: Bytes, start: EntryId, end: EntryId, count: Option<u64>, reverse: bool },
    /// XREAD without blocking, over streams of one shard, in the caller's order.
    Read { count: u64, most: Most, streams: Vec<(Bytes, After)> },
    /// XPENDING, the short form.
    PendingSummary { key: Bytes, group: Bytes },
    /// XPENDING with a range.
    PendingRange {
        key: Bytes,
        group: Bytes,
        min_idle_ms: u64,
        start: EntryId,
        end: EntryId,
        count: u64,
        consumer: Option<Bytes>,
    },
    /// XINFO STREAM.
    Stream { key: Bytes },
    /// XINFO STREAM FULL; a count of 0 is all.
    StreamFull { key: Bytes, count: u64 },
    /// XINFO GROUPS.
    Groups { key: Bytes },
    /// XINFO CONSUMERS.
    Consumers { key: Bytes, group: Bytes },
    /// EXISTS: how many of these keys exist, a key named twice counting twice.
    Exists { keys: Vec<Bytes> },
    /// TYPE.
    Type { key: Bytes },
    /// DBSIZE, for this shard.
    KeysCount,
    /// Each stream's last id, 0-0 where there is none: what `$` stands for when a reader is to wait.
    LastIds { keys: Vec<Bytes> },
    /// SCAN, for this shard: looks at so many keys from a place on, and at all that share the last
    /// one's, so that going on where it ended leaves nothing out.
    Scan { place: u64, count: u64, pattern: Option<Bytes> },
    /// KEYS, for this shard: all that a pattern covers.
    Keys { pattern: Bytes },
    /// RANDOMKEY, for this shard: the key at a place or the next one behind it, around the end.
    KeyAt { place: u64 },
    /// TTL and its kin: how long a key is there, or until when; -1 where that has no end, -2 where it
    /// isn't there.
    Lifetime { key: Bytes, absolute: bool, in_ms: bool },
    /// OBJECT and MEMORY USAGE.
    Object { key: Bytes, about: About },
    /// Whether a group reader of `>` would be given anything, or its consumer has to be made: what
    /// the shell asks before it proposes a [`crate::command::ReadGroup`]. Answered by
    /// [`crate::reply::Reply::Count`] (1 propose, 0 don't) or a refusal.
    WouldDeliver(crate::command::ReadGroup),
}

impl Query {
    /// Every key that it names, in its order.
    pub fn keys(&self) -> impl Iterator<Item = &Bytes> {
        type Named<'a> = (Option<&'a Bytes>, &'a [Bytes], &'a [(Bytes, After)]);
        let (one, many, read): Named<'_> = match self {
            Self::Length { key }
            | Self::Range { key, .. }
            | Self::PendingSummary { key, .. }
            | Self::PendingRange { key, .. }
            | Self::Stream { key }
            | Self::StreamFull { key, .. }
            | Self::Groups { key }
            | Self::Consumers { key, .. }
            | Self::Type { key }
            | Self::Lifetime { key, .. }
            | Self::Object { key, .. } => (Some(key), &[], &[]),
            Self::Exists { keys } | Self::LastIds { keys } => (None, keys, &[]),
            Self::Read { streams, .. } => (None, &[], streams),
            Self::KeysCount
            | Self::Scan { .. }
            | Self::Keys { .. }
            | Self::KeyAt { .. }
            | Self::WouldDeliver(_) => (None, &[], &[]),
        };
        let group_read = match self {
            Self::WouldDeliver(read) => read.streams.as_slice(),
            _ => &[],
        };
        let read = read.iter().map(|(key, _)| key);
        let group_read = group_read.iter().map(|(key, _)| key);
        one.into_iter().chain(many).chain(read).chain(group_read)
    }
}

/// What OBJECT and MEMORY USAGE are asked about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Encoding,
    References,
    IdleTime,
    Frequency,
    /// What the key's contents take, in bytes.
    Bytes,
}

/// From where XREAD reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Entries after this id.
    Id(EntryId),
    /// `$`: after the last id at the time of the call, so: nothing, without blocking.
    Last,
    /// `+`: the last entry that exists.
    Newest,
}
