//! The stores of nodes on disk: opened, and a damaged one put under another name. Never decides when.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::api::{Error, Store, Stores};
use crate::durable::sync_dir;
use crate::on_sled::{Options, Sled, beside, parent};

/// Stores in sled, opened so.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnDisk(pub Options);

impl Stores for OnDisk {
    fn open(&self, dir: &Path) -> Result<Arc<dyn Store>, Error> {
        Ok(Arc::new(Sled::open(dir, self.0)?))
    }

    fn set_aside(&self, dir: &Path) -> io::Result<Option<PathBuf>> {
        set_aside(dir)
    }

    fn remove_set_aside(&self, dir: &Path) -> io::Result<()> {
        remove_set_aside(dir)
    }
}

fn set_aside(dir: &Path) -> io::Result<Option<PathBuf>> {
    let names = (1..u32::MAX).map(|number| beside(dir, &format!("damaged-{number}")));
    let aside = names.into_iter().find(|name| !name.exists()).expect("a number is free");
    let renamed = match fs::rename(dir, &aside) {
        // It was, and the power went before that was forgotten.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        renamed => renamed.map(|()| Some(aside))?,
    };
    sync_dir(parent(dir))?;
    Ok(renamed)
}

fn remove_set_aside(dir: &Path) -> io::Result<()> {
    let Some(name) = dir.file_name() else { return Ok(()) };
    let prefix = format!("{}.damaged-", name.to_string_lossy());
    let entries = match fs::read_dir(parent(dir)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_set_aside_leaves_its_name_free() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        for number in 1..3 {
            fs::create_dir(&store).unwrap();
            let aside = set_aside(&store).unwrap().unwrap();
            assert!(aside.ends_with(format!("store.damaged-{number}")));
            assert!(aside.exists() && !store.exists());
        }
        assert_eq!(set_aside(&store).unwrap(), None, "a name at which nothing lies");
        fs::create_dir(&store).unwrap();
        remove_set_aside(&store).unwrap();
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|one| one.unwrap().path()).collect();
        assert_eq!(left, [store]);
    }
}
