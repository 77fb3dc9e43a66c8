//! Opening journal and store in a data directory as a node does.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base::{Access, Disk, DiskFile, RealDisk, SystemClock};
use journal::{Committer, Journal, guard};
use store::Sled;

/// Opens both; makes them where they are missing.
pub(crate) fn open(dir: &Path, control: bool) -> Result<(Journal, Committer, Sled)> {
    let disk: Arc<dyn Disk> =
        if control { Arc::new(Unsynced(RealDisk)) } else { Arc::new(RealDisk) };
    disk.create_dir_all(dir)?;
    let marks = guard::load_witness(&*disk, dir).context("witness")?.unwrap_or_default();
    let options = journal::Options {
        segment_bytes: 4 << 20,
        kept_bytes: 0,
        cache_bytes: 1 << 20,
        ..journal::Options::default()
    };
    let path = dir.join(guard::JOURNAL_DIR);
    let (journal, mut committer) =
        journal::open(Arc::clone(&disk), &path, options, &marks).context("journal")?;
    committer.keep_witness(dir, Arc::new(SystemClock))?;
    let options = store::Options { cache_bytes: 8 << 20 };
    let store = Sled::open(&dir.join(guard::STORE_DIR), options).context("store")?;
    for (shard, damage) in store.shards() {
        if let Some(damage) = damage {
            bail!("shard {shard} is damaged: {damage}");
        }
    }
    Ok((journal, committer, store))
}

/// A disk whose syncs do nothing, for the control.
struct Unsynced(RealDisk);

struct UnsyncedFile(Arc<dyn DiskFile>);

impl Disk for Unsynced {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnsyncedFile(self.0.open(path, access)?)))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.0.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.0.exists(path)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.0.free_bytes(path)
    }
    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        self.0.total_bytes(path)
    }
}

impl DiskFile for UnsyncedFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }
}
