//! Slots to shards: equal ranges, in order. Fixed once the cluster is made.

use base::ShardId;

use crate::slot::{SLOTS_COUNT, SlotId, slot_of};

/// Which shard owns which slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardMap {
    shards: u16,
}

/// More shards than this make small batches and idle traffic without use.
pub const SHARDS_MAX: u16 = 1024;

impl ShardMap {
    /// A map of so many shards; `None` for none, or for more than [`SHARDS_MAX`].
    pub fn new(shards: u16) -> Option<Self> {
        (1..=SHARDS_MAX).contains(&shards).then_some(Self { shards })
    }

    /// How many shards there are.
    pub fn len(self) -> u16 {
        self.shards
    }

    /// Never: there is at least one shard.
    pub fn is_empty(self) -> bool {
        false
    }

    /// Every shard, in order.
    pub fn shards(self) -> impl Iterator<Item = ShardId> {
        (0..self.shards).map(ShardId)
    }

    /// The owner of a slot.
    pub fn shard_of_slot(self, slot: SlotId) -> ShardId {
        let place = u32::from(slot.0) * u32::from(self.shards) / u32::from(SLOTS_COUNT);
        ShardId(u16::try_from(place).expect("a slot is below the number of slots"))
    }

    /// The owner of a key.
    pub fn shard_of(self, key: &[u8]) -> ShardId {
        self.shard_of_slot(slot_of(key))
    }

    /// First and last slot of a shard; `None` where there is no such shard.
    pub fn slots_of(self, shard: ShardId) -> Option<(SlotId, SlotId)> {
        if shard.0 >= self.shards {
            return None;
        }
        let first_of = |shard: u32| {
            let first = (shard * u32::from(SLOTS_COUNT)).div_ceil(u32::from(self.shards));
            u16::try_from(first).expect("at most the number of slots")
        };
        let shard = u32::from(shard.0);
        Some((SlotId(first_of(shard)), SlotId(first_of(shard + 1) - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_slot_once_and_are_equal() {
        for count in [1, 2, 3, 7, 8, 16, 1024] {
            let map = ShardMap::new(count).unwrap();
            let mut next = 0;
            for shard in map.shards() {
                let (first, last) = map.slots_of(shard).unwrap();
                assert_eq!(first.0, next);
                assert_eq!(map.shard_of_slot(first), shard);
                assert_eq!(map.shard_of_slot(last), shard);
                let width = last.0 - first.0 + 1;
                assert!(width.abs_diff(SLOTS_COUNT / count) <= 1, "{count}: {width}");
                next = last.0 + 1;
            }
            assert_eq!(next, SLOTS_COUNT);
            assert_eq!(map.slots_of(ShardId(count)), None);
        }
        assert_eq!(ShardMap::new(0), None);
        assert_eq!(ShardMap::new(SHARDS_MAX + 1), None);
    }
}
