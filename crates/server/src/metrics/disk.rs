//! A disk whose journal is timed. Never changes what a call does or answers.

use std::io;
use std::path::Path;
use std::sync::Arc;

use base::{Access, Clock, Disk, DiskFile};

use super::observe_journal_sync;

/// The directory whose files are timed.
const JOURNAL_DIR: &str = "journal";

/// A disk, observed.
pub(crate) struct TimedDisk {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
}

impl TimedDisk {
    pub(crate) fn new(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Self {
        Self { disk, clock }
    }
}

impl Disk for TimedDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, access)?;
        if path.parent().is_some_and(|dir| dir.ends_with(JOURNAL_DIR)) {
            return Ok(Arc::new(TimedFile { file, clock: Arc::clone(&self.clock) }));
        }
        Ok(file)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.total_bytes(path)
    }
}

struct TimedFile {
    file: Arc<dyn DiskFile>,
    clock: Arc<dyn Clock>,
}

impl DiskFile for TimedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        let began = self.clock.monotonic();
        self.file.sync()?;
        observe_journal_sync(self.clock.monotonic().saturating_sub(began));
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::SYNC_LATENCY;
    use base::{RealDisk, SystemClock};
    use std::sync::atomic::Ordering;

    #[test]
    fn syncs_of_the_journal_are_timed_and_those_of_other_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let disk = TimedDisk::new(Arc::new(RealDisk), Arc::new(SystemClock));
        let syncs =
            || SYNC_LATENCY.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>();
        disk.create_dir_all(&dir.path().join("journal")).unwrap();
        let before = syncs();
        disk.open(&dir.path().join("witness"), Access::Create).unwrap().sync().unwrap();
        assert_eq!(syncs(), before);
        disk.open(&dir.path().join("journal/1"), Access::Create).unwrap().sync().unwrap();
        assert_eq!(syncs(), before + 1);
    }
}
