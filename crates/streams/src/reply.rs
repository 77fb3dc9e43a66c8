//! What the state machine answers. Replies are data: shapes of RESP2, RESP3 and gRPC are made of
//! them by the doors.
//!
//! `apply` and `answer` give a `Reply<EntryRef>`, which names entries but holds none; the leader,
//! which has somebody to answer, turns it into a `Reply<Entry>`.

use bytes::Bytes;

use crate::error::Refusal;
use crate::id::{EntryId, StreamNumber};

/// An entry by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef {
    pub stream: StreamNumber,
    pub id: EntryId,
}

/// An entry with its fields, or without where it no longer exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: EntryId,
    /// Name, value, name, value; `None` where the entry was deleted or trimmed.
    pub fields: Option<Vec<Bytes>>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<E> {
    /// Done, nothing more to say.
    Ok,
    /// Nothing: NOMKSTREAM on a missing stream, a read that found nothing, XRANGE COUNT 0.
    Nil,
    /// A number: XLEN, XDEL, XTRIM, XACK, DEL, EXISTS, ...
    Count(u64),
    /// The id of the entry that was added.
    Added(EntryId),
    /// XRANGE, XREVRANGE, XCLAIM.
    Entries(Vec<E>),
    /// XDELEX, XACKDEL: what became of each id.
    Deleted(Vec<Deleted>),
    /// XCLAIM JUSTID.
    Ids(Vec<EntryId>),
    /// XREAD, XREADGROUP: in the caller's order, streams with nothing left out (but see history).
    Streams(Vec<(Bytes, Vec<E>)>),
    /// XREADGROUP with CLAIM: the same, with what is known of earlier deliveries.
    Deliveries(Vec<(Bytes, Vec<Delivery<E>>)>),
    /// XAUTOCLAIM.
    AutoClaimed { next: EntryId, claimed: Claimed<E>, deleted: Vec<EntryId> },
    /// XPENDING, the short form.
    PendingSummary(PendingSummary),
    /// XPENDING with a range.
    Pending(Vec<PendingEntry>),
    /// XINFO STREAM.
    Stream(Box<StreamInfo<E>>),
    /// XINFO STREAM FULL.
    StreamFull(Box<StreamFullInfo<E>>),
    /// XINFO GROUPS.
    Groups(Vec<GroupInfo>),
    /// XINFO CONSUMERS.
    Consumers(Vec<ConsumerInfo>),
    /// TYPE: whether the key is a stream.
    Type { exists: bool },
    /// No such key, where that is an answer: OBJECT, MEMORY USAGE, RANDOMKEY.
    NoKey,
    /// A number that may be below 0: TTL and its kin.
    Signed(i64),
    /// WATCH: the number of each key, none where there is no such key.
    Watched(Vec<Option<u64>>),
    /// EXEC: what each step came to.
    Transaction(Vec<Reply<E>>),
    /// Inside [`Reply::Transaction`], with its entries: a later step may have removed them.
    Held(Box<Reply<Entry>>),
    /// A text: RANDOMKEY, OBJECT ENCODING.
    Text(Bytes),
    /// KEYS.
    Keys(Vec<Bytes>),
    /// SCAN: where to go on, 0 at the end, and what was found.
    Scanned { next: u64, keys: Vec<Bytes> },
    /// A deterministic no.
    Refused(Refusal),
}

impl Reply<Entry> {
    /// What it holds, about: of answers with entries or keys, which may be large. Others are small.
    pub fn bytes_about(&self) -> usize {
        const SMALL: usize = 64;
        match self {
            Self::Entries(entries) => bytes_of(entries),
            Self::Streams(streams) => streams.iter().map(|(_, entries)| bytes_of(entries)).sum(),
            Self::Keys(keys) | Self::Scanned { keys, .. } => {
                keys.iter().map(|key| key.len() + SMALL).sum()
            }
            Self::Pending(entries) => entries.len() * SMALL,
            Self::Transaction(replies) => replies.iter().map(Self::bytes_about).sum(),
            Self::Held(reply) => reply.bytes_about(),
            _ => SMALL,
        }
    }
}

