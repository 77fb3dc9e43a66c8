//! What a node has promised, told apart from the journal that keeps it: `data/witness`. It may
//! lag behind, it is never ahead.
//!
//! ```text
//! synced segment 8, offset 8 (zeros: nothing was synced)
//! | votes 4 | each: shard 2, length 4, vote
//! | checkpoints 4 | each: shard 2, term 8, index 8
//! ```

use std::path::Path;

use base::{Disk, ShardId};
use bytes::Bytes;

use super::GuardError;
use super::sealed::{Body, Kind, load, put_bytes, replace};
use crate::error::Refused;
use crate::marks::Marks;
use crate::types::{LogId, Position};

/// The file's name.
pub(crate) const FILE: &str = "witness";
pub(crate) const KIND: Kind = Kind { magic: *b"WEIRWITN", version: 1 };

/// Reads the witness in a data directory; none where there is none.
///
/// # Errors
/// A file that isn't what was written, or can't be read.
pub fn load_witness(disk: &dyn Disk, dir: &Path) -> Result<Option<Marks>, GuardError> {
    let path = dir.join(FILE);
    let Some(body) = load(disk, dir, FILE, &KIND)? else { return Ok(None) };
    let mut body = Body { path: &path, bytes: &body };
    let synced = Position { segment: body.u64()?, offset: body.u64()? };
    let synced = (synced != Position::default()).then_some(synced);
    let mut marks = Marks { synced, ..Marks::default() };
    for _ in 0..body.u32()? {
        let shard = ShardId(body.u16()?);
        marks.votes.insert(shard, Bytes::copy_from_slice(body.bytes()?));
    }
    for _ in 0..body.u32()? {
        let shard = ShardId(body.u16()?);
        marks.checkpoints.insert(shard, LogId { term: body.u64()?, index: body.u64()? });
    }
    Ok(Some(marks))
}

/// Makes `marks` the witness of a data directory, durably.
///
/// # Errors
/// The machine refuses; the file is the old one or the new one.
pub fn save_witness(disk: &dyn Disk, dir: &Path, marks: &Marks) -> Result<(), Refused> {
    replace(disk, dir, FILE, &KIND, &encode(marks))
}

pub(crate) fn encode(marks: &Marks) -> Vec<u8> {
    let count = |length: usize| u32::try_from(length).expect("at most 65,536 shards").to_le_bytes();
    let synced = marks.synced.unwrap_or_default();
    let mut body = Vec::new();
    body.extend_from_slice(&synced.segment.to_le_bytes());
    body.extend_from_slice(&synced.offset.to_le_bytes());
    body.extend_from_slice(&count(marks.votes.len()));
    for (shard, vote) in &marks.votes {
        body.extend_from_slice(&shard.0.to_le_bytes());
        put_bytes(&mut body, vote);
    }
    body.extend_from_slice(&count(marks.checkpoints.len()));
    for (shard, id) in &marks.checkpoints {
        body.extend_from_slice(&shard.0.to_le_bytes());
        body.extend_from_slice(&id.term.to_le_bytes());
        body.extend_from_slice(&id.index.to_le_bytes());
    }
    body
}
