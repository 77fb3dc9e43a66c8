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
    }
}
