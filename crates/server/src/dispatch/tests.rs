//! One question to many shards that answer as they are told.

use std::collections::BTreeMap;
use std::sync::Mutex;

use base::NodeId;
use raft::{NodeStatus, Watch};
use streams::error::Refusal;
use streams::id::EntryId;
use streams::query::After;
use streams::reply::Earlier;
use tokio::sync::oneshot;

use super::*;

type Answer = (oneshot::Sender<Outcome>, String);

/// Shards that say what they were asked and answer what they are told. A key's shard is its first
/// letter.
#[derive(Default)]
struct Told {
    asked: Mutex<BTreeMap<ShardId, Answer>>,
}

impl Told {
    fn note(&self, shard: ShardId, what: String) -> Pending {
        let (sender, pending) = Pending::new();
        let before = self.asked.lock().unwrap().insert(shard, (sender, what));
        assert!(before.is_none(), "asked twice");
        pending
    }

    fn answer(&self, key: &str, outcome: Outcome) -> String {
        let shard = self.shard_of(key.as_bytes());
        let (sender, what) = self.asked.lock().unwrap().remove(&shard).expect("was asked");
        sender.send(outcome).unwrap();
        what
    }

    fn is_idle(&self) -> bool {
        self.asked.lock().unwrap().is_empty()
    }
}

impl Shards for Told {
    fn write(&self, shard: ShardId, command: Command) -> Pending {
        self.note(shard, format!("{command:?}"))
    }

    fn read(&self, shard: ShardId, query: Query) -> Pending {
        self.note(shard, format!("{query:?}"))
    }

    fn watch(&self, _: ShardId, _: Query) -> Watch {
        Watch::never()
    }

    fn settings(&self) -> raft::settings::Settings {
        raft::settings::Settings::default()
    }

    fn choose(&self, _: std::collections::BTreeMap<String, u64>) -> Pending {
        Pending::ready(Err(ProposeError::Stopped))
    }

    fn shard_of(&self, key: &[u8]) -> ShardId {
        ShardId(u16::from(key[0] - b'a'))
    }

    fn shards(&self) -> Vec<ShardId> {
        (0..3).map(ShardId).collect()
    }

    fn status(&self) -> NodeStatus {
        NodeStatus { node: NodeId(1), ..NodeStatus::default() }
    }
}

fn told() -> (Arc<Told>, Arc<dyn Shards>) {
    let told = Arc::new(Told::default());
    (Arc::clone(&told), told)
}

fn poll(call: &mut Call) -> Poll<Outcome> {
    Pin::new(call).poll(&mut Context::from_waker(std::task::Waker::noop()))
}

fn keys(names: &str) -> Vec<Bytes> {
    names.split(' ').map(|name| Bytes::copy_from_slice(name.as_bytes())).collect()
}

fn found(key: &str) -> (Bytes, Vec<Entry>) {
    (Bytes::copy_from_slice(key.as_bytes()), vec![Entry { id: EntryId::MIN, fields: None }])
}

