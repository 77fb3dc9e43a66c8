//! Refusals and failures as status codes, by who must act; the list is in `types.proto`. Never a
//! catch-all arm: a new refusal has to be sorted here.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base::{NodeId, ShardId};
use raft::{NodeStatus, ProposeError, Shards};
use rpc::v1;
use streams::error::Refusal;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::limits::RETRY_AFTER;

const DOMAIN: &str = "weir";

/// A failure, before it is known whether it ends a call or one append of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    code: Code,
    reason: &'static str,
    message: String,
    metadata: BTreeMap<&'static str, String>,
    retry_after: Option<Duration>,
}

/// Whether a call could have changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Write,
    Read,
}

impl Failure {
    pub(super) fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        let (message, metadata) = (message.into(), BTreeMap::new());
        Self { code, reason, message, metadata, retry_after: None }
    }

    /// The request is wrong.
    pub(super) fn invalid(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, reason, message)
    }

    /// The node is stopping, and did not begin what was asked.
    pub(super) fn stopping() -> Self {
        Self::new(Code::Unavailable, "STOPPING", "the node is stopping; ask another one")
            .with("outcome", "NONE")
    }

    /// A reply of another kind than the command's: a mistake in Weir.
    pub(super) fn unexpected(what: &'static str) -> Self {
        let message = format!("{what} was answered by a reply of another kind; please report this");
        Self::new(Code::Internal, "UNEXPECTED_REPLY", message)
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.metadata.insert(name, value.into());
        self
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let metadata: HashMap<String, String> =
            failure.metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut details = ErrorDetails::with_error_info(failure.reason, DOMAIN, metadata);
        if failure.retry_after.is_some() {
            details.set_retry_info(failure.retry_after);
        }
        Status::with_error_details(failure.code, failure.message, details)
    }
}

impl From<Failure> for v1::Failure {
    fn from(failure: Failure) -> Self {
        let metadata = failure.metadata.into_iter();
        v1::Failure {
            code: failure.code as i32,
            message: failure.message,
            reason: failure.reason.to_owned(),
            metadata: metadata.map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }
}

/// A refusal: the state machine's answer, the same on every replica.
pub(super) fn refused(refusal: &Refusal) -> Failure {
    use Code::{AlreadyExists, FailedPrecondition, NotFound, ResourceExhausted, Unavailable};
    let (code, reason, message) = match refusal {
        Refusal::IdNotAbove => {
            (FailedPrecondition, "ID_NOT_ABOVE", "the id is not above the stream's last one")
        }
        Refusal::IdsExhausted => {
            (FailedPrecondition, "IDS_EXHAUSTED", "the stream's last id is the greatest there is")
        }
        Refusal::NoKey | Refusal::GroupNeedsKey => {
            (NotFound, "STREAM_NOT_FOUND", "there is no such stream")
        }
        Refusal::NoGroupForRead { .. }
        | Refusal::NoGroup { .. }
        | Refusal::NoGroupForKey { .. } => {
            (NotFound, "GROUP_NOT_FOUND", "there is no such stream or group")
        }
        Refusal::GroupExists => (AlreadyExists, "GROUP_EXISTS", "the group exists"),
        Refusal::SetIdBelowLast => {
            (FailedPrecondition, "ID_BELOW_LAST", "the id is below the stream's last entry")
        }
        Refusal::SetIdBelowDeleted | Refusal::SetIdBelowGivenDeleted => {
            (FailedPrecondition, "ID_BELOW_DELETED", "the id is below the greatest deleted one")
        }
        Refusal::SetIdAddedBelowLength => {
            (FailedPrecondition, "ADDED_BELOW_LENGTH", "the stream has more entries than that")
        }
        Refusal::TooBigToCopy => {
            (FailedPrecondition, "TOO_BIG_TO_COPY", "the stream is too big to be copied at once")
        }
        Refusal::TransactionReadsTooMuch => {
            (FailedPrecondition, "READS_TOO_MUCH", "the transaction has read as much as one may")
        }
        Refusal::NoFrequency => {
            (FailedPrecondition, "NOT_COUNTED", "nothing counts how often a key is used")
        }
        Refusal::Stale => (Unavailable, "STALE", "the write may have happened; its reply is gone"),
        Refusal::TooManyKept => {
            (ResourceExhausted, "OVERLOADED", "too many writes wait for their answer")
        }
        Refusal::Misplaced => {
            (Unavailable, "MISPLACED", "the stream's slot is not of the shard that was asked")
        }
    };
    let failure = Failure::new(code, reason, message);
    match refusal {
        Refusal::Stale => failure.with("outcome", "UNKNOWN"),
        Refusal::TooManyKept => failure.with("outcome", "NONE").retry_after(RETRY_AFTER),
        Refusal::Misplaced => failure.with("outcome", "NONE"),
        _ => failure,
    }
}

/// Why there is no answer from a shard.
pub(super) fn failed(
    error: &ProposeError,
    effect: Effect,
    shards: &dyn Shards,
    shard: ShardId,
) -> Failure {
    let code = match error {
        ProposeError::Overloaded(_) | ProposeError::DiskFull(_) => Code::ResourceExhausted,
        ProposeError::NotLeader { .. }
        | ProposeError::Unknown
        | ProposeError::Expired
        | ProposeError::Stopped => Code::Unavailable,
    };
    let (reason, happened) = match error {
        ProposeError::NotLeader { .. } => ("NOT_LEADER", false),
        ProposeError::Overloaded(_) => ("OVERLOADED", false),
        ProposeError::DiskFull(_) => ("DISK_FULL", false),
        ProposeError::Unknown => ("UNKNOWN", true),
        ProposeError::Expired => ("NO_LEADER", false),
        // An answer that was dropped says so as well, and its write may have been on its way.
        ProposeError::Stopped => ("STOPPING", true),
    };
    let outcome = if happened && effect == Effect::Write { "UNKNOWN" } else { "NONE" };
    let failure = Failure::new(code, reason, error.to_string())
        .with("outcome", outcome)
        .with("shard", shard.to_string());
    match error {
        ProposeError::Overloaded(_) => failure.retry_after(RETRY_AFTER),
        ProposeError::DiskFull(node) => failure.with("node", node.to_string()),
        ProposeError::NotLeader { leader: Some(leader), .. } => {
            named(failure, &shards.outline(), *leader)
        }
        ProposeError::NotLeader { leader: None, .. }
        | ProposeError::Unknown
        | ProposeError::Expired
        | ProposeError::Stopped => with_leader(failure, shards, shard),
    }
}

fn with_leader(failure: Failure, shards: &dyn Shards, shard: ShardId) -> Failure {
    let known = shards.outline();
    match known.shards.iter().find(|of| of.shard == shard).and_then(|of| of.leader) {
        Some(leader) => named(failure, &known, leader),
        None => failure,
    }
}

fn named(failure: Failure, known: &NodeStatus, leader: NodeId) -> Failure {
    let failure = failure.with("leader", leader.to_string());
    match known.peers.iter().find(|peer| peer.node == leader) {
        Some(peer) => failure.with("leader_address", peer.grpc.as_str()),
        None => failure,
    }
}
