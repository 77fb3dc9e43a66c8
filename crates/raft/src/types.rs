//! What openraft is told about our types, and their encoding: the same bytes in journal records and
//! in frames between peers. Never I/O, never what is inside a proposal.
//!
//! ```text
//! entry       kind (1 blank, 2 proposal, 3 membership), term, index, payload
//! payload     blank: empty · proposal: its own bytes, not copied · membership: as below
//! vote        1, term u64, node u64, committed u8
//! log id      term u64, index u64
//! membership  1, configs u16, each: nodes u16, each u64; learners u16, each u64
//! stored membership   1, 0 | 1 + log id, membership
//! ```
//!
//! All numbers are little-endian. A committed leader id is the term: in our mode a term has at most
//! one leader.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use openraft::impls::leader_id_std;
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, RaftTypeConfig};
use streams::event::Event;
use streams::reply::{Entry as StreamEntry, Reply};

use crate::runtime::Runtime;

openraft::declare_raft_types!(
    /// Weir's types, as openraft wants to know them.
    pub TypeConfig:
        D = Proposal,
        R = Applied,
        NodeId = u64,
        Node = (),
        Term = u64,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = Runtime,
);

pub type LeaderId = <TypeConfig as RaftTypeConfig>::LeaderId;
pub type CommittedLeaderId = <LeaderId as RaftLeaderId>::Committed;
pub type LogId = openraft::LogId<CommittedLeaderId>;
pub type Vote = openraft::impls::Vote<LeaderId>;
pub type Payload = EntryPayload<Proposal, u64, ()>;
pub type Entry = openraft::Entry<CommittedLeaderId, Payload>;
pub type Membership = openraft::Membership<u64, ()>;
pub type StoredMembership = openraft::StoredMembership<CommittedLeaderId, u64, ()>;
pub type SnapshotMeta = openraft::storage::SnapshotMeta<CommittedLeaderId, u64, ()>;

/// What an entry asks the state machine to do: an encoded batch of commands, or a command of the
/// meta group. Encoded once where it is proposed; shared by journal, peers and apply.
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal(pub Bytes);

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proposal of {} bytes", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What applying an entry came to. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Applied(pub Arc<Outcomes>);

/// The answers of one entry. Empty for entries without a command.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// Data shards: a list for each run of the batch, a reply for each of its commands.
    pub runs: Vec<Vec<Reply<StreamEntry>>>,
    /// What happened, for readers that wait.
    pub events: Vec<Event>,
    /// The meta group's own answer, encoded.
    pub meta: Bytes,
}

/// Bytes of a peer or of the journal that don't decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} does not decode: {detail}")]
pub struct DecodeError {
    pub what: &'static str,
    pub detail: &'static str,
}

/// Kind of an entry without content: a new leader's first.
pub const KIND_BLANK: u8 = 1;
/// Kind of an entry whose payload is a [`Proposal`].
pub const KIND_PROPOSAL: u8 = 2;
/// Kind of an entry that changes the members.
pub const KIND_MEMBERSHIP: u8 = 3;

const VERSION: u8 = 1;

/// Log id from its parts.
pub fn log_id(term: u64, index: u64) -> LogId {
    let leader_id = LeaderId { term, voted_for: 0 }.to_committed();
    LogId { leader_id, index }
}

/// Kind and payload of an entry. A proposal is shared, not copied.
pub fn encode_payload(payload: &Payload) -> (u8, Bytes) {
    match payload {
        EntryPayload::Blank => (KIND_BLANK, Bytes::new()),
        EntryPayload::Normal(Proposal(bytes)) => (KIND_PROPOSAL, bytes.clone()),
        EntryPayload::Membership(membership) => {
            let mut out = BytesMut::new();
            encode_membership(membership, &mut out);
            (KIND_MEMBERSHIP, out.freeze())
        }
    }
}

/// The entry that [`encode_payload`] took apart.
pub fn decode_entry(term: u64, index: u64, kind: u8, payload: Bytes) -> Result<Entry, DecodeError> {
    let payload = match kind {
        KIND_BLANK if payload.is_empty() => EntryPayload::Blank,
        KIND_BLANK => {
            return Err(DecodeError { what: "entry", detail: "a blank one has a payload" });
        }
        KIND_PROPOSAL => EntryPayload::Normal(Proposal(payload)),
        KIND_MEMBERSHIP => {
            let mut reader = Reader { what: "membership", rest: &payload };
            let membership = reader.membership()?;
            reader.end()?;
            EntryPayload::Membership(membership)
        }
        _ => return Err(DecodeError { what: "entry", detail: "unknown kind" }),
    };
    Ok(Entry { log_id: log_id(term, index), payload })
}

