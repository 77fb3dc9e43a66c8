//! Takes the changes of a node's shards to the store, one shard at a time, and says what of the
//! log may go. A step does one bounded piece of work: a thread runs it in production, a task steps
//! it in simulation. Never changes a state, never waits for anything but the disk.
//!
//! ```text
//! fix      contents and position, between two entries
//! put      parts, in small batches; meanwhile the journal is synced up to the position
//! switch   one atomic batch of the store: from here on a restart begins at the position
//! mark     openraft records the position (nothing is copied) and the log before it may be purged
//! sweep    what nothing refers to any more goes, a little at a time
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::planted::{Bug, is};
use base::{Clock, ShardId};
use bytes::Bytes;
use journal::Journal;
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver;
use store::{CheckpointNumber, PUT_PARTS_MAX, Part, Switch};
use tokio::sync::watch;

use crate::limits::{CHECKPOINT_AGE, CHECKPOINT_DIRTY_BYTES, CHECKPOINT_DIRTY_PARTS};
use crate::machine::Broken;
use crate::state::{Fixed, Marks, Replica, StateMachine};
use crate::types::{LogId, TypeConfig};

/// How long the thread sleeps when nothing calls it.
const IDLE: Duration = Duration::from_millis(100);

/// How often the log is looked over for what may go.
const PURGE_EVERY: Duration = Duration::from_secs(1);

/// How long openraft may take to note a checkpoint before it is told again.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// When a shard is checkpointed.
#[derive(Clone, Debug)]
pub struct Options {
    /// That much isn't in the store.
    pub dirty_bytes: usize,
    /// So many parts changed.
    pub dirty_parts: usize,
    /// It has changes, and its last checkpoint is this old.
    pub age: Duration,
    /// The journal is larger, and this shard keeps its oldest segment.
    pub journal_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dirty_bytes: CHECKPOINT_DIRTY_BYTES,
            dirty_parts: CHECKPOINT_DIRTY_PARTS,
            age: CHECKPOINT_AGE,
            journal_bytes: 256 * 1024 * 1024,
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something; there may be more.
    Worked,
    /// Nothing: the journal has to sync first.
    Waiting,
    /// Nothing.
    Idle,
}

/// Wakes the thread that runs a [`Checkpointer`], gives it replicas, says when the disk is short, and
/// ends it.
#[derive(Clone, Default)]
pub struct Bell(Arc<(Mutex<Rung>, Condvar)>);

#[derive(Default)]
struct Rung {
    work: bool,
    stop: bool,
    watch: Vec<Arc<Replica>>,
    short: bool,
}

impl Bell {
    /// There may be work.
    pub fn ring(&self) {
        self.change(|rung| rung.work = true);
    }

    /// Takes another replica to the store from now on, in place of an earlier one of its shard:
    /// that one was closed ([`Replica::close`]) before this one was opened.
    pub fn watch(&self, replica: Arc<Replica>) {
        self.change(|rung| {
            rung.watch.push(replica);
            rung.work = true;
        });
    }

    /// Little is free on the disk: the journal keeps nothing for followers that were away, beyond
    /// what a snapshot on its way needs.
    pub fn set_short(&self, short: bool) {
        self.rung().short = short;
    }

    fn is_short(&self) -> bool {
        self.rung().short
    }

    /// The thread ends after its step.
    pub fn stop(&self) {
        self.change(|rung| rung.stop = true);
    }

    fn change(&self, change: impl FnOnce(&mut Rung)) {
        change(&mut self.rung());
        self.0.1.notify_all();
    }

    fn rung(&self) -> MutexGuard<'_, Rung> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_watch(&self) -> Vec<Arc<Replica>> {
        std::mem::take(&mut self.rung().watch)
    }

    /// Waits until the bell rings or `at_most` has passed; false when it is to end.
    fn wait(&self, at_most: Duration) -> bool {
        let waited =
            self.0.1.wait_timeout_while(self.rung(), at_most, |rung| !rung.work && !rung.stop);
        let mut rung = waited.unwrap_or_else(PoisonError::into_inner).0;
        rung.work = false;
        !rung.stop
    }
}

