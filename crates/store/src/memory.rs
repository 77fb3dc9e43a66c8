//! A store in memory that can fail like one on disk: for tests and simulation. Never touches a
//! file; what "survives" is what was switched to before [`Memory::crash`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::ShardId;
use base::planted::{Bug, is};
use bytes::Bytes;

use crate::api::{CheckpointNumber, Error, Part, Pin, Root, Store, Stores, Switch};
use crate::limits::{check_parts, check_switch};

/// A store in memory. Clones share their contents, so a simulated node keeps one clone as its disk
/// and hands another to each of its lives.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    disk: Arc<Mutex<Contents>>,
}

/// What a switch that is told to fail leaves on the disk. The caller sees the same error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchFault {
    /// The old checkpoint.
    Lost,
    /// The new one: only the news of it was lost.
    Kept,
}

#[derive(Debug, Default)]
struct Contents {
    shards: BTreeMap<ShardId, Shard>,
    /// The store doesn't open until it is set aside.
    unreadable: bool,
    /// There is damage that opening doesn't see.
    unseen: bool,
    /// Stores that were set aside and are not removed.
    aside_count: usize,
    /// Counts down at each switch; at zero that switch fails.
    switch_fault: Option<(u64, SwitchFault)>,
}

type Parts = BTreeMap<Bytes, Value>;

#[derive(Clone, Debug)]
enum Value {
    Whole(Bytes),
    /// As the disk has it: a bit is wrong, which whoever reads it is told.
    Damaged(Bytes),
}

#[derive(Debug, Default)]
struct Shard {
    root: Option<Root>,
    /// Copied when it changes while a pin holds it.
    parts: Arc<Parts>,
    ahead: BTreeMap<CheckpointNumber, Parts>,
    damaged: bool,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A power cut: what was put and not switched to is gone.
    pub fn crash(&self) {
        for shard in self.lock().shards.values_mut() {
            shard.ahead.clear();
        }
    }

    /// Makes the `nth` switch from now (1: the next) fail.
    pub fn fail_switch(&self, nth: u64, fault: SwitchFault) {
        self.lock().switch_fault = Some((nth, fault));
    }

    /// Damages one part of the current checkpoint: reading it answers [`Error::Damaged`]. False
    /// when there is no such part.
    pub fn damage(&self, shard: ShardId, key: &[u8]) -> bool {
        let mut contents = self.lock();
        let Some(shard) = contents.shards.get_mut(&shard) else { return false };
        let Some(value) = Arc::make_mut(&mut shard.parts).get_mut(key) else { return false };
        if let Value::Whole(bytes) = value {
            *value = Value::Damaged(flipped(bytes));
        }
        true
    }

    /// Takes back what [`Memory::damage`] did.
    pub fn mend(&self) {
        for shard in self.lock().shards.values_mut() {
            for value in Arc::make_mut(&mut shard.parts).values_mut() {
                if let Value::Damaged(bytes) = value {
                    *value = Value::Whole(flipped(bytes));
                }
            }
        }
    }

    /// The same for some part, whichever the number `at` means.
    pub fn damage_some(&self, shard: ShardId, at: u64) {
        let keys: Vec<Bytes> = self
            .lock()
            .shards
            .get(&shard)
            .map_or_else(Vec::new, |shard| shard.parts.keys().cloned().collect());
        let at = at.checked_rem(keys.len() as u64).and_then(|at| usize::try_from(at).ok());
        if let Some(key) = at.and_then(|at| keys.get(at)) {
            self.damage(shard, key);
        }
    }

    /// Damages a whole shard: every call for it answers [`Error::Damaged`] until it is forgotten.
    pub fn damage_shard(&self, shard: ShardId) {
        self.lock().shards.entry(shard).or_default().damaged = true;
    }

    /// Damages the store as a whole: [`Stores::open`] answers [`Error::Unreadable`] until it is set
    /// aside.
    pub fn make_unreadable(&self) {
        self.lock().unreadable = true;
    }

    /// Damages what opening doesn't look at: each switch answers [`Error::Unreadable`] until the store is
    /// set aside.
    pub fn damage_unseen(&self) {
        self.lock().unseen = true;
    }

