//! The store on disk, in sled 0.34.7, used exactly so that it keeps what it is given:
//!
//! 1. its `sync_file_range` is fenced off ([`crate::durable`]);
//! 2. nothing flushes in the background; one writer at a time, small batches on the shard's tree, never so much at once that its threads are all busy ([`batch`]), `flush()`, then a sync through our own handle of `db`;
//! 3. 512 KiB segments and no value above 6,000 bytes, so that sled never makes a blob file;
//! 4. `snap.*.generating` goes before opening; an error or a panic there is damage, time never is;
//! 5. removal goes in small batches in the background ([`sweep`]).
//!
//! Never decides when to checkpoint, and never repairs: what is damaged is said.

mod batch;
mod check;
mod make;
mod shard;
mod sweep;
mod view;
mod write;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use base::ShardId;
use bytes::Bytes;

use crate::api::{CheckpointNumber, Error, Part, Pin, Root, Store, Switch};
use crate::durable::Synced;
use crate::layout::catalogue::{self, Shelf};
use crate::layout::{entry, frame};
use batch::Ahead;
pub(crate) use check::deep as check_deep;
pub(crate) use make::{beside, check_format, parent};
use shard::{Observer, Shard};
use write::Writing;

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes that sled may keep of its pages, shared out over 256 lists: much below 16 MiB a list
    /// doesn't hold one page of blocks, and each is read again and again. Measured resident, the
    /// program included, while 160 MB of blocks are written, replaced and dropped: 65 to 125 MB with
    /// 16 MiB, 75 to 130 MB with 32 MiB, 130 to 170 MB with 64 MiB.
    pub cache_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 32 << 20 }
    }
}

/// A store on disk. One at a time for a directory.
#[derive(Debug)]
pub struct Sled {
    db: sled::Db,
    synced: Synced,
    /// What readers look at.
    shards: RwLock<BTreeMap<ShardId, Slot>>,
    /// The one writer.
    desk: Mutex<Desk>,
}

#[derive(Clone, Debug)]
enum Slot {
    Whole(Arc<Shard>),
    Damaged(String),
}

#[derive(Debug)]
struct Desk {
    catalogue: sled::Tree,
    shelves: BTreeMap<ShardId, Shelf>,
    shards: BTreeMap<ShardId, Writing>,
    /// What forgotten shards were read through: pins may still look.
    retired: BTreeMap<ShardId, Vec<Weak<Shard>>>,
    ahead: Arc<Ahead>,
    /// Why nothing may be written any more.
    broken: Option<String>,
}

impl Sled {
    /// Opens the store in `dir`, or makes one there if there is no such directory or it is empty. A
    /// cold open reads every reference; with much data it may take minutes. A shard that is not
    /// whole is found here and answers [`Error::Damaged`], the others go on.
    pub fn open(dir: &Path, options: Options) -> Result<Self, Error> {
        guarded(|| {
            let (db, synced) = make::open(dir, options)?;
            let catalogue = db.open_tree(catalogue::TREE).map_err(unreadable)?;
            let shelves = make::read_catalogue(&db, &catalogue)?;
            let mut slots = BTreeMap::new();
            let mut shards = BTreeMap::new();
            let ahead = Arc::<Ahead>::default();
            for (&id, &shelf) in &shelves {
                match guarded(|| load(&db, &ahead, id, shelf)) {
                    Ok(writing) => {
                        slots.insert(id, Slot::Whole(Arc::clone(writing.shard())));
                        shards.insert(id, writing);
                    }
                    Err(error) => {
                        let detail = error.to_string();
                        tracing::error!(shard = %id, error = %detail, "shard damaged");
                        slots.insert(id, Slot::Damaged(detail));
                    }
                }
            }
            let retired = BTreeMap::new();
            let desk = Desk { catalogue, shelves, shards, retired, ahead, broken: None };
            Ok(Self { db, synced, shards: RwLock::new(slots), desk: Mutex::new(desk) })
        })
    }

    /// The shards that have records here, and why one is damaged, if it is.
    pub fn shards(&self) -> Vec<(ShardId, Option<String>)> {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        let state = |slot: &Slot| match slot {
            Slot::Whole(_) => None,
            Slot::Damaged(detail) => Some(detail.clone()),
        };
        shards.iter().map(|(id, slot)| (*id, state(slot))).collect()
    }

