//! Reads a whole journal and says what it holds and whether it is whole. Changes nothing.
//!
//! What is bad below the highest position that anything says was synced is damage; what is bad
//! above it is the torn tail of the last write, which nobody was ever told about.

use std::path::{Path, PathBuf};

use base::planted::{Bug, is};
use base::{Access, Disk};

use crate::error::{Damage, Doing, OpenError};
use crate::format::{
    ALIGN, BATCH_HEADER_BYTES, BATCH_MAGIC, Bad, BatchHead, SEGMENT_HEADER_BYTES, Seed,
    SegmentHead, get_batch_body, get_batch_head, get_segment_head, segment_head_length,
};
use crate::marks::Marks;
use crate::replay::Replay;
use crate::segment::{file_name, file_number};
use crate::types::Position;

/// What was found.
pub(crate) struct Survey {
    /// Everything below `mark`.
    pub(crate) replay: Replay,
    /// Heads of the segments in use, oldest first.
    pub(crate) heads: Vec<SegmentHead>,
    /// Known to be synced. In the newest segment.
    pub(crate) mark: Position,
    /// Whole batches above the mark, which were perhaps never synced.
    pub(crate) tail: Vec<Tail>,
    /// Where the newest segment stops making sense.
    pub(crate) end: Position,
    /// Segment files that aren't needed.
    pub(crate) spares: Vec<u64>,
}

/// A batch above the mark.
pub(crate) struct Tail {
    pub(crate) at: Position,
    pub(crate) records: u32,
    pub(crate) body: Vec<u8>,
}

fn opened(file: &Path, offset: u64, bad: Bad) -> OpenError {
    match bad {
        Bad::Newer(version) => OpenError::Newer { file: file.to_owned(), version },
        Bad::Bytes(what) => Damage::new(file, offset, what).into(),
    }
}

/// Surveys the journal in `dir`; none where there is none and should be none.
pub(crate) fn survey(
    disk: &dyn Disk,
    dir: &Path,
    marks: &Marks,
) -> Result<Option<Survey>, OpenError> {
    let mut numbers: Vec<u64> = Vec::new();
    if disk.exists(dir) {
        let names = disk.list(dir).doing("listing", dir)?;
        numbers = names.iter().filter_map(|name| file_number(name)).collect();
    }
    numbers.sort_unstable();
    let Some(&newest) = numbers.last() else {
        return match marks.synced {
            None => Ok(None),
            Some(synced) => Err(Damage::new(dir, 0, short("it is empty", synced)).into()),
        };
    };
    Surveyor { disk, dir, marks, bytes: Vec::new(), replay: Replay::default() }
        .run(newest, &numbers)
        .map(Some)
}

fn short(what: &str, synced: Position) -> String {
    format!(
        "{what}, but the witness says that segment {} was synced up to byte {}",
        synced.segment, synced.offset
    )
}

struct Surveyor<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    marks: &'a Marks,
    /// The segment being read.
    bytes: Vec<u8>,
    replay: Replay,
}

