//! Reading a range of a stream within bounds. What is looked into by a read is always among what
//! its `needs` named: both walk the same blocks, and `needs` goes at least as far.

use crate::block::Blocks;
use crate::error::Fault;
use crate::id::{BlockKey, EntryId};
use crate::limits::{READ_BYTES_MAX, READ_ENTRIES_MAX};
use crate::stream::{Span, Stream};

/// A range, both ends included, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    pub(crate) start: EntryId,
    pub(crate) end: EntryId,
    pub(crate) reverse: bool,
    pub(crate) entries_max: u64,
    /// No further block once so much was looked into.
    pub(crate) bytes_max: u64,
}

impl Walk {
    /// Everything after an id, for one of `streams` that share what one read may take. A `count`
    /// of 0 is all.
    pub(crate) fn after(id: EntryId, count: u64, streams: usize) -> Option<Self> {
        Some(Self::range(id.next()?, EntryId::MAX, false, count).shared(streams))
    }

    /// A range. A `count` of 0 is all.
    pub(crate) fn range(start: EntryId, end: EntryId, reverse: bool, count: u64) -> Self {
        let entries_max = if count == 0 { READ_ENTRIES_MAX } else { count.min(READ_ENTRIES_MAX) };
        Self { start, end, reverse, entries_max, bytes_max: READ_BYTES_MAX }
    }

    fn shared(mut self, streams: usize) -> Self {
        let streams = streams.max(1) as u64;
        self.entries_max = self.entries_max.min((READ_ENTRIES_MAX / streams).max(1));
        self.bytes_max = (self.bytes_max / streams).max(1);
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
        let (mut entries, mut bytes, mut largest) = (0, 0, 0);
        let mut needs = Vec::new();
        for span in self.spans(stream) {
            // A read that ends may have gone over its bytes by one block.
            let bytes_max = self.bytes_max.saturating_mul(repeats) + (repeats - 1) * largest;
            if entries >= entries_max || bytes >= bytes_max {
                break;
            }
            needs.extend(stream.is_absent(&span));
            // How much of a block at an end is in the range isn't known without looking.
            if self.start <= span.first() && span.last() <= self.end {
                entries += u64::from(span.live);
            }
            bytes += span.bytes;
            largest = largest.max(span.bytes);
        }
        needs
    }

    /// The ids of the range, in the direction of the walk.
    pub(crate) fn ids(&self, stream: &Stream, blocks: &Blocks) -> Result<Vec<EntryId>, Fault> {
        let mut ids: Vec<EntryId> = Vec::new();
        let mut bytes = 0;
        for span in self.spans(stream) {
            if ids.len() as u64 >= self.entries_max || bytes >= self.bytes_max {
                break;
            }
            stream.visit(blocks, &span, self.reverse, |id, _| {
                if self.start <= id && id <= self.end {
                    ids.push(id);
                }
                (ids.len() as u64) < self.entries_max
            })?;
            bytes += span.bytes;
        }
        Ok(ids)
    }
}

/// Counts the blocks that a command goes through one id after another.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Looked {
    bytes: u64,
    last: Option<EntryId>,
}

impl Looked {
    /// Whether one more may be looked into: the one before again, or another while there is room.
    pub(crate) fn admits(&mut self, span: &Span<'_>) -> bool {
        if self.last == Some(span.base) {
            return true;
        }
        if self.bytes >= READ_BYTES_MAX {
            return false;
        }
        self.bytes += span.bytes;
        self.last = Some(span.base);
        true
    }
}
