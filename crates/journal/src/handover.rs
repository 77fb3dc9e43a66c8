//! Where shards leave work for the committer: one lock, two buffers that change places. Records
//! are encoded straight into the bytes that will be written. Never any I/O.
//!
//! `tests` compiles this file a second time with shuttle's primitives in `super::primitives`.

use std::collections::VecDeque;
use std::time::Duration;

use base::ShardId;
use bytes::Bytes;

use super::primitives::{Condvar, Mutex, MutexGuard};
use crate::format::{BATCH_HEADER_BYTES, Kind, RecordHead, put_record};
use crate::limits::SHARDS_SEARCHED;
use crate::types::{Done, Failed, LogId};

/// Something about a shard that the next segment's header must say.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Vote(Bytes),
    Committed(LogId),
    Purged(LogId),
}

/// What becomes one batch on disk.
#[derive(Default)]
pub(crate) struct Batch {
    /// Room for the batch's header, then records. Empty where there are no records.
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: u32,
    /// Last index by shard. A shard may be there twice; then the later one counts.
    pub(crate) entries: Vec<(ShardId, u64)>,
    /// Where in `entries` the next one is likely noted.
    turn: usize,
    pub(crate) changes: Vec<(ShardId, Change)>,
    pub(crate) dones: Vec<Done>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.dones.is_empty()
    }

    /// Notes a shard's last entry. Few shards take turns, so that the one whose turn it is is looked
    /// at first, and a short search keeps the list short.
    fn note_entry(&mut self, shard: ShardId, index: u64) {
        let is = |at: &usize| self.entries.get(*at).is_some_and(|(known, _)| *known == shard);
        let end = self.entries.len();
        let searched = || (end.saturating_sub(SHARDS_SEARCHED)..end).rev().find(is);
        let at = Some(self.turn).filter(is).or_else(searched).unwrap_or(end);
        match self.entries.get_mut(at) {
            Some((_, last)) => *last = index,
            None => self.entries.push((shard, index)),
        }
        self.turn = if at + 1 < self.entries.len() { at + 1 } else { 0 };
    }

    /// Empties it for the next use. A buffer that grew far beyond the usual is let go.
    pub(crate) fn clear(&mut self, bytes_max: usize) {
        debug_assert!(self.dones.is_empty(), "somebody wasn't told");
        self.bytes.clear();
        self.bytes.shrink_to(bytes_max.saturating_mul(2));
        self.records = 0;
        self.entries.clear();
        self.changes.clear();
    }
}

/// Where a record will lie: the batch's number in the order of all batches, and the record's
/// offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InBatch {
    pub(crate) batch: u64,
    pub(crate) offset: u32,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Something waits that somebody waits for.
    Work,
    /// Nobody can hand in anything any longer.
    Closed,
    /// The time is over.
    Time,
}

struct State {
    /// Full batches, oldest first.
    sealed: VecDeque<Batch>,
    open: Batch,
    /// The number of `open`.
    number: u64,
    /// Somebody waits for something that is in here.
    urgent: bool,
    /// The committer sleeps: only then is it worth a system call to wake it.
    sleeps: bool,
    closed: bool,
    failed: Option<Failed>,
    bytes: u64,
}

/// The hand-over between shards and committer.
pub(crate) struct Handover {
    state: Mutex<State>,
    wake: Condvar,
    batch_bytes: usize,
}

impl Handover {
    /// Batches are closed above `batch_bytes`; the first one gets the number `first`.
    pub(crate) fn new(batch_bytes: usize, first: u64) -> Self {
        let state = State {
            sealed: VecDeque::new(),
            open: Batch::default(),
            number: first,
            urgent: false,
            sleeps: false,
            closed: false,
            failed: None,
            bytes: 0,
        };
        Self { state: Mutex::new(state), wake: Condvar::new(), batch_bytes }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the hand-over's lock panics")
    }

