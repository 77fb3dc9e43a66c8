//! Bytes of any kind as every request of the API: decoded, made a command or query, done to shards that
//! have a little in them, answered. Nothing panics, an accepted command survives its encoding (the shards
//! see to that), a page never exceeds what was asked for, and what is refused says so in few words. Never
//! HTTP/2: `tests/known_bugs.rs` is about that.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ::fuzz::{Random, Target};
use base::NodeId;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use prost::Message;
use raft::Member;
use rpc::v1::append_request::Id;
use rpc::v1::cluster_server::Cluster;
use rpc::v1::streams_server::Streams;
use rpc::v1::trim::Keep;
use tonic::{Request, Status};

use super::streams::Door;
use super::*;
use crate::resp::Little;

/// An entry's bytes, at most: so few that inputs meet it.
const ENTRY_BYTES_MAX: usize = 64;
const SAID_BYTES_MAX: usize = 512;
/// Pages of a range that are looked at.
const PAGES_MAX: usize = 20;

/// Replaces nobody.
struct Nobody;

impl Members for Nobody {
    fn replace(
        &self,
        old: NodeId,
        _: NodeId,
        _: Member,
    ) -> BoxStream<'static, Result<Progress, ReplaceError>> {
        stream::once(async move { Err(ReplaceError::NotAMember(old)) }).boxed()
    }
}

struct Checker {
    door: Door,
    cluster: cluster::Door,
}

/// The shards answer at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("a call waits, although every shard has answered"),
    }
}

fn said<T>(answer: Result<T, Status>) -> Option<T> {
    if let Err(status) = &answer {
        let bytes = status.message().len();
        assert!(bytes <= SAID_BYTES_MAX, "{bytes} bytes of message");
    }
    answer.ok()
}

impl Checker {
    fn new() -> Self {
        let shards: Arc<dyn Shards> = Little::new();
        let options =
            Options { entry_bytes_max: ENTRY_BYTES_MAX, connections_max: 10, password: None };
        let stopping = CancellationToken::new();
        Self {
            door: Door::new(Arc::clone(&shards), &options, stopping.clone()),
            cluster: cluster::Door::new(shards, Arc::new(Nobody), stopping),
        }
    }

    /// Whether it is a request that does something; its first byte says which.
    fn takes(&self, input: &[u8]) -> bool {
        let Some((kind, bytes)) = input.split_first() else { return false };
        match kind % 5 {
            0 => v1::AppendRequest::decode(bytes)
                .is_ok_and(|request| said(now(self.door.append(Request::new(request)))).is_some()),
            1 => v1::AppendManyRequest::decode(bytes).is_ok_and(|many| self.append_many(many)),
            2 => v1::RangeRequest::decode(bytes).is_ok_and(|request| self.range(request)),
            3 => v1::DescribeRequest::decode(bytes).is_ok_and(|request| {
                said(now(self.door.describe(Request::new(request)))).is_some()
            }),
            _ => v1::ReplaceNodeRequest::decode(bytes).is_ok_and(|request| {
                let steps = said(now(self.cluster.replace_node(Request::new(request))));
                steps.is_some_and(|steps| {
                    let mut steps = steps.into_inner();
                    said(now(steps.next()).expect("one step")).is_none()
                })
            }),
        }
    }

    /// Each append of a message, as the reader of such calls hands them in.
    fn append_many(&self, many: v1::AppendManyRequest) -> bool {
        let counted: usize = many.appends.iter().map(convert::append_bytes).sum();
        assert!(counted >= many.appends.len() * limits::APPEND_ROOM_BYTES);
        let taken = many.appends.into_iter().map(|append| {
            let begun = self.door.append_begun(append);
            let done = begun.and_then(|(shard, pending)| self.door.appended(shard, now(pending)));
            said(done.map_err(Status::from)).is_some()
        });
        taken.filter(|taken| *taken).count() > 0
    }

    fn range(&self, request: v1::RangeRequest) -> bool {
        let limit = if request.limit == 0 { u64::MAX } else { request.limit };
        let Some(pages) = said(now(self.door.range(Request::new(request)))) else { return false };
        let (mut pages, mut entries) = (pages.into_inner(), 0u64);
        for _ in 0..PAGES_MAX {
            match now(pages.next()) {
                None => break,
                Some(page) => {
                    let Some(page) = said(page) else { return false };
                    entries += page.entries.len() as u64;
                }
            }
        }
        assert!(entries <= limit, "{entries} entries, asked for {limit}");
        entries > 0
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let stream = Bytes::from_static(b"s");
    let id = v1::EntryId { ms: 9, seq: 1 };
    let field = |name: &'static str, value: &'static str| v1::Field {
        name: name.into(),
        value: value.into(),
    };
    let append = v1::AppendRequest {
        stream: stream.clone(),
        fields: vec![field("f", "1"), field("g", "")],
        ..v1::AppendRequest::default()
    };
    let trim = |keep, approximate, limit| Some(v1::Trim { keep: Some(keep), approximate, limit });
    let exact = v1::AppendRequest {
        id: Some(Id::ExactId(id)),
        trim: trim(Keep::Newest(2), false, None),
        must_exist: true,
        ..append.clone()
    };
    let at = v1::AppendRequest {
        id: Some(Id::Ms(20)),
        trim: trim(Keep::From(id), true, Some(5)),
        ..append.clone()
    };
    let many = v1::AppendManyRequest { appends: vec![append.clone(), exact.clone(), at.clone()] };
    let range = v1::RangeRequest { stream: stream.clone(), ..v1::RangeRequest::default() };
    let back = v1::RangeRequest { end: Some(id), limit: 2, reverse: true, ..range.clone() };
    let new_node = Some(v1::Node { id: 4, peer: "n:1".into(), ..v1::Node::default() });
    let replace = v1::ReplaceNodeRequest { old_node_id: 3, new_node };
    let of = |kind: u8, bytes: Vec<u8>| [&[kind][..], &bytes].concat();
    vec![
        of(0, append.encode_to_vec()),
        of(0, exact.encode_to_vec()),
        of(0, at.encode_to_vec()),
        of(1, many.encode_to_vec()),
        of(2, range.encode_to_vec()),
        of(2, back.encode_to_vec()),
        of(3, v1::DescribeRequest { stream }.encode_to_vec()),
        of(4, replace.encode_to_vec()),
    ]
}

#[test]
fn fuzz_grpc() {
    let corpus = corpus();
    for (at, input) in corpus.iter().enumerate() {
        assert!(Checker::new().takes(input), "request {at} of the corpus");
    }
    let make = |random: &mut Random| {
        let mut input = random.pick(&corpus).clone();
        let other = random.pick(&corpus).clone();
        (0..1 + random.below(3)).for_each(|_| random.vary(&mut input, &other));
        input
    };
    let corpus = corpus.clone();
    let target = Target { name: "grpc", inputs_count: 100_000, corpus, make: &make };
    target.run(|| {
        let checker = Checker::new();
        move |input: &[u8]| {
            checker.takes(input);
        }
    });
}
