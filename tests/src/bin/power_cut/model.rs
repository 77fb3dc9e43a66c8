//! What each shard's log and state hold, as functions of position alone: so that any process can
//! tell what must be there. Never random.

use std::collections::{BTreeMap, BTreeSet};

use base::ShardId;
use bytes::Bytes;
use tests::writers::filled;

/// Shards under churn.
pub(crate) const SHARDS: [ShardId; 4] = [ShardId(0), ShardId(1), ShardId(2), ShardId::META];

const GROUPS: u64 = 6;
const SLOTS: u64 = 8;

/// What an entry does to the state.
enum Act {
    Write(Bytes),
    Remove(Bytes),
    Drop(Bytes),
}

/// What changes between two applied positions.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Key to the entry that wrote it; none where it was removed.
    pub(crate) touched: BTreeMap<Bytes, Option<u64>>,
    pub(crate) dropped: BTreeSet<Bytes>,
}

/// The changes of the entries after `from`, up to and with `to`.
pub(crate) fn changes(shard: ShardId, from: u64, to: u64) -> Changes {
    let mut changes = Changes::default();
    for index in from + 1..=to {
        match act(shard, index) {
            Act::Write(key) => drop(changes.touched.insert(key, Some(index))),
            Act::Remove(key) => drop(changes.touched.insert(key, None)),
            Act::Drop(prefix) => {
                changes.touched.retain(|key, _| !key.starts_with(&prefix));
                changes.dropped.insert(prefix);
            }
        }
    }
    changes
}

/// The whole state at an applied position: key to the entry that wrote it.
pub(crate) fn state(shard: ShardId, applied: u64) -> BTreeMap<Bytes, u64> {
    let changes = changes(shard, 0, applied);
    changes.touched.into_iter().filter_map(|(key, index)| Some((key, index?))).collect()
}

/// What the entry wrote into the state.
pub(crate) fn value(shard: ShardId, index: u64) -> Bytes {
    filled(mix(shard, index, 1), size(shard, index)).into()
}

/// What the journal holds for an entry of this term.
pub(crate) fn payload(shard: ShardId, index: u64, term: u64) -> Bytes {
    filled(mix(shard, index, 2 + term), size(shard, index)).into()
}

/// 1 byte to 1 MiB, each power of two as often as the next.
fn size(shard: ShardId, index: u64) -> usize {
    let bits = mix(shard, index, 0);
    let below = 1u64 << (bits % 21);
    1 + ((bits >> 8) % below) as usize
}

fn act(shard: ShardId, index: u64) -> Act {
    let bits = mix(shard, index, u64::MAX);
    let group = (bits >> 8) % GROUPS;
    let prefix = format!("group {group}/");
    let key = Bytes::from(format!("{prefix}{}", (bits >> 16) % SLOTS));
    match bits % 64 {
        0 => Act::Drop(Bytes::from(prefix)),
        1..8 => Act::Remove(key),
        _ => Act::Write(key),
    }
}

fn mix(shard: ShardId, index: u64, what: u64) -> u64 {
    let mut z = index
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(u64::from(shard.0) << 48)
        .wrapping_add(what.wrapping_mul(0xd6e8_feb8_6659_fd93));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
