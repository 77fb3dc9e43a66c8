//! Exactly once: which commands of each gateway were applied, and the replies that it may ask for
//! again. Never what a command does.
//!
//! ```text
//! sequence   1 .. lowest unanswered .. mark          mark + 1
//!            forgotten     | kept replies            the only one that is applied next
//! ```
//! Sequences of a node's life begin at [`SEQUENCE_FIRST`] and are dense per shard.

use std::collections::{BTreeMap, VecDeque};

use base::planted::{Bug, is};
use base::{Incarnation, NodeId};

use crate::encoding::put_reply;
use crate::limits::{KEPT_REPLIES_MAX, KEPT_REPLY_BYTES_MAX};
use crate::reply::{Claimed, Entry, EntryRef, Reply};
use crate::state::State;

/// The first sequence number of a gateway's life in a shard.
pub const SEQUENCE_FIRST: u64 = 1;

/// Who proposed a command: one life of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    pub node: NodeId,
    pub incarnation: Incarnation,
}

/// Whether a command is to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admit {
    /// It is the next one: apply it, then [`State::keep`] its reply.
    Apply,
    /// It was applied: this was the reply.
    Kept(Reply<EntryRef>),
    /// It must not be applied.
    Refused(NotAdmitted),
}

/// Why a command must not be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// It was applied and its reply is gone, or it is of an older life of its gateway.
    Stale,
    /// One before it is missing.
    Gap,
    /// Too many replies are kept for its gateway. Its number is not used up.
    TooMany,
}

/// All gateways.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    pub(crate) by_node: BTreeMap<NodeId, Session>,
    /// Gateways that changed since the last checkpoint; may name one twice.
    pub(crate) changed: Vec<NodeId>,
}

/// What is known of one gateway, in its newest life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    pub(crate) incarnation: Incarnation,
    /// The highest sequence applied.
    pub(crate) mark: u64,
    /// Replies of the sequences up to `mark`, the last ones.
    pub(crate) kept: VecDeque<Reply<EntryRef>>,
    pub(crate) kept_bytes: usize,
    pub(crate) changed: bool,
}

impl Session {
    /// A session of a life of which nothing was applied yet.
    fn begin(incarnation: Incarnation, changed: bool) -> Self {
        Self { incarnation, mark: SEQUENCE_FIRST - 1, changed, ..Self::default() }
    }

    /// The sequence of the first kept reply.
    pub(crate) fn kept_from(&self) -> u64 {
        self.mark + 1 - self.kept.len() as u64
    }

    fn forget_below(&mut self, lowest_unanswered: u64) {
        while self.kept_from() < lowest_unanswered
            && let Some(reply) = self.kept.pop_front()
        {
            self.kept_bytes -= reply_bytes(&reply);
        }
    }

    pub(crate) fn push(&mut self, reply: Reply<EntryRef>) {
        self.kept_bytes += reply_bytes(&reply);
        self.kept.push_back(reply);
    }
}

impl State {
    /// Whether the command that a gateway sent under a sequence number is to be applied. Replies
    /// below `lowest_unanswered` are forgotten: their clients have them.
    pub fn admit(&mut self, origin: &Origin, sequence: u64, lowest_unanswered: u64) -> Admit {
        let session = self.sessions.of(origin);
        if origin.incarnation < session.incarnation {
            return Admit::Refused(NotAdmitted::Stale);
        }
        session.forget_below(lowest_unanswered);
        if sequence <= session.mark && is(Bug::RetryAppliedTwice) {
            return Admit::Apply;
        }
        if sequence <= session.mark {
            let kept = sequence.checked_sub(session.kept_from());
            let kept = kept.and_then(|at| session.kept.get(usize::try_from(at).ok()?));
            return match kept {
                Some(reply) => Admit::Kept(reply.clone()),
                None => Admit::Refused(NotAdmitted::Stale),
            };
        }
        if sequence != session.mark + 1 {
            return Admit::Refused(NotAdmitted::Gap);
        }
        let full =
            session.kept.len() >= KEPT_REPLIES_MAX || session.kept_bytes >= KEPT_REPLY_BYTES_MAX;
        if full { Admit::Refused(NotAdmitted::TooMany) } else { Admit::Apply }
    }

    /// Keeps the reply to the command that [`State::admit`] let through, under its number.
    pub fn keep(&mut self, origin: &Origin, sequence: u64, reply: &Reply<EntryRef>) {
        let session = self.sessions.of(origin);
        let is_next = session.incarnation == origin.incarnation && sequence == session.mark + 1;
        debug_assert!(is_next, "only what was admitted is kept");
        if is_next {
            session.mark = sequence;
            session.push(reply.clone());
        }
        self.dirty.bytes += 16;
    }

    /// The highest sequence applied of a gateway's life; `None` where the life isn't its newest
    /// one, or unknown.
    pub fn mark(&self, origin: &Origin) -> Option<u64> {
        let session = self.sessions.by_node.get(&origin.node)?;
        (session.incarnation == origin.incarnation).then_some(session.mark)
    }
}

impl Sessions {
    /// The session of a node, which counts as changed; begun anew by a newer life.
    fn of(&mut self, origin: &Origin) -> &mut Session {
        let session = self
            .by_node
            .entry(origin.node)
            .or_insert_with(|| Session::begin(origin.incarnation, false));
        if origin.incarnation > session.incarnation {
            *session = Session::begin(origin.incarnation, session.changed);
        }
        if !session.changed {
            session.changed = true;
            self.changed.push(origin.node);
        }
        session
    }
}

/// About what a kept reply takes in memory. Fixed numbers, not `size_of`: it decides what `admit`
/// answers, which must not depend on the compiler.
pub(crate) fn reply_bytes(reply: &Reply<EntryRef>) -> usize {
    const REPLY_BYTES: usize = 64;
    const REF_BYTES: usize = 24;
    const DELIVERY_BYTES: usize = 48;
    let more = match reply {
        Reply::Entries(entries) => entries.len() * REF_BYTES,
        Reply::Ids(ids) => ids.len() * REF_BYTES,
        Reply::Deleted(done) => done.len(),
        Reply::Watched(numbers) => numbers.len() * REF_BYTES,
        Reply::Transaction(replies) => replies.iter().map(reply_bytes).sum(),
        Reply::Held(reply) => held_bytes(reply),
        Reply::Streams(streams) => streams
            .iter()
            .map(|(key, entries)| REPLY_BYTES + key.len() + entries.len() * REF_BYTES)
            .sum(),
        Reply::Deliveries(streams) => streams
            .iter()
            .map(|(key, entries)| REPLY_BYTES + key.len() + entries.len() * DELIVERY_BYTES)
            .sum(),
        Reply::AutoClaimed { claimed, deleted, .. } => {
            let claimed = match claimed {
                Claimed::Entries(entries) => entries.len(),
                Claimed::Ids(ids) => ids.len(),
            };
            (claimed + deleted.len()) * REF_BYTES
        }
        _ => 0,
    };
    REPLY_BYTES + more
}

/// The same of a reply that holds its entries: about what it is encoded.
fn held_bytes(reply: &Reply<Entry>) -> usize {
    let mut bytes = Vec::new();
    put_reply(&mut bytes, reply);
    bytes.len()
}
