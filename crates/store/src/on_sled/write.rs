//! Writing a shard: parts ahead of a checkpoint, and the switch. Never syncs; the store does, after
//! the switch and before anybody sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use base::ShardId;
use bytes::Bytes;

use super::batch::{Ahead, Batch};
use super::check::Checked;
use super::shard::Shard;
use super::view::{Drops, View};
use super::{damaged, unreadable};
use crate::api::{CheckpointNumber, Error, Part, Switch};
use crate::layout::entry::{self, Entry};
use crate::layout::root::{self, RootRecord};
use crate::layout::sum::Sum;
use crate::layout::{Version, change, chunk, dropped};
use crate::limits::{CHUNK_BYTES, INLINE_BYTES_MAX, PASSED_OVER_MAX, check_parts, check_switch};

/// What the writer knows of a shard.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) shard: Arc<Shard>,
    pub(super) sum: Sum,
    pub(super) ahead: Arc<Ahead>,
    /// Numbers that are being put under.
    open: BTreeMap<u64, Open>,
    /// The life of numbers that are opened from now on: above what is left over of any.
    next_life: u32,
    /// Versions that will never be switched to and may have records.
    pub(super) void: BTreeSet<Version>,
    /// Drops that aren't swept yet.
    pub(super) drops: BTreeMap<(Version, u32), Bytes>,
    /// How far the first of them is swept.
    pub(super) drop_swept: Option<Vec<u8>>,
    /// Trees that the shard had before it was forgotten, and who may still look at them.
    pub(super) old: Vec<sled::Tree>,
    pub(super) retired: Vec<Weak<Shard>>,
    /// What the last switch made, to be shown when it is synced.
    next_view: Option<View>,
    /// Whether the current meta is an entry of its own.
    meta_entry: bool,
}

/// A number that is being put under.
#[derive(Debug)]
struct Open {
    version: Version,
    next_sequence: u32,
    next_change: u32,
}

impl Writing {
    /// What a checked tree says.
    pub(super) fn load(
        id: ShardId,
        tree: sled::Tree,
        checked: Checked,
        ahead: Arc<Ahead>,
        old: Vec<sled::Tree>,
    ) -> Result<Self, Error> {
        let Checked { sum, root, drops, versions } = checked;
        let current = root.as_ref().map(|root| root.version);
        let passed: BTreeSet<Version> =
            root.iter().flat_map(|root| root.passed_over.iter().copied()).collect();
        let dead = |version: &Version| Some(*version) > current || passed.contains(version);
        let void: BTreeSet<Version> = versions.into_iter().filter(dead).collect();
        let next_life = void.iter().map(|version| version.life + 1).max().unwrap_or(0);
        let live = |(version, _): &(Version, u32)| !void.contains(version);
        let drops = drops.into_iter().filter(|(at, _)| live(at)).collect();
        let shard = Arc::new(Shard::new(id, tree));
        let writing = Self {
            shard,
            sum,
            ahead,
            open: BTreeMap::new(),
            next_life,
            void,
            drops,
            drop_swept: None,
            old,
            retired: Vec::new(),
            next_view: None,
            meta_entry: root.as_ref().is_some_and(|root| root.meta.is_none()),
        };
        if let Some(root) = root {
            let meta = root.meta.map_or_else(Bytes::new, Bytes::from);
            let mut view = writing.view_at(root.version, meta, writing.all_drops());
            if writing.meta_entry {
                view.meta = writing.read_meta(&view)?;
            }
            writing.shard.show(view);
        }
        Ok(writing)
    }

    pub(super) fn shard(&self) -> &Arc<Shard> {
        &self.shard
    }

    fn view_at(&self, version: Version, meta: Bytes, drops: Arc<Drops>) -> View {
        let passed_over = self.void.iter().copied().filter(|void| *void < version).collect();
        View { version, meta, passed_over, drops }
    }

    pub(super) fn all_drops(&self) -> Arc<Drops> {
        let drops = self.drops.iter();
        Arc::new(drops.map(|((version, _), prefix)| (prefix.clone(), *version)).collect())
    }

    fn read_meta(&self, view: &View) -> Result<Bytes, Error> {
        let name = entry::meta_name();
        let meta = match self.shard.visible(view, &name)? {
            Some((version, entry)) => self.shard.value(&name, version, entry)?,
            None => None,
        };
        meta.ok_or_else(|| damaged(self.shard.id, &name, "the meta is missing"))
    }

    /// Refuses a number that isn't above the current one.
    fn check_number(&self, number: CheckpointNumber) -> Result<(), Error> {
        match self.shard.view() {
            Some(view) if number.0 <= view.version.number => {
                Err(Error::Misuse("a checkpoint's number must be above the current one"))
            }
            _ => Ok(()),
        }
    }

    fn take_open(&mut self, number: CheckpointNumber) -> Open {
        let version = Version { number: number.0, life: self.next_life };
        let new = || Open { version, next_sequence: 0, next_change: 0 };
        self.open.remove(&number.0).unwrap_or_else(new)
    }

    pub(super) fn put(&mut self, number: CheckpointNumber, parts: &[Part]) -> Result<(), Error> {
        check_parts(parts)?;
        self.check_number(number)?;
        let mut open = self.take_open(number);
        let names: Vec<Vec<u8>> = parts.iter().map(|part| entry::part_name(&part.key)).collect();
        let result = self.check_unwritten(open.version, &names).and_then(|()| {
            let mut batch = Batch::new(&self.shard.tree, &mut self.sum, &self.ahead);
            open.begin(&mut batch)?;
            open.note_changes(&mut batch, &names)?;
            for (part, name) in parts.iter().zip(&names) {
                open.insert(&mut batch, name, &part.value)?;
            }
            batch.commit()
        });
        self.open.insert(number.0, open);
        result
    }