    /// Whatever a shard's tree holds, referred to or not.
    #[cfg(test)]
    fn records_count(&self, shard: ShardId) -> Result<usize, Error> {
        Ok(self.reader(shard)?.map_or(0, |shard| shard.tree.len()))
    }

    /// Chunks that no entry refers to: space that is lost. There are none, or there is a fault; but
    /// it loses no data. Reads every key; nothing may be written meanwhile.
    pub fn orphans_count(&self, shard: ShardId) -> Result<usize, Error> {
        let shard = self.reader(shard)?;
        shard.map_or(Ok(0), |shard| guarded(|| check::orphans(shard.id, &shard.tree)))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_slot(&self, id: ShardId, slot: Option<Slot>) {
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        match slot {
            Some(slot) => shards.insert(id, slot),
            None => shards.remove(&id),
        };
    }

    fn reader(&self, id: ShardId) -> Result<Option<Arc<Shard>>, Error> {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        match shards.get(&id) {
            None => Ok(None),
            Some(Slot::Whole(shard)) => Ok(Some(Arc::clone(shard))),
            Some(Slot::Damaged(detail)) => {
                let (key, detail) = ("-".to_owned(), detail.clone());
                Err(Error::Damaged { shard: id, key, detail })
            }
        }
    }

    fn observe(&self, shard: ShardId) -> Result<Option<Observer>, Error> {
        Ok(self.reader(shard)?.and_then(|shard| Shard::observe(&shard)))
    }

    /// Runs `act` as the one writer. After an error that isn't the caller's nothing is written any
    /// more: what sled holds is then uncertain.
    fn write<T>(
        &self,
        id: ShardId,
        act: impl FnOnce(&mut Desk, &mut Writing) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.reader(id)?;
        let mut desk = self.desk();
        let desk = &mut *desk;
        desk.check()?;
        let result = guarded(|| {
            let mut writing = match desk.shards.remove(&id) {
                Some(writing) => writing,
                None => self.begin(desk, id)?,
            };
            let result = act(desk, &mut writing);
            desk.shards.insert(id, writing);
            result
        });
        desk.note(result)
    }

    /// Makes the shard's tree.
    fn begin(&self, desk: &mut Desk, id: ShardId) -> Result<Writing, Error> {
        let shelf = desk.shelves.get(&id).copied().unwrap_or_default();
        desk.shelve(id, shelf)?;
        let mut writing = load(&self.db, &desk.ahead, id, Shelf { rooted: false, ..shelf })?;
        writing.retired = desk.retired.remove(&id).unwrap_or_default();
        self.set_slot(id, Some(Slot::Whole(Arc::clone(writing.shard()))));
        Ok(writing)
    }

    fn sync(&self) -> Result<(), Error> {
        self.db.flush().map_err(failed)?;
        self.synced.sync()?;
        match self.synced.blobs_count()? {
            0 => Ok(()),
            _ => Err(Error::Unreadable("sled made a blob file, which is never synced".to_owned())),
        }
    }

    fn switch_to(&self, shard: ShardId, switch: &Switch) -> Result<(), Error> {
        self.write(shard, |desk, writing| {
            writing.switch(switch)?;
            self.sync()?;
            let shelf = desk.shelves.get(&shard).copied().unwrap_or_default();
            if !shelf.rooted {
                desk.shelve(shard, Shelf { rooted: true, ..shelf })?;
                self.sync()?;
            }
            writing.publish();
            Ok(())
        })
    }
}

impl Desk {
    fn check(&self) -> Result<(), Error> {
        match &self.broken {
            None => Ok(()),
            Some(why) => Err(Error::Io(std::io::Error::other(format!("failed before: {why}")))),
        }
    }

    fn note<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        match &result {
            Ok(_) | Err(Error::Misuse(_)) => {}
            Err(error) => self.broken = Some(error.to_string()),
        }
        result
    }

    fn shelve(&mut self, id: ShardId, shelf: Shelf) -> Result<(), Error> {
        let key = catalogue::key(id);
        self.catalogue.insert(key, frame(&key, &shelf.encode())).map_err(failed)?;
        self.shelves.insert(id, shelf);
        Ok(())
    }
}

impl Store for Sled {
    fn root(&self, shard: ShardId) -> Result<Option<Root>, Error> {
        Ok(self.observe(shard)?.map(|observer| observer.root()))
    }

    fn get(&self, shard: ShardId, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.observe(shard)?.map_or(Ok(None), |observer| observer.get(key))
    }

