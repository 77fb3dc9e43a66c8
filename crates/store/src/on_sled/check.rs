//! Whether a shard's tree is whole. Never repairs.

use std::collections::{BTreeMap, BTreeSet};

use base::ShardId;
use bytes::Bytes;

use super::{Sled, damaged, unreadable};
use crate::api::{Error, Store};
use crate::layout::catalogue::Shelf;
use crate::layout::entry::{self, Entry};
use crate::layout::root::{self, RootRecord};
use crate::layout::sum::{self, Sum};
use crate::layout::{Bad, Version, change, chunk, dropped, unframe};

/// What the small records of a tree say.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) sum: Sum,
    pub(super) root: Option<RootRecord>,
    pub(super) drops: BTreeMap<(Version, u32), Bytes>,
    /// Every version that may have records and isn't swept.
    pub(super) versions: BTreeSet<Version>,
}

/// Reads every record but the chunks, and compares them with the sum. So the loss of any is noticed,
/// except of a whole tail of batches, which the node's witness notices.
pub(super) fn shallow(id: ShardId, tree: &sled::Tree, shelf: Shelf) -> Result<Checked, Error> {
    let mut checked = Checked::default();
    let mut promised = None;
    for record in tree.range(..[chunk::KIND]) {
        let (key, value) = record.map_err(unreadable)?;
        let read = checked.take(&key, &value, &mut promised);
        read.map_err(|error| damaged(id, &key, error))?;
    }
    if promised.unwrap_or_default() != checked.sum {
        let (there, should) = (checked.sum.count, promised.unwrap_or_default().count);
        let detail = format!("records are missing: {there} of {should}, or others");
        return Err(damaged(id, sum::KEY, detail));
    }
    if shelf.rooted && checked.root.is_none() {
        return Err(damaged(id, root::KEY, "the checkpoint is missing"));
    }
    Ok(checked)
}

impl Checked {
    fn take(&mut self, key: &[u8], value: &[u8], promised: &mut Option<Sum>) -> Result<(), Bad> {
        let payload = unframe(key, value)?;
        if Sum::counts(key) {
            self.sum.add(key);
        }
        match key.first() {
            _ if key == sum::KEY => *promised = Some(Sum::decode(payload)?),
            _ if key == root::KEY => self.root = Some(RootRecord::decode(payload)?),
            Some(&change::KIND) => {
                self.versions.insert(change::decode_key(key)?);
            }
            Some(&dropped::KIND) => {
                self.drops.insert(dropped::decode_key(key)?, Bytes::copy_from_slice(payload));
            }
            Some(&entry::KIND) => {
                entry::decode_key(key)?;
                Entry::decode(payload)?;
            }
            _ => return Err(Bad("unknown kind of record")),
        }
        Ok(())
    }
}

/// Chunks of versions that have no record that leads to them, or that their entry doesn't count.
pub(super) fn orphans(id: ShardId, tree: &sled::Tree) -> Result<usize, Error> {
    let mut counted: BTreeMap<(Version, u32), u32> = BTreeMap::new();
    for record in tree.scan_prefix([entry::KIND]) {
        let (key, value) = record.map_err(unreadable)?;
        let bad = |error| damaged(id, &key, error);
        let (_, version) = entry::decode_key(&key).map_err(bad)?;
        let entry = unframe(&key, &value).and_then(Entry::decode).map_err(bad)?;
        if let Entry::Chunks { sequence, chunks, .. } = entry {
            counted.insert((version, sequence), chunks);
        }
    }
    let mut orphans = 0;
    for key in tree.scan_prefix([chunk::KIND]).keys() {
        let key = key.map_err(unreadable)?;
        let (version, sequence, number) =
            chunk::decode_key(&key).map_err(|error| damaged(id, &key, error))?;
        orphans += usize::from(counted.get(&(version, sequence)).is_none_or(|all| number >= *all));
    }
    Ok(orphans)
}

/// Reads every part of a shard's checkpoint: how many, how many bytes, and what is damaged.
pub(crate) fn deep(store: &Sled, shard: ShardId, damage: &mut Vec<Error>) -> (u64, u64) {
    let (mut parts, mut bytes) = (0, 0);
    let mut after: Option<Bytes> = None;
    loop {
        let keys = match store.keys(shard, &[], after.as_deref(), 1_000) {
            Ok(keys) => keys,
            Err(error) => {
                damage.push(error);
                return (parts, bytes);
            }
        };
        let Some(last) = keys.last() else { return (parts, bytes) };
        after = Some(last.clone());
        for key in &keys {
            match store.get(shard, key) {
                Ok(Some(value)) => {
                    parts += 1;
                    bytes += value.len() as u64;
                }
                Ok(None) => damage.push(damaged(shard, &entry::part_name(key), "it is missing")),
                Err(error) => damage.push(error),
            }
        }
    }
}
