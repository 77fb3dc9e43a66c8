//! Which status code and details every refusal and failure becomes.

use base::{NodeId, ShardId};
use raft::{Outcome, ProposeError};
use rpc::v1;
use rpc::v1::append_request::Id;
use rpc::v1::trim::Keep;
use streams::error::Refusal;
use streams::reply::Reply;
use tonic::Code;
use tonic_types::StatusExt;

use super::{Door, append, info, soon};

#[track_caller]
fn refused(refusal: Refusal) -> Outcome {
    Ok(Reply::Refused(refusal))
}

fn group(of: fn(bytes::Bytes, bytes::Bytes) -> Refusal) -> Outcome {
    refused(of("k".into(), "g".into()))
}

/// Answer, code, reason, and whether the outcome is said.
fn table() -> Vec<(Outcome, Code, &'static str, Option<&'static str>)> {
    use Code::{
        AlreadyExists, FailedPrecondition as Failed, Internal, NotFound, ResourceExhausted,
        Unavailable,
    };
    let not_leader = ProposeError::NotLeader { shard: ShardId(3), leader: Some(NodeId(3)) };
    vec![
        (refused(Refusal::IdNotAbove), Failed, "ID_NOT_ABOVE", None),
        (refused(Refusal::IdsExhausted), Failed, "IDS_EXHAUSTED", None),
        (refused(Refusal::NoKey), NotFound, "STREAM_NOT_FOUND", None),
        (refused(Refusal::GroupNeedsKey), NotFound, "STREAM_NOT_FOUND", None),
        (
            group(|key, group| Refusal::NoGroupForRead { key, group }),
            NotFound,
            "GROUP_NOT_FOUND",
            None,
        ),
        (group(|key, group| Refusal::NoGroup { key, group }), NotFound, "GROUP_NOT_FOUND", None),
        (
            group(|key, group| Refusal::NoGroupForKey { key, group }),
            NotFound,
            "GROUP_NOT_FOUND",
            None,
        ),
        (refused(Refusal::GroupExists), AlreadyExists, "GROUP_EXISTS", None),
        (refused(Refusal::SetIdBelowLast), Failed, "ID_BELOW_LAST", None),
        (refused(Refusal::SetIdBelowDeleted), Failed, "ID_BELOW_DELETED", None),
        (refused(Refusal::SetIdBelowGivenDeleted), Failed, "ID_BELOW_DELETED", None),
        (refused(Refusal::SetIdAddedBelowLength), Failed, "ADDED_BELOW_LENGTH", None),
        (refused(Refusal::Stale), Unavailable, "STALE", Some("UNKNOWN")),
        (refused(Refusal::TooManyKept), ResourceExhausted, "OVERLOADED", Some("NONE")),
        (refused(Refusal::Misplaced), Unavailable, "MISPLACED", Some("NONE")),
        (Ok(Reply::Nil), NotFound, "STREAM_NOT_FOUND", None),
        (Ok(Reply::Ok), Internal, "UNEXPECTED_REPLY", None),
        (Err(not_leader), Unavailable, "NOT_LEADER", Some("NONE")),
        (Err(ProposeError::Overloaded("memory")), ResourceExhausted, "OVERLOADED", Some("NONE")),
        (Err(ProposeError::DiskFull(NodeId(3))), ResourceExhausted, "DISK_FULL", Some("NONE")),
        (Err(ProposeError::Unknown), Unavailable, "UNKNOWN", Some("UNKNOWN")),
        (Err(ProposeError::Expired), Unavailable, "NO_LEADER", Some("NONE")),
        (Err(ProposeError::Stopped), Unavailable, "STOPPING", Some("UNKNOWN")),
    ]
}

#[tokio::test]
async fn every_refusal_and_failure_says_who_must_act() {
    let door = Door::open().await;
    let mut streams = door.streams().await;
    for (outcome, code, reason, happened) in table() {
        door.double.next_answer(outcome.clone());
        let status = soon(streams.append(append("s", "v"))).await.unwrap_err();
        let info = info(&status);
        assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{outcome:?}");
        let said = info.metadata.get("outcome").map(String::as_str);
        assert_eq!(said, happened, "{outcome:?}");
        assert!(!status.message().is_empty(), "{outcome:?}");
        assert_eq!(
            status.get_details_retry_info().is_some(),
            reason == "OVERLOADED",
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn one_of_many_fails_in_the_same_words_as_one_alone() {
    let door = Door::open().await;
    let mut streams = door.streams().await;
    for (outcome, code, reason, happened) in table() {
        door.double.next_answer(outcome.clone());
        let message = v1::AppendManyRequest { appends: vec![append("s", "v")] };
        let answers = streams.append_many(tokio_stream::once(message)).await.unwrap();
        let answer = soon(answers.into_inner().message()).await.unwrap().unwrap();
        let result = answer.results.into_iter().next().unwrap().result;
        let Some(v1::append_result::Result::Failure(failure)) = result else {
            panic!("{outcome:?}: {result:?}")
        };
        assert_eq!((failure.code, failure.reason.as_str()), (code as i32, reason), "{outcome:?}");
        assert_eq!(failure.metadata.get("outcome").map(String::as_str), happened, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_read_that_failed_never_has_an_unknown_outcome() {
    let door = Door::open().await;
    let mut streams = door.streams().await;
    for error in [ProposeError::Unknown, ProposeError::Stopped, ProposeError::Expired] {
        door.double.next_answer(Err(error.clone()));
        let request = v1::DescribeRequest { stream: "s".into() };
        let status = soon(streams.describe(request)).await.unwrap_err();
        assert_eq!(info(&status).metadata["outcome"], "NONE", "{error}");
    }
}

#[tokio::test]
async fn the_leader_is_named_with_its_address() {
    let door = Door::open().await;
    let mut streams = door.streams().await;
    let not_leader = ProposeError::NotLeader { shard: ShardId(3), leader: Some(NodeId(3)) };
    for (error, leader) in
        [(ProposeError::Expired, "2"), (ProposeError::Unknown, "2"), (not_leader, "3")]
    {
        door.double.next_answer(Err(error));
        let status = soon(streams.append(append("s", "v"))).await.unwrap_err();
        let metadata = info(&status).metadata;
        assert_eq!(metadata["leader"], leader);
        assert_eq!(metadata["leader_address"], format!("10.0.0.{leader}:6381"));
    }
}

#[tokio::test]
async fn a_wrong_request_reaches_no_shard_and_is_told_what_is_wrong() {
    let door = Door::open().await;
    let mut streams = door.streams().await;
    let request = append("s", "v");
    let trim = |trim| v1::AppendRequest { trim: Some(trim), ..request.clone() };
    let keep = Some(Keep::Newest(1));
    let zero = Id::ExactId(v1::EntryId { ms: 0, seq: 0 });
    let table = [
        (v1::AppendRequest { stream: "".into(), ..request.clone() }, "NO_STREAM"),
        (v1::AppendRequest { fields: vec![], ..request.clone() }, "NO_FIELDS"),
        (v1::AppendRequest { id: Some(zero), ..request.clone() }, "ID_ZERO"),
        (trim(v1::Trim::default()), "NO_KEEP"),
        (trim(v1::Trim { keep, limit: Some(5), ..v1::Trim::default() }), "LIMIT_EXACT"),
    ];
    for (request, reason) in table {
        let status = soon(streams.append(request)).await.unwrap_err();
        assert_eq!((status.code(), info(&status).reason.as_str()), (Code::InvalidArgument, reason));
    }
    assert_eq!(door.double.writes_now(), 0);
}