/// Takes the shards of a node to the store.
pub struct Checkpointer {
    journal: Journal,
    clock: Arc<dyn Clock>,
    options: Options,
    bell: Bell,
    shards: Vec<Watched>,
    running: Option<Running>,
    purged_at: Duration,
    sweeping: VecDeque<usize>,
    /// Steps of sweeping that are due before the next checkpoint begins: what one replaces must
    /// not pile up while the next ones are written.
    sweeps_owed: usize,
}

/// A shard, and since when it has changes that aren't in the store.
struct Watched {
    replica: Arc<Replica>,
    checkpointed_at: Duration,
}

impl Checkpointer {
    /// For the replicas of one node.
    pub fn new(
        journal: Journal,
        clock: Arc<dyn Clock>,
        options: Options,
        replicas: impl IntoIterator<Item = Arc<Replica>>,
    ) -> Self {
        let now = clock.monotonic();
        let watched = |replica| Watched { replica, checkpointed_at: now };
        let shards: Vec<Watched> = replicas.into_iter().map(watched).collect();
        let sweeping = (0..shards.len()).collect();
        Self {
            journal,
            clock,
            options,
            bell: Bell::default(),
            shards,
            running: None,
            purged_at: now,
            sweeping,
            sweeps_owed: 0,
        }
    }

    /// What wakes and ends [`Checkpointer::run`].
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Steps until the bell says stop, or a replica is broken: then its hook was called.
    pub fn run(mut self) {
        let mut at_most = Duration::ZERO;
        while self.bell.wait(at_most) {
            at_most = match self.step() {
                Ok(Step::Worked) => Duration::ZERO,
                Ok(Step::Waiting | Step::Idle) => IDLE,
                Err(_) => return,
            };
        }
    }

    /// Does one bounded piece of work.
    pub fn step(&mut self) -> Result<Step, Broken> {
        for replica in self.bell.take_watch() {
            self.watch(replica);
        }
        if let Some(running) = &mut self.running {
            let step = running.step(&self.bell);
            return self.note(step);
        }
        if self.sweeps_owed > 0 && !self.sweeping.is_empty() {
            self.sweeps_owed -= 1;
            return self.sweep();
        }
        if let Some(at) = self.due() {
            self.shards[at].checkpointed_at = self.clock.monotonic();
            let replica = self.shards[at].replica.clone();
            self.running = Running::begin(replica).map(|running| running.on(at));
            self.sweeps_owed = self.running.as_ref().map_or(0, Running::sweeps);
            return Ok(Step::Worked);
        }
        if self.clock.monotonic() >= self.purged_at + PURGE_EVERY {
            self.purge();
        }
        self.sweep()
    }

    fn watch(&mut self, replica: Arc<Replica>) {
        let watched = Watched { replica, checkpointed_at: self.clock.monotonic() };
        let shard = watched.replica.shard();
        match self.shards.iter().position(|watched| watched.replica.shard() == shard) {
            Some(at) => self.shards[at] = watched,
            None => {
                self.sweeping.push_back(self.shards.len());
                self.shards.push(watched);
            }
        }
    }

    fn note(&mut self, step: Result<Progress, Broken>) -> Result<Step, Broken> {
        let running = self.running.as_ref().expect("one was stepped");
        match step {
            Ok(Progress::On) => Ok(Step::Worked),
            Ok(Progress::Waiting) => Ok(Step::Waiting),
            Ok(Progress::Done) => {
                self.sweeping.push_back(running.at);
                self.running = None;
                self.purge();
                Ok(Step::Worked)
            }
            Err(broken) => {
                running.replica.break_with(&broken);
                Err(broken)
            }
        }
    }

    /// The shard that needs a checkpoint most.
    fn due(&self) -> Option<usize> {
        let now = self.clock.monotonic();
        let oldest = self.pins_journal();
        let due = |watched: &Watched| {
            let dirty = watched.replica.dirty();
            dirty.bytes >= self.options.dirty_bytes
                || dirty.parts >= self.options.dirty_parts
                || Some(watched.replica.shard()) == oldest
                || now >= watched.checkpointed_at + self.options.age
        };
        let mut candidates: Vec<usize> = (0..self.shards.len())
            .filter(|at| due(&self.shards[*at]) && self.shards[*at].replica.has_changes())
            .collect();
        candidates.sort_by_key(|at| self.shards[*at].checkpointed_at);
        candidates.first().copied().or_else(|| self.fullest())
    }

