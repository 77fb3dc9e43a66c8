//! Removing what nothing refers to any more, a little at a call. Never touches what an observer can
//! see. A crash between any two batches leaves work for the next sweep, nothing else: what says
//! where to look goes last.

use std::ops::Bound;
use std::sync::Arc;

use super::batch::Batch;
use super::shard::Shard;
use super::write::Writing;
use super::{damaged, failed, guarded, unreadable};
use crate::api::Error;
use crate::layout::entry::{self, Entry};
use crate::layout::{Version, change, chunk, dropped, unframe};
use crate::limits::{BATCH_AHEAD_OF_SLED, BATCH_OPERATIONS_MAX, SWEEP_KEYS_MAX};

/// What is left to do in one call.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, keys: usize) {
        self.0 = self.0.saturating_sub(keys);
    }

    fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

impl Writing {
    /// One call: true when it ended because it had done enough.
    pub(super) fn sweep(&mut self) -> Result<bool, Error> {
        let mut budget = Budget(SWEEP_KEYS_MAX);
        while let (Some(version), false) = (self.void.first().copied(), budget.is_spent()) {
            self.sweep_version(version, &mut budget)?;
        }
        if let (Some(oldest), false) = (self.shard.oldest_observed(), budget.is_spent()) {
            self.sweep_changes(oldest, &mut budget)?;
            self.sweep_drops(oldest, &mut budget)?;
            self.sweep_old_trees(&mut budget)?;
        }
        Ok(budget.is_spent())
    }

    /// Removes one version that was never switched to, whole.
    pub(super) fn sweep_void(&mut self) -> Result<(), Error> {
        if let Some(version) = self.void.first().copied() {
            self.sweep_version(version, &mut Budget(usize::MAX))?;
        }
        Ok(())
    }

    /// Removes all records of a version that was never switched to: first what is found by its
    /// version, then its entries, each with the record that names it.
    fn sweep_version(&mut self, version: Version, budget: &mut Budget) -> Result<(), Error> {
        let tree = self.shard.tree.clone();
        let mut batch = Batch::new(&tree, &mut self.sum, &self.ahead);
        for kind in [chunk::prefix(version), dropped::prefix(version)] {
            for key in tree.scan_prefix(&kind).keys() {
                if budget.is_spent() {
                    return batch.commit();
                }
                let key = key.map_err(unreadable)?;
                match kind.first() {
                    Some(&chunk::KIND) => batch.remove_chunk(&key)?,
                    _ => batch.remove(&key)?,
                }
                budget.spend(1);
            }
        }
        batch.commit()?;
        for record in tree.scan_prefix(change::prefix(version)) {
            if budget.is_spent() {
                return Ok(());
            }
            let (key, value) = record.map_err(unreadable)?;
            let mut batch = Batch::new(&tree, &mut self.sum, &self.ahead);
            for name in self.shard.names_of(&key, &value)? {
                let key = entry::key(&name, version);
                if tree.contains_key(&key).map_err(unreadable)? {
                    batch.remove(&key)?;
                    budget.spend(1);
                }
            }
            batch.remove(&key)?;
            batch.commit()?;
            budget.spend(1);
        }
        if !budget.is_spent() {
            self.void.remove(&version);
            self.show_less(|view| {
                view.passed_over.remove(&version);
            });
        }
        Ok(())
    }

    /// Looks at what versions changed that every observer is past: what they made old goes.
    fn sweep_changes(&mut self, oldest: Version, budget: &mut Budget) -> Result<(), Error> {
        let tree = self.shard.tree.clone();
        for record in tree.scan_prefix([change::KIND]) {
            let (key, value) = record.map_err(unreadable)?;
            let decoded = change::decode_key(&key);
            let version = decoded.map_err(|error| damaged(self.shard.id, &key, error))?;
            if version > oldest {
                return Ok(());
            }
            let names = self.shard.names_of(&key, &value)?;
            let mut batch = Batch::new(&tree, &mut self.sum, &self.ahead);
            for name in &names {
                if budget.is_spent() {
                    return batch.commit();
                }
                sweep_older(&self.shard, &mut batch, name, version, budget)?;
            }
            batch.remove(&key)?;
            batch.commit()?;
            budget.spend(1 + names.len());
        }
        Ok(())
    }

    /// Removes what is older than drops that every observer is past, and then the drops.
    fn sweep_drops(&mut self, oldest: Version, budget: &mut Budget) -> Result<(), Error> {
        let shard = Arc::clone(&self.shard);
        let mut batch = Batch::new(&shard.tree, &mut self.sum, &self.ahead);
        while let Some((&(version, at), prefix)) = self.drops.first_key_value() {
            if version > oldest || budget.is_spent() {
                break;
            }
            let front = entry::prefix(&entry::part_name(prefix));
            let swept = self.drop_swept.take();
            self.drop_swept = sweep_dropped(&shard, &mut batch, &front, version, swept, budget)?;
            if self.drop_swept.is_some() {
                break;
            }
            batch.remove(&dropped::key(version, at))?;
            budget.spend(1);
            self.drops.remove(&(version, at));
        }
        batch.commit()?;
        // A drop that is swept hides nothing that is there, so readers may know it a while longer.
        if self.shard.view().is_some_and(|view| view.drops.len() > 2 * self.drops.len()) {
            let left = self.all_drops();
            self.show_less(|view| view.drops = left);
        }
        Ok(())
    }

