//! Bytes of any kind as a frame of a peer, through protobuf to whoever they are for: taken or refused in
//! words that echo little, and nothing panics. Never what is in a message: that is `../fuzz.rs`.

use std::collections::BTreeMap;

use ::fuzz::feed_varied;
use base::ManualClock;
use prost::Message as _;
use rpc::peer::Frame as WireFrame;

use super::*;
use crate::network::grpc::frames;
use crate::network::wire::{self, Append};
use crate::types::{LeaderId, Vote, encode_vote, log_id};

const CLUSTER: ClusterId = ClusterId(7);
const WHY_BYTES_MAX: usize = 1024;

/// Hears nobody.
struct Silent;

impl Link for Silent {
    fn start(&self, _: Arc<dyn Party>) {}

    fn send(&self, _: NodeId, _: Lane, _: Message) -> Result<(), SendError> {
        Ok(())
    }

    fn cut(&self, _: NodeId) {}

    fn set_peers(&self, _: BTreeMap<NodeId, String>) {}

    fn stop(&self) {}
}

fn router() -> Arc<Router> {
    let me = Me { cluster: CLUSTER, node: NodeId(1), settings: 5, ..Me::default() };
    let router = Router::new(Arc::new(Silent), Arc::new(ManualClock::at(1000)), me);
    router.up(NodeId(2));
    router
}

/// Whether a peer may say this.
fn takes(router: &Router, bytes: &[u8]) -> bool {
    let Ok(frame) = WireFrame::decode(bytes) else { return false };
    let said = match frames::hello(frame.clone()) {
        Some(hello) => router.greeted(&hello.greeting),
        None => match frames::read(frame) {
            Some(frame) => router.frame(frame),
            None => return false,
        },
    };
    if let Err(why) = &said {
        assert!(why.len() <= WHY_BYTES_MAX, "{} bytes of why", why.len());
    }
    said.is_ok()
}

fn corpus() -> Vec<Vec<u8>> {
    let (from, to) = (NodeId(2), NodeId(1));
    let envelope = Envelope {
        cluster: CLUSTER,
        from,
        to,
        clock_ms: 1250,
        disk_free: 9,
        ..Envelope::default()
    };
    let vote = Vote { leader_id: LeaderId { term: 3, voted_for: 2 }, committed: true };
    let (entries, prev_log_id, leader_commit) = (Vec::new(), Some(log_id(2, 7)), None);
    let append = wire::encode_append(&Append { vote, prev_log_id, entries, leader_commit }).0;
    let of = |kind, session, head: Bytes, body: &[&'static [u8]]| {
        let body = body.iter().map(|part| Bytes::from_static(part)).collect();
        Message { kind, session, number: 4, head, body, ..Message::default() }
    };
    let vote = Bytes::copy_from_slice(&encode_vote(&vote));
    let messages = vec![
        of(kind::APPEND, 9, append, &[]),
        of(kind::APPENDED, 9, wire::encode_appended(&Ok(Some(log_id(3, 8)))), &[]),
        of(kind::CALL, Method::Vote.number(), vote, &[]),
        of(kind::ANSWER, 0, Bytes::from_static(b"head"), &[b"one", b"two"]),
        of(kind::REFUSAL, 0, Bytes::from_static(b"why"), &[]),
        of(kind::NOTICE, 1, Bytes::from_static(b"channel"), &[b"payload"]),
        of(kind::APPEND_LOST, 9, Bytes::new(), &[]),
        of(kind::APPEND_END, 9, Bytes::new(), &[]),
    ];
    let each = messages.iter().map(|message| vec![message.clone()]);
    let lists = each.chain([messages.clone(), Vec::new()]);
    let mut corpus: Vec<Vec<u8>> =
        lists.map(|messages| frames::write(&envelope, messages).encode_to_vec()).collect();
    let greeting =
        Greeting { cluster: CLUSTER, from, to, incarnation: Default::default(), settings: 5 };
    let hello = frames::Hello { lane: Lane::Bulk, connection: 8, greeting };
    corpus.push(frames::greet(&hello).encode_to_vec());
    corpus
}

#[test]
fn fuzz_frames() {
    feed_varied("frames", 100_000, &corpus(), |input| takes(&router(), input));
}