    /// How many stores were set aside and are not removed.
    pub fn aside_count(&self) -> usize {
        self.lock().aside_count
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` on a shard that is not damaged.
    fn with<T>(
        &self,
        shard: ShardId,
        act: impl FnOnce(&mut Shard) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut contents = self.lock();
        let state = contents.shards.entry(shard).or_default();
        if state.damaged {
            let detail = "the shard is damaged".to_owned();
            return Err(Error::Damaged { shard, key: "-".to_owned(), detail });
        }
        act(state)
    }

    /// Whether this switch is the one that fails, and how.
    fn due_fault(&self) -> Option<SwitchFault> {
        let mut contents = self.lock();
        let (left, fault) = contents.switch_fault.as_mut()?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return None;
        }
        let fault = *fault;
        contents.switch_fault = None;
        Some(fault)
    }

    fn apply_switch(&self, shard: ShardId, change: Change) -> Result<(), Error> {
        self.with(shard, |state| state.check_number(change.number))?;
        if self.lock().unseen {
            return Err(Error::Unreadable("a page can't be read".to_owned()));
        }
        let fault = self.due_fault();
        if fault != Some(SwitchFault::Lost) {
            self.with(shard, |state| state.switch(change))?;
        }
        match fault {
            None => Ok(()),
            Some(_) => Err(Error::Io(io::Error::other("a switch was told to fail"))),
        }
    }
}

/// One store, whatever the directory.
impl Stores for Memory {
    fn open(&self, _dir: &Path) -> Result<Arc<dyn Store>, Error> {
        if self.lock().unreadable {
            return Err(Error::Unreadable("made so on demand".to_owned()));
        }
        // What an earlier process put and didn't switch to is nobody's.
        self.crash();
        Ok(Arc::new(self.clone()))
    }

    fn set_aside(&self, dir: &Path) -> io::Result<Option<PathBuf>> {
        let mut contents = self.lock();
        let aside_count = contents.aside_count + 1;
        *contents = Contents { aside_count, ..Contents::default() };
        Ok(Some(dir.with_extension(format!("damaged-{aside_count}"))))
    }

    fn remove_set_aside(&self, _dir: &Path) -> io::Result<()> {
        self.lock().aside_count = 0;
        Ok(())
    }
}

struct Change {
    number: CheckpointNumber,
    meta: Bytes,
    removed: Vec<Bytes>,
    dropped_prefixes: Vec<Bytes>,
}

impl Shard {
    fn check_number(&self, number: CheckpointNumber) -> Result<(), Error> {
        match &self.root {
            Some(root) if number <= root.number => {
                Err(Error::Misuse("a checkpoint's number must be above the current one"))
            }
            _ => Ok(()),
        }
    }

    fn switch(&mut self, change: Change) -> Result<(), Error> {
        let ahead = self.ahead.get(&change.number);
        if ahead.is_some_and(|put| change.removed.iter().any(|key| put.contains_key(key))) {
            return Err(Error::Misuse("a key is put and removed under one number"));
        }
        let put = self.ahead.remove(&change.number).unwrap_or_default();
        let parts = Arc::make_mut(&mut self.parts);
        for prefix in &change.dropped_prefixes {
            parts.retain(|key, _| !key.starts_with(prefix));
        }
        for key in &change.removed {
            parts.remove(key);
        }
        parts.extend(put);
        self.ahead = self.ahead.split_off(&change.number);
        self.root = Some(Root { number: change.number, meta: change.meta });
        Ok(())
    }
}

impl Store for Memory {
    fn root(&self, shard: ShardId) -> Result<Option<Root>, Error> {
        self.with(shard, |state| Ok(state.root.clone()))
    }

    fn get(&self, shard: ShardId, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.with(shard, |state| get(shard, &state.parts, key))
    }

    fn keys(
        &self,
        shard: ShardId,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Bytes>, Error> {
        self.with(shard, |state| Ok(keys(&state.parts, prefix, after, limit)))
    }

    fn put(&self, shard: ShardId, number: CheckpointNumber, parts: &[Part]) -> Result<(), Error> {
        check_parts(parts)?;
        self.with(shard, |state| {
            state.check_number(number)?;
            let ahead = state.ahead.entry(number).or_default();
            let keys: BTreeSet<&Bytes> = parts.iter().map(|part| &part.key).collect();
            if keys.len() < parts.len() || keys.iter().any(|key| ahead.contains_key(*key)) {
                return Err(Error::Misuse("a key is put twice under one number"));
            }
            let value = |part: &Part| (part.key.clone(), Value::Whole(part.value.clone()));
            ahead.extend(parts.iter().map(value));
            Ok(())
        })
    }

    fn abandon(&self, shard: ShardId, number: CheckpointNumber) -> Result<(), Error> {
        self.with(shard, |state| {
            state.ahead.remove(&number);
            Ok(())
        })
    }

    fn switch(&self, shard: ShardId, switch: Switch) -> Result<(), Error> {
        check_switch(&switch)?;
        let Switch { number, meta, removed, dropped_prefixes } = switch;
        self.apply_switch(shard, Change { number, meta, removed, dropped_prefixes })
    }

    fn replace(&self, shard: ShardId, number: CheckpointNumber, meta: Bytes) -> Result<(), Error> {
        let dropped_prefixes = vec![Bytes::new()];
        self.apply_switch(shard, Change { number, meta, removed: Vec::new(), dropped_prefixes })
    }

    fn forget(&self, shard: ShardId) -> Result<(), Error> {
        self.lock().shards.remove(&shard);
        Ok(())
    }

    fn pin(&self, shard: ShardId) -> Result<Option<Box<dyn Pin>>, Error> {
        self.with(shard, |state| {
            let Some(root) = state.root.clone() else { return Ok(None) };
            let pin = MemoryPin { shard, root, parts: Arc::clone(&state.parts) };
            Ok(Some(Box::new(pin) as Box<dyn Pin>))
        })
    }

    fn sweep(&self, shard: ShardId) -> Result<bool, Error> {
        self.with(shard, |_| Ok(false))
    }

    fn bytes_on_disk(&self) -> Result<u64, Error> {
        let contents = self.lock();
        let values = contents.shards.values().flat_map(|shard| shard.parts.iter());
        Ok(values.map(|(key, value)| (key.len() + value.len()) as u64).sum())
    }
}

impl Value {
    fn len(&self) -> usize {
        match self {
            Value::Whole(bytes) => bytes.len(),
            Value::Damaged(bytes) => bytes.len(),
        }
    }
}

struct MemoryPin {
    shard: ShardId,
    root: Root,
    parts: Arc<Parts>,
}

impl Pin for MemoryPin {
    fn root(&self) -> Root {
        self.root.clone()
    }

    fn keys(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<Bytes>, Error> {
        Ok(keys(&self.parts, &[], after, limit))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        get(self.shard, &self.parts, key)
    }
}

fn flipped(bytes: &Bytes) -> Bytes {
    let mut flipped = bytes.to_vec();
    let middle = flipped.len() / 2;
    flipped.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 1);
    flipped.into()
}

fn get(shard: ShardId, parts: &Parts, key: &[u8]) -> Result<Option<Bytes>, Error> {
    match parts.get(key) {
        None => Ok(None),
        Some(Value::Whole(value)) => Ok(Some(value.clone())),
        Some(Value::Damaged(value)) if is(Bug::DamageServed) => Ok(Some(value.clone())),
        Some(Value::Damaged(_)) => Err(Error::Damaged {
            shard,
            key: key.escape_ascii().to_string(),
            detail: "damaged on demand".to_owned(),
        }),
    }
}

fn keys(parts: &Parts, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Bytes> {
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    parts
        .range::<[u8], _>((start, Bound::Unbounded))
        .map(|(key, _)| key)
        .take_while(|key| key.starts_with(prefix))
        .take(limit)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: ShardId = ShardId(1);

    fn put(store: &Memory, number: u64, key: &'static str) {
        let value = Bytes::from(format!("{key}@{number}"));
        let part = Part { key: Bytes::from(key), value };
        store.put(SHARD, CheckpointNumber(number), &[part]).unwrap();
    }

    fn switch(store: &Memory, number: u64) -> Result<(), Error> {
        let number = CheckpointNumber(number);
        store.switch(SHARD, Switch { number, ..Switch::default() })
    }

    #[test]
    fn keeps_the_rules_of_a_store() {
        crate::conformance::all(|| Box::new(Memory::new()));
    }

    #[test]
    fn a_crash_keeps_what_was_switched_and_nothing_else() {
        let store = Memory::new();
        put(&store, 1, "a");
        switch(&store, 1).unwrap();
        put(&store, 2, "b");
        store.crash();
        switch(&store, 2).unwrap();
        assert_eq!(store.keys(SHARD, b"", None, 9).unwrap(), ["a"]);
    }

    #[test]
    fn a_failing_switch_leaves_the_old_or_the_new_checkpoint() {
        for (fault, kept) in [(SwitchFault::Lost, 1), (SwitchFault::Kept, 2)] {
            let store = Memory::new();
            put(&store, 1, "a");
            store.fail_switch(2, fault);
            switch(&store, 1).unwrap();
            put(&store, 2, "a");
            switch(&store, 2).unwrap_err();
            store.crash();
            let root = store.root(SHARD).unwrap().unwrap();
            assert_eq!(root.number, CheckpointNumber(kept));
            let value = store.get(SHARD, b"a").unwrap().unwrap();
            assert_eq!(value, format!("a@{kept}"));
        }
    }

    #[test]
    fn an_unreadable_store_opens_again_empty_once_it_is_set_aside() {
        let (store, dir) = (Memory::new(), Path::new("/data/store"));
        put(&store, 1, "a");
        switch(&store, 1).unwrap();
        store.make_unreadable();
        assert!(matches!(store.open(dir), Err(Error::Unreadable(_))));
        assert!(store.set_aside(dir).unwrap().unwrap().ends_with("store.damaged-1"));
        assert_eq!(store.open(dir).unwrap().root(SHARD).unwrap(), None);
        assert_eq!(store.aside_count(), 1);
        store.remove_set_aside(dir).unwrap();
        assert_eq!(store.aside_count(), 0);
    }

    #[test]
    fn damage_on_demand_is_seen_and_names_the_key() {
        let store = Memory::new();
        put(&store, 1, "a");
        switch(&store, 1).unwrap();
        assert!(store.damage(SHARD, b"a"));
        assert!(!store.damage(SHARD, b"b"));
        let error = store.get(SHARD, b"a").unwrap_err().to_string();
        assert!(error.contains("shard 1") && error.contains("key a"), "{error}");
        let damaged = store.get(SHARD, b"a");
        store.mend();
        assert!(damaged.is_err() && store.get(SHARD, b"a").unwrap().is_some());
        store.damage_shard(SHARD);
        assert!(matches!(store.root(SHARD), Err(Error::Damaged { .. })));
        store.forget(SHARD).unwrap();
        assert_eq!(store.root(SHARD).unwrap(), None);
    }
}
