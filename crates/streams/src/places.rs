//! Where keys stand while they are gone through step by step: by a hash of their names, so that a
//! place means the same before and after any key comes or goes. Never stored: made of the names.

use std::collections::BTreeSet;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::id::StreamNumber;

/// Bits of a place. Together with the number of a shard, which has 14, a place is a number that
/// clients without 64-bit integers keep whole.
pub const PLACE_BITS: u32 = 39;

/// The place of a key.
pub(crate) fn place_of(key: &[u8]) -> u64 {
    xxh3_64(key) >> (u64::BITS - PLACE_BITS)
}

/// All keys of a shard by place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(BTreeSet<(u64, StreamNumber)>);

impl Places {
    pub(crate) fn insert(&mut self, key: &Bytes, number: StreamNumber) {
        self.0.insert((place_of(key), number));
    }

    pub(crate) fn remove(&mut self, key: &[u8], number: StreamNumber) {
        self.0.remove(&(place_of(key), number));
    }

    /// From a place on, in order.
    pub(crate) fn from(&self, place: u64) -> impl Iterator<Item = (u64, StreamNumber)> {
        self.0.range((place, StreamNumber(0))..).copied()
    }
}
