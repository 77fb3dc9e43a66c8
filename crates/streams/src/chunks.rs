//! An ordered map in chunks, so that a checkpoint writes only the chunks that changed. Pending
//! lists and block indexes are such maps. Knows nothing of how a chunk is encoded.
//!
//! ```text
//! bound ── chunk { number, items sorted by key }      bound <= every key of the chunk
//! bound ── chunk                                      and > every key of the chunk before
//! ```

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::work;

/// A map from `K` to `V` in chunks of at most `MAX` items.
#[derive(Clone, Debug)]
pub(crate) struct ChunkMap<K, V, const MAX: usize> {
    chunks: BTreeMap<K, Chunk<K, V>>,
    len: usize,
    number_next: u64,
    /// Bounds of chunks that changed. May name one twice, or one that is gone.
    changed: Vec<K>,
    /// Numbers of chunks that a checkpoint has and that are gone.
    removed: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Chunk<K, V> {
    number: u64,
    changed: bool,
    /// Whether a checkpoint has it, perhaps in an older version.
    stored: bool,
    items: Vec<(K, V)>,
}

/// What changed since the last time.
pub(crate) struct Changes<'a, K, V> {
    /// Chunks by number, with all that they hold now.
    pub(crate) put: Vec<(u64, &'a [(K, V)])>,
    pub(crate) removed: Vec<u64>,
}

impl<K: Ord + Copy, V, const MAX: usize> Default for ChunkMap<K, V, MAX> {
    fn default() -> Self {
        Self {
            chunks: BTreeMap::new(),
            len: 0,
            number_next: 0,
            changed: Vec::new(),
            removed: Vec::new(),
        }
    }
}

impl<K: Ord + Copy, V, const MAX: usize> ChunkMap<K, V, MAX> {
    /// The same items, as no checkpoint has them.
    pub(crate) fn copy(&self) -> Self
    where
        V: Clone,
    {
        let mut copy = Self::default();
        for (key, value) in self.iter() {
            copy.insert(*key, value.clone());
        }
        copy
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        work::step();
        let (_, chunk) = self.chunks.range(..=key).next_back()?;
        let at = chunk.items.binary_search_by(|(mine, _)| mine.cmp(key)).ok()?;
        Some(&chunk.items[at].1)
    }

    /// The value of a key, which counts as changed from here on.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        work::step();
        let (bound, chunk) = self.chunks.range_mut(..=key).next_back()?;
        let at = chunk.items.binary_search_by(|(mine, _)| mine.cmp(key)).ok()?;
        if !chunk.changed {
            chunk.changed = true;
            self.changed.push(*bound);
        }
        Some(&mut chunk.items[at].1)
    }

    /// The last item whose key is at most `key`.
    pub(crate) fn at_or_before(&self, key: &K) -> Option<(&K, &V)> {
        self.back_from(*key).next()
    }

    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    pub(crate) fn last(&self) -> Option<(&K, &V)> {
        self.chunks.values().next_back()?.items.last().map(|(key, value)| (key, value))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.values().flat_map(|chunk| &chunk.items).map(|(key, value)| {
            work::step();
            (key, value)
        })
    }

    /// Items from `from` on, in order.
    pub(crate) fn from(&self, from: K) -> impl Iterator<Item = (&K, &V)> {
        let bound = self.chunks.range(..=from).next_back().map_or(from, |(bound, _)| *bound);
        self.chunks
            .range(bound..)
            .flat_map(move |(_, chunk)| {
                &chunk.items[chunk.items.partition_point(|(key, _)| *key < from)..]
            })
            .map(|(key, value)| {
                work::step();
                (key, value)
            })
    }

    /// Items up to `to`, last first.
    pub(crate) fn back_from(&self, to: K) -> impl Iterator<Item = (&K, &V)> {
        self.chunks
            .range(..=to)
            .rev()
            .flat_map(move |(_, chunk)| {
                chunk.items[..chunk.items.partition_point(|(key, _)| *key <= to)].iter().rev()
            })
            .map(|(key, value)| (key, value))
    }