    /// Begins to hand in; others wait until the [`Filling`] is finished.
    pub(crate) fn fill(&self) -> Result<Filling<'_>, Failed> {
        let state = self.state();
        match &state.failed {
            Some(failed) => Err(failed.clone()),
            None => Ok(Filling { handover: self, state }),
        }
    }

    /// Takes everything that waits, in order, and gives `spare` for the next use. Returns the
    /// number of the first batch taken.
    pub(crate) fn take(&self, taken: &mut VecDeque<Batch>, spare: Option<Batch>) -> u64 {
        let mut state = self.state();
        let first = state.number - state.sealed.len() as u64;
        std::mem::swap(taken, &mut state.sealed);
        if !state.open.is_empty() {
            let open = std::mem::replace(&mut state.open, spare.unwrap_or_default());
            taken.push_back(open);
            state.number += 1;
        }
        state.urgent = false;
        state.bytes = 0;
        first
    }

    /// Gives a buffer back before those who waited for it are told: what they hand in next then
    /// goes where the processor's caches have just been. Returns one for the next taking.
    pub(crate) fn give_back(&self, batch: Batch) -> Batch {
        let mut state = self.state();
        if state.open.is_empty() { std::mem::replace(&mut state.open, batch) } else { batch }
    }

    /// Waits until there is urgent work, at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> Wake {
        let mut state = self.state();
        loop {
            if state.urgent {
                return Wake::Work;
            }
            if state.closed {
                return Wake::Closed;
            }
            state.sleeps = true;
            let (next, waited) = self
                .wake
                .wait_timeout(state, timeout)
                .expect("no holder of the hand-over's lock panics");
            state = next;
            state.sleeps = false;
            if waited.timed_out() && !state.urgent && !state.closed {
                return Wake::Time;
            }
        }
    }

    /// Nothing will be handed in any more.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.wake.notify_all();
    }

    /// From now on everything is refused. Returns whom to tell.
    pub(crate) fn fail(&self, failed: &Failed) -> Vec<Done> {
        let mut state = self.state();
        state.failed = Some(failed.clone());
        let mut dones: Vec<Done> = state.sealed.drain(..).flat_map(|batch| batch.dones).collect();
        dones.append(&mut state.open.dones);
        state.open = Batch::default();
        state.urgent = false;
        drop(state);
        self.wake.notify_all();
        dones
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().bytes
    }
}

/// The right to hand in, until it is dropped or finished.
pub(crate) struct Filling<'a> {
    handover: &'a Handover,
    state: MutexGuard<'a, State>,
}

impl Filling<'_> {
    /// Adds a record and says where it will lie.
    pub(crate) fn record(&mut self, head: RecordHead, payload: &[u8]) -> InBatch {
        let state = &mut *self.state;
        let fill = state.open.bytes.len();
        if fill > BATCH_HEADER_BYTES && fill + payload.len() > self.handover.batch_bytes {
            state.sealed.push_back(std::mem::take(&mut state.open));
            state.number += 1;
        }
        let open = &mut state.open;
        if open.bytes.is_empty() {
            open.bytes.resize(BATCH_HEADER_BYTES, 0);
        }
        let before = open.bytes.len();
        let offset = put_record(&mut open.bytes, head, payload);
        state.bytes += (open.bytes.len() - before) as u64;
        open.records += 1;
        if head.kind == Kind::Entry {
            open.note_entry(head.shard, head.index);
        }
        let offset = u32::try_from(offset).expect("a batch is far below 4 GiB");
        InBatch { batch: state.number, offset }
    }

    /// Notes what the next segment's header must say of `shard` once the batch is written.
    pub(crate) fn change(&mut self, shard: ShardId, change: Change) {
        self.state.open.changes.push((shard, change));
    }

    /// Hands over; `done` is called when everything handed in so far is durable. True when the
    /// committer may have to be told.
    pub(crate) fn finish(mut self, done: Done) -> bool {
        self.state.open.dones.push(done);
        let first = !std::mem::replace(&mut self.state.urgent, true);
        let (handover, sleeps) = (self.handover, self.state.sleeps);
        drop(self.state);
        if first && sleeps {
            handover.wake.notify_one();
        }
        first
    }
}