impl Surveyor<'_> {
    fn run(mut self, newest: u64, numbers: &[u64]) -> Result<Survey, OpenError> {
        if let Some(synced) = self.marks.synced
            && synced.segment > newest
        {
            let path = self.path(newest);
            return Err(Damage::new(&path, 0, short("it is the newest", synced)).into());
        }
        let (oldest, spares) = self.extent(newest, numbers)?;
        let mut heads: Vec<SegmentHead> = Vec::new();
        let mut starts = Vec::new();
        for number in oldest..=newest {
            let (head, start) = self.head(number)?;
            heads.push(head);
            starts.push(start);
        }
        self.replay.begin(&heads[0].shards);
        for (head, (start, next)) in heads.iter().zip(starts.iter().zip(&heads[1..])) {
            self.closed_segment(head, *start, next.previous_end)?;
        }
        let last = heads.last().expect("at least the newest");
        let start = *starts.last().expect("one for each head");
        let (mark, end, tail) = self.newest_segment(last, start)?;
        Ok(Survey { replay: self.replay, heads, mark, tail, end, spares })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(file_name(number))
    }

    /// The oldest segment in use, and the files that aren't. Every one in between must be there.
    fn extent(&mut self, newest: u64, numbers: &[u64]) -> Result<(u64, Vec<u64>), OpenError> {
        let (head, _) = self.head(newest)?;
        let (spares, used) = numbers.split_at(numbers.partition_point(|n| *n < head.oldest));
        for number in head.oldest..=newest {
            if used.binary_search(&number).is_err() {
                return Err(Damage::new(&self.path(number), 0, "the segment is missing").into());
            }
        }
        Ok((head.oldest, spares.to_vec()))
    }

    /// Reads a segment, or its first `bytes_max`.
    fn read(&mut self, number: u64, bytes_max: u64) -> Result<(), OpenError> {
        let path = self.path(number);
        let file = self.disk.open(&path, Access::Read).doing("opening", &path)?;
        let length = file.len().doing("measuring", &path)?.min(bytes_max);
        self.bytes.resize(usize::try_from(length).expect("a segment fits into memory"), 0);
        Ok(file.read_exact_at(&mut self.bytes, 0).doing("reading", &path)?)
    }

    /// Reads a segment's header, and where its first batch begins.
    fn head(&mut self, number: u64) -> Result<(SegmentHead, u64), OpenError> {
        self.read(number, SEGMENT_HEADER_BYTES as u64)?;
        let length = segment_head_length(&self.bytes);
        self.read(number, length)?;
        let path = self.path(number);
        let read = get_segment_head(&self.bytes);
        let (head, start) = read.map_err(|bad| opened(&path, 0, bad))?;
        if head.number != number || head.oldest > number || head.oldest == 0 {
            let what = format!("its header is that of segment {}", head.number);
            return Err(Damage::new(&path, 0, what).into());
        }
        Ok((head, start))
    }

    /// Replays a segment that has a successor: all of it was synced before the successor began.
    fn closed_segment(
        &mut self,
        head: &SegmentHead,
        start: u64,
        end: u64,
    ) -> Result<(), OpenError> {
        self.read(head.number, u64::MAX)?;
        let seed = Seed::new(head.number, head.salt);
        let mut offset = start;
        while offset < end {
            let batch = batch_at(&self.bytes, seed, offset);
            let Some((batch, body, next)) = batch.filter(|(_, _, next)| *next <= end) else {
                let what = format!("no valid batch, though everything below {end} was synced");
                return Err(Damage::new(&self.path(head.number), offset, what).into());
            };
            let at = Position { segment: head.number, offset };
            self.marks.check(&self.replay, at, &self.path(head.number))?;
            let replayed = self.replay.batch(at, body, batch.records);
            replayed.map_err(|bad| opened(&self.path(head.number), offset, bad))?;
            offset = next;
        }
        let at = Position { segment: head.number, offset: end };
        Ok(self.marks.check(&self.replay, at, &self.path(head.number))?)
    }

    /// Replays the newest segment up to the mark and keeps what is above it.
    fn newest_segment(
        &mut self,
        head: &SegmentHead,
        start: u64,
    ) -> Result<(Position, Position, Vec<Tail>), OpenError> {
        self.read(head.number, u64::MAX)?;
        let path = self.path(head.number);
        let seed = Seed::new(head.number, head.salt);
        let position = |offset| Position { segment: head.number, offset };
        let end = last_whole(&self.bytes, seed, start);
        let mut mark = highest_mark(&self.bytes, seed, start).max(position(start));
        mark = mark.max(self.marks.synced.unwrap_or_default());
        if mark > position(end) {
            let what =
                format!("no valid batch, though everything below {} was synced", mark.offset);
            return Err(Damage::new(&path, end, what).into());
        }
        if is(Bug::UnsyncedBelieved) {
            mark = position(end);
        }
        let mut tail = Vec::new();
        let mut offset = start;
        while let Some((batch, body, next)) = batch_at(&self.bytes, seed, offset) {
            if offset < mark.offset {
                self.marks.check(&self.replay, position(offset), &path)?;
                let replayed = self.replay.batch(position(offset), body, batch.records);
                replayed.map_err(|bad| opened(&path, offset, bad))?;
            } else {
                let at = position(offset);
                tail.push(Tail { at, records: batch.records, body: body.to_vec() });
            }
            offset = next;
        }
        self.marks.check(&self.replay, mark, &path)?;
        Ok((mark, position(end), tail))
    }
}

/// The whole batch at `offset`: header, records, and where the next one begins.
fn batch_at(bytes: &[u8], seed: Seed, offset: u64) -> Option<(BatchHead, &[u8], u64)> {
    let from = bytes.get(usize::try_from(offset).ok()?..)?;
    let head = get_batch_head(from, seed, offset)?;
    let body = get_batch_body(from, head, seed, offset)?;
    Some((head, body, offset + (BATCH_HEADER_BYTES + body.len()) as u64))
}

/// Where the run of whole batches from `start` ends.
fn last_whole(bytes: &[u8], seed: Seed, start: u64) -> u64 {
    let mut offset = start;
    while let Some((_, _, next)) = batch_at(bytes, seed, offset) {
        offset = next;
    }
    offset
}

/// The highest mark that any batch header from `start` on states, whole batches or not.
fn highest_mark(bytes: &[u8], seed: Seed, start: u64) -> Position {
    let mut highest = Position::default();
    let mut offset = start;
    while let Some(from) = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)) {
        if from.len() < BATCH_HEADER_BYTES {
            break;
        }
        let head = from.starts_with(&BATCH_MAGIC).then(|| get_batch_head(from, seed, offset));
        match head.flatten() {
            Some(head) => {
                highest = highest.max(head.mark);
                // Not over its records: they may be what is bad, and hold another's header.
                offset += BATCH_HEADER_BYTES as u64;
            }
            None => offset += ALIGN as u64,
        }
    }
    highest
}
