//! Failures by who must act; and which of them may be repeated.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use rpc::v1;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A write that may have happened, or may yet. Look, or repeat it if doubling does no harm.
    #[error("the outcome is unknown: {0}")]
    Unknown(Detail),
    /// No node answered within the time allowed. Surely nothing happened: try later.
    #[error("not available: {0}")]
    Unavailable(Detail),
    /// Over a limit. Surely nothing happened: slow down, or free disk space.
    #[error("over a limit: {0}")]
    Exhausted(Detail),
    /// The request is wrong. Correct it.
    #[error("invalid: {0}")]
    Invalid(Detail),
    /// No such stream, group or node.
    #[error("not found: {0}")]
    NotFound(Detail),
    /// What was to be made is there.
    #[error("exists: {0}")]
    Exists(Detail),
    /// The state of the stream or cluster doesn't allow it, as an id that isn't above the last one.
    #[error("refused: {0}")]
    Refused(Detail),
    /// The password is missing or wrong.
    #[error("not authenticated: {0}")]
    Unauthenticated(Detail),
    /// Known, but not allowed.
    #[error("not permitted: {0}")]
    Denied(Detail),
    /// An address that can't be one.
    #[error("`{0}` is not an address: write host:port")]
    Address(String),
    /// An answer that makes no sense: another version, or a mistake in Weir.
    #[error("an unexpected answer: {0}")]
    Unexpected(Detail),
}

/// What a node said of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    pub message: String,
    /// In capitals, as `ID_NOT_ABOVE`; empty where the failure isn't a node's.
    pub reason: String,
    /// As `outcome`, `leader`, `leader_address`, `shard`, `node`.
    pub metadata: HashMap<String, String>,
}

impl Detail {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Whether a call could have changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Write,
    Read,
}

/// What to do about a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Tell the caller.
    Final(Error),
    /// Nothing happened: again, at the leader if it is named, after a pause if one was asked for.
    Again { error: Error, leader: Option<String>, pause: Option<Duration> },
}

/// Judges a failed call.
pub(crate) fn verdict(status: &Status, effect: Effect) -> Verdict {
    let details = status.get_error_details();
    let Some(info) = details.error_info().filter(|info| info.domain == "weir") else {
        return foreign(status, effect);
    };
    let detail = Detail {
        message: status.message().to_owned(),
        reason: info.reason.clone(),
        metadata: info.metadata.clone(),
    };
    let leader = detail.metadata.get("leader_address").cloned();
    let pause = details.retry_info().and_then(|retry| retry.retry_delay);
    let overloaded = detail.reason == "OVERLOADED";
    let error = error_of(status.code(), detail);
    match error {
        Error::Unavailable(_) => Verdict::Again { error, leader, pause },
        Error::Unknown(_) if effect == Effect::Read => Verdict::Again { error, leader, pause },
        Error::Exhausted(_) if overloaded => Verdict::Again { error, leader: None, pause },
        _ => Verdict::Final(error),
    }
}

/// A failure inside a response.
pub(crate) fn failure(failure: v1::Failure) -> Error {
    let v1::Failure { code, message, reason, metadata } = failure;
    error_of(Code::from_i32(code), Detail { message, reason, metadata })
}

fn error_of(code: Code, detail: Detail) -> Error {
    match code {
        Code::Unavailable if detail.metadata.get("outcome").is_some_and(|it| it == "NONE") => {
            Error::Unavailable(detail)
        }
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => {
            Error::Unknown(detail)
        }
        Code::ResourceExhausted => Error::Exhausted(detail),
        Code::InvalidArgument => Error::Invalid(detail),
        Code::NotFound => Error::NotFound(detail),
        Code::AlreadyExists => Error::Exists(detail),
        Code::FailedPrecondition => Error::Refused(detail),
        Code::Unauthenticated => Error::Unauthenticated(detail),
        Code::PermissionDenied => Error::Denied(detail),
        Code::Ok
        | Code::Unknown
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => Error::Unexpected(detail),
    }
}

/// A failure that no node of ours made: the connection, or something between.
fn foreign(status: &Status, effect: Effect) -> Verdict {
    let detail = Detail::new(text_of(status));
    let again = |error| Verdict::Again { error, leader: None, pause: None };
    if never_sent(status) {
        return again(Error::Unavailable(detail));
    }
    match status.code() {
        Code::Unimplemented => Verdict::Final(Error::Unexpected(detail)),
        Code::Unauthenticated => Verdict::Final(Error::Unauthenticated(detail)),
        Code::PermissionDenied => Verdict::Final(Error::Denied(detail)),
        _ if effect == Effect::Read => again(Error::Unavailable(detail)),
        _ => Verdict::Final(Error::Unknown(detail)),
    }
}

/// Whether the call surely never left: the connection was not made, or was gone before the call was
/// written.
fn never_sent(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>()
            || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
        {
            return true;
        }
        source = error.source();
    }
    false
}

/// The message with what is behind it: tonic's own is often just `transport error`.
fn text_of(status: &Status) -> String {
    let mut last = status.message().to_owned();
    let mut text = last.clone();
    let mut source = status.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !last.contains(&next) {
            text = format!("{text}: {next}");
        }
        last = next;
        source = error.source();
    }
    text
}