/// Bytes of a vote.
pub fn encode_vote(vote: &Vote) -> Bytes {
    let mut out = BytesMut::with_capacity(18);
    out.put_u8(VERSION);
    out.put_u64_le(vote.leader_id.term);
    out.put_u64_le(vote.leader_id.voted_for);
    out.put_u8(u8::from(vote.committed));
    out.freeze()
}

/// The vote of [`encode_vote`].
pub fn decode_vote(bytes: &[u8]) -> Result<Vote, DecodeError> {
    let mut reader = Reader { what: "vote", rest: bytes };
    reader.version()?;
    let leader_id = LeaderId { term: reader.u64()?, voted_for: reader.u64()? };
    let committed = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(reader.error("neither committed nor not")),
    };
    reader.end()?;
    Ok(Vote { leader_id, committed })
}

/// Adds a membership.
pub fn encode_membership(membership: &Membership, out: &mut BytesMut) {
    out.put_u8(VERSION);
    let configs = membership.get_joint_config();
    put_count(out, configs.len());
    for config in configs {
        put_count(out, config.len());
        config.iter().for_each(|node| out.put_u64_le(*node));
    }
    let learners: Vec<u64> = membership.learner_ids().collect();
    put_count(out, learners.len());
    learners.iter().for_each(|node| out.put_u64_le(*node));
}

/// Adds a membership with the log id of the entry that set it.
pub fn encode_stored_membership(stored: &StoredMembership, out: &mut BytesMut) {
    out.put_u8(VERSION);
    encode_log_id(stored.log_id().as_ref(), out);
    encode_membership(stored.membership(), out);
}

/// Adds a log id, if there is one.
pub fn encode_log_id(log_id: Option<&LogId>, out: &mut BytesMut) {
    out.put_u8(u8::from(log_id.is_some()));
    if let Some(log_id) = log_id {
        out.put_u64_le(log_id.leader_id.term);
        out.put_u64_le(log_id.index);
    }
}

/// The membership of [`encode_stored_membership`].
pub fn decode_stored_membership(bytes: &[u8]) -> Result<StoredMembership, DecodeError> {
    let mut reader = Reader { what: "membership", rest: bytes };
    let stored = reader.stored_membership()?;
    reader.end()?;
    Ok(stored)
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u16_le(u16::try_from(count).expect("a group has few members"));
}

/// Takes fields off the front of some bytes; every short read is an error that names the whole.
pub(crate) struct Reader<'a> {
    pub(crate) what: &'static str,
    pub(crate) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn error(&self, detail: &'static str) -> DecodeError {
        DecodeError { what: self.what, detail }
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) =
            self.rest.split_at_checked(bytes).ok_or_else(|| self.error("it is cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were taken"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn version(&mut self) -> Result<(), DecodeError> {
        match self.u8()? {
            VERSION => Ok(()),
            _ => Err(self.error("unknown version")),
        }
    }

    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error("bytes are left over")) }
    }

    pub(crate) fn log_id(&mut self) -> Result<Option<LogId>, DecodeError> {
        match self.u8()? {
            0 => Ok(None),
            1 => Ok(Some(log_id(self.u64()?, self.u64()?))),
            _ => Err(self.error("neither a log id nor none")),
        }
    }

    fn nodes(&mut self) -> Result<BTreeSet<u64>, DecodeError> {
        let count = self.u16()?;
        (0..count).map(|_| self.u64()).collect()
    }

    pub(crate) fn membership(&mut self) -> Result<Membership, DecodeError> {
        self.version()?;
        let count = self.u16()?;
        let configs: Vec<_> = (0..count).map(|_| self.nodes()).collect::<Result<_, _>>()?;
        let learners = self.nodes()?;
        Ok(Membership::new_with_defaults(configs, learners))
    }

    pub(crate) fn stored_membership(&mut self) -> Result<StoredMembership, DecodeError> {
        self.version()?;
        let log_id = self.log_id()?;
        Ok(StoredMembership::new(log_id, self.membership()?))
    }
}

#[cfg(test)]
mod tests;
