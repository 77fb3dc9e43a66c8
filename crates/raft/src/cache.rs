//! The blocks of all shards of a node that are kept in memory beyond need, under one budget in
//! bytes. What is dirty counts against it: the cache yields to it. Never the only copy of anything.
//!
//! Two generations: what is used moves to the young one; when that holds half of what the cache
//! may keep, the old one goes and the young one becomes old. Near enough to least recently used,
//! with no list to keep.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::ShardId;

/// A cache of values `V` by shard and key `K`, shared by all shards of a node.
#[derive(Debug)]
pub struct Cache<K, V> {
    budget_bytes: usize,
    inner: Mutex<Inner<K, V>>,
}

#[derive(Debug)]
struct Inner<K, V> {
    young: Generation<K, V>,
    old: Generation<K, V>,
    /// What shards hold that isn't in the store yet.
    dirty: BTreeMap<ShardId, usize>,
    dirty_bytes: usize,
}

#[derive(Debug)]
struct Generation<K, V> {
    values: BTreeMap<(ShardId, K), (V, usize)>,
    bytes: usize,
}

impl<K, V> Default for Generation<K, V> {
    fn default() -> Self {
        Self { values: BTreeMap::new(), bytes: 0 }
    }
}

impl<K: Ord + Copy, V: Clone> Cache<K, V> {
    /// A cache that may keep `budget_bytes` together with what is dirty.
    pub fn new(budget_bytes: usize) -> Self {
        let inner = Inner {
            young: Generation::default(),
            old: Generation::default(),
            dirty: BTreeMap::new(),
            dirty_bytes: 0,
        };
        Self { budget_bytes, inner: Mutex::new(inner) }
    }

    /// The value, where it is kept.
    pub fn get(&self, shard: ShardId, key: K) -> Option<V> {
        let mut inner = self.lock();
        if let Some((value, _)) = inner.young.values.get(&(shard, key)) {
            return Some(value.clone());
        }
        let (value, bytes) = inner.old.take(&(shard, key))?;
        inner.insert((shard, key), value.clone(), bytes, self.budget_bytes);
        Some(value)
    }

    /// Keeps a value that occupies `bytes`.
    pub fn insert(&self, shard: ShardId, key: K, value: V, bytes: usize) {
        self.lock().insert((shard, key), value, bytes, self.budget_bytes);
    }

    /// Forgets what belongs to a shard: its state was replaced.
    pub fn forget(&self, shard: ShardId) {
        let mut inner = self.lock();
        inner.young.retain(|at| at != shard);
        inner.old.retain(|at| at != shard);
    }

    /// Says how much a shard holds that isn't in the store yet.
    pub fn set_dirty(&self, shard: ShardId, bytes: usize) {
        let mut inner = self.lock();
        let before = inner.dirty.insert(shard, bytes).unwrap_or(0);
        inner.dirty_bytes = inner.dirty_bytes - before + bytes;
        inner.shrink(self.budget_bytes);
    }

    /// What all shards hold that isn't in the store yet: back-pressure begins at a part of the
    /// node's memory.
    pub fn dirty_bytes(&self) -> usize {
        self.lock().dirty_bytes
    }

    /// Whether more than half of the budget isn't in the store yet: it grows faster than
    /// checkpoints are written, so nothing more is to be taken until they have caught up.
    pub fn is_pressed(&self) -> bool {
        self.dirty_bytes() > self.budget_bytes / 2
    }

    /// Whether half of what [`Cache::is_pressed`] allows is used up: checkpoints are to be made
    /// before commands have to wait for them.
    pub fn is_filling(&self) -> bool {
        self.dirty_bytes() > self.budget_bytes / 4
    }

    /// What is kept, in bytes.
    pub fn bytes(&self) -> usize {
        let inner = self.lock();
        inner.young.bytes + inner.old.bytes
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Copy, V> Inner<K, V> {
    fn insert(&mut self, key: (ShardId, K), value: V, bytes: usize, budget_bytes: usize) {
        self.young.take(&key);
        self.old.take(&key);
        self.young.values.insert(key, (value, bytes));
        self.young.bytes += bytes;
        self.shrink(budget_bytes);
    }

    fn shrink(&mut self, budget_bytes: usize) {
        let allowed = budget_bytes.saturating_sub(self.dirty_bytes);
        if self.young.bytes > allowed / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        if self.young.bytes + self.old.bytes > allowed {
            self.old = Generation::default();
        }
    }
}

impl<K: Ord + Copy, V> Generation<K, V> {
    fn take(&mut self, key: &(ShardId, K)) -> Option<(V, usize)> {
        let taken = self.values.remove(key)?;
        self.bytes -= taken.1;
        Some(taken)
    }

    fn retain(&mut self, keep: impl Fn(ShardId) -> bool) {
        self.values.retain(|(shard, _), _| keep(*shard));
        self.bytes = self.values.values().map(|(_, bytes)| bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ShardId = ShardId(1);
    const B: ShardId = ShardId(2);

    #[test]
    fn never_keeps_more_than_its_budget_less_what_is_dirty() {
        let cache = Cache::new(1000);
        for key in 0..100 {
            cache.insert(A, key, key, 90);
            assert!(cache.bytes() <= 1000, "{}", cache.bytes());
        }
        assert!(cache.bytes() >= 500);
        cache.set_dirty(B, 500);
        assert!(!cache.is_pressed() && cache.is_filling());
        cache.set_dirty(B, 800);
        cache.set_dirty(A, 100);
        assert_eq!(cache.dirty_bytes(), 900);
        assert!(cache.is_pressed());
        assert!(cache.bytes() <= 100);
        cache.set_dirty(B, 2000);
        cache.insert(A, 1, 1, 10);
        assert_eq!(cache.bytes(), 0);
        cache.set_dirty(B, 0);
        assert!(!cache.is_pressed());
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let cache = Cache::new(1000);
        cache.insert(A, 0, 0, 100);
        for key in 1..50 {
            cache.insert(A, key, key, 100);
            assert_eq!(cache.get(A, 0), Some(0), "after {key}");
        }
        assert_eq!(cache.get(A, 1), None);
    }

    #[test]
    fn a_value_inserted_again_counts_once() {
        let cache = Cache::new(1000);
        cache.insert(A, 0, 1, 100);
        cache.insert(A, 0, 2, 150);
        assert_eq!((cache.get(A, 0), cache.bytes()), (Some(2), 150));
    }

    #[test]
    fn forgetting_a_shard_leaves_the_others() {
        let cache = Cache::new(1000);
        cache.insert(A, 0, 1, 100);
        cache.insert(B, 0, 2, 100);
        cache.forget(A);
        assert_eq!((cache.get(A, 0), cache.get(B, 0), cache.bytes()), (None, Some(2), 100));
    }
}