    /// Puts a value, giving back what it replaces.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        work::step();
        let bound = match self.chunks.range(..=key).next_back() {
            Some((bound, _)) => *bound,
            None => self.first_bound_at(key),
        };
        let Self { chunks, changed, .. } = self;
        let chunk = chunks.get_mut(&bound).expect("the bound was just found");
        if !chunk.changed {
            chunk.changed = true;
            changed.push(bound);
        }
        match chunk.items.binary_search_by(|(mine, _)| mine.cmp(&key)) {
            Ok(at) => return Some(std::mem::replace(&mut chunk.items[at].1, value)),
            Err(at) if chunk.items.len() < MAX => chunk.items.insert(at, (key, value)),
            Err(at) => self.insert_split(bound, at, (key, value)),
        }
        self.len += 1;
        None
    }

    /// Makes the first chunk begin at `key`, which is below every bound, or makes one.
    fn first_bound_at(&mut self, key: K) -> K {
        match self.chunks.pop_first() {
            Some((_, mut chunk)) => {
                chunk.changed = true;
                self.changed.push(key);
                self.chunks.insert(key, chunk);
            }
            None => self.add_chunk(key, Vec::new()),
        }
        key
    }

    fn add_chunk(&mut self, bound: K, items: Vec<(K, V)>) {
        let chunk = Chunk { number: self.number_next, changed: true, stored: false, items };
        self.number_next += 1;
        self.changed.push(bound);
        self.chunks.insert(bound, chunk);
    }

    /// Splits a full chunk: in the middle, or, where keys are appended, at its end.
    fn insert_split(&mut self, bound: K, at: usize, item: (K, V)) {
        let chunk = self.chunks.get_mut(&bound).expect("the caller has found it");
        if at == chunk.items.len() {
            return self.add_chunk(item.0, vec![item]);
        }
        let mut upper = chunk.items.split_off(MAX / 2);
        if at < MAX / 2 {
            chunk.items.insert(at, item);
        } else {
            upper.insert(at - MAX / 2, item);
        }
        self.add_chunk(upper[0].0, upper);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        work::step();
        let (bound, chunk) = self.chunks.range_mut(..=key).next_back()?;
        let bound = *bound;
        let at = chunk.items.binary_search_by(|(mine, _)| mine.cmp(key)).ok()?;
        let (_, value) = chunk.items.remove(at);
        self.len -= 1;
        if !chunk.changed {
            chunk.changed = true;
            self.changed.push(bound);
        }
        let left = chunk.items.len();
        if left == 0 {
            self.drop_chunk(&bound);
        } else if left <= MAX / 8 {
            self.merge(bound);
        }
        Some(value)
    }

    fn drop_chunk(&mut self, bound: &K) -> Vec<(K, V)> {
        let chunk = self.chunks.remove(bound).expect("the caller has found it");
        if chunk.stored {
            self.removed.push(chunk.number);
        }
        chunk.items
    }

    /// Takes the next chunk into a small one, where both are well within one.
    fn merge(&mut self, bound: K) {
        let after = (Bound::Excluded(bound), Bound::Unbounded);
        let Some((next, chunk)) = self.chunks.range(after).next() else { return };
        if chunk.items.len() > MAX / 2 {
            return;
        }
        let next = *next;
        let items = self.drop_chunk(&next);
        self.chunks.get_mut(&bound).expect("the caller has found it").items.extend(items);
    }

    /// Takes a chunk that a checkpoint has. `items` are sorted and above or below everything here;
    /// false where they aren't.
    pub(crate) fn load(&mut self, number: u64, items: Vec<(K, V)>) -> bool {
        let sorted = items.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let (Some((first, _)), Some((last, _))) = (items.first(), items.last()) else {
            return false;
        };
        let (first, last) = (*first, *last);
        let before = self.chunks.range(..=last).next_back();
        let apart =
            before.is_none_or(|(_, chunk)| chunk.items.last().is_some_and(|(key, _)| *key < first));
        if !sorted || !apart || items.len() > MAX {
            return false;
        }
        self.len += items.len();
        self.number_next = self.number_next.max(number.saturating_add(1));
        self.chunks.insert(first, Chunk { number, changed: false, stored: true, items });
        true
    }

    pub(crate) fn is_changed(&self) -> bool {
        !self.changed.is_empty() || !self.removed.is_empty()
    }

    /// Everything that changed since the last call, which counts as stored from here on. Costs
    /// what changed.
    pub(crate) fn take_changes(&mut self) -> Changes<'_, K, V> {
        let mut bounds = std::mem::take(&mut self.changed);
        bounds.retain(|bound| match self.chunks.get_mut(bound) {
            Some(chunk) if chunk.changed => {
                chunk.changed = false;
                chunk.stored = true;
                true
            }
            _ => false,
        });
        let put = bounds
            .iter()
            .filter_map(|bound| self.chunks.get(bound))
            .map(|chunk| (chunk.number, &chunk.items[..]))
            .collect();
        Changes { put, removed: std::mem::take(&mut self.removed) }
    }
}

