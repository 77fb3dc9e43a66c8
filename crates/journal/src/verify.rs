//! The offline check behind `weir verify`: reads everything, changes nothing, repairs nothing.

use std::collections::BTreeMap;
use std::path::Path;

use base::{Disk, ShardId};

use crate::error::OpenError;
use crate::index::ShardLog;
use crate::marks::Marks;
use crate::survey::survey;
use crate::types::{LogState, Position};

/// What an undamaged journal holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub segments: u64,
    pub batches: u64,
    pub records: u64,
    /// Everything below is known to have been synced.
    pub synced: Position,
    /// Batches above that, whole but perhaps never synced: an open writes them anew.
    pub tail_batches: u64,
    /// Where the newest segment stops making sense: the end, or a torn write that an open cuts.
    pub end: Position,
    /// Each shard below `synced`.
    pub shards: BTreeMap<ShardId, LogState>,
}

/// Checks the journal in `dir` against itself and against what the witness says. A journal that
/// was never made is an empty report.
///
/// # Errors
/// What an open would refuse, with the same words.
pub fn verify(disk: &dyn Disk, dir: &Path, marks: &Marks) -> Result<Report, OpenError> {
    let Some(found) = survey(disk, dir, marks)? else { return Ok(Report::default()) };
    let state = |(shard, log): (&ShardId, &ShardLog)| (*shard, log.log_state());
    Ok(Report {
        segments: found.heads.len() as u64,
        batches: found.replay.places.len() as u64,
        records: found.replay.records,
        synced: found.mark,
        tail_batches: found.tail.len() as u64,
        end: found.end,
        shards: found.replay.logs.iter().map(state).collect(),
    })
}