    /// Empties the trees of before the shard was forgotten, once it has a checkpoint again. They may
    /// be damaged: what can't be read stays.
    fn sweep_old_trees(&mut self, budget: &mut Budget) -> Result<(), Error> {
        if self.retired.iter().any(|shard| shard.strong_count() > 0) {
            return Ok(());
        }
        while let (Some(tree), false) = (self.old.last(), budget.is_spent()) {
            let ahead = &self.ahead;
            let emptied = guarded(|| {
                let keys: Result<Vec<_>, _> =
                    tree.iter().keys().take(BATCH_OPERATIONS_MAX).collect();
                let keys = keys.map_err(unreadable)?;
                let mut batch = sled::Batch::default();
                keys.iter().for_each(|key| batch.remove(key));
                ahead.wait_for_room(tree, BATCH_AHEAD_OF_SLED)?;
                tree.apply_batch(batch).map_err(failed)?;
                Ok(keys.len())
            });
            match emptied {
                Ok(0) => drop(self.old.pop()),
                Ok(keys) => budget.spend(keys),
                Err(error) => {
                    tracing::warn!(shard = %self.shard.id, %error, "forgotten records stay");
                    self.old.pop();
                }
            }
        }
        Ok(())
    }

    /// Shows the same checkpoint with less to look at.
    fn show_less(&self, less: impl FnOnce(&mut super::view::View)) {
        if let Some(view) = self.shard.view() {
            let mut view = (*view).clone();
            less(&mut view);
            self.shard.show(view);
        }
    }
}

/// Removes the entries of a name below a version, and the one at it if it says removed.
fn sweep_older(
    shard: &Shard,
    batch: &mut Batch<'_>,
    name: &[u8],
    version: Version,
    budget: &mut Budget,
) -> Result<(), Error> {
    let at = entry::key(name, version);
    let older = (Bound::Excluded(at.clone()), entry::after(name));
    for record in shard.tree.range(older) {
        let (key, value) = record.map_err(unreadable)?;
        remove_entry(shard, batch, &key, &value, budget)?;
    }
    let Some(value) = shard.tree.get(&at).map_err(unreadable)? else { return Ok(()) };
    let entry = unframe(&at, &value).and_then(Entry::decode);
    if entry.map_err(|error| damaged(shard.id, name, error))? == Entry::Removed {
        remove_entry(shard, batch, &at, &value, budget)?;
    }
    Ok(())
}

/// Removes what is older than one drop. Says how far it came when it had done enough.
fn sweep_dropped(
    shard: &Shard,
    batch: &mut Batch<'_>,
    front: &[u8],
    version: Version,
    swept: Option<Vec<u8>>,
    budget: &mut Budget,
) -> Result<Option<Vec<u8>>, Error> {
    let start = swept.map_or(Bound::Included(front.to_vec()), Bound::Excluded);
    for record in shard.tree.range((start, Bound::<Vec<u8>>::Unbounded)) {
        let (key, value) = record.map_err(unreadable)?;
        if !key.starts_with(front) {
            break;
        }
        let decoded = entry::decode_key(&key);
        let (_, written) = decoded.map_err(|error| damaged(shard.id, &key, error))?;
        if written < version {
            remove_entry(shard, batch, &key, &value, budget)?;
        }
        budget.spend(1);
        if budget.is_spent() {
            batch.commit()?;
            return Ok(Some(key.to_vec()));
        }
    }
    // Before another drop, perhaps of a longer prefix, looks at the same entries.
    batch.commit()?;
    Ok(None)
}

/// Removes an entry, its chunks first.
fn remove_entry(
    shard: &Shard,
    batch: &mut Batch<'_>,
    key: &[u8],
    value: &[u8],
    budget: &mut Budget,
) -> Result<(), Error> {
    let bad = |error| damaged(shard.id, key, error);
    let (_, version) = entry::decode_key(key).map_err(bad)?;
    let entry = unframe(key, value).and_then(Entry::decode).map_err(bad)?;
    if let Entry::Chunks { sequence, chunks, .. } = entry {
        for number in 0..chunks {
            batch.remove_chunk(&chunk::key(version, sequence, number))?;
        }
        budget.spend(chunks as usize);
    }
    batch.remove(key)?;
    budget.spend(1);
    Ok(())
}

impl Shard {
    fn names_of(&self, key: &[u8], value: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let names = unframe(key, value).and_then(change::decode);
        names.map_err(|error| damaged(self.id, key, error))
    }
}
