//! A damaged store under another name. Never decides when.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::durable::sync_dir;
use crate::on_sled::{beside, parent};

/// Renames a damaged store, so that a new one can be made in its place, and says its new name. No
/// process may have it open. It is removed when every shard has its replacement.
pub fn set_aside(dir: &Path) -> io::Result<PathBuf> {
    let names = (1..u32::MAX).map(|number| beside(dir, &format!("damaged-{number}")));
    let aside = names.into_iter().find(|name| !name.exists()).expect("a number is free");
    fs::rename(dir, &aside)?;
    sync_dir(parent(dir))?;
    Ok(aside)
}

/// Removes the damaged stores that were set aside from `dir`: every shard has its replacement.
pub fn remove_set_aside(dir: &Path) -> io::Result<()> {
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
            let aside = set_aside(&store).unwrap();
            assert!(aside.ends_with(format!("store.damaged-{number}")));
            assert!(aside.exists() && !store.exists());
        }
        fs::create_dir(&store).unwrap();
        remove_set_aside(&store).unwrap();
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|one| one.unwrap().path()).collect();
        assert_eq!(left, [store]);
    }
}