fn group_read(streams: &[(&'static str, ReadFrom)]) -> ReadGroup {
    let stream = |(key, from): &(&'static str, ReadFrom)| (Bytes::from(*key), *from);
    ReadGroup {
        group: "g".into(),
        consumer: "c".into(),
        streams: streams.iter().map(stream).collect(),
        ..ReadGroup::default()
    }
}

#[test]
fn keys_of_one_shard_are_one_question() {
    let (told, shards) = told();
    let mut call = Call::write(&shards, Command::Remove { keys: keys("a1 a2 a1") });
    assert!(poll(&mut call).is_pending());
    assert!(told.answer("a", Ok(Reply::Count(2))).contains("a2"));
    assert_eq!(poll(&mut call), Poll::Ready(Ok(Reply::Count(2))));
}

#[test]
fn counts_of_many_shards_are_added_up() {
    let (told, shards) = told();
    let mut call = Call::read(&shards, Query::Exists { keys: keys("a1 b1 a2") });
    told.answer("b", Ok(Reply::Count(1)));
    assert!(poll(&mut call).is_pending());
    assert!(told.answer("a", Ok(Reply::Count(2))).contains("a2"));
    assert_eq!(poll(&mut call), Poll::Ready(Ok(Reply::Count(3))));

    let mut call = Call::read(&shards, Query::KeysCount);
    for key in ["a", "b", "c"] {
        told.answer(key, Ok(Reply::Count(5)));
    }
    assert_eq!(poll(&mut call), Poll::Ready(Ok(Reply::Count(15))));
}

#[test]
fn streams_of_many_shards_come_back_in_the_order_named() {
    let (told, shards) = told();
    let streams = keys("b1 a1 b2 a2").into_iter().map(|key| (key, After::Last)).collect();
    let mut call = Call::read(&shards, Query::Read { count: 0, most: Most::default(), streams });
    told.answer("a", Ok(Reply::Streams(vec![found("a1"), found("a2")])));
    told.answer("b", Ok(Reply::Streams(vec![found("b2")])));
    let merged = vec![found("a1"), found("b2"), found("a2")];
    assert_eq!(poll(&mut call), Poll::Ready(Ok(Reply::Streams(merged))));

    let streams = keys("a1 b1").into_iter().map(|key| (key, After::Last)).collect();
    let mut call = Call::read(&shards, Query::Read { count: 0, most: Most::default(), streams });
    told.answer("a", Ok(Reply::Nil));
    told.answer("b", Ok(Reply::Nil));
    assert_eq!(poll(&mut call), Poll::Ready(Ok(Reply::Nil)));
}

#[test]
fn a_write_to_many_shards_that_failed_in_one_is_unknown() {
    let (told, shards) = told();
    let outcome = |a: Outcome, b: Outcome| {
        let mut call = Call::write(&shards, Command::Remove { keys: keys("a1 b1") });
        told.answer("a", a);
        assert!(poll(&mut call).is_pending());
        told.answer("b", b);
        match poll(&mut call) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("both have answered"),
        }
    };
    let (done, expired) = (Ok(Reply::Count(1)), Err(ProposeError::Expired));
    assert_eq!(outcome(expired.clone(), done.clone()), Err(ProposeError::Unknown));
    assert_eq!(outcome(done, Err(ProposeError::Unknown)), Err(ProposeError::Unknown));
    assert_eq!(outcome(expired.clone(), expired), Err(ProposeError::Expired));
    let busy = Err(ProposeError::Overloaded("memory"));
    assert_eq!(outcome(busy, Err(ProposeError::Stopped)), Err(ProposeError::Unknown));
}

#[test]
fn a_group_read_proposes_only_where_there_is_something() {
    let (told, shards) = told();
    let history = ReadFrom::History(EntryId::MIN);
    let read = [("a1", ReadFrom::New), ("b1", ReadFrom::New), ("b2", history)];
    let mut call = Call::read_group(&shards, group_read(&read));
    assert!(call.is_looking());
    assert!(told.answer("a", Ok(Reply::Count(1))).starts_with("WouldDeliver"));
    assert!(told.answer("b", Ok(Reply::Count(0))).starts_with("WouldDeliver"));
    assert!(poll(&mut call).is_pending());
    assert!(!call.is_looking());
    assert!(told.answer("a", Ok(Reply::Streams(vec![found("a1")]))).starts_with("ReadGroup"));
    assert!(told.is_idle());
    let merged = vec![found("a1"), ("b2".into(), vec![])];
    assert_eq!(poll(&mut call), Poll::Ready(Ok(Reply::Streams(merged))));

    let mut call = Call::read_group(&shards, group_read(&[("a1", ReadFrom::New)]));
    told.answer("a", Ok(Reply::Count(0)));
    assert_eq!(poll(&mut call), Poll::Ready(Ok(Reply::Nil)));
}

#[test]
fn a_read_over_shards_gives_no_more_than_asked_for() {
    let (told, shards) = told();
    let most = Most { entries: Some(2), bytes: None };
    let streams = keys("a1 b1 a2").into_iter().map(|key| (key, After::Last)).collect();
    let mut call = Call::read(&shards, Query::Read { count: 0, most, streams });
    told.answer("a", Ok(Reply::Streams(vec![found("a1"), found("a2")])));
    told.answer("b", Ok(Reply::Streams(vec![found("b1")])));
    let first = vec![found("a1"), found("b1")];
    assert_eq!(poll(&mut call), Poll::Ready(Ok(Reply::Streams(first))));

    // What is delivered can't be taken back: each shard has its share, and one may have none.
    let history = ReadFrom::History(EntryId::MIN);
    let read = [("a1", ReadFrom::New), ("b1", ReadFrom::New), ("c1", history)];
    let mut call = Call::read_group(&shards, ReadGroup { most, ..group_read(&read) });
    for key in ["a", "b", "c"] {
        told.answer(key, Ok(Reply::Count(1)));
    }
    assert!(poll(&mut call).is_pending());
    assert!(told.answer("a", Ok(Reply::Streams(vec![found("a1")]))).contains("Some(1)"));
    assert!(told.answer("b", Ok(Reply::Streams(vec![found("b1")]))).contains("Some(1)"));
    assert!(told.is_idle());
    let merged = vec![found("a1"), found("b1")];
    assert_eq!(poll(&mut call), Poll::Ready(Ok(Reply::Streams(merged))));
}

#[test]
fn claims_of_many_shards_come_back_in_the_order_named() {
    let (told, shards) = told();
    let claimed = |key: &str| {
        let (key, entries) = found(key);
        let earlier = Some(Earlier { idle_ms: 9, deliveries: 1 });
        let delivery = |entry| Delivery { entry, earlier };
        (key, entries.into_iter().map(delivery).collect::<Vec<_>>())
    };
    let history = ReadFrom::History(EntryId::MIN);
    let read = [("b1", history), ("a1", ReadFrom::New), ("c1", ReadFrom::New)];
    let read = ReadGroup { claim_idle_ms: Some(5), ..group_read(&read) };
    let mut call = Call::read_group(&shards, read);
    told.answer("a", Ok(Reply::Count(1)));
    told.answer("b", Ok(Reply::Count(0)));
    told.answer("c", Ok(Reply::Count(1)));
    assert!(poll(&mut call).is_pending());
    told.answer("a", Ok(Reply::Deliveries(vec![claimed("a1")])));
    told.answer("c", Ok(Reply::Nil));
    let merged = vec![("b1".into(), vec![]), claimed("a1")];
    assert_eq!(poll(&mut call), Poll::Ready(Ok(Reply::Deliveries(merged))));
}

#[test]
fn a_group_read_that_one_shard_refuses_delivers_nothing() {
    let (told, shards) = told();
    let read = [("a1", ReadFrom::New), ("b1", ReadFrom::New)];
    let mut call = Call::read_group(&shards, group_read(&read));
    let refused = Ok(Reply::Refused(Refusal::NoKey));
    told.answer("a", Ok(Reply::Count(1)));
    told.answer("b", refused.clone());
    assert_eq!(poll(&mut call), Poll::Ready(refused));
    assert!(told.is_idle());

    // And a look that got no answer changed nothing, whatever became of it.
    let mut call = Call::read_group(&shards, group_read(&[("a1", ReadFrom::New)]));
    told.answer("a", Err(ProposeError::Stopped));
    assert_eq!(poll(&mut call), Poll::Ready(Err(ProposeError::Expired)));
}

#[test]
fn a_scan_goes_from_shard_to_shard() {
    let (told, shards) = told();
    let scan = |cursor| {
        let query = Query::Scan { place: cursor, count: 5, pattern: None };
        Call::read(&shards, query)
    };
    let found = |next| Reply::Scanned { next, keys: keys("x") };
    let step = |cursor, shard: &str, place: u64, next| {
        let mut call = scan(cursor);
        let asked = told.answer(shard, Ok(found(next)));
        assert!(asked.contains(&format!("place: {place},")), "{asked}");
        match poll(&mut call) {
            Poll::Ready(Ok(Reply::Scanned { next, keys: found })) => {
                assert_eq!(found, keys("x"));
                next
            }
            other => panic!("{other:?}"),
        }
    };
    let cursor = step(0, "a", 0, 17);
    let cursor = step(cursor, "a", 17, 0);
    let cursor = step(cursor, "b", 0, 1 << (PLACE_BITS - 1));
    assert!(cursor < 1 << 53, "clients keep no more of a number");
    let cursor = step(cursor, "b", 1 << (PLACE_BITS - 1), 0);
    assert_eq!(step(cursor, "c", 0, 0), 0);

    // What was never a cursor is the end.
    let end = Reply::Scanned { next: 0, keys: Vec::new() };
    assert_eq!(poll(&mut scan(u64::MAX)), Poll::Ready(Ok(end.clone())));
    assert_eq!(poll(&mut scan(3 << PLACE_BITS)), Poll::Ready(Ok(end)));
    assert!(told.is_idle());
}

#[test]
fn keys_of_all_shards_are_put_together() {
    let (told, shards) = told();
    let mut call = Call::read(&shards, Query::Keys { pattern: "*".into() });
    for key in ["c", "a", "b"] {
        assert!(poll(&mut call).is_pending());
        told.answer(key, Ok(Reply::Keys(keys(key))));
    }
    assert_eq!(poll(&mut call), Poll::Ready(Ok(Reply::Keys(keys("a b c")))));
}

#[test]
fn some_key_is_of_a_shard_that_has_any() {
    let (told, shards) = told();
    let some = |place, answers: [&'static str; 3]| {
        let mut call = Call::read(&shards, Query::KeyAt { place });
        for (shard, answer) in ["a", "b", "c"].into_iter().zip(answers) {
            let reply = if answer.is_empty() { Reply::NoKey } else { Reply::Text(answer.into()) };
            told.answer(shard, Ok(reply));
        }
        poll(&mut call)
    };
    let text = |text: &'static str| Poll::Ready(Ok(Reply::Text(text.into())));
    assert_eq!(some(0, ["a1", "b1", ""]), text("a1"));
    assert_eq!(some(1, ["a1", "b1", ""]), text("b1"));
    assert_eq!(some(2, ["a1", "b1", ""]), text("a1"));
    assert_eq!(some(5, ["", "", ""]), Poll::Ready(Ok(Reply::NoKey)));
}

#[test]
fn everything_goes_when_all_shards_have_done_it() {
    let (told, shards) = told();
    let mut call = Call::write(&shards, Command::Flush);
    for shard in ["b", "c", "a"] {
        assert!(poll(&mut call).is_pending());
        assert_eq!(told.answer(shard, Ok(Reply::Ok)), "Flush");
    }
    assert_eq!(poll(&mut call), Poll::Ready(Ok(Reply::Ok)));

    let mut call = Call::write(&shards, Command::Flush);
    told.answer("a", Ok(Reply::Ok));
    told.answer("b", Err(ProposeError::Expired));
    told.answer("c", Ok(Reply::Ok));
    assert_eq!(poll(&mut call), Poll::Ready(Err(ProposeError::Unknown)));
}
