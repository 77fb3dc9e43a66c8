//! One process per data directory: `data/lock`.

use std::path::Path;
use std::sync::Arc;

use base::{Access, Disk, DiskFile};

use super::GuardError;
use crate::error::Doing;

const FILE: &str = "lock";

/// The right to use a data directory, until it is dropped or the process ends.
pub struct DataLock {
    _file: Arc<dyn DiskFile>,
}

impl DataLock {
    /// Takes the lock without waiting, and makes the directory where it is missing.
    ///
    /// # Errors
    /// Another process has it, or the machine refuses.
    pub fn take(disk: &dyn Disk, dir: &Path) -> Result<Self, GuardError> {
        disk.create_dir_all(dir).doing("creating", dir)?;
        let path = dir.join(FILE);
        let file = disk.open(&path, Access::Create).doing("opening", &path)?;
        if file.try_lock().doing("locking", &path)? {
            Ok(Self { _file: file })
        } else {
            Err(GuardError::Locked { file: path })
        }
    }
}
