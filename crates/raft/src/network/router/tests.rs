//! What a router takes for an answer, and what it doesn't.

use base::SystemClock;
use futures::{FutureExt, StreamExt};

use super::*;
use crate::network::append::{AppendStream, Target};
use crate::network::wire::{Append, encode_appended};
use crate::types::log_id;

const ME: NodeId = NodeId(1);
const PEER: NodeId = NodeId(2);
const SHARD: ShardId = ShardId(3);

/// Keeps what is sent.
#[derive(Default)]
struct Kept(Mutex<Vec<Message>>);

impl Link for Kept {
    fn start(&self, _: Arc<dyn Party>) {}

    fn send(&self, _: NodeId, _: Lane, message: Message) -> Result<(), SendError> {
        lock(&self.0).push(message);
        Ok(())
    }

    fn cut(&self, _: NodeId) {}

    fn set_peers(&self, _: BTreeMap<NodeId, String>) {}

    fn stop(&self) {}
}

/// A life of the node, connected with its peer.
fn life(random: u64) -> (Arc<Router>, Arc<Kept>) {
    let incarnation = Incarnation { count: 1, random };
    let me = Me { cluster: ClusterId(7), node: ME, incarnation, settings: 0 };
    let link = Arc::new(Kept::default());
    let router = Router::new(link.clone(), Arc::new(SystemClock), me);
    router.up(PEER);
    (router, link)
}

fn arrive(router: &Router, message: Message) {
    let cluster = ClusterId(7);
    let envelope = Envelope { cluster, from: PEER, to: ME, ..Envelope::default() };
    router.frame(Frame { envelope, messages: vec![message] }).unwrap();
}

fn appended(shard: ShardId, session: u64) -> Message {
    let head = encode_appended(&Ok(Some(log_id(1, 500))));
    Message { shard, kind: kind::APPENDED, session, head, ..Message::default() }
}

#[tokio::test]
async fn an_append_answered_to_an_earlier_life_is_not_taken_for_one_of_this_life() {
    let (before, _) = life(0x1111_2222_3333_4444);
    let (old, _answers) = before.open_session(PEER, SHARD).unwrap();
    drop(before);
    let (now, _) = life(0x5555_6666_7777_8888);
    let sessions: Vec<_> = (0..100).map(|_| now.open_session(PEER, SHARD).unwrap()).collect();
    arrive(&now, appended(SHARD, old));
    for (session, mut answers) in sessions {
        assert_ne!(session, old);
        assert!(answers.try_recv().is_err(), "session {session}");
    }
}

#[tokio::test]
async fn an_append_of_another_shard_is_not_taken() {
    let (router, _) = life(7);
    let (session, mut answers) = router.open_session(PEER, SHARD).unwrap();
    arrive(&router, appended(ShardId(9), session));
    assert!(answers.try_recv().is_err());
    arrive(&router, appended(SHARD, session));
    assert!(answers.try_recv().is_ok());
}

#[tokio::test]
async fn a_call_answered_to_an_earlier_life_is_not_taken_for_one_of_this_life() {
    let ask = |router: Arc<Router>| async move {
        router.call(PEER, SHARD, Method::Run, Bytes::new(), Duration::from_secs(9)).await
    };
    let (before, link) = life(0x1111_2222_3333_4444);
    assert!(ask(before).now_or_never().is_none());
    let old = lock(&link.0)[0].number;
    let (now, link) = life(0x5555_6666_7777_8888);
    let mut call = Box::pin(ask(now.clone()));
    assert!(futures::poll!(&mut call).is_pending());
    let new = lock(&link.0)[0].number;
    let answer =
        |number| Message { shard: SHARD, kind: kind::ANSWER, number, ..Message::default() };
    arrive(&now, answer(old));
    assert!(futures::poll!(&mut call).is_pending());
    arrive(&now, answer(new));
    assert!(call.await.is_ok());
}

/// What a session's sender makes of an answer, where entries up to and with 10 are to go.
async fn answered(lane: Lane, matched: u64) -> bool {
    let replica = crate::rig::Machinery::new(1).start().replica.clone();
    replica.set_purge(Some(10));
    let (router, link) = life(7);
    let shard = replica.shard();
    let patience = Duration::from_secs(9);
    let target = Target { router: router.clone(), peer: PEER, shard, lane, patience, replica };
    let vote = crate::types::Vote::new(1, 1);
    let append = Append { vote, prev_log_id: None, entries: Vec::new(), leader_commit: None };
    let appends = futures::stream::iter([append]).chain(futures::stream::pending());
    let mut answers = AppendStream::new(target, appends);
    assert!(answers.next().now_or_never().is_none());
    let session = lock(&link.0)[0].session;
    let head = encode_appended(&Ok(Some(log_id(1, matched))));
    arrive(&router, Message { shard, kind: kind::APPENDED, session, head, ..Message::default() });
    answers.next().await.unwrap().is_ok()
}

#[tokio::test]
async fn a_peer_that_lacks_entries_that_are_to_go_is_cut_and_gets_a_snapshot() {
    assert!(answered(Lane::Log, 10).await);
    assert!(!answered(Lane::Log, 9).await, "it would keep the journal from shrinking");
    assert!(answered(Lane::Urgent, 9).await, "a heartbeat counts, whoever is behind");
}

/// What a router told the node behind it.
#[derive(Default)]
struct Told(Mutex<Vec<Notice>>);

impl Host for Told {
    fn call(&self, _: Incoming) {}

    fn group(&self, _: ShardId) -> Option<crate::shard::Group> {
        None
    }

    fn told(&self, notice: &Notice) {
        lock(&self.0).push(notice.clone());
    }

    fn connected(&self, _: NodeId, _: bool) {}
}

#[tokio::test]
async fn a_notice_arrives_as_it_was_sent_and_a_malformed_one_ends_the_connection() {
    let (router, link) = life(1);
    let notice = Notice { class: 2, channel: "c".into(), payload: "p".into() };
    router.tell_all(&notice);
    let message = lock(&link.0).pop().expect("the peer is connected");
    let told = Arc::new(Told::default());
    router.start(told.clone());
    arrive(&router, message.clone());
    assert_eq!(*lock(&told.0), vec![notice.clone()]);

    let refused = |message: Message| {
        let envelope =
            Envelope { cluster: ClusterId(7), from: PEER, to: ME, ..Envelope::default() };
        router.frame(Frame { envelope, messages: vec![message] }).unwrap_err()
    };
    assert_eq!(refused(Message { body: vec![], ..message.clone() }), "a notice has one payload");
    assert_eq!(refused(Message { session: 256, ..message }), "unknown class of notice");

    router.down(PEER);
    router.tell_all(&notice);
    assert!(lock(&link.0).is_empty(), "nobody is connected");
}
