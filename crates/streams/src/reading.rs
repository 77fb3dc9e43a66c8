//! Reading a range of a stream within bounds. What is looked into by a read is always among what
//! its `needs` named: both walk the same blocks, and `needs` goes at least as far.

use bytes::Bytes;

use crate::block::{Blocks, HEADER_BYTES};
use crate::command::Most;
use crate::error::Fault;
use crate::id::{BlockKey, EntryId};
use crate::limits::{READ_BYTES_MAX, READ_ENTRIES_MAX};
use crate::reply::Entry;
use crate::stream::{Span, Stream};
use crate::wire;

/// A range, both ends included, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    pub(crate) start: EntryId,
    pub(crate) end: EntryId,
    pub(crate) reverse: bool,
    pub(crate) entries_max: u64,
    /// No further block once so much was looked into.
    pub(crate) bytes_max: u64,
    /// No further block once entries take so much in a reply.
    pub(crate) wire_bytes_max: u64,
}

/// Entries of one stream that a read of so many `streams` gives at most. A `count` of 0 is all.
pub(crate) fn entries_max(count: u64, streams: usize) -> u64 {
    let shared = (READ_ENTRIES_MAX / streams.max(1) as u64).max(1);
    if count == 0 { shared } else { count.min(shared) }
}

impl Walk {
    /// Everything after an id, for one of `streams` that share what one read may take. A `count`
    /// of 0 is all.
    pub(crate) fn after(id: EntryId, count: u64, streams: usize) -> Option<Self> {
        let walk = Self::range(id.next()?, EntryId::MAX, false, count);
        let bytes_max = (walk.bytes_max / streams.max(1) as u64).max(1);
        Some(Self { entries_max: entries_max(count, streams), bytes_max, ..walk })
    }

    /// A range. A `count` of 0 is all.
    pub(crate) fn range(start: EntryId, end: EntryId, reverse: bool, count: u64) -> Self {
        let entries_max = if count == 0 { READ_ENTRIES_MAX } else { count.min(READ_ENTRIES_MAX) };
        let (bytes_max, wire_bytes_max) = (READ_BYTES_MAX, u64::MAX);
        Self { start, end, reverse, entries_max, bytes_max, wire_bytes_max }
    }

    /// The same, for a read that gives no more than `most`.
    pub(crate) fn within(mut self, most: Most) -> Self {
        self.entries_max = self.entries_max.min(most.entries.unwrap_or(u64::MAX));
        self.wire_bytes_max = most.bytes.unwrap_or(u64::MAX);
        self
    }

    /// The blocks that have something of the range, in the direction of the walk.
    fn spans<'a>(&self, stream: &'a Stream) -> Box<dyn Iterator<Item = Span<'a>> + 'a> {
        let Self { start, end, .. } = *self;
        if start > end {
            return Box::new(std::iter::empty());
        }
        if self.reverse {
            let spans = stream.spans_back_from(end).skip_while(move |span| span.first() > end);
            Box::new(spans.take_while(move |span| span.last() >= start))
        } else {
            let spans = stream.spans_from(start).skip_while(move |span| span.last() < start);
            Box::new(spans.take_while(move |span| span.first() <= end))
        }
    }

    /// Blocks that reading this `repeats` times, each time going on where the last ended, looks
    /// into and that aren't in the state.
    pub(crate) fn needs(&self, stream: &Stream, repeats: u64) -> Vec<BlockKey> {
        let entries_max = self.entries_max.saturating_mul(repeats);
        let (mut entries, mut bytes, mut wire_bytes, mut largest) = (0, 0, 0, 0);
        let mut needs = Vec::new();
        for span in self.spans(stream) {
            // A read that ends may have gone over its bytes by one block.
            let bytes_max = self.bytes_max.saturating_mul(repeats) + (repeats - 1) * largest;
            if entries >= entries_max || bytes >= bytes_max || wire_bytes >= self.wire_bytes_max {
                break;
            }
            needs.extend(stream.is_absent(&span));
            // How much of a block at an end is in the range isn't known without looking.
            if self.start <= span.first() && span.last() <= self.end {
                entries += u64::from(span.live);
                wire_bytes += span.wire_bytes_min();
            }
            bytes += span.bytes;
            largest = largest.max(span.bytes);
        }
        needs
    }

    /// The ids of the range that the budget allows, in the direction of the walk.
    pub(crate) fn ids(
        &self,
        stream: &Stream,
        blocks: &Blocks,
        budget: &mut Budget,
    ) -> Result<Vec<EntryId>, Fault> {
        let mut ids: Vec<EntryId> = Vec::new();
        let mut bytes = 0;
        for span in self.spans(stream) {
            let enough = ids.len() as u64 >= self.entries_max || bytes >= self.bytes_max;
            if enough || budget.is_spent() {
                break;
            }
            stream.visit(blocks, &span, self.reverse, |entry| {
                if self.start <= entry.id && entry.id <= self.end {
                    if !budget.admits(|| entry.wire_bytes()) {
                        return false;
                    }
                    ids.push(entry.id);
                }
                (ids.len() as u64) < self.entries_max
            })?;
            bytes += span.bytes;
        }
        Ok(ids)
    }
}