    /// Where all shards together hold too much: the one that holds most.
    fn fullest(&self) -> Option<usize> {
        if !self.shards.iter().any(|watched| watched.replica.is_filling()) {
            return None;
        }
        let changed = (0..self.shards.len()).filter(|at| self.shards[*at].replica.has_changes());
        changed.max_by_key(|at| self.shards[*at].replica.dirty().bytes)
    }

    /// The shard that keeps the oldest segment of a journal that is too large, where it is its
    /// checkpoint that does, and not what is kept for followers anyway.
    fn pins_journal(&self) -> Option<ShardId> {
        let usage = self.journal.usage();
        if usage.bytes <= self.options.journal_bytes {
            return None;
        }
        let oldest = usage.pins.first()?.shard;
        let watched = self.shards.iter().find(|watched| watched.replica.shard() == oldest)?;
        let done = watched.replica.checkpoint().and_then(|checkpoint| checkpoint.meta.last_log_id);
        let done = done.map_or(0, |log_id| log_id.index);
        let kept = self.journal.kept_from(oldest).unwrap_or(u64::MAX);
        (done < kept.saturating_sub(1)).then_some(oldest)
    }

    /// Says for each shard up to where its log may go.
    fn purge(&mut self) {
        self.purged_at = self.clock.monotonic();
        let short = self.bell.is_short();
        for watched in &self.shards {
            watched.replica.set_purge(purge_upto(&watched.replica, &self.journal, short));
        }
    }

    fn sweep(&mut self) -> Result<Step, Broken> {
        let Some(at) = self.sweeping.pop_front() else { return Ok(Step::Idle) };
        let replica = &self.shards[at].replica;
        let writing = replica.writing();
        let more = replica.store.sweep(replica.shard());
        drop(writing);
        match more {
            Ok(true) => self.sweeping.push_back(at),
            Ok(false) => {}
            Err(error) => {
                let broken = Broken::Store(error);
                replica.break_with(&broken);
                return Err(broken);
            }
        }
        Ok(Step::Worked)
    }
}

/// Entries up to and with this one may go: they are in the checkpoint, outside of what the journal
/// keeps (nothing, when the disk is `short`), and no follower that gets a snapshot will need them.
fn purge_upto(replica: &Replica, journal: &Journal, short: bool) -> Option<u64> {
    let checkpoint = replica.checkpoint()?.meta.last_log_id?.index;
    let kept = journal.kept_from(replica.shard()).filter(|_| !short);
    let kept = kept.map_or(checkpoint, |kept| kept.saturating_sub(1));
    let held = replica.holds.least().unwrap_or(u64::MAX);
    Some(checkpoint.min(kept).min(held))
}

/// A checkpoint on its way to the store.
struct Running {
    at: usize,
    replica: Arc<Replica>,
    number: CheckpointNumber,
    meta: Bytes,
    applied: LogId,
    parts: VecDeque<Part>,
    switch: Switch,
    synced: Option<Arc<AtomicU8>>,
}

enum Progress {
    On,
    Waiting,
    Done,
}

const SYNC_WAITS: u8 = 0;
const SYNC_DONE: u8 = 1;
const SYNC_FAILED: u8 = 2;

impl Running {
    fn begin(replica: Arc<Replica>) -> Option<Self> {
        let Fixed { number, meta, applied, contents } = replica.fix()?;
        let parts = contents.put.into_iter().map(|(key, value)| Part { key, value }).collect();
        let switch = Switch {
            number,
            meta: meta.clone(),
            removed: contents.removed,
            dropped_prefixes: contents.dropped_prefixes,
        };
        Some(Self { at: 0, replica, number, meta, applied, parts, switch, synced: None })
    }

