//! The one that writes. Takes everything that waits, writes it, syncs once, completes the
//! callbacks. No timers: while a sync runs the next batch gathers.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{Clock, Disk, ShardId};

use crate::error::{Doing, Refused};
use crate::format::{SegmentHead, ShardStates, seal_batch};
use crate::handover::{Batch, Change, Wake};
use crate::limits::{SPARES_MAX, WITNESS_EVERY};
use crate::recovery::{Recovered, oldest_needed};
use crate::replay::Lasts;
use crate::segment::{Active, Segment};
use crate::shared::{NO_PANIC, Shared};
use crate::types::{Done, Failed, Position};
use crate::witness::WitnessKeeper;

/// Writes the journal: a thread runs it in production, a task steps it in simulation.
pub struct Committer {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    active: Active,
    /// Files that were freed, to be used again.
    spares: Vec<Arc<Segment>>,
    /// The shards as of the last batch written: what the next segment's header says.
    states: ShardStates,
    lasts: Lasts,
    oldest: u64,
    /// What was known to be synced before the current step.
    synced: Position,
    /// A buffer to be filled again.
    spare: Option<Batch>,
    /// Those who are being told.
    dones: Vec<Done>,
    taken: VecDeque<Batch>,
    witness: Option<WitnessKeeper>,
    make_room: Option<MakeRoom>,
    failed: Option<Failed>,
}

