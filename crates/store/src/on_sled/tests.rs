//! The store on disk against the one in memory, opened again at any moment, and under churn. Never
//! damaged here: that is `damage`.

use std::path::PathBuf;

use base::{Entropy, SeededEntropy};
use tempfile::TempDir;

use super::*;
use crate::{Memory, PUT_PARTS_MAX};

const SHARD: ShardId = ShardId(1);

/// A directory for a store that is opened more than once.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn open(&self) -> Sled {
        Sled::open(&self.path(), Options::default()).unwrap()
    }
}

fn part(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Part {
    Part { key: key.into(), value: value.into() }
}

fn switch_to(store: &dyn Store, number: u64) {
    let number = CheckpointNumber(number);
    store.switch(SHARD, Switch { number, ..Switch::default() }).unwrap();
}

fn sweep_all(store: &dyn Store) -> usize {
    (0..1_000_000).find(|_| !store.sweep(SHARD).unwrap()).expect("sweeping ends")
}

/// Everything that is visible: root, keys, values.
fn visible(store: &dyn Store) -> (Option<Root>, Vec<(Bytes, Bytes)>) {
    let keys = store.keys(SHARD, b"", None, usize::MAX).unwrap();
    let value = |key: &Bytes| store.get(SHARD, key).unwrap().expect("a listed part is there");
    let parts = keys.into_iter().map(|key| (key.clone(), value(&key))).collect();
    (store.root(SHARD).unwrap(), parts)
}

fn pinned(pin: &dyn Pin) -> (Root, Vec<(Bytes, Bytes)>) {
    let keys = pin.keys(None, usize::MAX).unwrap();
    let value = |key: &Bytes| pin.get(key).unwrap().expect("a pinned part is there");
    (pin.root(), keys.into_iter().map(|key| (key.clone(), value(&key))).collect())
}

#[test]
fn keeps_the_rules_of_a_store() {
    let places = std::cell::RefCell::new(Vec::new());
    crate::conformance::all(|| {
        let place = Place::new();
        let store = place.open();
        places.borrow_mut().push(place);
        Box::new(store)
    });
}

/// One store on disk and one in memory that are told the same.
struct Pair {
    place: Place,
    /// `None` only while it is opened again.
    sled: Option<Sled>,
    memory: Memory,
    entropy: SeededEntropy,
    pins: Vec<(Box<dyn Pin>, Box<dyn Pin>)>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let place = Place::new();
        let sled = Some(place.open());
        let entropy = SeededEntropy::new(seed);
        Self { place, sled, memory: Memory::new(), entropy, pins: Vec::new() }
    }

    fn sled(&self) -> &Sled {
        self.sled.as_ref().unwrap()
    }

    fn both<T: PartialEq + std::fmt::Debug>(&self, act: impl Fn(&dyn Store) -> T) {
        assert_eq!(act(self.sled()), act(&self.memory));
    }

    fn reopen(&mut self) {
        self.pins.clear();
        self.sled = None;
        self.memory.crash();
        self.sled = Some(self.place.open());
    }

    fn key(&self) -> Bytes {
        let stream = self.entropy.below(4) as u8;
        Bytes::from(vec![b's', stream, self.entropy.below(12) as u8])
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for _ in 0..=self.entropy.below(8) {
            let key = self.key();
            let length = [0, 3, 512, 513, 5_995, 5_996, 20_000][self.entropy.below(7) as usize];
            if parts.iter().all(|part| part.key != key) {
                parts.push(part(key, vec![self.entropy.next_u64() as u8; length]));
            }
        }
        parts
    }

    fn current(&self) -> u64 {
        self.memory.root(SHARD).unwrap().map_or(0, |root| root.number.0)
    }

    fn switch(&self) -> Switch {
        let keys = |count| (0..self.entropy.below(count)).map(|_| self.key()).collect();
        let removed = keys(4);
        let dropped_prefixes: Vec<Bytes> = keys(2);
        Switch {
            number: CheckpointNumber(self.current() + 1 + self.entropy.below(3)),
            meta: Bytes::from(vec![7; self.entropy.below(1_000) as usize]),
            removed,
            dropped_prefixes: dropped_prefixes.into_iter().map(|key| key.slice(..2)).collect(),
        }
    }

    fn step(&mut self) {
        let number = CheckpointNumber(self.current() + 1 + self.entropy.below(3));
        match self.entropy.below(16) {
            0..6 => {
                let parts = self.parts();
                self.both(|store| store.put(SHARD, number, &parts).is_ok());
            }
            6..9 => {
                let switch = self.switch();
                self.both(|store| store.switch(SHARD, switch.clone()).is_ok());
            }
            9 => self.both(|store| store.abandon(SHARD, number).unwrap()),
            10 if self.entropy.below(4) == 0 => {
                self.both(|store| store.replace(SHARD, number, Bytes::from("new")).unwrap());
            }
            11 if self.entropy.below(8) == 0 => {
                self.pins.clear();
                self.both(|store| store.forget(SHARD).unwrap());
            }
            12 => {
                let pins = (self.sled().pin(SHARD).unwrap(), self.memory.pin(SHARD).unwrap());
                if let (Some(sled), Some(memory)) = pins {
                    self.pins.push((sled, memory));
                }
            }
            13 => drop(self.pins.pop()),
            _ => drop(self.sled().sweep(SHARD).unwrap()),
        }
    }

    fn compare(&self) {
        self.both(visible);
        for (sled, memory) in &self.pins {
            assert_eq!(pinned(sled.as_ref()), pinned(memory.as_ref()));
        }
    }

    /// After sweeping, only what is visible is left: its entries and chunks, root and sum.
    fn check_nothing_leaks(&mut self) {
        self.pins.clear();
        for ahead in 1..=3 {
            self.sled().abandon(SHARD, CheckpointNumber(self.current() + ahead)).unwrap();
        }
        sweep_all(self.sled());
        let (root, parts) = visible(self.sled());
        let chunks = |length: usize| length.div_ceil(5_995) * usize::from(length > 512);
        let mut expected: usize = parts.iter().map(|(_, value)| 1 + chunks(value.len())).sum();
        if let Some(root) = root {
            let meta = root.meta.len();
            expected += 2 + usize::from(meta > 512) + chunks(meta);
        } else {
            // The sum, once anything was ever written.
            expected += self.sled().records_count(SHARD).unwrap().min(1);
        }
        assert_eq!(self.sled().records_count(SHARD).unwrap(), expected);
        assert_eq!(self.sled().orphans_count(SHARD).unwrap(), 0);
    }
}

