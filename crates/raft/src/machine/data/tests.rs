//! The machine against itself: one that never leaves memory, and one whose every block is evicted,
//! that is checkpointed, loaded again and fed once more at any moment.

use base::{Entropy, Incarnation, NodeId, SeededEntropy};
use store::{CheckpointNumber, Memory, PUT_PARTS_MAX, Part, Switch};
use streams::command::{
    Add, AddId, AutoClaim, Claim, GroupStart, Keep, ReadFrom, References, Trim,
};
use streams::id::EntryId;

use super::*;

const SHARD: ShardId = ShardId(1);

fn origin(node: u64) -> Origin {
    Origin { node: NodeId(node), incarnation: Incarnation { count: 1, random: 7 } }
}

fn data(store: &Memory, cache_bytes: usize) -> Data {
    Data::new(SHARD, Arc::new(store.clone()), Arc::new(BlockCache::new(cache_bytes)))
}

/// A machine with its checkpoints, and what was proposed since the last.
struct Kept {
    data: Data,
    store: Memory,
    number: u64,
    header: Bytes,
    since: Vec<Bytes>,
}

impl Kept {
    fn new() -> Self {
        let store = Memory::new();
        Self { data: data(&store, 0), store, number: 0, header: Bytes::new(), since: Vec::new() }
    }

    fn apply(&mut self, proposal: &Bytes) -> Outcomes {
        self.since.push(proposal.clone());
        self.data.apply(proposal, true).unwrap()
    }

    fn checkpoint(&mut self) {
        let contents = self.data.checkpoint();
        self.number += 1;
        let number = CheckpointNumber(self.number);
        let parts = contents.put.into_iter().map(|(key, value)| Part { key, value });
        for batch in parts.collect::<Vec<_>>().chunks(PUT_PARTS_MAX) {
            self.store.put(SHARD, number, batch).unwrap();
        }
        self.header = contents.header.clone();
        let switch = Switch {
            number,
            meta: contents.header,
            removed: contents.removed,
            dropped_prefixes: contents.dropped_prefixes,
        };
        self.store.switch(SHARD, switch).unwrap();
        self.data.switched();
        self.since.clear();
        while self.store.sweep(SHARD).unwrap() {}
    }

    /// What a restart does.
    fn reload(&mut self) {
        self.data = data(&self.store, 0);
        if self.number > 0 {
            let keys = self.store.keys(SHARD, b"", None, usize::MAX).unwrap();
            let wanted = keys.into_iter().filter(|key| self.data.unwanted(key).is_none());
            let wanted: Vec<_> = wanted.collect();
            let store = self.store.clone();
            let mut parts =
                wanted.into_iter().map(|key| Ok((key.clone(), store.get(SHARD, &key)?.unwrap())));
            self.data.load(&self.header, &mut parts).unwrap();
        }
        for proposal in &self.since {
            self.data.apply(proposal, false).unwrap();
        }
    }
}

fn key(by: &dyn Entropy) -> Bytes {
    Bytes::from(format!("stream-{}", by.below(3)))
}

fn id(by: &dyn Entropy, now_ms: u64) -> EntryId {
    EntryId::new(now_ms.saturating_sub(by.below(200)), by.below(2))
}

fn command(by: &dyn Entropy, now_ms: u64) -> Command {
    let (group, consumer) =
        (Bytes::from_static(b"group"), Bytes::from(format!("c{}", by.below(2))));
    let key = key(by);
    match by.below(24) {
        0 => Command::GroupCreate {
            key,
            group,
            start: GroupStart::After(EntryId::MIN),
            make_stream: true,
            entries_read: None,
        },
        1..=3 => Command::ReadGroup(ReadGroup {
            group,
            consumer,
            count: 1 + by.below(5),
            claim_idle_ms: (by.below(4) == 0).then_some(50),
            streams: vec![(
                key,
                if by.below(3) == 0 { ReadFrom::History(EntryId::MIN) } else { ReadFrom::New },
            )],
            ..ReadGroup::default()
        }),
        4 => Command::Ack { key, group, ids: vec![id(by, now_ms), id(by, now_ms)] },
        5 => Command::Claim(Claim {
            key,
            group,
            consumer,
            min_idle_ms: 0,
            ids: vec![id(by, now_ms)],
            delivered: None,
            deliveries: None,
            force: by.below(2) == 0,
            just_id: false,
            last_id: None,
        }),
        6 => Command::AutoClaim(AutoClaim {
            key,
            group,
            consumer,
            min_idle_ms: by.below(20),
            start: EntryId::MIN,
            count: 5,
            just_id: by.below(2) == 0,
        }),
        7 | 8 => Command::Delete { key, ids: (0..3).map(|_| id(by, now_ms)).collect() },
        9 => {
            let keep = Keep::Newest(by.below(100));
            let references = [References::Keep, References::Acked][by.below(2) as usize];
            let trim = Trim { keep, approximate: by.below(2) == 0, limit: None, references };
            Command::Trim { key, trim }
        }
        10 if by.below(8) == 0 => Command::Remove { keys: vec![key] },
        _ => Command::Add(Add {
            key,
            id: AddId::Auto,
            fields: vec![
                Bytes::from_static(b"field"),
                Bytes::from(vec![b'v'; usize::try_from(by.below(600)).unwrap()]),
            ],
            must_exist: false,
            trim: None,
            once: None,
        }),
    }
}

