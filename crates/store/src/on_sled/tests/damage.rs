//! Damaged files: what was lost is always noticed.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::*;

const SHARDS: [ShardId; 3] = [ShardId(0), ShardId(1), ShardId::META];

/// A store with three shards at checkpoint 3, and what is visible in it.
fn built(place: &Place) -> Vec<Vec<(Bytes, Bytes)>> {
    let store = place.open();
    for number in 1..=3u64 {
        for shard in SHARDS {
            let value = |at: u64| vec![(at + number) as u8; (at as usize % 9) * 700];
            let key = |at: u64| Bytes::from(format!("key {at:03}"));
            let parts: Vec<Part> = (0..40).map(|at| part(key(at * number), value(at))).collect();
            store.put(shard, CheckpointNumber(number), &parts).unwrap();
            let number = CheckpointNumber(number);
            store.switch(shard, Switch { number, ..Switch::default() }).unwrap();
        }
    }
    SHARDS.iter().map(|shard| parts_of(&store, *shard).unwrap()).collect()
}

fn parts_of(store: &Sled, shard: ShardId) -> Result<Vec<(Bytes, Bytes)>, Error> {
    let mut parts = Vec::new();
    for key in store.keys(shard, b"", None, usize::MAX)? {
        let value = store.get(shard, &key)?.expect("a listed part is there");
        parts.push((key, value));
    }
    Ok(parts)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("blobs")).unwrap();
    for name in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().file_name()) {
        if name != "blobs" {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

#[derive(Debug, PartialEq)]
enum Found {
    Whole,
    Unreadable,
    Shard,
    /// An older checkpoint: the node's witness knows that there was a newer one.
    Short,
}

/// What is found; panics at a silent loss.
fn look(dir: &Path, expected: &[Vec<(Bytes, Bytes)>]) -> Found {
    let Ok(store) = Sled::open(dir, Options::default()) else { return Found::Unreadable };
    let mut found = Found::Whole;
    for (shard, expected) in SHARDS.into_iter().zip(expected) {
        match store.root(shard) {
            Err(_) => found = Found::Shard,
            Ok(Some(root)) if root.number == CheckpointNumber(3) => match parts_of(&store, shard) {
                Ok(parts) => assert!(parts == *expected, "silent loss in shard {shard}"),
                Err(_) => found = Found::Shard,
            },
            Ok(_) => found = Found::Short,
        }
    }
    found
}

fn count(runs: impl Iterator<Item = Found>) -> [usize; 4] {
    runs.fold([0; 4], |mut counts, found| {
        counts[found as usize] += 1;
        counts
    })
}

fn trials() -> u64 {
    if std::env::var_os("WEIR_TEST_LONG").is_some() { 1_000 } else { 40 }
}

#[test]
fn a_flipped_bit_is_never_a_silent_loss() {
    let place = Place::new();
    let expected = built(&place);
    let bytes = fs::metadata(place.path().join("db")).unwrap().len();
    let entropy = SeededEntropy::new(11);
    let counts = count((0..trials()).map(|_| {
        let bad = Place::new();
        copy(&place.path(), &bad.path());
        let file = fs::File::options().read(true).write(true).open(bad.path().join("db")).unwrap();
        let at = entropy.below(bytes);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        byte[0] ^= 1 << entropy.below(8);
        file.write_all_at(&byte, at).unwrap();
        look(&bad.path(), &expected)
    }));
    eprintln!("flips: whole, unreadable, damaged shard, short: {counts:?}");
    assert!(counts[1] + counts[2] + counts[3] > 0, "some flips hit");
}

#[test]
fn a_cut_file_is_never_a_silent_loss() {
    let place = Place::new();
    let expected = built(&place);
    let bytes = fs::metadata(place.path().join("db")).unwrap().len();
    let entropy = SeededEntropy::new(12);
    let counts = count((0..trials() / 2).map(|_| {
        let bad = Place::new();
        copy(&place.path(), &bad.path());
        let file = fs::File::options().write(true).open(bad.path().join("db")).unwrap();
        file.set_len(entropy.below(bytes)).unwrap();
        look(&bad.path(), &expected)
    }));
    eprintln!("cuts: whole, unreadable, damaged shard, short: {counts:?}");
}

/// What sled loses without a word, as if a page had gone: done with sled itself.
#[test]
fn every_lost_record_is_noticed() {
    let place = Place::new();
    let expected = built(&place);
    let name = catalogue::tree_name(SHARDS[0], 0);
    let open = |path: &Path| make::open_db(path, Options::default()).unwrap();
    let db = open(&place.path());
    let keys: Vec<_> = db.open_tree(&name).unwrap().iter().keys().map(Result::unwrap).collect();
    drop(db);
    for key in keys.iter().step_by(keys.len() / 30) {
        let bad = Place::new();
        copy(&place.path(), &bad.path());
        let db = open(&bad.path());
        db.open_tree(&name).unwrap().remove(key).unwrap();
        db.flush().unwrap();
        drop(db);
        let found = look(&bad.path(), &expected);
        let unseen = key[0] == crate::layout::chunk::KIND && found == Found::Whole;
        assert!(found == Found::Shard || unseen, "{key:?}: {found:?}");
        let report = crate::verify(&bad.path(), &bad.dir.path().join("scratch")).unwrap();
        assert_eq!(report.is_whole(), unseen, "{report}");
    }
}

#[test]
fn verify_names_what_is_damaged_and_changes_nothing() {
    let place = Place::new();
    built(&place);
    let scratch = place.dir.path().join("scratch");
    let report = crate::verify(&place.path(), &scratch).unwrap();
    assert!(report.is_whole() && !scratch.exists(), "{report}");
    assert_eq!(report.shards.len(), 3);
    assert!(report.shards.iter().all(|shard| shard.orphans_count == 0), "{report}");
    assert!(
        report
            .shards
            .iter()
            .all(|shard| shard.root.as_ref().map(|root| root.number) == Some(CheckpointNumber(3)))
    );
    let text = report.to_string();
    assert!(text.contains("shard meta: checkpoint 3, 79 parts"), "{text}");
    let store = place.open();
    let key = crate::layout::chunk::key(crate::layout::Version { number: 3, life: 0 }, 0, 0);
    let tree = store.db.open_tree(catalogue::tree_name(SHARDS[1], 0)).unwrap();
    tree.insert(&key, "rubbish").unwrap();
    let names: Vec<_> = parts_of(&store, SHARDS[0]).unwrap();
    assert!(!names.is_empty(), "the other shards can be read");
    let error = parts_of(&store, SHARDS[1]).unwrap_err().to_string();
    assert!(error.contains("shard 1, key key 003: fails its checksum"), "{error}");
    drop(store);
    let before = fs::read(place.path().join("db")).unwrap();
    let report = crate::verify(&place.path(), &scratch).unwrap();
    assert_eq!(report.shards[1].damage_count, 1);
    assert!(report.shards[1].damage[0].contains("key 003"), "{report}");
    assert!(fs::read(place.path().join("db")).unwrap() == before);
}
