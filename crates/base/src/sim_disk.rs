//! A file system in memory that can lose power. Keeps, for every file, what is durable beside
//! what is only pending, sector by sector, and for every directory which names are durable. Never
//! kinder than a real disk: what wasn't synced may survive a crash in any combination.
//!
//! All decisions come from one seed. Directories are durable when made, as [`Disk`] promises.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::disk::{Access, Disk, DiskFile};
use crate::entropy::{Entropy, SeededEntropy};

/// Bytes that a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// A simulated file system. Clones are the same one.
#[derive(Clone)]
pub struct SimDisk(Arc<Shared>);

struct Shared {
    world: Mutex<World>,
    entropy: SeededEntropy,
}

struct World {
    names: BTreeMap<PathBuf, Arc<Inode>>,
    durable_names: BTreeMap<PathBuf, Arc<Inode>>,
    /// Changes of names since the last sync of their directory, in order.
    pending_names: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    /// Which life of the machine it is. Files opened in an earlier one are dead.
    life: u64,
    off: bool,
    read_only: bool,
    steps: u64,
    off_at_step: Option<u64>,
    syncs: u64,
    fail_sync_at: Option<u64>,
    sync_error: io::ErrorKind,
    capacity: u64,
}

#[derive(Clone)]
enum NameChange {
    Create(PathBuf, Arc<Inode>),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl NameChange {
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Create(path, _) | Self::Rename(_, path) | Self::Remove(path) => path.parent(),
        }
    }

    /// Does to `names` what was done; nothing where the name isn't there (any more).
    fn apply(&self, names: &mut BTreeMap<PathBuf, Arc<Inode>>) {
        match self {
            Self::Create(path, inode) => {
                names.insert(path.clone(), Arc::clone(inode));
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

#[derive(Default)]
struct Inode(Mutex<Content>);

#[derive(Clone, Default)]
struct Content {
    /// What a reader sees.
    now: Vec<u8>,
    /// What the disk has.
    durable: Vec<u8>,
    /// Sectors of `now` that the next sync makes durable.
    dirty: BTreeSet<usize>,
    /// The handle (by its number) that holds the lock.
    lock: Option<Weak<()>>,
}

impl Content {
    fn touch(&mut self, from: usize, to: usize) {
        if from < to {
            self.dirty.extend(from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES));
        }
    }

    fn set_len(&mut self, length: usize) {
        let before = self.now.len();
        self.now.resize(length, 0);
        self.touch(before.min(length), before.max(length));
    }

    /// Makes one sector durable, as far as the durable length goes.
    fn persist(&mut self, sector: usize) {
        let from = sector * SECTOR_BYTES;
        let to = (from + SECTOR_BYTES).min(self.now.len()).min(self.durable.len());
        if from < to {
            self.durable[from..to].copy_from_slice(&self.now[from..to]);
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.persist(sector);
        }
    }

    /// A sync that failed: some sectors arrived, and the rest is taken as clean all the same, as
    /// Linux does, so that the next sync succeeds and makes nothing of them durable.
    fn fail_sync(&mut self, entropy: &dyn Entropy) {
        for sector in std::mem::take(&mut self.dirty) {
            if entropy.below(2) == 0 {
                self.persist(sector);
            }
        }
    }

    /// Power is lost.
    fn crash(&mut self, entropy: &dyn Entropy) {
        let (was, wanted) = (self.durable.len(), self.now.len());
        let length = match entropy.below(4) {
            0 => was,
            1 if wanted > was => was + below(entropy, wanted - was),
            _ => wanted,
        };
        self.durable.resize(length, 0);
        for sector in std::mem::take(&mut self.dirty) {
            if entropy.below(2) == 0 {
                self.persist(sector);
            }
        }
        self.now.clone_from(&self.durable);
        self.lock = None;
    }
}

fn below(entropy: &dyn Entropy, bound: usize) -> usize {
    usize::try_from(entropy.below(bound as u64)).expect("it is below a usize")
}

impl Inode {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().expect("no holder of a file's lock panics")
    }
}

fn error(kind: io::ErrorKind, what: &'static str) -> io::Error {
    io::Error::new(kind, what)
}

fn off() -> io::Error {
    error(io::ErrorKind::Other, "the simulated machine is off")
}

impl World {
    /// One call that changes something. When power goes away during this very call, its effect is
    /// pending and the caller gets an error.
    fn step(&mut self, life: u64) -> io::Result<()> {
        self.alive(life)?;
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.steps += 1;
        if self.off_at_step.is_some_and(|at| self.steps >= at) {
            self.off = true;
        }
        Ok(())
    }

    fn alive(&self, life: u64) -> io::Result<()> {
        if self.off || self.life != life { Err(off()) } else { Ok(()) }
    }

    /// The result of a call that was done: an error where power went away during it.
    fn done(&self) -> io::Result<()> {
        if self.off { Err(off()) } else { Ok(()) }
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    fn used(&self) -> u64 {
        self.names.values().map(|inode| inode.content().now.len() as u64).sum()
    }

    fn room_for(&self, more: usize) -> io::Result<()> {
        if self.capacity != u64::MAX && self.used() + more as u64 > self.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl SimDisk {
    /// An empty disk whose accidents follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let world = World {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            dirs: BTreeSet::from([PathBuf::from("/")]),
            life: 0,
            off: false,
            read_only: false,
            steps: 0,
            off_at_step: None,
            syncs: 0,
            fail_sync_at: None,
            sync_error: io::ErrorKind::Other,
            capacity: u64::MAX,
        };
        let entropy = SeededEntropy::new(seed);
        Self(Arc::new(Shared { world: Mutex::new(world), entropy }))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().expect("no holder of the world's lock panics")
    }

    /// Power is lost and comes back: what was synced stays, of the rest any part. Files that are
    /// open are dead, locks are gone, planned accidents are forgotten.
    pub fn crash(&self) {
        let mut world = self.world();
        let entropy = &self.0.entropy;
        for change in std::mem::take(&mut world.pending_names) {
            if entropy.below(2) == 0 {
                change.apply(&mut world.durable_names);
            }
        }
        world.names = world.durable_names.clone();
        for inode in world.names.values() {
            inode.content().crash(entropy);
        }
        world.life += 1;
        world.off = false;
        world.off_at_step = None;
        world.fail_sync_at = None;
    }

    /// The process dies, the machine doesn't: everything written stays, durable or not.
    pub fn kill(&self) {
        let mut world = self.world();
        for inode in world.names.values() {
            inode.content().lock = None;
        }
        world.life += 1;
        world.off = false;
        world.off_at_step = None;
        world.fail_sync_at = None;
    }

    /// Power goes away during the `steps`-th changing call from now on: every call from then on is
    /// an error until [`SimDisk::crash`] or [`SimDisk::kill`].
    pub fn power_off_after(&self, steps: u64) {
        let mut world = self.world();
        world.off_at_step = Some(world.steps + steps.max(1));
    }

    /// Whether power went away.
    pub fn is_off(&self) -> bool {
        self.world().off
    }

    /// Changing calls so far.
    pub fn steps(&self) -> u64 {
        self.world().steps
    }

    /// Syncs of files so far.
    pub fn syncs(&self) -> u64 {
        self.world().syncs
    }

    /// The `count`-th sync of a file from now on fails, once.
    pub fn fail_sync_after(&self, count: u64) {
        let mut world = self.world();
        world.fail_sync_at = Some(world.syncs + count.max(1));
    }

    /// The kind of error that failing syncs have from now on.
    pub fn set_sync_error(&self, kind: io::ErrorKind) {
        self.world().sync_error = kind;
    }

    /// All files together have at most this many bytes.
    pub fn set_capacity(&self, bytes: u64) {
        self.world().capacity = bytes;
    }

    /// No accident that was planned happens any more.
    pub fn forget_accidents(&self) {
        let mut world = self.world();
        (world.off_at_step, world.fail_sync_at) = (None, None);
        (world.capacity, world.read_only) = (u64::MAX, false);
    }

    /// Bytes in all files together.
    pub fn used(&self) -> u64 {
        self.world().used()
    }

    /// From now on nothing can be changed, or it can again.
    pub fn set_read_only(&self, read_only: bool) {
        self.world().read_only = read_only;
    }

    /// Flips one bit of a file, durably.
    pub fn flip(&self, path: &Path, offset: u64, bit: u8) -> io::Result<()> {
        self.tamper(path, |bytes| {
            let at = usize::try_from(offset).unwrap_or(usize::MAX);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        })
    }

    /// Changes a file behind everybody's back, durably.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let world = self.world();
        let inode = world.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let mut content = inode.content();
        let mut bytes = std::mem::take(&mut content.now);
        change(&mut bytes);
        content.durable.clone_from(&bytes);
        content.now = bytes;
        content.dirty.clear();
        Ok(())
    }

    /// Everything in a file.
    pub fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let world = self.world();
        let inode = world.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let bytes = inode.content().now.clone();
        Ok(bytes)
    }

    /// A copy that goes its own way, with its own seed: files, names, what is pending.
    pub fn fork(&self, seed: u64) -> Self {
        let world = self.world();
        let mut copies: BTreeMap<*const Inode, Arc<Inode>> = BTreeMap::new();
        let mut copy = |inode: &Arc<Inode>| {
            let new = || Arc::new(Inode(Mutex::new(inode.content().clone())));
            Arc::clone(copies.entry(Arc::as_ptr(inode)).or_insert_with(new))
        };
        let mut copy_all = |names: &BTreeMap<PathBuf, Arc<Inode>>| {
            names.iter().map(|(path, inode)| (path.clone(), copy(inode))).collect()
        };
        let forked = World {
            names: copy_all(&world.names),
            durable_names: copy_all(&world.durable_names),
            pending_names: Vec::new(),
            dirs: world.dirs.clone(),
            ..*world
        };
        let pending = world.pending_names.iter().map(|change| match change {
            NameChange::Create(path, inode) => NameChange::Create(path.clone(), copy(inode)),
            other => other.clone(),
        });
        let forked = World { pending_names: pending.collect(), ..forked };
        let entropy = SeededEntropy::new(seed);
        Self(Arc::new(Shared { world: Mutex::new(forked), entropy }))
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        let life = world.life;
        world.alive(life)?;
        let inode = match world.names.get(path) {
            Some(inode) => Arc::clone(inode),
            None if access == Access::Create => {
                if !path.parent().is_some_and(|dir| world.dirs.contains(dir)) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                world.step(life)?;
                let inode = Arc::new(Inode::default());
                world.change(NameChange::Create(path.to_owned(), Arc::clone(&inode)));
                world.done()?;
                inode
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        let writes = access != Access::Read;
        if writes && world.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let handle = Arc::new(());
        Ok(Arc::new(SimFile { disk: self.clone(), inode, life, writes, handle }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        if world.dirs.contains(path) {
            return world.done();
        }
        let life = world.life;
        world.step(life)?;
        world.dirs.extend(path.ancestors().map(Path::to_owned));
        world.done()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        let life = world.life;
        if !world.dirs.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        world.step(life)?;
        world.done()?;
        let (synced, left) = std::mem::take(&mut world.pending_names)
            .into_iter()
            .partition(|change| change.dir() == Some(path));
        let synced: Vec<NameChange> = synced;
        world.pending_names = left;
        for change in synced {
            change.apply(&mut world.durable_names);
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        world.alive(world.life)?;
        if !world.dirs.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let all = world.names.keys().chain(&world.dirs);
        let inside = all.filter(|name| name.parent() == Some(path));
        let names = inside.filter_map(|name| name.file_name()?.to_str().map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        if !world.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let life = world.life;
        world.step(life)?;
        world.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        world.done()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        if !world.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let life = world.life;
        world.step(life)?;
        world.change(NameChange::Remove(path.to_owned()));
        world.done()
    }

    fn exists(&self, path: &Path) -> bool {
        let world = self.world();
        world.names.contains_key(path) || world.dirs.contains(path)
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let world = self.world();
        Ok(world.capacity.saturating_sub(world.used()))
    }

    fn total_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.world().capacity)
    }
}

struct SimFile {
    disk: SimDisk,
    inode: Arc<Inode>,
    /// The life of the machine in which it was opened.
    life: u64,
    writes: bool,
    /// Alive as long as this handle: a lock holds on to it weakly.
    handle: Arc<()>,
}

impl SimFile {
    fn changing(&self) -> io::Result<MutexGuard<'_, World>> {
        if !self.writes {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut world = self.disk.world();
        world.step(self.life)?;
        Ok(world)
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.world().alive(self.life)?;
        Ok(self.inode.content().now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.world().alive(self.life)?;
        let content = self.inode.content();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.now.len());
        let bytes = &content.now[from..];
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let world = self.changing()?;
        let from = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let to = from + bytes.len();
        let length = self.inode.content().now.len();
        world.room_for(to.saturating_sub(length))?;
        let mut content = self.inode.content();
        if to > length {
            content.set_len(to);
        }
        content.now[from..to].copy_from_slice(bytes);
        content.touch(from, to);
        world.done()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let world = self.changing()?;
        let length = usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let before = self.inode.content().now.len();
        world.room_for(length.saturating_sub(before))?;
        self.inode.content().set_len(length);
        world.done()
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        world.step(self.life)?;
        world.done()?;
        world.syncs += 1;
        if world.fail_sync_at == Some(world.syncs) {
            self.inode.content().fail_sync(&self.disk.0.entropy);
            return Err(error(world.sync_error, "the simulated sync failed"));
        }
        self.inode.content().sync();
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.disk.world().alive(self.life)?;
        let mut content = self.inode.content();
        let holder = content.lock.as_ref().and_then(Weak::upgrade);
        match holder {
            Some(holder) if !Arc::ptr_eq(&holder, &self.handle) => Ok(false),
            _ => {
                content.lock = Some(Arc::downgrade(&self.handle));
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests;