    /// How many steps of sweeping go with it.
    fn sweeps(&self) -> usize {
        16 + (self.parts.len() + self.switch.removed.len()) / PUT_PARTS_MAX
    }

    fn on(self, at: usize) -> Self {
        Self { at, ..self }
    }

    fn step(&mut self, bell: &Bell) -> Result<Progress, Broken> {
        let Some(synced) = &self.synced else {
            self.synced = Some(self.sync(bell));
            return Ok(Progress::On);
        };
        if !self.parts.is_empty() {
            return self.put();
        }
        match synced.load(Ordering::Acquire) {
            SYNC_WAITS if !is(Bug::CheckpointAhead) => Ok(Progress::Waiting),
            SYNC_WAITS => self.switch(),
            SYNC_DONE => self.switch(),
            _ => Err(Broken::Journal("it failed to sync".to_owned())),
        }
    }

    fn sync(&self, bell: &Bell) -> Arc<AtomicU8> {
        let synced = Arc::new(AtomicU8::new(SYNC_WAITS));
        let (flag, bell) = (synced.clone(), bell.clone());
        self.replica.journal.sync(Box::new(move |result| {
            flag.store(if result.is_ok() { SYNC_DONE } else { SYNC_FAILED }, Ordering::Release);
            bell.ring();
        }));
        synced
    }

    fn put(&mut self) -> Result<Progress, Broken> {
        let _writing = self.replica.writing();
        if !self.replica.is_running(self.number) {
            return Ok(Progress::Done);
        }
        let count = self.parts.len().min(PUT_PARTS_MAX);
        let batch: Vec<Part> = self.parts.drain(..count).collect();
        self.replica.store.put(self.replica.shard(), self.number, &batch)?;
        Ok(Progress::On)
    }

    fn switch(&mut self) -> Result<Progress, Broken> {
        let _writing = self.replica.writing();
        if !self.replica.is_running(self.number) {
            return Ok(Progress::Done);
        }
        self.replica.store.switch(self.replica.shard(), std::mem::take(&mut self.switch))?;
        self.replica.switched(self.number, &self.meta)?;
        tracing::debug!(shard = %self.replica.shard(), applied = %self.applied, "checkpoint");
        Ok(Progress::Done)
    }
}

/// Makes a checkpoint of one replica now, where it has changes. Used where openraft insists on a
/// snapshot; the checkpointer makes all others.
pub(crate) async fn make(replica: &Arc<Replica>) -> Result<(), Broken> {
    let Some(mut running) = Running::begin(replica.clone()) else { return Ok(()) };
    let bell = Bell::default();
    loop {
        match running.step(&bell)? {
            Progress::On => {}
            Progress::Waiting => crate::log::synced(&replica.journal).await?,
            Progress::Done => return Ok(()),
        }
    }
}

/// Tells a shard's Raft of its checkpoints, and purges its log as far as it may go, until Raft or
/// the replica ends. One such task runs for each replica, with [`Replica::marks`].
pub async fn follow(raft: Raft<TypeConfig, StateMachine>, mut marks: watch::Receiver<Marks>) {
    marks.mark_changed();
    while marks.changed().await.is_ok() {
        let now = *marks.borrow_and_update();
        if !record(&raft, now.checkpoint).await {
            return;
        }
        let Some(upto) = now.purge else { continue };
        if raft.trigger().purge_log(upto).await.is_err() {
            return;
        }
    }
}

/// Has openraft note a checkpoint, and waits until it has: it purges nothing above what it knows
/// to be in a snapshot. False when Raft has ended.
async fn record(raft: &Raft<TypeConfig, StateMachine>, checkpoint: Option<LogId>) -> bool {
    let mut metrics = raft.metrics();
    while metrics.borrow_watched().snapshot < checkpoint {
        if raft.trigger().snapshot().await.is_err() {
            return false;
        }
        // It ignores the call while it is busy with an earlier one. Its metrics change for other
        // reasons, too, each call among them: asked again at each change, it would do nothing else.
        let noted = async {
            while metrics.borrow_watched().snapshot < checkpoint {
                if metrics.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        if let Ok(false) = tokio::time::timeout(RECORD_AGAIN, noted).await {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests;
