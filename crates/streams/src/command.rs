//! What the state machine is asked to do. RESP and gRPC both become these; neither is known here.

use bytes::Bytes;

use crate::id::EntryId;
use crate::query::Query;
use crate::settings::Settings;

/// A change, ordered by the log. Option rules that need no state (arity, `LIMIT` without `~`, a
/// malformed id) are settled by whoever builds the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// XADD.
    Add(Add),
    /// XCFGSET: bounds of what is remembered of producers, at least one of them.
    Configure { key: Bytes, duration_ms: Option<u64>, ids_max: Option<u64> },
    /// XTRIM.
    Trim { key: Bytes, trim: Trim },
    /// XDELEX.
    DeleteWith { key: Bytes, ids: Vec<EntryId>, references: References },
    /// XACKDEL.
    AckDelete { key: Bytes, group: Bytes, ids: Vec<EntryId>, references: References },
    /// XDEL.
    Delete { key: Bytes, ids: Vec<EntryId> },
    /// XSETID.
    SetId {
        key: Bytes,
        last_id: EntryId,
        entries_added: Option<u64>,
        max_deleted_id: Option<EntryId>,
    },
    /// XGROUP CREATE.
    GroupCreate {
        key: Bytes,
        group: Bytes,
        start: GroupStart,
        make_stream: bool,
        entries_read: Option<u64>,
    },
    /// XGROUP SETID.
    GroupSetId { key: Bytes, group: Bytes, start: GroupStart, entries_read: Option<u64> },
    /// XGROUP DESTROY.
    GroupDestroy { key: Bytes, group: Bytes },
    /// XGROUP CREATECONSUMER.
    ConsumerCreate { key: Bytes, group: Bytes, consumer: Bytes },
    /// XGROUP DELCONSUMER.
    ConsumerDelete { key: Bytes, group: Bytes, consumer: Bytes },
    /// XREADGROUP.
    ReadGroup(ReadGroup),
    /// XACK.
    Ack { key: Bytes, group: Bytes, ids: Vec<EntryId> },
    /// XNACK.
    Nack(Nack),
    /// XCLAIM.
    Claim(Claim),
    /// XAUTOCLAIM.
    AutoClaim(AutoClaim),
    /// DEL, UNLINK: all keys belong to this shard.
    Remove { keys: Vec<Bytes> },
    /// EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT.
    Expire { key: Bytes, when: When, only: ExpireOnly },
    /// PERSIST.
    Persist { key: Bytes },
    /// RENAME and RENAMENX: both keys belong to this shard.
    Rename { key: Bytes, to: Bytes, only_new: bool },
    /// COPY: the same.
    Copy { key: Bytes, to: Bytes, replace: bool },
    /// FLUSHALL and FLUSHDB, for this shard.
    Flush,
    /// The leader's tick: what has expired by now goes, so much at a time.
    ExpireDue,
    /// WATCH: tells under which number each of these keys is unchanged from now on.
    Watch { keys: Vec<Bytes> },
    /// What was chosen for all shards, as far as this one has nothing newer.
    Set(Settings),
    /// What stands between MULTI and EXEC: all of it or nothing.
    Transaction(Transaction),
    /// Stands in for a command whose deadline passed before it was applied: it will never be.
    Void,
    /// Stands in for a command that came to a shard that doesn't own its keys: it is refused, under
    /// its number.
    Misplaced,
}

impl Command {
    /// Every key that it names, in its order.
    pub fn keys(&self) -> impl Iterator<Item = &Bytes> {
        let (one, many, read): (Option<&Bytes>, &[Bytes], &[(Bytes, ReadFrom)]) = match self {
            Self::Add(add) => (Some(&add.key), &[], &[]),
            Self::Configure { key, .. }
            | Self::Trim { key, .. }
            | Self::Delete { key, .. }
            | Self::DeleteWith { key, .. }
            | Self::AckDelete { key, .. }
            | Self::SetId { key, .. }
            | Self::GroupCreate { key, .. }
            | Self::GroupSetId { key, .. }
            | Self::GroupDestroy { key, .. }
            | Self::ConsumerCreate { key, .. }
            | Self::ConsumerDelete { key, .. }
            | Self::Ack { key, .. }
            | Self::Expire { key, .. }
            | Self::Persist { key } => (Some(key), &[], &[]),
            Self::Nack(nack) => (Some(&nack.key), &[], &[]),
            Self::Claim(claim) => (Some(&claim.key), &[], &[]),
            Self::AutoClaim(claim) => (Some(&claim.key), &[], &[]),
            Self::Rename { key, to, .. } | Self::Copy { key, to, .. } => {
                (Some(key), std::slice::from_ref(to), &[])
            }
            Self::Remove { keys } | Self::Watch { keys } => (None, keys, &[]),
            Self::Transaction(_) => (None, &[], &[]),
            Self::ReadGroup(read) => (None, &[], &read.streams),
            Self::Flush | Self::ExpireDue | Self::Set(_) | Self::Void | Self::Misplaced => {
                (None, &[], &[])
            }
        };
        let of_steps = match self {
            Self::Transaction(transaction) => transaction.keys(),
            _ => Vec::new(),
        };
        one.into_iter().chain(many).chain(read.iter().map(|(key, _)| key)).chain(of_steps)
    }
}

/// XADD. `fields` is non-empty and of even length: name, value, name, value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    pub key: Bytes,
    pub id: AddId,
    pub fields: Vec<Bytes>,
    /// Answer nil instead of making a stream that isn't there (NOMKSTREAM).
    pub must_exist: bool,
    pub trim: Option<Trim>,
    /// Only with [`AddId::Auto`].
    pub once: Option<Producer>,
}