fn runs() -> u64 {
    if std::env::var_os("WEIR_TEST_LONG").is_some() { 200 } else { 4 }
}

#[test]
fn does_what_the_store_in_memory_does_with_pins_and_sweeping() {
    for seed in 0..runs() {
        let mut pair = Pair::new(seed);
        for step in 0..250 {
            pair.step();
            if step % 4 == 0 {
                pair.compare();
            }
        }
        pair.compare();
        pair.check_nothing_leaks();
    }
}

#[test]
fn reopened_after_every_call() {
    for seed in 1_000..1_000 + runs() {
        let mut pair = Pair::new(seed);
        for _ in 0..50 {
            pair.step();
            pair.reopen();
            pair.compare();
        }
        pair.check_nothing_leaks();
    }
}

#[test]
fn what_a_crash_left_over_goes_and_never_appears() {
    let place = Place::new();
    let store = place.open();
    store.put(SHARD, CheckpointNumber(1), &[part("a", vec![1; 30_000])]).unwrap();
    switch_to(&store, 1);
    sweep_all(&store);
    let clean = store.records_count(SHARD).unwrap();
    store.put(SHARD, CheckpointNumber(2), &[part("a", vec![2; 30_000])]).unwrap();
    store.put(SHARD, CheckpointNumber(9), &[part("b", vec![2; 30_000])]).unwrap();
    drop(store);
    let store = place.open();
    store.put(SHARD, CheckpointNumber(2), &[part("c", "new")]).unwrap();
    switch_to(&store, 2);
    assert_eq!(store.keys(SHARD, b"", None, 9).unwrap(), ["a", "c"]);
    assert_eq!(store.get(SHARD, b"a").unwrap().unwrap(), vec![1; 30_000]);
    drop(store);
    let store = place.open();
    switch_to(&store, 20);
    assert_eq!(store.keys(SHARD, b"", None, 9).unwrap(), ["a", "c"]);
    sweep_all(&store);
    assert_eq!(store.records_count(SHARD).unwrap(), clean + 1);
}

#[test]
fn a_dropped_stream_is_one_record_and_goes_in_small_steps() {
    let place = Place::new();
    let store = place.open();
    let number = CheckpointNumber(1);
    for first in (0..6_400u32).step_by(64) {
        let key = |at: u32| [&b"s"[..], &at.to_be_bytes()].concat();
        let parts: Vec<Part> = (first..first + 64).map(|at| part(key(at), "x")).collect();
        store.put(SHARD, number, &parts).unwrap();
    }
    store.put(SHARD, number, &[part("other", "x")]).unwrap();
    switch_to(&store, 1);
    sweep_all(&store);
    let before = store.records_count(SHARD).unwrap();
    let dropped_prefixes = vec![Bytes::from("s")];
    let number = CheckpointNumber(2);
    store.switch(SHARD, Switch { number, dropped_prefixes, ..Switch::default() }).unwrap();
    assert_eq!(store.records_count(SHARD).unwrap(), before + 2, "the drop and its change record");
    assert_eq!(store.orphans_count(SHARD).unwrap(), 0);
    assert_eq!(store.keys(SHARD, b"", None, 9).unwrap(), ["other"]);
    assert!(store.sweep(SHARD).unwrap());
    drop(store);
    let store = place.open();
    assert_eq!(store.keys(SHARD, b"", None, 9).unwrap(), ["other"], "half swept and reopened");
    assert!(sweep_all(&store) > 6_000 / crate::limits::SWEEP_KEYS_MAX);
    assert_eq!(store.records_count(SHARD).unwrap(), 3, "sum, root, the other part");
}