/// Each with its id, its fields, and what says where they lie.
fn bytes_of(entries: &[Entry]) -> usize {
    let fields = |entry: &Entry| -> usize {
        let fields = entry.fields.iter().flatten();
        fields.map(|field| field.len() + size_of::<Bytes>()).sum()
    };
    entries.iter().map(|entry| size_of::<Entry>() + fields(entry)).sum()
}

/// What became of an id that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// There is no such entry, or it isn't pending where it was to be acknowledged.
    Missing,
    Done,
    /// It stays, since a group still refers to it.
    Kept,
}

/// An entry as XREADGROUP with CLAIM gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<E> {
    pub entry: E,
    /// `None` in the history of a consumer, where nothing is claimed.
    pub earlier: Option<Earlier>,
}

/// How an entry was delivered before; both 0 where it wasn't.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    pub idle_ms: u64,
    pub deliveries: u64,
}

/// What XAUTOCLAIM gives of each entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed<E> {
    Entries(Vec<E>),
    Ids(Vec<EntryId>),
}

/// XPENDING, the short form. `total` 0 has no range and no consumers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingSummary {
    pub total: u64,
    pub range: Option<(EntryId, EntryId)>,
    /// Consumers with pending entries, by name.
    pub consumers: Vec<(Bytes, u64)>,
}

/// One line of XPENDING with a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEntry {
    pub id: EntryId,
    /// Empty where it is nobody's.
    pub consumer: Bytes,
    /// `None` where it is nobody's.
    pub idle_ms: Option<u64>,
    pub deliveries: u64,
}

/// What XINFO STREAM says in both forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    pub length: u64,
    /// Blocks, the open one included: `radix-tree-keys`.
    pub blocks_count: u64,
    /// Nodes of the radix tree that Redis would have, for `radix-tree-nodes`.
    pub tree_nodes_count: u64,
    pub last_id: EntryId,
    pub max_deleted_id: EntryId,
    pub entries_added: u64,
    pub first_id: EntryId,
    /// `None` in the answer of a node that doesn't know it yet.
    pub idempotence: Option<IdempotenceInfo>,
}

/// What a stream remembers of its producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotenceInfo {
    pub duration_ms: u64,
    /// Of each producer.
    pub ids_max: u64,
    pub producers_count: u64,
    pub ids_count: u64,
    /// Entries that were ever added under an id.
    pub added: u64,
    /// Adds that were found to be done already.
    pub duplicates: u64,
    /// Ids that were forgotten before their time, for want of room.
    pub dropped: u64,
}

/// XINFO STREAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo<E> {
    pub summary: StreamSummary,
    pub groups_count: u64,
    pub first: Option<E>,
    pub last: Option<E>,
}

/// XINFO STREAM FULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFullInfo<E> {
    pub summary: StreamSummary,
    pub entries: Vec<E>,
    pub groups: Vec<GroupFullInfo>,
}

/// A group in XINFO STREAM FULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFullInfo {
    pub info: GroupInfo,
    pub pending: Vec<PendingDetail>,
    pub consumers: Vec<ConsumerFullInfo>,
}

/// A pending entry in XINFO STREAM FULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingDetail {
    pub id: EntryId,
    pub consumer: Bytes,
    pub delivered_ms: u64,
    pub deliveries: u64,
}

/// A consumer in XINFO STREAM FULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerFullInfo {
    pub name: Bytes,
    pub seen_ms: u64,
    /// When it was last given an entry, if ever.
    pub active_ms: Option<u64>,
    pub pending_count: u64,
    pub pending: Vec<PendingDetail>,
}

/// XINFO GROUPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    pub name: Bytes,
    pub consumers_count: u64,
    pub pending_count: u64,
    pub last_delivered_id: EntryId,
    pub entries_read: Option<u64>,
    /// As Redis reckons it, where it can.
    pub lag: Option<u64>,
    /// The entries that the group has yet to read, counted: where Redis can't tell.
    pub unread: Option<u64>,
    /// Pending entries that are nobody's; `None` in the answer of a node that doesn't know it yet.
    pub nacked_count: Option<u64>,
}

/// XINFO CONSUMERS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerInfo {
    pub name: Bytes,
    pub pending_count: u64,
    pub idle_ms: u64,
    /// Since it was last given an entry; `None` where it never was.
    pub inactive_ms: Option<u64>,
}
