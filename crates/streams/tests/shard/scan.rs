//! Going through all keys step by step, while others come and go.

use std::collections::{BTreeMap, BTreeSet};

use base::{Entropy, SeededEntropy};
use bytes::Bytes;
use streams::command::{Add, AddId, Command, Stamp};
use streams::query::Query;
use streams::reply::Reply;

use super::stored::Stored;

const NOW: Stamp = Stamp { now_ms: 1 };

fn add(shard: &mut Stored, key: &Bytes) {
    let fields = vec![Bytes::from_static(b"f"), Bytes::from_static(b"v")];
    let (key, id) = (key.clone(), AddId::Auto);
    let add = Command::Add(Add { key, id, fields, must_exist: false, trim: None, once: None });
    assert!(matches!(shard.apply(NOW, &add), Reply::Added(_)));
}

fn key(number: u64) -> Bytes {
    Bytes::from(format!("key-{number}"))
}

#[test]
fn a_scan_returns_what_is_there_from_its_first_call_to_its_last() {
    let random = SeededEntropy::new(7);
    for round in 0..20 {
        let mut shard = Stored::default();
        let mut there = BTreeSet::new();
        for number in 0..300 {
            add(&mut shard, &key(number));
            there.insert(key(number));
        }
        let mut stayed = there.clone();
        let mut found: BTreeMap<Bytes, u32> = BTreeMap::new();
        let (mut place, mut calls) = (0, 0);
        loop {
            let count = 1 + random.below(20);
            let scan = Query::Scan { place, count, pattern: None };
            let Reply::Scanned { next, keys } = shard.answer(NOW, &scan) else { panic!() };
            assert!(keys.len() as u64 >= count || next == 0);
            keys.into_iter().for_each(|key| *found.entry(key).or_default() += 1);
            calls += 1;
            if next == 0 {
                break;
            }
            assert!(next > place, "it goes on");
            place = next;
            let gone = key(random.below(300));
            shard.apply(NOW, &Command::Remove { keys: vec![gone.clone()] });
            stayed.remove(&gone);
            add(&mut shard, &key(1000 + random.below(1000)));
            if calls % 7 == 0 {
                shard.reload();
            }
        }
        let missed: Vec<&Bytes> = stayed.iter().filter(|key| !found.contains_key(*key)).collect();
        assert!(missed.is_empty() && stayed.len() > 100, "round {round}: {missed:?}");
        let twice: Vec<&Bytes> = stayed.iter().filter(|key| found[*key] > 1).collect();
        assert!(twice.is_empty(), "round {round}: {twice:?}");
    }
}
