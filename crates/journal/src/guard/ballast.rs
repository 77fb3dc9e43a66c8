//! Room to act when the disk is full: `data/ballast`, a file of zeros that is given up first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Access, Disk};

use crate::error::{Doing, Refused};

const FILE: &str = "ballast";
static SLICE: [u8; 64 * 1024] = [0; 64 * 1024];

/// A file that only occupies room.
#[derive(Clone)]
pub struct Ballast {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    bytes: u64,
}

impl Ballast {
    /// The ballast of a data directory, `bytes` long once it is taken.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, bytes: u64) -> Self {
        Self { disk, dir: dir.to_owned(), bytes }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Whether the room is taken.
    pub fn is_taken(&self) -> bool {
        let file = self.disk.open(&self.path(), Access::Read);
        file.and_then(|file| file.len()).is_ok_and(|length| length >= self.bytes)
    }

    /// Takes the room, with real bytes and not a hole, where at least twice as much is free.
    /// False where there isn't: then there is no ballast, which is worth a warning.
    ///
    /// # Errors
    /// The machine refuses.
    pub fn take(&self) -> Result<bool, Refused> {
        if self.is_taken() {
            return Ok(true);
        }
        let path = self.path();
        let free = self.disk.free_bytes(&self.dir).doing("measuring", &self.dir)?;
        if free / 2 < self.bytes {
            return Ok(false);
        }
        let file = self.disk.open(&path, Access::Create).doing("creating", &path)?;
        let mut filled = 0;
        while filled < self.bytes {
            let length = (self.bytes - filled).min(SLICE.len() as u64);
            let zeros = &SLICE[..usize::try_from(length).expect("at most the slice")];
            file.write_at(zeros, filled).doing("writing to", &path)?;
            filled += length;
        }
        file.set_len(self.bytes).doing("writing to", &path)?;
        file.sync().syncing(&path)?;
        self.disk.sync_dir(&self.dir).syncing(&self.dir)?;
        Ok(true)
    }

    /// Gives the room up. False where there was none.
    ///
    /// # Errors
    /// The machine refuses.
    pub fn give_up(&self) -> Result<bool, Refused> {
        let path = self.path();
        if !self.disk.exists(&path) {
            return Ok(false);
        }
        self.disk.remove(&path).doing("removing", &path)?;
        self.disk.sync_dir(&self.dir).syncing(&self.dir)?;
        Ok(true)
    }
}
