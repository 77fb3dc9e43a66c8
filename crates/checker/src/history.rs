//! What clients did and saw: the only thing that the checker knows.

use std::time::Duration;

/// An entry's id.
pub type Id = (u64, u64);

/// A stream, by its place in the list of streams of the run.
pub type Stream = usize;

/// An entry as it was read: its id and its unique value.
pub type Seen = (Id, u64);

/// One call, from when it was sent to when it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// Calls of one client follow each other; those of one pipeline have the same `call`.
    pub client: usize,
    pub stream: Stream,
    pub call: Duration,
    pub ret: Duration,
    pub what: What,
}

/// What was asked, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An append of a value that nobody else appends. Only one with `once` is ever asked again.
    Add { value: u64, once: Option<Once>, outcome: Outcome<Id> },
    /// How many entries there are.
    Length { count: u64 },
    /// A range from `start` on: `whole` where it ended before its limit.
    Range { start: Id, entries: Vec<Seen>, whole: bool },
    /// What a reader that waits was given after an id; it goes on where this ended.
    Follow { after: Id, entries: Vec<Seen> },
    /// Everything below an id that was there goes.
    Trim { before: Id, outcome: Outcome<u64> },
    /// Entries that were seen go.
    Delete { ids: Vec<Id>, outcome: Outcome<u64> },
    /// What a group gave to a consumer: new entries, or those it was given and did not acknowledge.
    Deliver { consumer: usize, new: bool, entries: Vec<Seen> },
    /// Pending entries that a consumer takes over: those it was told that it has now. Where it may have taken over any
    /// and wasn't told which, the outcome is unknown and there are no ids.
    Claim { consumer: usize, ids: Vec<Id>, outcome: Outcome<()> },
    /// An acknowledgement: how many of them were pending until then.
    Ack { consumer: usize, ids: Vec<Id>, outcome: Outcome<u64> },
    /// What the group said of itself.
    Group { last_delivered: Id, entries_read: u64 },
}

/// A producer, and its id for an entry.
pub type Once = (u64, u64);

/// What is known of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It happened.
    Ok(T),
    /// It surely did not happen.
    Fail,
    /// It may have happened, or may yet.
    Unknown,
}

impl<T> Outcome<T> {
    /// Whether it may have happened.
    pub fn is_possible(&self) -> bool {
        !matches!(self, Self::Fail)
    }

    /// Whether it surely happened.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Ok(_))
    }
}

/// What is there at the end, when everything is well and nobody writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Final {
    /// Each stream as each node answers it: `[node][stream]`.
    pub entries: Vec<Vec<Vec<Seen>>>,
    /// Entries of each stream that has a group that are delivered and not acknowledged.
    pub pending: Vec<Option<Vec<Id>>>,
    /// Shard and the hashes of the state that its replicas report.
    pub hashes: Vec<(String, Vec<String>)>,
}