/// Called when the disk is full: true when there is room now.
pub type MakeRoom = Box<dyn FnMut() -> bool + Send>;

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        recovered: CommitterParts,
    ) -> Self {
        let CommitterParts { active, spares, states, lasts, oldest } = recovered;
        let synced = active.position();
        let mut committer = Self {
            shared,
            disk,
            dir,
            active,
            spares,
            states,
            lasts,
            oldest,
            synced,
            spare: None,
            dones: Vec::new(),
            taken: VecDeque::new(),
            witness: None,
            make_room: None,
            failed: None,
        };
        committer.note_spares();
        committer
    }

    /// Keeps the witness in the data directory `dir` from now on: it is written here once, then
    /// before each vote is answered, and otherwise at most every 100 ms, after the replies.
    ///
    /// # Errors
    /// The machine refuses.
    pub fn keep_witness(&mut self, dir: &Path, clock: Arc<dyn Clock>) -> Result<(), Refused> {
        let checkpoints = Arc::clone(&self.shared.checkpoints);
        let disk = Arc::clone(&self.disk);
        let mut witness = WitnessKeeper::new(disk, dir.to_owned(), clock, checkpoints);
        witness.tell(self.synced, &self.states)?;
        self.witness = Some(witness);
        Ok(())
    }

    /// What to do when the disk is full, before it counts as a failure: give up the ballast.
    pub fn when_full(&mut self, make_room: MakeRoom) {
        self.make_room = Some(make_room);
    }

    /// Takes what waits, writes, syncs, completes. False when nothing waited.
    ///
    /// # Errors
    /// A write or a sync failed, now or before. Everybody who waits has been told, and everything
    /// handed in from now on is refused. The process must end.
    pub fn step(&mut self) -> Result<bool, Failed> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let mut taken = std::mem::take(&mut self.taken);
        let first = self.shared.handover.take(&mut taken, self.spare.take());
        if taken.is_empty() {
            self.taken = taken;
            let kept = self.upkeep();
            return kept.map(|()| false).map_err(|refused| self.fail(&refused, VecDeque::new()));
        }
        let bytes = taken.iter().map(|batch| batch.bytes.len() as u64).sum();
        self.shared.in_flight.store(bytes, Ordering::Relaxed);
        if let Err(refused) = self.commit(first, &mut taken) {
            return Err(self.fail(&refused, taken));
        }
        self.shared.in_flight.store(0, Ordering::Relaxed);
        self.complete(taken);
        let kept = self.upkeep();
        kept.map(|()| true).map_err(|refused| self.fail(&refused, VecDeque::new()))
    }

    /// What can wait until the replies are out.
    fn upkeep(&mut self) -> Result<(), Refused> {
        match self.active.fill_ahead(self.shared.options.segment_bytes) {
            // Zeros ahead are only a convenience.
            Err(refused) if refused.is_full() => {}
            filled => {
                filled?;
            }
        }
        self.remove_spare()?;
        match &mut self.witness {
            Some(witness) => witness.tell_in_time(self.synced, &self.states),
            None => Ok(()),
        }
    }

    /// Steps until the last handle of the journal is gone and everything is written.
    ///
    /// # Errors
    /// As [`Committer::step`].
    pub fn run(mut self) -> Result<(), Failed> {
        loop {
            let lags = self.witness.as_ref().is_some_and(|witness| witness.lags(self.synced));
            let wait = if lags { WITNESS_EVERY } else { Duration::from_secs(1) };
            match self.shared.handover.wait(wait) {
                Wake::Work => {
                    self.step()?;
                }
                Wake::Time if lags => {
                    let kept = self.upkeep();
                    kept.map_err(|refused| self.fail(&refused, VecDeque::new()))?;
                }
                Wake::Time => {}
                Wake::Closed => return self.finish(),
            }
        }
    }

    /// Writes what is left when nobody can hand in anything any more.
    fn finish(&mut self) -> Result<(), Failed> {
        while self.step()? {}
        let told = self.tell_witness();
        told.map_err(|refused| self.fail(&refused, VecDeque::new()))
    }

    fn commit(&mut self, first: u64, taken: &mut VecDeque<Batch>) -> Result<(), Refused> {
        let mut voted = false;
        for (number, batch) in (first..).zip(taken.iter_mut()) {
            let is_vote = |(_, change): &(ShardId, Change)| matches!(change, Change::Vote(_));
            voted |= batch.changes.iter().any(is_vote);
            let place = self.write(batch)?;
            let mut segments = self.shared.segments.write().expect(NO_PANIC);
            debug_assert_eq!(segments.next_batch(), number, "batches are written in order");
            segments.push(place);
            drop(segments);
            self.shared.written.store(number + 1, Ordering::Release);
        }
        self.active.sync()?;
        self.synced = self.active.position();
        *self.shared.synced.lock().expect(NO_PANIC) = self.synced;
        if voted { self.with_room(Self::tell_witness) } else { Ok(()) }
    }

    fn tell_witness(&mut self) -> Result<(), Refused> {
        match &mut self.witness {
            Some(witness) => witness.tell(self.synced, &self.states),
            None => Ok(()),
        }
    }

    /// Writes one batch and says where.
    fn write(&mut self, batch: &mut Batch) -> Result<Position, Refused> {
        if batch.records == 0 {
            return Ok(self.active.position());
        }
        let end = self.active.offset + batch.bytes.len() as u64;
        if end > self.shared.options.segment_bytes && self.active.offset > self.active.start {
            self.with_room(Self::next_segment)?;
        }
        let place = self.active.position();
        let seed = self.active.seed;
        seal_batch(&mut batch.bytes, batch.records, self.synced, seed, place.offset);
        self.with_room(|committer| committer.active.write(&batch.bytes))?;
        let lasts = self.lasts.entry(place.segment).or_default();
        for (shard, last) in batch.entries.drain(..) {
            lasts.insert(shard, last);
        }
        for (shard, change) in batch.changes.drain(..) {
            let state = self.states.entry(shard).or_default();
            match change {
                Change::Vote(vote) => state.vote = Some(vote),
                Change::Committed(id) => state.committed = Some(id),
                Change::Purged(id) => state.purged = Some(id),
            }
        }
        Ok(place)
    }

    /// Does `what`; once more when the disk was full and there is room now. Nothing was
    /// acknowledged, and the same bytes go to the same place.
    fn with_room(
        &mut self,
        mut what: impl FnMut(&mut Self) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        match what(self) {
            Err(refused) if refused.is_full() && self.make_room.as_mut().is_some_and(|f| f()) => {
                what(self)
            }
            done => done,
        }
    }

    /// Goes on in the next segment: everything in this one is synced first, and the next one has
    /// its name only when its header is durable.
    fn next_segment(&mut self) -> Result<(), Refused> {
        self.active.sync()?;
        let end = self.active.position();
        let number = end.segment + 1;
        self.oldest = oldest_needed(&self.lasts, &self.states, self.oldest, number);
        let head = SegmentHead {
            number,
            salt: self.shared.options.salt,
            previous_end: end.offset,
            oldest: self.oldest,
            shards: self.states.clone(),
        };
        let spare = self.usable_spare();
        let disk = &*self.disk;
        let mut next = Active::prepare(disk, &self.dir, &head, spare)?;
        next.publish(disk, &self.dir)?;
        self.active = next;
        self.synced = self.active.position();
        self.reclaim();
        Ok(())
    }

    /// A spare that no reader has open.
    fn usable_spare(&mut self) -> Option<Arc<Segment>> {
        let at = self.spares.iter().position(|spare| Arc::strong_count(spare) == 1)?;
        Some(self.spares.swap_remove(at))
    }

    /// Frees the segments that the newest header says aren't needed.
    fn reclaim(&mut self) {
        let mut segments = self.shared.segments.write().expect(NO_PANIC);
        let active = &self.active.segment;
        segments.live.insert(active.number, Arc::clone(active));
        let freed = segments.reclaim(self.oldest);
        drop(segments);
        self.lasts = self.lasts.split_off(&self.oldest);
        self.spares.extend(freed);
        self.note_spares();
    }

    /// Removes one file where more wait than are worth their room.
    fn remove_spare(&mut self) -> Result<(), Refused> {
        if self.spares.len() > SPARES_MAX
            && let Some(spare) = self.spares.pop()
        {
            self.disk.remove(&spare.path).doing("removing", &spare.path)?;
            self.note_spares();
        }
        Ok(())
    }

    fn note_spares(&mut self) {
        let bytes = self.spares.iter().map(|spare| spare.bytes.load(Ordering::Relaxed)).sum();
        self.shared.segments.write().expect(NO_PANIC).spare_bytes = bytes;
    }

    /// Tells those who wait, in order.
    fn complete(&mut self, mut taken: VecDeque<Batch>) {
        let newest = taken.pop_back();
        for batch in &mut taken {
            tell(&mut batch.dones);
        }
        taken.clear();
        self.taken = taken;
        let Some(mut batch) = newest else { return };
        std::mem::swap(&mut self.dones, &mut batch.dones);
        batch.clear(self.shared.options.batch_bytes);
        self.spare = Some(self.shared.handover.give_back(batch));
        tell(&mut self.dones);
    }

    fn fail(&mut self, refused: &Refused, taken: VecDeque<Batch>) -> Failed {
        let failed = Failed::new(refused);
        tracing::error!(error = %failed, "the journal can't be written");
        self.failed = Some(failed.clone());
        let waiting = self.shared.handover.fail(&failed);
        let taken = taken.into_iter().flat_map(|batch| batch.dones);
        for done in taken.chain(waiting) {
            done(Err(failed.clone()));
        }
        failed
    }
}

impl Drop for Committer {
    /// Whoever still waits is told: nobody will write any more.
    fn drop(&mut self) {
        let failed = self.failed.take().unwrap_or_else(|| Failed::new("the committer has ended"));
        for done in self.shared.handover.fail(&failed) {
            done(Err(failed.clone()));
        }
    }
}

fn tell(dones: &mut Vec<Done>) {
    for done in dones.drain(..) {
        done(Ok(()));
    }
}

/// What a committer starts from.
pub(crate) struct CommitterParts {
    active: Active,
    spares: Vec<Arc<Segment>>,
    states: ShardStates,
    lasts: Lasts,
    oldest: u64,
}

impl CommitterParts {
    /// Takes them out of what recovery found.
    pub(crate) fn split(
        recovered: Recovered,
    ) -> (Self, crate::replay::Replay, crate::segment::Segments) {
        let Recovered { mut replay, active, segments, spares } = recovered;
        let states = replay.states();
        let lasts = std::mem::take(&mut replay.lasts);
        let oldest = *segments.live.keys().next().expect("the active segment is live");
        (Self { active, spares, states, lasts, oldest }, replay, segments)
    }
}
