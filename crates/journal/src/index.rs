//! What the journal knows of one shard's log, in memory: where each entry lies, which terms begin
//! where, and the newest entries themselves. Never any I/O.
//!
//! Kept true: slots are those of `first..first + slots.len()`; a later slot lies later in the
//! journal; `recent` holds the newest entries without a hole; an entry that isn't in a segment
//! yet is in `recent`.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::format::ShardState;
use crate::handover::InBatch;
use crate::types::{LogId, LogState, Record};

/// Where an entry lies. 16 bytes: a node keeps one for each entry of its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The batch's number, below the entry's kind in the top byte.
    batch: u64,
    offset: u32,
    /// Bytes of the payload.
    pub(crate) length: u32,
}

const _: () = assert!(size_of::<Slot>() == 16);

/// Bits of a batch's number: enough for a million batches a second for two thousand years.
const BATCH_BITS: u32 = 56;

impl Slot {
    pub(crate) fn new(at: InBatch, length: usize, kind: u8) -> Self {
        let length = u32::try_from(length).expect("a record is far below 4 GiB");
        let batch = u64::from(kind) << BATCH_BITS | at.batch;
        Self { batch, offset: at.offset, length }
    }

    /// Its batch, and its offset there.
    pub(crate) fn at(self) -> InBatch {
        InBatch { batch: self.batch & ((1 << BATCH_BITS) - 1), offset: self.offset }
    }

    /// Raft's kind of the entry.
    pub(crate) fn kind(self) -> u8 {
        u8::try_from(self.batch >> BATCH_BITS).expect("eight bits are left")
    }
}

/// One shard's log.
#[derive(Debug, Default)]
pub(crate) struct ShardLog {
    pub(crate) state: ShardState,
    first: u64,
    slots: VecDeque<Slot>,
    /// The first entry of each term that is present, oldest first.
    terms: VecDeque<LogId>,
    /// Payloads of the newest entries.
    recent: VecDeque<Bytes>,
    recent_bytes: usize,
    /// The batches that weren't known to be written when last asked, with their first entries.
    unwritten: VecDeque<(u64, u64)>,
}

impl ShardLog {
    /// The state and both ends.
    pub(crate) fn log_state(&self) -> LogState {
        LogState {
            vote: self.state.vote.clone(),
            committed: self.state.committed,
            purged: self.state.purged,
            last: self.last().or(self.state.purged),
            first_index: (!self.slots.is_empty()).then_some(self.first),
        }
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Option<LogId> {
        let term = self.terms.back()?.term;
        Some(LogId { term, index: self.end() - 1 })
    }

    /// The index after the last entry.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// The index of the first entry, where there is one.
    pub(crate) fn first(&self) -> Option<(u64, Slot)> {
        self.slots.front().map(|slot| (self.first, *slot))
    }

    /// The first entry of each term, then the last entry.
    pub(crate) fn term_starts(&self) -> Vec<LogId> {
        let mut starts: Vec<LogId> = self.terms.iter().copied().collect();
        if let Some(last) = self.last()
            && starts.last() != Some(&last)
        {
            starts.push(last);
        }
        starts
    }

    /// The term of an entry that is present.
    pub(crate) fn term(&self, index: u64) -> u64 {
        let after = self.terms.partition_point(|start| start.index <= index);
        self.terms[after - 1].term
    }

    /// The slot of an entry that is present.
    pub(crate) fn slot(&self, index: u64) -> Slot {
        let at = usize::try_from(index - self.first).expect("slots are in memory");
        self.slots[at]
    }

    /// The payload of an entry, when it is among the newest.
    pub(crate) fn recent(&self, index: u64) -> Option<&Bytes> {
        let from_end = usize::try_from(self.end().checked_sub(index)?).ok()?;
        self.recent.get(self.recent.len().checked_sub(from_end)?)
    }

    /// Whether an entry with this index may come next. None has the greatest number that there is:
    /// the log's end is one more.
    pub(crate) fn accepts(&self, index: u64) -> bool {
        if index == u64::MAX {
            false
        } else if self.slots.is_empty() {
            self.state.purged.is_none_or(|purged| index > purged.index)
        } else {
            index == self.end()
        }
    }

    /// Notes an entry that lies in a segment, and keeps none. It must be acceptable.
    pub(crate) fn push(&mut self, id: LogId, slot: Slot) {
        self.push_slot(id, slot);
        self.forget_recent(0);
    }

    fn push_slot(&mut self, id: LogId, slot: Slot) {
        if self.slots.is_empty() {
            self.first = id.index;
        }
        if self.terms.back().is_none_or(|start| start.term != id.term) {
            self.terms.push_back(id);
        }
        self.slots.push_back(slot);
    }

    /// Notes an entry that was handed in just now, and keeps it.
    pub(crate) fn push_recent(&mut self, record: Record, at: InBatch) {
        let id = LogId { term: record.term, index: record.index };
        self.push_slot(id, Slot::new(at, record.payload.len(), record.kind));
        self.recent_bytes += record.payload.len();
        self.recent.push_back(record.payload);
        if self.unwritten.back().is_none_or(|(batch, _)| *batch != at.batch) {
            self.unwritten.push_back((at.batch, id.index));
        }
    }

    /// Lets the oldest kept entries go until `bytes` are left, or until one that isn't in a
    /// segment yet: those are in batches from `unwritten` on.
    pub(crate) fn shrink_recent(&mut self, bytes: usize, unwritten: u64) {
        while self.unwritten.front().is_some_and(|(batch, _)| *batch < unwritten) {
            self.unwritten.pop_front();
        }
        let written = self.unwritten.front().map_or(u64::MAX, |(_, first)| *first);
        let mut oldest = self.end() - self.recent.len() as u64;
        while self.recent_bytes > bytes && oldest < written {
            let payload = self.recent.pop_front().expect("its bytes are counted");
            self.recent_bytes -= payload.len();
            oldest += 1;
        }
    }

    fn forget_recent(&mut self, keep: usize) {
        while self.recent.len() > keep {
            let oldest = self.recent.pop_front().expect("it isn't empty");
            self.recent_bytes -= oldest.len();
        }
    }

    /// Takes away the entries at `from` and above.
    pub(crate) fn truncate(&mut self, from: u64) {
        for (_, first) in &mut self.unwritten {
            *first = from.min(*first);
        }
        while !self.slots.is_empty() && self.end() > from {
            self.slots.pop_back();
            if let Some(payload) = self.recent.pop_back() {
                self.recent_bytes -= payload.len();
            }
        }
        while self.terms.back().is_some_and(|start| start.index >= from) {
            self.terms.pop_back();
        }
    }

    /// Takes away the entries up to and with `upto`. One that goes back is nothing.
    pub(crate) fn purge(&mut self, upto: LogId) {
        if self.state.purged.is_some_and(|purged| purged.index >= upto.index) {
            return;
        }
        self.state.purged = Some(upto);
        while !self.slots.is_empty() && self.first <= upto.index {
            self.slots.pop_front();
            self.first += 1;
        }
        self.forget_recent(self.slots.len());
        if self.slots.is_empty() {
            self.terms.clear();
            return;
        }
        while self.terms.get(1).is_some_and(|next| next.index <= self.first) {
            self.terms.pop_front();
        }
        let oldest = self.terms.front_mut().expect("a slot has a term");
        oldest.index = oldest.index.max(self.first);
    }
}