    /// Whether none of the names has an entry under this version, or stands there twice. The sum
    /// counts each record once.
    fn check_unwritten(&self, version: Version, names: &[Vec<u8>]) -> Result<(), Error> {
        let mut seen = BTreeSet::new();
        for name in names {
            let there = self.shard.tree.contains_key(entry::key(name, version));
            if !seen.insert(name) || there.map_err(unreadable)? {
                return Err(Error::Misuse("a key is written twice under one number"));
            }
        }
        Ok(())
    }

    /// Forgets what was put under a number; sweeping removes it.
    pub(super) fn abandon(&mut self, number: CheckpointNumber) {
        if let Some(open) = self.open.remove(&number.0) {
            self.void.insert(open.version);
            self.next_life = self.next_life.max(open.version.life + 1);
        }
    }

    /// Writes everything that a switch needs, the root last. Visible after [`Writing::publish`].
    pub(super) fn switch(&mut self, switch: &Switch) -> Result<(), Error> {
        self.check_number(switch.number)?;
        check_switch(switch)?;
        let removed: BTreeSet<Vec<u8>> =
            switch.removed.iter().map(|key| entry::part_name(key)).collect();
        let removed: Vec<Vec<u8>> = removed.into_iter().collect();
        let mut open = self.take_open(switch.number);
        let version = open.version;
        if let Err(error) = self.check_unwritten(version, &removed) {
            self.open.insert(switch.number.0, open);
            return Err(error);
        }
        let drops = switch.dropped_prefixes.iter().enumerate();
        let drops: Vec<((Version, u32), Bytes)> =
            drops.map(|(at, prefix)| ((version, at as u32), prefix.clone())).collect();
        let mut batch = Batch::new(&self.shard.tree, &mut self.sum, &self.ahead);
        if !removed.is_empty() {
            open.note_changes(&mut batch, &removed)?;
        }
        for name in &removed {
            batch.insert(entry::key(name, version), &Entry::Removed.encode())?;
        }
        if !drops.is_empty() {
            open.begin(&mut batch)?;
        }
        for ((_, at), prefix) in &drops {
            batch.insert(dropped::key(version, *at), prefix)?;
        }
        let here = switch.meta.len() <= INLINE_BYTES_MAX;
        if !here || self.meta_entry {
            let name = entry::meta_name();
            open.begin(&mut batch)?;
            open.note_changes(&mut batch, std::slice::from_ref(&name))?;
            match here {
                true => batch.insert(entry::key(&name, version), &Entry::Removed.encode())?,
                false => open.insert(&mut batch, &name, &switch.meta)?,
            }
        }
        batch.commit()?;
        let dropped = !drops.is_empty();
        self.drops.extend(drops);
        self.meta_entry = !here;
        self.write_root(version, &switch.meta, dropped)
    }

    fn write_root(&mut self, version: Version, meta: &Bytes, dropped: bool) -> Result<(), Error> {
        let later = self.open.split_off(&version.number);
        let closed = std::mem::replace(&mut self.open, later);
        self.void.extend(closed.into_values().map(|open| open.version));
        while self.void.len() > PASSED_OVER_MAX {
            self.sweep_void()?;
        }
        let record = RootRecord {
            version,
            passed_over: self.void.iter().copied().filter(|void| *void < version).collect(),
            meta: (!self.meta_entry).then(|| meta.to_vec()),
        };
        let mut batch = Batch::new(&self.shard.tree, &mut self.sum, &self.ahead);
        match self.shard.view() {
            Some(_) => batch.overwrite(root::KEY.to_vec(), &record.encode()),
            None => batch.insert(root::KEY.to_vec(), &record.encode())?,
        }
        batch.commit()?;
        let known = self.shard.view().filter(|_| !dropped).map(|view| Arc::clone(&view.drops));
        let drops = known.unwrap_or_else(|| self.all_drops());
        self.next_view = Some(self.view_at(version, meta.clone(), drops));
        Ok(())
    }

    /// Shows what was switched to.
    pub(super) fn publish(&mut self) {
        if let Some(view) = self.next_view.take() {
            self.shard.show(view);
        }
    }
}

impl Open {
    /// Writes that there is such a version, before its first chunk: after a crash its chunks are
    /// looked for.
    fn begin(&mut self, batch: &mut Batch<'_>) -> Result<(), Error> {
        if self.next_change > 0 {
            return Ok(());
        }
        self.note_changes(batch, &[])?;
        batch.commit()
    }

    /// Writes which names this version is about to write, ahead of them.
    fn note_changes(&mut self, batch: &mut Batch<'_>, names: &[Vec<u8>]) -> Result<(), Error> {
        for record in change::encode(names) {
            batch.insert(change::key(self.version, self.next_change), &record)?;
            self.next_change += 1;
        }
        Ok(())
    }

    /// Writes a value: its chunks, if it is long, then its entry.
    fn insert(&mut self, batch: &mut Batch<'_>, name: &[u8], value: &[u8]) -> Result<(), Error> {
        let entry = if value.len() <= INLINE_BYTES_MAX {
            Entry::Here(value.to_vec())
        } else {
            let sequence = self.next_sequence;
            self.next_sequence += 1;
            let mut chunks = 0;
            for piece in value.chunks(CHUNK_BYTES) {
                batch.insert_chunk(&chunk::key(self.version, sequence, chunks), piece)?;
                chunks += 1;
            }
            let bytes = u32::try_from(value.len()).expect("checked against the limit");
            Entry::Chunks { sequence, chunks, bytes }
        };
        batch.insert(entry::key(name, self.version), &entry.encode())
    }
}