#[test]
fn evicted_checkpointed_and_loaded_again_at_any_moment_it_answers_and_hashes_the_same() {
    let rounds = if std::env::var_os("WEIR_TEST_LONG").is_some() { 400 } else { 20 };
    for seed in 0..rounds {
        let by = SeededEntropy::new(seed);
        let mut plain = data(&Memory::new(), usize::MAX);
        let mut kept = Kept::new();
        let (mut first, mut now_ms) = (streams::SEQUENCE_FIRST, 1_000);
        for step in 0..400 {
            now_ms += by.below(3);
            let commands: Vec<Command> =
                (0..1 + by.below(4)).map(|_| command(&by, now_ms)).collect();
            let count = commands.len() as u64;
            let lowest_unanswered = first.saturating_sub(by.below(5)).max(1);
            let run = Run { origin: origin(1), first, lowest_unanswered, commands };
            first += count;
            let batch = Batch { stamp: Stamp { now_ms }, runs: vec![run] };
            let proposal = batch.encode();
            let expected = plain.apply(&proposal, true).unwrap();
            let got = kept.apply(&proposal);
            assert_eq!(got.runs, expected.runs, "seed {seed} step {step} {batch:?}");
            assert_eq!(got.events, expected.events);
            assert_eq!(kept.data.hash(), plain.hash(), "seed {seed} step {step} {batch:?}");
            match by.below(12) {
                0 => kept.checkpoint(),
                1 => kept.reload(),
                _ => {}
            }
            let everything = Query::Range {
                key: key(&by),
                start: id(&by, now_ms),
                end: EntryId::MAX,
                count: Some(20),
                reverse: by.below(2) == 0,
            };
            let stamp = Stamp { now_ms };
            let expected = plain.answer(&everything, stamp).unwrap();
            assert_eq!(kept.data.answer(&everything, stamp).unwrap(), expected);
        }
        kept.checkpoint();
        assert_eq!(kept.data.blocks.cache.bytes(), 0, "nothing is kept beyond the budget");
    }
}

fn add(value: &str) -> Command {
    Command::Add(Add {
        key: Bytes::from_static(b"k"),
        id: AddId::Auto,
        fields: vec![Bytes::from_static(b"f"), Bytes::copy_from_slice(value.as_bytes())],
        must_exist: false,
        trim: None,
        once: None,
    })
}

fn propose(first: u64, lowest_unanswered: u64, commands: Vec<Command>) -> Bytes {
    let run = Run { origin: origin(1), first, lowest_unanswered, commands };
    Batch { stamp: Stamp { now_ms: 5 }, runs: vec![run] }.encode()
}

#[test]
fn a_run_that_comes_again_is_applied_once_and_answered_alike_after_a_restart_too() {
    let mut kept = Kept::new();
    let proposal = propose(1, 1, vec![add("a"), add("b")]);
    let first = kept.apply(&proposal).runs;
    let hash = kept.data.hash();
    assert_eq!(kept.apply(&proposal).runs, first);
    kept.checkpoint();
    kept.reload();
    assert_eq!(kept.apply(&proposal).runs, first);
    assert_eq!((kept.data.hash(), kept.data.mark(&origin(1))), (hash, Some(2)));
    let overlapping = kept.apply(&propose(2, 1, vec![add("b"), add("c")])).runs;
    assert_eq!(overlapping[0][0], first[0][1]);
    assert_eq!(kept.data.mark(&origin(1)), Some(3));
}

#[test]
fn a_gap_and_what_is_forgotten_are_refused_and_change_nothing() {
    let mut kept = Kept::new();
    kept.apply(&propose(1, 1, vec![add("a"), add("b")]));
    let stale = Reply::Refused(Refusal::Stale);
    let length = Query::Length { key: Bytes::from_static(b"k") };
    assert_eq!(kept.apply(&propose(4, 1, vec![add("d")])).runs, [[stale.clone()]]);
    kept.apply(&propose(3, 3, vec![add("c")]));
    assert_eq!(kept.apply(&propose(1, 1, vec![add("a")])).runs, [[stale]]);
    assert_eq!(kept.data.answer(&length, Stamp::default()).unwrap(), Reply::Count(3));
}

#[test]
fn nobody_waits_so_nothing_is_fetched_to_answer() {
    let mut kept = Kept::new();
    let proposal = propose(1, 1, vec![add("a")]);
    assert_eq!(kept.data.apply(&proposal, false).unwrap().runs, [[]]);
}

#[test]
fn a_damaged_or_missing_block_is_no_answer() {
    for missing in [false, true] {
        let mut kept = Kept::new();
        let many = (0..200).map(|value| add(&format!("{value}-{}", "x".repeat(100)))).collect();
        kept.apply(&propose(1, 1, many));
        kept.checkpoint();
        let keys = kept.store.keys(SHARD, b"", None, usize::MAX).unwrap();
        let block = keys.iter().find(|key| streams::is_block_part(key)).expect("one was sealed");
        if missing {
            let number = CheckpointNumber(9);
            let removed = vec![block.clone()];
            let switch = Switch { number, removed, ..Switch::default() };
            kept.store.switch(SHARD, switch).unwrap();
        } else {
            assert!(kept.store.damage(SHARD, block));
        }
        let all = Query::Range {
            key: Bytes::from_static(b"k"),
            start: EntryId::MIN,
            end: EntryId::MAX,
            count: None,
            reverse: false,
        };
        let broken = kept.data.answer(&all, Stamp::default()).unwrap_err();
        assert!(crate::repair::damaged_part(SHARD, &broken).is_some(), "{broken}");
        let length = Query::Length { key: Bytes::from_static(b"k") };
        assert_eq!(kept.data.answer(&length, Stamp::default()).unwrap(), Reply::Count(200));
    }
}