    fn keys(
        &self,
        shard: ShardId,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Bytes>, Error> {
        let observer = self.observe(shard)?;
        observer.map_or(Ok(Vec::new()), |observer| observer.keys(prefix, after, limit))
    }

    fn put(&self, shard: ShardId, number: CheckpointNumber, parts: &[Part]) -> Result<(), Error> {
        self.write(shard, |_, writing| writing.put(number, parts))
    }

    fn abandon(&self, shard: ShardId, number: CheckpointNumber) -> Result<(), Error> {
        self.write(shard, |_, writing| {
            writing.abandon(number);
            Ok(())
        })
    }

    fn switch(&self, shard: ShardId, switch: Switch) -> Result<(), Error> {
        self.switch_to(shard, &switch)
    }

    fn replace(&self, shard: ShardId, number: CheckpointNumber, meta: Bytes) -> Result<(), Error> {
        let dropped_prefixes = vec![Bytes::new()];
        self.switch_to(shard, &Switch { number, meta, removed: Vec::new(), dropped_prefixes })
    }

    fn forget(&self, shard: ShardId) -> Result<(), Error> {
        let mut desk = self.desk();
        desk.check()?;
        let Some(shelf) = desk.shelves.get(&shard).copied() else {
            self.set_slot(shard, None);
            return Ok(());
        };
        let result = guarded(|| {
            let generation = shelf.generation + 1;
            desk.shelve(shard, Shelf { generation, rooted: false })?;
            self.sync()?;
            if let Some(writing) = desk.shards.remove(&shard) {
                let retired = desk.retired.entry(shard).or_default();
                retired.push(Arc::downgrade(writing.shard()));
                retired.extend(writing.retired);
            }
            self.set_slot(shard, None);
            Ok(())
        });
        desk.note(result)
    }

    fn pin(&self, shard: ShardId) -> Result<Option<Box<dyn Pin>>, Error> {
        Ok(self.observe(shard)?.map(|observer| Box::new(observer) as Box<dyn Pin>))
    }

    fn sweep(&self, shard: ShardId) -> Result<bool, Error> {
        if self.reader(shard)?.is_none() {
            return Ok(false);
        }
        self.write(shard, |_, writing| writing.sweep())
    }

    fn bytes_on_disk(&self) -> Result<u64, Error> {
        self.db.size_on_disk().map_err(failed)
    }
}

/// Reads and checks a shard's tree.
fn load(db: &sled::Db, ahead: &Arc<Ahead>, id: ShardId, shelf: Shelf) -> Result<Writing, Error> {
    let tree = db.open_tree(catalogue::tree_name(id, shelf.generation)).map_err(unreadable)?;
    let checked = check::shallow(id, &tree, shelf)?;
    let old = (0..shelf.generation).map(|generation| catalogue::tree_name(id, generation));
    let names = db.tree_names();
    let old = old.filter(|name| names.iter().any(|there| there == name.as_bytes()));
    let old: Result<Vec<_>, _> = old.map(|name| db.open_tree(name)).collect();
    Writing::load(id, tree, checked, Arc::clone(ahead), old.unwrap_or_default())
}

/// Runs something of sled's, which panics where it meets what it doesn't expect.
fn guarded<T>(act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Error::Unreadable(format!("sled panicked: {text}")))
    })
}

/// An error of sled where it was asked to read.
fn unreadable(error: sled::Error) -> Error {
    match error {
        sled::Error::Io(error) if error.raw_os_error().is_some() => refused(&error),
        other => Error::Unreadable(other.to_string()),
    }
}

/// An error of sled where it was asked to write.
fn failed(error: sled::Error) -> Error {
    match error {
        sled::Error::Io(error) => refused(&error),
        other => Error::Unreadable(other.to_string()),
    }
}

/// What the machine refused: sled doesn't say at which of these, and syncs whatever it was asked.
fn refused(error: &std::io::Error) -> Error {
    let said = format!("reading, writing or syncing it: {error}");
    Error::Io(std::io::Error::new(error.kind(), said))
}

/// Damage at a name, for people.
fn damaged(shard: ShardId, name: &[u8], detail: impl ToString) -> Error {
    let key = match entry::part_key(name) {
        Some(key) => key.escape_ascii().to_string(),
        None => format!("({})", name.escape_ascii()),
    };
    Error::Damaged { shard, key, detail: detail.to_string() }
}

#[cfg(test)]
mod tests;