/// Values as long as they get, removed in no order: pages of sled are then as big as they get.
#[test]
fn no_blob_file_whatever_is_removed_in_which_order() {
    let place = Place::new();
    let store = place.open();
    let entropy = SeededEntropy::new(5);
    let mut live: Vec<Bytes> = Vec::new();
    for number in 1..=60u64 {
        let parts: Vec<Part> = (0..20)
            .map(|_| part(entropy.next_u64().to_be_bytes().to_vec(), vec![number as u8; 5_995 * 2]))
            .collect();
        store.put(SHARD, CheckpointNumber(number), &parts).unwrap();
        let mut removed = Vec::new();
        while live.len() > 80 {
            removed.push(live.swap_remove(entropy.below(live.len() as u64) as usize));
        }
        live.extend(parts.into_iter().map(|part| part.key));
        let number = CheckpointNumber(number);
        store.switch(SHARD, Switch { number, removed, ..Switch::default() }).unwrap();
        sweep_all(&store);
        assert_eq!(store.synced.blobs_count().unwrap(), 0);
    }
    assert_eq!(store.keys(SHARD, b"", None, 999).unwrap().len(), live.len());
}

#[test]
fn the_file_stays_bounded_under_churn() {
    let place = Place::new();
    let store = place.open();
    let live_bytes = 64 * 30_000;
    let mut greatest = 0;
    for number in 1..=100u64 {
        let key = |at: u64| format!("{:03}", (number * 20 + at) % 64);
        let parts: Vec<Part> =
            (0..20).map(|at| part(key(at), vec![number as u8; 30_000])).collect();
        store.put(SHARD, CheckpointNumber(number), &parts).unwrap();
        switch_to(&store, number);
        sweep_all(&store);
        greatest = greatest.max(store.bytes_on_disk().unwrap());
    }
    // 60 MB went through it.
    assert!(greatest < 10 * live_bytes, "{greatest} bytes for {live_bytes} live");
}

#[test]
fn readers_and_pins_see_whole_checkpoints_while_others_are_written_and_swept() {
    let place = Place::new();
    let store = place.open();
    let value = |number: u64| vec![number as u8; 8_000];
    let write = |number: u64| {
        let parts: Vec<Part> = (0..8u8).map(|at| part(vec![at], value(number))).collect();
        store.put(SHARD, CheckpointNumber(number), &parts).unwrap();
        switch_to(&store, number);
    };
    write(1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 2..150 {
                write(number);
                sweep_all(&store);
            }
        });
        let mut looks = 0;
        while !writer.is_finished() || looks < 10 {
            let pin = store.pin(SHARD).unwrap().unwrap();
            let number = pin.root().number.0;
            for at in 0..8u8 {
                assert_eq!(pin.get(&[at]).unwrap().unwrap(), value(number));
                assert_eq!(store.get(SHARD, &[at]).unwrap().unwrap().len(), 8_000);
            }
            assert_eq!(pin.keys(None, 99).unwrap().len(), 8);
            looks += 1;
        }
        writer.join().unwrap();
    });
    sweep_all(&store);
    assert_eq!(store.records_count(SHARD).unwrap(), 2 + 8 * 3);
}

#[test]
fn opened_twice_is_refused_and_is_no_damage() {
    let place = Place::new();
    let _store = place.open();
    let error = Sled::open(&place.path(), Options::default()).unwrap_err();
    assert!(matches!(error, Error::Io(_)), "{error}");
}

#[test]
fn a_half_made_store_is_made_anew_and_half_snapshots_go() {
    let place = Place::new();
    let making = place.dir.path().join("store.making");
    std::fs::create_dir(&making).unwrap();
    std::fs::write(making.join("conf"), "half").unwrap();
    std::fs::create_dir(place.path()).unwrap(); // an empty directory is no store
    let store = place.open();
    store.put(SHARD, CheckpointNumber(1), &[part("a", "1")]).unwrap();
    switch_to(&store, 1);
    drop(store);
    let half = place.path().join("snap.00FF.generating");
    std::fs::write(&half, "half").unwrap();
    let store = place.open();
    assert!(!half.exists() && !making.exists());
    assert_eq!(store.get(SHARD, b"a").unwrap().unwrap(), "1");
}

