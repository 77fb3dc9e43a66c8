//! Values of the store that failed their checksum while the node ran: `data/damaged`. Noted
//! before the process ends, so that the next start takes those shards' store as damaged.
//!
//! ```text
//! parts 4 | each: shard 2, length 4, key
//! ```

use std::path::Path;

use base::{Disk, ShardId};
use bytes::Bytes;

use super::GuardError;
use super::sealed::{Body, Kind, load, put_bytes, replace};
use crate::error::{Doing, Refused};

const FILE: &str = "damaged";
const KIND: Kind = Kind { magic: *b"WEIRDAMG", version: 1 };

/// A value that isn't what was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DamagedPart {
    pub shard: ShardId,
    /// Its key in the shard's store.
    pub key: Bytes,
}

/// What was noted, none where nothing was.
///
/// # Errors
/// A file that isn't what was written, or can't be read.
pub fn damaged_parts(disk: &dyn Disk, dir: &Path) -> Result<Vec<DamagedPart>, GuardError> {
    let path = dir.join(FILE);
    let Some(body) = load(disk, dir, FILE, &KIND)? else { return Ok(Vec::new()) };
    let mut body = Body { path: &path, bytes: &body };
    let mut parts = Vec::new();
    for _ in 0..body.u32()? {
        let shard = ShardId(body.u16()?);
        parts.push(DamagedPart { shard, key: Bytes::copy_from_slice(body.bytes()?) });
    }
    Ok(parts)
}

/// Notes one more, durably. Then the process must end.
///
/// # Errors
/// As [`damaged_parts`], or the machine refuses.
pub fn note_damaged(disk: &dyn Disk, dir: &Path, part: DamagedPart) -> Result<(), GuardError> {
    let mut parts = damaged_parts(disk, dir)?;
    if parts.contains(&part) {
        return Ok(());
    }
    parts.push(part);
    let count = u32::try_from(parts.len()).expect("the process ends after each");
    let mut body = count.to_le_bytes().to_vec();
    for part in &parts {
        body.extend_from_slice(&part.shard.0.to_le_bytes());
        put_bytes(&mut body, &part.key);
    }
    Ok(replace(disk, dir, FILE, &KIND, &body)?)
}

/// Forgets all of them: every damaged shard has its replacement.
///
/// # Errors
/// The machine refuses.
pub fn forget_damaged(disk: &dyn Disk, dir: &Path) -> Result<(), Refused> {
    let path = dir.join(FILE);
    if disk.exists(&path) {
        disk.remove(&path).doing("removing", &path)?;
        disk.sync_dir(dir).syncing(dir)?;
    }
    Ok(())
}
