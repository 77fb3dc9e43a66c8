//! `AppendMany`: order, back-pressure, and what a stopping node still answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use raft::Outcome;
use rpc::v1;
use rpc::v1::append_result::Result as Became;
use streams::error::Refusal;
use streams::reply::Reply;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::super::limits::{APPEND_ROOM_BYTES, WAITING_BYTES_MAX};
use super::{Door, append, info, soon};

fn message(values: impl IntoIterator<Item = u64>) -> v1::AppendManyRequest {
    let appends = values.into_iter().map(|value| append("s", value.to_string()));
    v1::AppendManyRequest { appends: appends.collect() }
}

/// The sequence numbers of the next answer's entries; a failure is its reason.
async fn next(answers: &mut Streaming<v1::AppendManyResponse>) -> Option<Vec<Result<u64, String>>> {
    let answer = soon(answers.message()).await.unwrap()?;
    let results = answer.results.into_iter().map(|result| match result.result.unwrap() {
        Became::Appended(appended) => Ok(appended.id.unwrap().seq),
        Became::Failure(failure) => Err(failure.reason),
    });
    Some(results.collect())
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_requests_even_when_shards_answer_in_another() {
    let door = Door::open().await;
    let mut streams = door.streams().await;
    door.double.hold();
    let messages: Vec<_> = (0..100).map(|at| message(10 * at..10 * at + at % 10)).collect();
    let sizes: Vec<_> = messages.iter().map(|message| message.appends.len()).collect();
    let total: usize = sizes.iter().sum();
    let answers = streams.append_many(tokio_stream::iter(messages)).await.unwrap();
    let mut answers = answers.into_inner();
    soon(door.double.writes(total)).await;
    // The newest is answered first.
    door.double.release();
    let mut seen = 0;
    for size in sizes {
        let results = next(&mut answers).await.unwrap();
        let expected: Vec<_> = (seen + 1..=seen + size as u64).map(Ok).collect();
        assert_eq!(results, expected);
        seen += size as u64;
    }
    assert_eq!(next(&mut answers).await, None);
    let sent: Vec<u64> = (0..100).flat_map(|at| 10 * at..10 * at + at % 10).collect();
    let values = door.double.entries("s").into_iter().map(|entry| {
        String::from_utf8(entry.fields.unwrap()[1].to_vec()).unwrap().parse::<u64>().unwrap()
    });
    assert_eq!(values.collect::<Vec<_>>(), sent);
}

#[tokio::test]
async fn a_refused_append_does_not_stop_those_after_it() {
    let door = Door::open().await;
    let mut streams = door.streams().await;
    let no: Outcome = Ok(Reply::Refused(Refusal::IdNotAbove));
    door.double.next_answer(no);
    let empty = v1::AppendRequest { fields: vec![], ..append("s", "v") };
    let appends = vec![append("s", "a"), empty, append("s", "b")];
    let request = v1::AppendManyRequest { appends };
    let answers = streams.append_many(tokio_stream::once(request)).await.unwrap();
    let results = next(&mut answers.into_inner()).await.unwrap();
    assert_eq!(results, [Err("ID_NOT_ABOVE".to_owned()), Err("NO_FIELDS".to_owned()), Ok(1)]);
}

#[tokio::test]
async fn a_client_whose_appends_are_not_answered_is_not_read_on() {
    const VALUE_BYTES: usize = 100_000;
    const MESSAGES: usize = 400;
    let door = Door::open().await;
    let mut streams = door.streams().await;
    door.double.hold();
    let pulled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pulled);
    let messages = tokio_stream::iter(0..MESSAGES).map(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        v1::AppendManyRequest { appends: vec![append("s", vec![0; VALUE_BYTES])] }
    });
    let answers = streams.append_many(messages).await.unwrap();
    let mut answers = answers.into_inner();
    let one = VALUE_BYTES + 2 + APPEND_ROOM_BYTES + size_of::<v1::Field>();
    let waiting_max = WAITING_BYTES_MAX / one;
    soon(door.double.writes(waiting_max)).await;
    // Other calls pass, on the same connection, and none more of this one is taken.
    for _ in 0..100 {
        let request = v1::RangeRequest { stream: "none".into(), ..v1::RangeRequest::default() };
        soon(streams.range(request)).await.unwrap();
    }
    assert_eq!(door.double.writes_now(), waiting_max);
    assert!(pulled.load(Ordering::SeqCst) < MESSAGES / 2, "the client was not held back");
    // One answer makes room for one more.
    door.double.release_one();
    soon(next(&mut answers)).await.unwrap();
    soon(door.double.writes(waiting_max + 1)).await;
    door.double.release();
    let mut answered = 1;
    while let Some(results) = next(&mut answers).await {
        answered += results.len();
    }
    assert_eq!(answered, MESSAGES);
}

#[tokio::test]
async fn a_stopping_node_answers_what_it_has_read_and_says_that_the_rest_never_was() {
    let door = Door::open().await;
    let mut streams = door.streams().await;
    door.double.hold();
    let (requests, receiver) = mpsc::channel(8);
    let answers = streams.append_many(ReceiverStream::new(receiver)).await.unwrap();
    let mut answers = answers.into_inner();
    requests.send(message(0..2)).await.unwrap();
    requests.send(message(2..3)).await.unwrap();
    soon(door.double.writes(3)).await;
    door.stopping.cancel();
    door.double.release();
    assert_eq!(next(&mut answers).await.unwrap(), [Ok(1), Ok(2)]);
    assert_eq!(next(&mut answers).await.unwrap(), [Ok(3)]);
    let status = soon(answers.message()).await.unwrap_err();
    let info = info(&status);
    assert_eq!((status.code(), info.reason.as_str()), (Code::Unavailable, "STOPPING"));
    assert_eq!(info.metadata["outcome"], "NONE");
    drop((requests, streams));
    soon(door.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_that_the_client_leaves_lets_go_of_what_it_holds() {
    let door = Door::open().await;
    let mut streams = door.streams().await;
    door.double.hold();
    for round in 1..=3 {
        let value = vec![0; WAITING_BYTES_MAX / 8];
        let request = v1::AppendManyRequest { appends: vec![append("s", value)] };
        let messages = tokio_stream::once(request).chain(tokio_stream::pending());
        let answers = streams.append_many(messages).await.unwrap();
        soon(door.double.writes(round)).await;
        drop(answers);
    }
    door.double.release();
    soon(streams.append(append("s", "v"))).await.unwrap();
}
