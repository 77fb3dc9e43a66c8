//! From what a survey found to a journal that can be written to. Always in a fresh segment: what
//! lies above the mark was perhaps never synced, though the page cache shows it, so it is written
//! anew and synced before anybody may rely on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base::Disk;

use crate::error::{Damage, Doing, OpenError, Refused};
use crate::format::{BATCH_HEADER_BYTES, Bad, SegmentHead, seal_batch};
use crate::marks::Marks;
use crate::options::Options;
use crate::replay::{Lasts, Replay};
use crate::segment::{Active, Segment, Segments, file_name};
use crate::survey::{Survey, Tail, survey};
use crate::types::Position;

/// A journal that is ready.
pub(crate) struct Recovered {
    pub(crate) replay: Replay,
    pub(crate) active: Active,
    pub(crate) segments: Segments,
    pub(crate) spares: Vec<Arc<Segment>>,
}

/// Opens the journal in `dir`, or makes it.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    options: &Options,
    marks: &Marks,
) -> Result<Recovered, OpenError> {
    match survey(disk, dir, marks)? {
        Some(found) => reopen(disk, dir, options, found),
        None => Ok(create(disk, dir, options)?),
    }
}

fn create(disk: &dyn Disk, dir: &Path, options: &Options) -> Result<Recovered, Refused> {
    disk.create_dir_all(dir).doing("creating", dir)?;
    let head = SegmentHead {
        number: 1,
        salt: options.salt,
        previous_end: 0,
        oldest: 1,
        shards: BTreeMap::new(),
    };
    let mut active = Active::prepare(disk, dir, &head, None)?;
    active.fill_ahead(options.segment_bytes)?;
    active.publish(disk, dir)?;
    let mut segments = Segments::default();
    segments.live.insert(1, Arc::clone(&active.segment));
    Ok(Recovered { replay: Replay::default(), active, segments, spares: Vec::new() })
}

fn reopen(
    disk: &dyn Disk,
    dir: &Path,
    options: &Options,
    found: Survey,
) -> Result<Recovered, OpenError> {
    let Survey { mut replay, heads, mark, tail, spares, .. } = found;
    // The newest name may be visible and not durable yet. Until it is, a crash brings the segment
    // before it back as the newest, which may need what are spares now.
    disk.sync_dir(dir).syncing(dir)?;
    let mut live = BTreeMap::new();
    for head in &heads {
        live.insert(head.number, Arc::new(Segment::open(disk, dir, head.number)?));
    }
    let mut spares = open_spares(disk, dir, &spares)?;
    let states = replay.states();
    let head = SegmentHead {
        number: mark.segment + 1,
        salt: options.salt,
        previous_end: mark.offset,
        oldest: oldest_needed(&replay.lasts, &states, heads[0].number, mark.segment + 1),
        shards: states,
    };
    let mut active = Active::prepare(disk, dir, &head, spares.pop())?;
    rewrite(dir, &mut active, &mut replay, mark, tail)?;
    active.fill_ahead(options.segment_bytes)?;
    active.publish(disk, dir)?;
    live.insert(head.number, Arc::clone(&active.segment));
    let places = std::mem::take(&mut replay.places);
    let segments = Segments::new(live, places);
    Ok(Recovered { replay, active, segments, spares })
}

fn open_spares(disk: &dyn Disk, dir: &Path, numbers: &[u64]) -> Result<Vec<Arc<Segment>>, Refused> {
    let open = |number: &u64| Ok(Arc::new(Segment::open(disk, dir, *number)?));
    numbers.iter().map(open).collect()
}

/// Writes the tail's batches into the fresh segment, under the old mark.
fn rewrite(
    dir: &Path,
    active: &mut Active,
    replay: &mut Replay,
    mark: Position,
    tail: Vec<Tail>,
) -> Result<(), OpenError> {
    for batch in tail {
        let mut bytes = vec![0; BATCH_HEADER_BYTES];
        bytes.extend_from_slice(&batch.body);
        let at = active.position();
        seal_batch(&mut bytes, batch.records, mark, active.seed, at.offset);
        active.write(&bytes)?;
        let replayed = replay.batch(at, &batch.body, batch.records);
        replayed.map_err(|bad| damaged(dir, &batch, &bad))?;
    }
    Ok(())
}

fn damaged(dir: &Path, batch: &Tail, bad: &Bad) -> Damage {
    Damage::new(&dir.join(file_name(batch.at.segment)), batch.at.offset, bad)
}

/// The oldest segment, from `oldest` on and below `active`, with an entry that isn't purged.
pub(crate) fn oldest_needed(
    lasts: &Lasts,
    states: &crate::format::ShardStates,
    oldest: u64,
    active: u64,
) -> u64 {
    let needed = |(shard, last): (&base::ShardId, &u64)| {
        let purged = states.get(shard).and_then(|state| state.purged);
        purged.is_none_or(|purged| purged.index < *last)
    };
    let found = lasts.range(oldest..active).find(|(_, shards)| shards.iter().any(needed));
    found.map_or(active, |(number, _)| *number)
}
