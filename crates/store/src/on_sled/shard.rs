//! Reading a shard: what is visible at a version, while later ones are written and swept. Never
//! writes.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::ShardId;
use bytes::{Bytes, BytesMut};

use super::view::View;
use super::{damaged, guarded, unreadable};
use crate::api::{CheckpointNumber, Error, Pin, Root};
use crate::layout::entry::{self, Entry};
use crate::layout::{Version, chunk, unframe};

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) id: ShardId,
    pub(super) tree: sled::Tree,
    watch: Mutex<Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    view: Option<Arc<View>>,
    /// How many look at each version. Sweeping leaves what they see.
    observers: BTreeMap<Version, usize>,
}

impl Shard {
    pub(super) fn new(id: ShardId, tree: sled::Tree) -> Self {
        Self { id, tree, watch: Mutex::default() }
    }

    pub(super) fn view(&self) -> Option<Arc<View>> {
        self.watch().view.clone()
    }

    pub(super) fn show(&self, view: View) {
        self.watch().view = Some(Arc::new(view));
    }

    /// The oldest version that anybody looks at, or will.
    pub(super) fn oldest_observed(&self) -> Option<Version> {
        let watch = self.watch();
        let current = watch.view.as_ref()?.version;
        Some(watch.observers.first_key_value().map_or(current, |(oldest, _)| current.min(*oldest)))
    }

    /// Looks at the current version, if there is one, and holds it.
    pub(super) fn observe(shard: &Arc<Self>) -> Option<Observer> {
        let mut watch = shard.watch();
        let view = watch.view.clone()?;
        *watch.observers.entry(view.version).or_default() += 1;
        Some(Observer { shard: Arc::clone(shard), view })
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value that an entry stands for; `None` where it says removed.
    pub(super) fn value(
        &self,
        name: &[u8],
        version: Version,
        entry: Entry,
    ) -> Result<Option<Bytes>, Error> {
        let (sequence, chunks, bytes) = match entry {
            Entry::Removed => return Ok(None),
            Entry::Here(value) => return Ok(Some(Bytes::from(value))),
            Entry::Chunks { sequence, chunks, bytes } => (sequence, chunks, bytes as usize),
        };
        let bad = |detail: &str| damaged(self.id, name, detail);
        let mut value = BytesMut::with_capacity(bytes.min(crate::limits::PART_VALUE_BYTES_MAX));
        for number in 0..chunks {
            let key = chunk::key(version, sequence, number);
            let stored = self.tree.get(&key).map_err(unreadable)?;
            let stored = stored.ok_or_else(|| bad("a chunk is missing"))?;
            let payload = unframe(&key, &stored).map_err(|error| bad(error.0))?;
            value.extend_from_slice(payload);
        }
        if value.len() != bytes {
            return Err(bad("its chunks have another length"));
        }
        Ok(Some(value.freeze()))
    }

    /// The newest entry of a name that is visible in a view, removed or not.
    pub(super) fn visible(
        &self,
        view: &View,
        name: &[u8],
    ) -> Result<Option<(Version, Entry)>, Error> {
        let newest = Bound::Included(entry::key(name, view.version));
        for record in self.tree.range((newest, entry::after(name))) {
            let (key, value) = record.map_err(unreadable)?;
            let decoded = entry::decode_key(&key);
            let (_, version) = decoded.map_err(|error| damaged(self.id, name, error))?;
            if view.passed_over.contains(&version) {
                continue;
            }
            if dropped(view, name, version) {
                return Ok(None);
            }
            let entry = unframe(&key, &value).and_then(Entry::decode);
            return Ok(Some((version, entry.map_err(|error| damaged(self.id, name, error))?)));
        }
        Ok(None)
    }
}

fn dropped(view: &View, name: &[u8], version: Version) -> bool {
    entry::part_key(name).is_some_and(|key| view.drops.cover(key, version))
}

/// Somebody looking at one version of a shard: a read, or a pin.
#[derive(Debug)]
pub(super) struct Observer {
    shard: Arc<Shard>,
    view: Arc<View>,
}

impl Observer {
    pub(super) fn root(&self) -> Root {
        let number = CheckpointNumber(self.view.version.number);
        Root { number, meta: self.view.meta.clone() }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let name = entry::part_name(key);
        let read = || match self.shard.visible(&self.view, &name)? {
            Some((version, entry)) => self.shard.value(&name, version, entry),
            None => Ok(None),
        };
        self.about(&name, guarded(read))
    }

    pub(super) fn keys(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Bytes>, Error> {
        self.about(&entry::part_name(prefix), guarded(|| self.list(prefix, after, limit)))
    }

    fn list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Bytes>, Error> {
        let front = entry::prefix(&entry::part_name(prefix));
        let start = match after {
            Some(after) if after >= prefix => entry::after(&entry::part_name(after)),
            _ => Bound::Included(front.clone()),
        };
        let mut keys = Vec::new();
        let mut decided: Vec<u8> = Vec::new();
        let range = self.shard.tree.range((start, Bound::<Vec<u8>>::Unbounded));
        for record in range {
            if keys.len() == limit {
                break;
            }
            let (key, value) = record.map_err(unreadable)?;
            if !key.starts_with(&front) {
                break;
            }
            let bad = |error| damaged(self.shard.id, &key, error);
            let (name, version) = entry::decode_key(&key).map_err(bad)?;
            let hidden = version > self.view.version || self.view.passed_over.contains(&version);
            if hidden || name == decided {
                continue;
            }
            let entry = unframe(&key, &value).and_then(Entry::decode).map_err(bad)?;
            if entry != Entry::Removed && !dropped(&self.view, &name, version) {
                let key = entry::part_key(&name).expect("the range holds parts");
                keys.push(Bytes::copy_from_slice(key));
            }
            decided = name;
        }
        Ok(keys)
    }

    /// An error of sled while reading is damage of this shard, at this name.
    fn about<T>(&self, name: &[u8], result: Result<T, Error>) -> Result<T, Error> {
        match result {
            Err(Error::Unreadable(detail)) => Err(damaged(self.shard.id, name, detail)),
            other => other,
        }
    }
}

impl Pin for Observer {
    fn root(&self) -> Root {
        Observer::root(self)
    }

    fn keys(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<Bytes>, Error> {
        Observer::keys(self, &[], after, limit)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Observer::get(self, key)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let mut watch = self.shard.watch();
        if let Some(count) = watch.observers.get_mut(&self.view.version) {
            *count -= 1;
            if *count == 0 {
                watch.observers.remove(&self.view.version);
            }
        }
    }
}