/// What is left of what one read may give over all of its streams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    entries: u64,
    /// `None` is no limit: then nobody reckons what an entry takes.
    bytes: Option<u64>,
    /// Of the name of the stream that is being read, until its first entry is given.
    name_bytes: u64,
    given: bool,
}

impl Budget {
    pub(crate) fn new(most: Most) -> Self {
        let entries = most.entries.unwrap_or(u64::MAX);
        Self { entries, bytes: most.bytes, name_bytes: 0, given: false }
    }

    pub(crate) fn unbounded() -> Self {
        Self::new(Most::default())
    }

    /// Goes on with another stream.
    pub(crate) fn begin(&mut self, key: &[u8]) {
        self.name_bytes = wire::stream(key);
    }

    /// Whether bytes are counted at all.
    pub(crate) fn counts_bytes(&self) -> bool {
        self.bytes.is_some()
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.entries == 0 || self.given && self.bytes == Some(0)
    }

    /// Whether one more entry may be given, which counts as given then. Where it may not, none
    /// after it may, however small. The first may take any bytes.
    pub(crate) fn admits(&mut self, entry_bytes: impl FnOnce() -> u64) -> bool {
        if self.is_spent() {
            return false;
        }
        if let Some(left) = self.bytes {
            let bytes = entry_bytes() + std::mem::take(&mut self.name_bytes);
            if self.given && bytes > left {
                self.entries = 0;
                return false;
            }
            self.bytes = Some(left.saturating_sub(bytes));
        }
        self.entries -= 1;
        self.given = true;
        true
    }
}

impl Most {
    /// Leaves of the streams of one read what it may give.
    pub fn cut(self, streams: &mut Vec<(Bytes, Vec<Entry>)>) {
        let mut budget = Budget::new(self);
        for (key, entries) in &mut *streams {
            budget.begin(key);
            let given = entries.iter().take_while(|entry| budget.admits(|| entry.wire_bytes()));
            let given = given.count();
            entries.truncate(given);
        }
        streams.retain(|(_, entries)| !entries.is_empty());
    }
}

impl Span<'_> {
    /// What its entries take in a reply at least. In a block each takes less than there, so one
    /// without deletions tells more than the number of its entries.
    fn wire_bytes_min(&self) -> u64 {
        match self.marks {
            None => self.bytes.saturating_sub(HEADER_BYTES as u64),
            Some(_) => u64::from(self.live) * wire::ENTRY_BYTES_MIN,
        }
    }
}

/// Counts the blocks that a command goes through one id after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looked {
    repeats: u64,
    bytes: u64,
    largest: u64,
    last: Option<EntryId>,
}

impl Default for Looked {
    fn default() -> Self {
        Self::times(1)
    }
}

impl Looked {
    /// As many as going on so several times goes through at most.
    pub(crate) fn times(repeats: u64) -> Self {
        Self { repeats, bytes: 0, largest: 0, last: None }
    }

    /// Whether one more may be looked into: the one before again, or another while there is room.
    pub(crate) fn admits(&mut self, span: &Span<'_>) -> bool {
        if self.last == Some(span.base) {
            return true;
        }
        // Each of several may have gone over its bytes by one block.
        let bytes_max = READ_BYTES_MAX.saturating_mul(self.repeats);
        if self.bytes >= bytes_max.saturating_add((self.repeats - 1) * self.largest) {
            return false;
        }
        self.bytes += span.bytes;
        self.largest = self.largest.max(span.bytes);
        self.last = Some(span.base);
        true
    }
}
