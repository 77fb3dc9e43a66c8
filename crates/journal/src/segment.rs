//! One segment file, and the table of those in use. Knows when its bytes are written and synced,
//! never what they mean.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Access, Disk, DiskFile};

use crate::error::{Doing, Refused};
use crate::format::{Seed, SegmentHead, put_segment_head};
use crate::limits::FILL_BYTES;
use crate::types::Position;

/// The name a segment is made under, before it has one.
const UNNAMED: &str = "segment.new";
const PREFIX: &str = "segment-";
/// Written at once: in the page cache a file is kept in pieces as large as its writes were, and small
/// ones make every later write and sync of the recycled file dearer.
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

/// The name of a segment's file.
pub(crate) fn file_name(number: u64) -> String {
    format!("{PREFIX}{number:012}")
}

/// The number in a segment's file name.
pub(crate) fn file_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let number = digits.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

/// A segment file that is open.
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Bytes that the file occupies.
    pub(crate) bytes: AtomicU64,
}

impl Segment {
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, number: u64) -> Result<Self, Refused> {
        let path = dir.join(file_name(number));
        let file = disk.open(&path, Access::Write).doing("opening", &path)?;
        let bytes = AtomicU64::new(file.len().doing("measuring", &path)?);
        Ok(Self { number, path, file, bytes })
    }
}

/// The segments in use and where each batch lies.
#[derive(Default)]
pub(crate) struct Segments {
    pub(crate) live: BTreeMap<u64, Arc<Segment>>,
    /// The number of the batch at the front of `places`.
    first_batch: u64,
    places: VecDeque<Position>,
    /// Bytes of files that wait to be used again.
    pub(crate) spare_bytes: u64,
}

impl Segments {
    pub(crate) fn new(live: BTreeMap<u64, Arc<Segment>>, places: VecDeque<Position>) -> Self {
        Self { live, first_batch: 0, places, spare_bytes: 0 }
    }

    /// The number of the next batch.
    pub(crate) fn next_batch(&self) -> u64 {
        self.first_batch + self.places.len() as u64
    }

    /// Notes where the next batch lies.
    pub(crate) fn push(&mut self, place: Position) {
        self.places.push_back(place);
    }

    /// Where a batch lies that has been written and isn't reclaimed.
    pub(crate) fn place(&self, batch: u64) -> Position {
        let at = usize::try_from(batch - self.first_batch).expect("places are in memory");
        self.places[at]
    }

    /// Where a batch lies, when it has been written.
    pub(crate) fn try_place(&self, batch: u64) -> Option<Position> {
        let at = usize::try_from(batch.checked_sub(self.first_batch)?).ok()?;
        self.places.get(at).copied()
    }

    /// The oldest segment of the newest ones that together have at most `bytes`.
    pub(crate) fn newest_within(&self, bytes: u64) -> u64 {
        let mut sum = 0;
        let mut oldest = u64::MAX;
        for (number, segment) in self.live.iter().rev() {
            sum += segment.bytes.load(Ordering::Relaxed);
            if sum > bytes {
                break;
            }
            oldest = *number;
        }
        oldest
    }

    /// Takes out the segments below `oldest`.
    pub(crate) fn reclaim(&mut self, oldest: u64) -> Vec<Arc<Segment>> {
        while self.places.front().is_some_and(|place| place.segment < oldest) {
            self.places.pop_front();
            self.first_batch += 1;
        }
        let kept = self.live.split_off(&oldest);
        std::mem::replace(&mut self.live, kept).into_values().collect()
    }

    /// Bytes from a segment on.
    pub(crate) fn bytes_from(&self, segment: u64) -> u64 {
        self.live.range(segment..).map(|(_, file)| file.bytes.load(Ordering::Relaxed)).sum()
    }
}

/// The segment that is written to.
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    pub(crate) seed: Seed,
    /// Where the next batch goes.
    pub(crate) offset: u64,
    /// Where the first batch went.
    pub(crate) start: u64,
    /// Below this the file has bytes, zeros at least.
    filled: u64,
    /// Something was written since the last sync.
    dirty: bool,
}

impl Active {
    /// Makes the file for a segment, from `spare` where there is one. It has no name of a segment
    /// and isn't synced until [`Active::publish`].
    pub(crate) fn prepare(
        disk: &dyn Disk,
        dir: &Path,
        head: &SegmentHead,
        spare: Option<Arc<Segment>>,
    ) -> Result<Self, Refused> {
        let (path, file) = match spare {
            Some(spare) => (spare.path.clone(), Arc::clone(&spare.file)),
            None => {
                let path = dir.join(UNNAMED);
                let file = disk.open(&path, Access::Create).doing("creating", &path)?;
                file.set_len(0).doing("emptying", &path)?;
                (path, file)
            }
        };
        let bytes = put_segment_head(head);
        file.write_at(&bytes, 0).doing("writing to", &path)?;
        let start = bytes.len() as u64;
        let filled = file.len().doing("measuring", &path)?;
        let number = head.number;
        let segment = Segment { number, path, file, bytes: AtomicU64::new(filled) };
        Ok(Self {
            segment: Arc::new(segment),
            seed: Seed::new(head.number, head.salt),
            offset: start,
            start,
            filled,
            dirty: true,
        })
    }

    /// Makes durable what was written so far, then the name.
    pub(crate) fn publish(&mut self, disk: &dyn Disk, dir: &Path) -> Result<(), Refused> {
        self.sync()?;
        let path = dir.join(file_name(self.segment.number));
        disk.rename(&self.segment.path, &path).doing("renaming", &self.segment.path)?;
        disk.sync_dir(dir).syncing(dir)?;
        let bytes = AtomicU64::new(self.filled);
        let file = Arc::clone(&self.segment.file);
        self.segment = Arc::new(Segment { number: self.segment.number, path, file, bytes });
        Ok(())
    }

    /// The place of the next batch.
    pub(crate) fn position(&self) -> Position {
        Position { segment: self.segment.number, offset: self.offset }
    }

    /// Writes a sealed batch at [`Active::position`].
    pub(crate) fn write(&mut self, batch: &[u8]) -> Result<(), Refused> {
        self.dirty = true;
        self.segment.file.write_at(batch, self.offset).doing("writing to", &self.segment.path)?;
        self.offset += batch.len() as u64;
        if self.offset > self.filled {
            self.filled = self.offset;
            self.segment.bytes.store(self.filled, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&mut self) -> Result<(), Refused> {
        if self.dirty {
            self.segment.file.sync().syncing(&self.segment.path)?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Writes zeros ahead where few are left, so that a sync needn't make a longer length durable
    /// too. They are made durable by the next sync of a batch.
    pub(crate) fn fill_ahead(&mut self, segment_bytes: u64) -> Result<bool, Refused> {
        let slice = FILL_BYTES.min(segment_bytes / 4);
        if self.filled >= segment_bytes || self.offset + slice / 2 < self.filled {
            return Ok(false);
        }
        let end = (self.filled + slice).min(segment_bytes);
        while self.filled < end {
            let length = (end - self.filled).min(ZEROS.len() as u64);
            let zeros = &ZEROS[..usize::try_from(length).expect("at most the length of ZEROS")];
            let written = self.segment.file.write_at(zeros, self.filled);
            written.doing("writing to", &self.segment.path)?;
            self.filled += length;
        }
        self.segment.bytes.store(self.filled, Ordering::Relaxed);
        self.dirty = true;
        Ok(true)
    }
}