#[cfg(test)]
mod tests {
    use base::{Entropy, SeededEntropy};

    use super::*;

    type Small = ChunkMap<u64, u64, 8>;

    fn agree(map: &Small, model: &BTreeMap<u64, u64>) {
        assert!(map.iter().eq(model.iter()));
        assert_eq!(map.len(), model.len());
        for probe in [0, 50, 100, 199] {
            assert!(map.from(probe).eq(model.range(probe..)));
            assert!(map.back_from(probe).eq(model.range(..=probe).rev()));
        }
        assert_eq!((map.first(), map.last()), (model.first_key_value(), model.last_key_value()));
    }

    #[test]
    fn random_changes_agree_with_a_plain_map() {
        for seed in 0..50 {
            let random = SeededEntropy::new(seed);
            let (mut map, mut model) = (Small::default(), BTreeMap::new());
            for step in 0..500 {
                let key = random.below(200);
                match random.below(5) {
                    0..=2 => assert_eq!(map.insert(key, step), model.insert(key, step)),
                    3 => assert_eq!(map.remove(&key), model.remove(&key)),
                    _ => assert_eq!(map.get_mut(&key), model.get_mut(&key)),
                }
                assert_eq!(map.get(&key), model.get(&key));
                assert!(map.chunks.values().all(|chunk| (1..=8).contains(&chunk.items.len())));
            }
            agree(&map, &model);
        }
    }

    #[test]
    fn the_changes_alone_rebuild_the_map() {
        for seed in 0..50 {
            let random = SeededEntropy::new(seed);
            let (mut map, mut stored) = (Small::default(), BTreeMap::new());
            for round in 0..30 {
                for _ in 0..random.below(20) {
                    let key = random.below(200);
                    if random.below(2) == 0 {
                        map.insert(key, round);
                    } else {
                        map.remove(&key);
                    }
                }
                let changes = map.take_changes();
                for (number, items) in changes.put {
                    stored.insert(number, items.to_vec());
                }
                for number in changes.removed {
                    assert!(stored.remove(&number).is_some());
                }
                let mut loaded = Small::default();
                assert!(stored.iter().all(|(number, items)| loaded.load(*number, items.clone())));
                assert!(loaded.iter().eq(map.iter()));
                if random.below(4) == 0 {
                    map = loaded;
                }
            }
        }
    }

    #[test]
    fn a_change_costs_one_chunk() {
        let mut map = Small::default();
        for key in 0..10_000 {
            assert_eq!(map.insert(key, 0), None);
        }
        assert_eq!(map.take_changes().put.len(), 1250);
        assert_eq!(map.get_mut(&5_000), Some(&mut 0));
        let changes = map.take_changes();
        assert_eq!((changes.put.len(), changes.removed.len()), (1, 0));
        assert!(!map.is_changed());
    }

    #[test]
    fn overlapping_chunks_are_refused() {
        let mut map = Small::default();
        assert!(map.load(0, vec![(1, 0), (5, 0)]));
        assert!(!map.load(1, vec![(4, 0), (6, 0)]));
        assert!(!map.load(1, vec![(0, 0), (9, 0)]));
        assert!(!map.load(1, vec![(9, 0), (8, 0)]));
        assert!(!map.load(1, vec![]));
        assert!(map.load(1, vec![(6, 0)]));
    }
}