#[test]
fn an_emptied_store_is_damage_and_never_a_new_one() {
    let place = Place::new();
    let store = place.open();
    store.put(SHARD, CheckpointNumber(1), &[part("a", "1")]).unwrap();
    switch_to(&store, 1);
    drop(store);
    for (what, length) in [("cut to nothing", 0), ("cut to a segment of zeros", 512 << 10)] {
        let file = std::fs::File::options().write(true).open(place.path().join("db")).unwrap();
        file.set_len(0).unwrap();
        file.set_len(length).unwrap();
        let error = Sled::open(&place.path(), Options::default()).unwrap_err();
        assert!(matches!(error, Error::Unreadable(_)), "{what}: {error}");
    }
}

#[test]
fn a_damaged_shard_says_so_until_it_is_forgotten_and_replaced() {
    let place = Place::new();
    let store = place.open();
    let other = ShardId(2);
    for shard in [SHARD, other] {
        store.put(shard, CheckpointNumber(1), &[part("a", vec![1; 9_000])]).unwrap();
        let number = CheckpointNumber(1);
        store.switch(shard, Switch { number, ..Switch::default() }).unwrap();
    }
    let tree = store.db.open_tree(catalogue::tree_name(SHARD, 0)).unwrap();
    let keys: Vec<_> = tree.iter().keys().map(Result::unwrap).collect();
    for key in keys.iter().filter(|key| key[0] != crate::layout::chunk::KIND) {
        tree.remove(key).unwrap();
    }
    drop((tree, store));
    let store = place.open();
    let error = store.root(SHARD).unwrap_err().to_string();
    assert!(error.contains("shard 1"), "{error}");
    assert!(store.put(SHARD, CheckpointNumber(2), &[]).is_err());
    assert_eq!(store.get(other, b"a").unwrap().unwrap().len(), 9_000);
    store.forget(SHARD).unwrap();
    assert_eq!(store.root(SHARD).unwrap(), None);
    store.put(SHARD, CheckpointNumber(5), &[part("b", "2")]).unwrap();
    store.replace(SHARD, CheckpointNumber(5), Bytes::new()).unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.keys(SHARD, b"", None, 9).unwrap(), ["b"]);
    sweep_all(&store);
    let old = store.db.open_tree(catalogue::tree_name(SHARD, 0)).unwrap();
    assert!(old.is_empty(), "what was forgotten goes, too");
}

#[test]
fn a_sync_of_sleds_own_that_fails_is_said_to_be_one() {
    let full = || sled::Error::Io(std::io::Error::from_raw_os_error(libc::ENOSPC));
    for error in [failed(full()), unreadable(full())] {
        let Error::Io(error) = error else { panic!("another error") };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        assert!(error.to_string().contains("syncing it: "), "{error}");
    }
}

mod damage;
mod kill;

/// spacejam/sled#1269: with all of its threads in a write, sled may stand still for ever.
#[test]
fn sleds_threads_are_never_all_busy_with_writes() {
    use crate::durable::tests::{MOST_UNDER_WAY, WATCHED};
    const SLEDS_THREADS: usize = 7;

    let place = Place::new();
    let store = place.open();
    let file = place.path().canonicalize().unwrap().join("db");
    *WATCHED.lock().unwrap() = Some(file);
    let long = |number: u64, key: u64| {
        let part = part(format!("long-{key}"), vec![key as u8; 1 << 20]);
        store.put(SHARD, CheckpointNumber(number), &[part]).unwrap();
    };
    let short = |number: u64| {
        let parts = (0..PUT_PARTS_MAX).map(|key| part(format!("short-{key}"), vec![1; 3_000]));
        store.put(SHARD, CheckpointNumber(number), &parts.collect::<Vec<_>>()).unwrap();
    };
    for number in 1..=3 {
        (0..2).for_each(|key| long(number, key));
        short(number);
        switch_to(&store, number);
        sweep_all(&store);
    }
    *WATCHED.lock().unwrap() = None;
    let most = MOST_UNDER_WAY.load(std::sync::atomic::Ordering::SeqCst);
    assert!((2..SLEDS_THREADS).contains(&most), "{most} under way at one time");
}

#[test]
fn a_store_that_was_set_aside_before_the_power_went_is_no_error() {
    use crate::{OnDisk, Stores};
    let place = Place::new();
    drop(place.open());
    let stores = OnDisk::default();
    assert!(stores.set_aside(&place.path()).unwrap().is_some());
    assert_eq!(stores.set_aside(&place.path()).unwrap(), None);
    drop(stores.open(&place.path()).unwrap());
}