/// IDMP: who adds an entry, and its own id for it. What was added under this id is not added again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    pub name: Bytes,
    pub id: Bytes,
}

/// How the id of a new entry is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddId {
    /// `*`: from the stamp and the stream's last id.
    Auto,
    /// `ms-*`: these milliseconds, the next free sequence.
    Ms(u64),
    /// As given.
    Exact(EntryId),
}

/// What to cut from the head of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    pub keep: Keep,
    /// `~`: whole blocks only.
    pub approximate: bool,
    /// At most this many entries go in one call; only with `approximate`. `None` is the default of
    /// Redis (100 blocks' worth), `Some(0)` is no limit.
    pub limit: Option<u64>,
    pub references: References,
}

/// What becomes of groups' references to entries that are deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// KEEPREF: they stay.
    #[default]
    Keep,
    /// DELREF: they go with the entry.
    Delete,
    /// ACKED: an entry that any group has yet to read or to acknowledge is not deleted.
    Acked,
}

/// What a trim leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// MAXLEN: the newest so many entries.
    Newest(u64),
    /// MINID: entries with this id or a greater one.
    From(EntryId),
}

/// Where a group starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupStart {
    /// `$`: after the last entry.
    Last,
    /// After this id.
    After(EntryId),
}

/// XREADGROUP over streams of one shard, in the caller's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadGroup {
    pub group: Bytes,
    pub consumer: Bytes,
    /// At most this many entries a stream; 0 is all.
    pub count: u64,
    pub most: Most,
    pub no_ack: bool,
    /// CLAIM: what was delivered to anybody and is idle for so long comes first, and every entry of
    /// a stream read by `>` says how it was delivered before.
    pub claim_idle_ms: Option<u64>,
    pub streams: Vec<(Bytes, ReadFrom)>,
}

/// What one read may give over all of its streams, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Most {
    /// MAXCOUNT.
    pub entries: Option<u64>,
    /// MAXSIZE, as the entries stand in a RESP2 reply. The first entry comes however big it is.
    pub bytes: Option<u64>,
}

impl Most {
    /// What is left to one of so many shards that share a read and can't know of each other.
    pub fn share(self, part: u64, parts: u64) -> Self {
        let share = |whole: u64| whole / parts + u64::from(part < whole % parts);
        Self { entries: self.entries.map(share), bytes: self.bytes.map(share) }
    }
}

/// What a group reader wants of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// `>`: entries that were never delivered to this group.
    New,
    /// Any other id: this consumer's own pending entries after it.
    History(EntryId),
}

/// XNACK: what is pending belongs to nobody from then on, and is first in line to be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    pub key: Bytes,
    pub group: Bytes,
    pub mode: NackMode,
    pub ids: Vec<EntryId>,
    /// RETRYCOUNT: what is counted, whatever the mode.
    pub deliveries: Option<u64>,
    /// Also what isn't pending, if it exists.
    pub force: bool,
}

/// What giving an entry back means to the count of its deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NackMode {
    /// The delivery doesn't count.
    Silent,
    /// It counts.
    Fail,
    /// No further delivery is worth while: the greatest count there is.
    Fatal,
}

/// XCLAIM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub key: Bytes,
    pub group: Bytes,
    pub consumer: Bytes,
    pub min_idle_ms: u64,
    pub ids: Vec<EntryId>,
    /// When the entry counts as delivered; `None` is now.
    pub delivered: Option<Delivered>,
    /// RETRYCOUNT.
    pub deliveries: Option<u64>,
    pub force: bool,
    pub just_id: bool,
    /// LASTID: moves the group forward, never back.
    pub last_id: Option<EntryId>,
}

/// The delivery time that XCLAIM sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// IDLE: so many milliseconds ago.
    IdleMs(u64),
    /// TIME: at this Unix time in milliseconds.
    AtMs(u64),
}

/// XAUTOCLAIM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoClaim {
    pub key: Bytes,
    pub group: Bytes,
    pub consumer: Bytes,
    pub min_idle_ms: u64,
    pub start: EntryId,
    /// At most this many entries, those that are gone included; at least 1.
    pub count: u64,
    pub just_id: bool,
}

/// Steps that are taken one after the other with nothing in between, unless a watched key changed:
/// then none is. A step that is refused keeps no other from being taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Keys with the numbers that [`Command::Watch`] told; none where there was no such key.
    pub watched: Vec<(Bytes, Option<u64>)>,
    pub steps: Vec<Step>,
}

/// What a transaction does or asks. Never a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Command(Command),
    Query(Query),
}

impl Transaction {
    /// Every key that it names.
    pub fn keys(&self) -> Vec<&Bytes> {
        let watched = self.watched.iter().map(|(key, _)| key);
        watched.chain(self.steps.iter().flat_map(Step::keys)).collect()
    }
}

impl Step {
    /// Every key that it names, in its order.
    pub fn keys(&self) -> Vec<&Bytes> {
        match self {
            Self::Command(command) => command.keys().collect(),
            Self::Query(query) => query.keys().collect(),
        }
    }
}

/// When a key is to expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So many milliseconds from now, or ago.
    InMs(i64),
    /// At this Unix time in milliseconds.
    AtMs(i64),
}

/// What must hold for a key's time to be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpireOnly {
    #[default]
    Always,
    /// NX: it has no time.
    WithoutTime,
    /// XX: it has one.
    WithTime,
    /// GT: it has an earlier one.
    Later,
    /// LT: it has a later one, or none.
    Earlier,
    /// XX LT: it has a later one.
    WithTimeEarlier,
}

/// The leader's clock, put on a command before it enters the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    pub now_ms: u64,
}
