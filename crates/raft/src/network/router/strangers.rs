//! Peers that must not be talked to, and calls whose peer goes away.

use std::collections::BTreeMap;

use base::ManualClock;

use super::*;

/// Takes everything and delivers nothing.
#[derive(Default)]
struct Deaf(Mutex<Vec<(NodeId, Message)>>);

impl Link for Deaf {
    fn start(&self, _party: Arc<dyn Party>) {}

    fn send(&self, to: NodeId, _lane: Lane, message: Message) -> Result<(), SendError> {
        lock(&self.0).push((to, message));
        Ok(())
    }

    fn cut(&self, _peer: NodeId) {}

    fn set_peers(&self, _peers: BTreeMap<NodeId, String>) {}

    fn stop(&self) {}
}

const CLUSTER: ClusterId = ClusterId(7);
const PATIENCE: Duration = Duration::from_secs(1);

fn router() -> (Arc<Router>, Arc<Deaf>) {
    router_with(Arc::new(ManualClock::at(1000)))
}

fn router_with(clock: Arc<ManualClock>) -> (Arc<Router>, Arc<Deaf>) {
    let link = Arc::new(Deaf::default());
    let me = Me { cluster: CLUSTER, node: NodeId(1), settings: 5, ..Me::default() };
    (Router::new(link.clone(), clock, me), link)
}

fn greeting() -> Greeting {
    let (from, to) = (NodeId(2), NodeId(1));
    Greeting { cluster: CLUSTER, from, to, settings: 5, ..Greeting::default() }
}

fn frame(messages: Vec<Message>) -> Frame {
    let (from, to) = (NodeId(2), NodeId(1));
    let envelope = Envelope {
        cluster: CLUSTER,
        from,
        to,
        clock_ms: 1250,
        disk_free: 9,
        pressed: true,
        leaving: true,
    };
    Frame { envelope, messages }
}

#[test]
fn a_peer_that_is_not_ours_is_refused_and_told_why() {
    let (router, _) = router();
    assert_eq!(router.greeted(&greeting()), Ok(()));
    let unformed = Greeting { cluster: ClusterId(0), ..greeting() };
    assert_eq!(router.greeted(&unformed), Ok(()), "it may want to form or to join");
    for (stranger, why) in [
        (Greeting { cluster: ClusterId(8), ..greeting() }, "belongs to cluster"),
        (Greeting { to: NodeId(3), ..greeting() }, "this is node 1, not node 3"),
        (Greeting { from: NodeId(1), ..greeting() }, "another node says that it is node 1 too"),
        (Greeting { settings: 6, ..greeting() }, "cluster.toml differs"),
    ] {
        let refused = router.greeted(&stranger).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn a_frame_that_is_not_for_us_is_refused_whatever_was_said_before() {
    let (router, _) = router();
    router.frame(frame(Vec::new())).unwrap();
    let mut strange = frame(Vec::new());
    strange.envelope.cluster = ClusterId(8);
    router.frame(strange).unwrap_err();
    let mut strange = frame(Vec::new());
    strange.envelope.to = NodeId(3);
    router.frame(strange).unwrap_err();
    for message in [
        Message { kind: 99, ..Message::default() },
        Message { kind: kind::CALL, session: 99, ..Message::default() },
        Message { kind: kind::APPENDED, head: Bytes::from_static(b"?"), ..Message::default() },
    ] {
        router.frame(frame(vec![message])).unwrap_err();
    }
}

#[test]
fn a_node_without_a_cluster_is_only_asked_to_form() {
    let (router, _) = router();
    for method in [Method::Vote, Method::Run, Method::Repair] {
        let call = Message { kind: kind::CALL, session: method.number(), ..Message::default() };
        let mut unformed = frame(vec![call]);
        unformed.envelope.cluster = ClusterId(0);
        router.frame(unformed).unwrap_err();
    }
    let form = Message { kind: kind::CALL, session: Method::Form.number(), ..Message::default() };
    let mut unformed = frame(vec![form]);
    unformed.envelope.cluster = ClusterId(0);
    router.frame(unformed).unwrap();
}

/// It could vote, and lead, until the last shard had another in its place.
#[test]
fn a_node_that_was_replaced_is_listened_to_no_longer() {
    let (router, _) = router();
    router.frame(frame(Vec::new())).unwrap();
    router.set_replaced([NodeId(2)].into());
    let refused = router.frame(frame(Vec::new())).unwrap_err();
    assert_eq!(refused, "node 2 was replaced: switch it off for good");
    // One that has nothing any more may ask who it is.
    let mut unformed = frame(Vec::new());
    unformed.envelope.cluster = ClusterId(0);
    router.frame(unformed).unwrap();
}

#[test]
fn every_frame_tells_clock_and_disk_of_its_sender() {
    let (router, _) = router();
    router.frame(frame(Vec::new())).unwrap();
    let peer = router.peers()[&NodeId(2)];
    assert_eq!((peer.clock_offset_ms, peer.disk_free), (Some(250), Some(9)));
    assert!(peer.pressed && peer.leaving);
}

/// A node that was stopped for a while found its peers' frames waiting, took its own clock for the one
/// that is fast, and gave up what it led.
#[test]
fn a_frame_that_waited_does_not_move_its_senders_clock() {
    let clock = Arc::new(ManualClock::at(10_000));
    let (router, _) = router_with(clock.clone());
    let hear = |clock_ms| {
        let mut frame = frame(Vec::new());
        frame.envelope.clock_ms = clock_ms;
        router.frame(frame).unwrap();
        router.peers()[&NodeId(2)].clock_offset_ms
    };
    assert_eq!(hear(6_000), Some(-4_000));
    assert_eq!(hear(10_010), Some(10));
    assert_eq!(hear(7_000), Some(10));
    assert_eq!(hear(10_012), Some(12));
    // A clock that stays slow is slow.
    clock.advance(Duration::from_secs(6));
    assert_eq!(hear(14_000), Some(-2_000));
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_its_answer_its_connection_or_its_deadline() {
    let (router, link) = router();
    router.up(NodeId(2));
    let answer = |kind, from| {
        let (_, call) = lock(&link.0).last().cloned().unwrap();
        let mut frame = frame(vec![Message { kind, number: call.number, ..Message::default() }]);
        frame.envelope.from = from;
        router.frame(frame).unwrap();
    };
    let call = || router.call(NodeId(2), ShardId(0), Method::Vote, Bytes::new(), PATIENCE);

    let (called, ()) = tokio::join!(call(), async { answer(kind::ANSWER, NodeId(2)) });
    called.unwrap();
    let (called, ()) = tokio::join!(call(), async { answer(kind::REFUSAL, NodeId(2)) });
    assert_eq!(called.unwrap_err(), CallError::Refused(String::new()));
    let (called, ()) = tokio::join!(call(), async { router.down(NodeId(2)) });
    assert_eq!(called.unwrap_err(), CallError::Down);
    let (called, ()) = tokio::join!(call(), async { answer(kind::ANSWER, NodeId(3)) });
    assert_eq!(called.unwrap_err(), CallError::Late, "another node's answer is none");
    assert!(lock(&router.calls).is_empty());
}
