//! A client's line to one node: RESP over a pipe, or a call of the gRPC service. Never a second try:
//! what a lost answer means is up to who asked.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use checker::history::{Id, Outcome, Seen};
use checker::replies;
use resp::{ReplyParser, Value, write_request};
use rpc::v1;
use rpc::v1::streams_server::Streams;
use tokio::time::timeout;
use tonic::{Request, Status};
use tonic_types::StatusExt;

use crate::machine::Process;
use crate::pipe::{Delay, End};

/// Longer than any answer takes, a paused node's included.
const PATIENCE: Duration = Duration::from_secs(45);

/// A RESP connection.
pub(crate) struct Line {
    end: End,
    parser: ReplyParser,
    input: BytesMut,
}

impl Line {
    /// To a process that may be gone already.
    pub(crate) fn open(process: &Process, delay: &Delay) -> Self {
        let (parser, input) = (ReplyParser::new(), BytesMut::new());
        Self { end: process.connect(delay), parser, input }
    }

    /// The replies to requests that are sent together; fewer where the connection is lost.
    pub(crate) async fn ask<A: AsRef<[u8]>>(&mut self, requests: &[Vec<A>]) -> Vec<Value> {
        let mut output = BytesMut::new();
        requests.iter().for_each(|args| write_request(&mut output, args));
        let mut replies = Vec::new();
        let asking = async {
            if !self.end.send(&output).await {
                return;
            }
            while replies.len() < requests.len() {
                match self.parser.next(&mut self.input).expect("a node speaks RESP") {
                    Some(reply) => replies.push(reply),
                    None if self.end.receive(&mut self.input).await => {}
                    None => return,
                }
            }
        };
        // Whoever waits longer goes away; what was answered until then counts.
        drop(timeout(PATIENCE, asking).await);
        replies
    }
}

/// Appends through gRPC.
pub(crate) async fn append(
    process: &Process,
    delay: &Delay,
    key: &str,
    fields: &[(&str, &str)],
) -> Outcome<Id> {
    let field = |(name, value): &(&str, &str)| v1::Field {
        name: Bytes::copy_from_slice(name.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    let request = v1::AppendRequest {
        stream: Bytes::copy_from_slice(key.as_bytes()),
        fields: fields.iter().map(field).collect(),
        ..v1::AppendRequest::default()
    };
    let door = process.grpc();
    let calling = async move { door.append(Request::new(request)).await };
    match called(process, delay, calling).await {
        Some(Ok(response)) => match response.into_inner().id {
            Some(id) => Outcome::Ok((id.ms, id.seq)),
            None => Outcome::Unknown,
        },
        Some(Err(status)) if is_nothing(&status) => Outcome::Fail,
        Some(Err(_)) | None => Outcome::Unknown,
    }
}

/// All entries of a stream, through gRPC.
pub(crate) async fn range(process: &Process, delay: &Delay, key: &str) -> Option<Vec<Seen>> {
    let stream = Bytes::copy_from_slice(key.as_bytes());
    let request = v1::RangeRequest { stream, ..v1::RangeRequest::default() };
    let door = process.grpc();
    let calling = async move {
        let mut pages = door.range(Request::new(request)).await.ok()?.into_inner();
        let mut entries = Vec::new();
        while let Some(page) = next(&mut pages).await {
            entries.extend(page.ok()?.entries.iter().map(seen));
        }
        entries.into_iter().collect::<Option<Vec<Seen>>>()
    };
    called(process, delay, calling).await?
}

async fn next<S: futures::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *stream).poll_next(context)).await
}

fn seen(entry: &v1::Entry) -> Option<Seen> {
    let id = entry.id?;
    let text = |at: usize| std::str::from_utf8(&entry.fields.get(at)?.value).ok();
    Some(((id.ms, id.seq), value_of(text(0), text(1))))
}

/// Runs a call as a part of the node; none where no answer comes.
async fn called<T: Send + 'static>(
    process: &Process,
    delay: &Delay,
    call: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (there, back) = (delay(), delay());
    let call = tokio::spawn(process.gate.run(async move {
        tokio::time::sleep(there).await;
        call.await
    }));
    let stop = call.abort_handle();
    let answer = timeout(PATIENCE, call).await;
    tokio::time::sleep(back).await;
    stop.abort();
    answer.ok()?.ok()
}

/// Whether a status promises that nothing happened.
fn is_nothing(status: &Status) -> bool {
    let details = status.get_error_details();
    let outcome = details.error_info().and_then(|info| info.metadata.get("outcome"));
    match (outcome, status.code()) {
        (Some(outcome), _) => outcome == "NONE",
        (None, code) => code == tonic::Code::InvalidArgument || code == tonic::Code::NotFound,
    }
}

/// What an entry says of itself: its value, and how much padding it has.
pub(crate) fn value_text(value: u64, padding: &str) -> String {
    format!("{value}.{}", padding.len())
}

/// What an entry holds, if all of it is as it was asked for.
fn value_of(text: Option<&str>, padding: Option<&str>) -> u64 {
    let value = || {
        let (value, length) = text?.split_once('.')?;
        let whole = |padding: &str| padding.bytes().all(|byte| byte == b'x');
        let padding = padding.filter(|padding| whole(padding))?;
        (length.parse() == Ok(padding.len())).then(|| value.parse().ok())?
    };
    value().unwrap_or_else(|| panic!("bytes that nobody wrote are served: {text:?} {padding:?}"))
}

/// What the names and values of an entry stand for.
fn value_in(fields: &[Value]) -> Option<u64> {
    let text = |at: usize| fields.get(at)?.as_text();
    Some(value_of(text(1), text(3)))
}

/// `[[id, [v, value, ...]], ...]`
pub(crate) fn entries_of(value: &Value) -> Option<Vec<Seen>> {
    replies::entries_of(value, value_in)
}

/// The entries of the first stream of an answer to several; none where there is nothing.
pub(crate) fn first_of(value: &Value) -> Option<Vec<Seen>> {
    replies::first_of(value, value_in)
}
