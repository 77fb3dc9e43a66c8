//! What is remembered of damage beyond the process that met it: the note `data/damaged`, and a
//! damaged store under another name. Never decides what is to be done about it.
//!
//! ```text
//! data/damaged: one line each: shard <id> <tab> key <tab> detail
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::{Access, Disk, ShardId};

use crate::api::Error;
use crate::durable::sync_dir;
use crate::on_sled::{beside, parent};

/// The file of notes, in the data directory.
pub const NOTES_FILE: &str = "damaged";

/// Bytes of notes that are kept: a process ends at its first, so there are few.
const NOTES_BYTES_MAX: u64 = 64 << 10;

/// Notes that a shard's store is damaged, durably, before the process ends. Other errors are not
/// damage and leave no note.
pub fn note_damage(disk: &dyn Disk, data_dir: &Path, error: &Error) -> io::Result<()> {
    let Error::Damaged { shard, key, detail } = error else { return Ok(()) };
    let file = disk.open(&data_dir.join(NOTES_FILE), Access::Create)?;
    let end = file.len()?;
    if end < NOTES_BYTES_MAX {
        let detail = detail.escape_debug();
        file.write_at(format!("shard {}\t{key}\t{detail}\n", shard.0).as_bytes(), end)?;
    }
    file.sync()?;
    disk.sync_dir(data_dir)
}

/// The shards that were noted, each with its first note.
pub fn noted_damage(disk: &dyn Disk, data_dir: &Path) -> io::Result<Vec<(ShardId, String)>> {
    let path = data_dir.join(NOTES_FILE);
    if !disk.exists(&path) {
        return Ok(Vec::new());
    }
    let file = disk.open(&path, Access::Read)?;
    let mut bytes = vec![0; usize::try_from(file.len()?.min(NOTES_BYTES_MAX)).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0)?;
    let mut noted: Vec<(ShardId, String)> = Vec::new();
    for line in String::from_utf8_lossy(&bytes).lines() {
        let shard = line.strip_prefix("shard ").and_then(|rest| rest.split_once('\t'));
        let Some((shard, note)) = shard else { continue };
        let Ok(shard) = shard.parse().map(ShardId) else { continue };
        if noted.iter().all(|(other, _)| *other != shard) {
            noted.push((shard, note.replace('\t', ": ")));
        }
    }
    Ok(noted)
}

/// Forgets all notes: every shard has its replacement.
pub fn clear_damage(disk: &dyn Disk, data_dir: &Path) -> io::Result<()> {
    let path = data_dir.join(NOTES_FILE);
    if disk.exists(&path) {
        disk.remove(&path)?;
        disk.sync_dir(data_dir)?;
    }
    Ok(())
}

/// Renames a damaged store, so that a new one can be made in its place, and says its new name. It is
/// removed by hand, or when every shard has its replacement.
pub fn set_aside(dir: &Path) -> io::Result<PathBuf> {
    let mut number = 1;
    let aside = loop {
        let aside = beside(dir, &format!("damaged-{number}"));
        if !aside.exists() {
            break aside;
        }
        number += 1;
    };
    fs::rename(dir, &aside)?;
    sync_dir(parent(dir))?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use base::RealDisk;

    use super::*;

    #[test]
    fn notes_outlive_the_process_and_name_each_shard_once() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        assert!(noted_damage(&RealDisk, data).unwrap().is_empty());
        for (shard, key) in [(3, "a"), (3, "b"), (u16::MAX, "c")] {
            let (shard, key) = (ShardId(shard), key.to_owned());
            let detail = "fails its\nchecksum".to_owned();
            note_damage(&RealDisk, data, &Error::Damaged { shard, key, detail }).unwrap();
        }
        note_damage(&RealDisk, data, &Error::Misuse("not damage")).unwrap();
        let noted = noted_damage(&RealDisk, data).unwrap();
        let text = |key| format!("{key}: fails its\\nchecksum");
        assert_eq!(noted, [(ShardId(3), text("a")), (ShardId::META, text("c"))]);
        clear_damage(&RealDisk, data).unwrap();
        clear_damage(&RealDisk, data).unwrap();
        assert!(noted_damage(&RealDisk, data).unwrap().is_empty());
    }

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
