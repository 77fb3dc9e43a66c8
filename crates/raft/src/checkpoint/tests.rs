//! One group without Raft on a simulated disk and a store in memory, killed between any two steps:
//! what comes back is never ahead of the journal, and goes on to the same state.

use std::path::Path;

use base::{Entropy, ManualClock, SeededEntropy, SimDisk};
use journal::{Committer, Marks};
use openraft::EntryPayload;
use openraft::storage::RaftStateMachine;
use store::{Memory, Store, SwitchFault};

use super::*;
use crate::log::to_record;
use crate::machine::Machine;
use crate::machine::cells::Cells;
use crate::state::Setup;
use crate::types::{Entry, Proposal, log_id};

const SHARD: ShardId = ShardId(3);

/// What outlives a crash.
struct Machinery {
    disk: SimDisk,
    store: Memory,
    entropy: SeededEntropy,
    /// Entries whose append was acknowledged.
    acknowledged: Arc<Mutex<u64>>,
}

/// One life of a node.
struct Life {
    journal: Journal,
    committer: Committer,
    replica: Arc<Replica>,
    checkpointer: Checkpointer,
    clock: Arc<ManualClock>,
    broken: Arc<Mutex<Vec<String>>>,
}

fn entry(index: u64) -> Entry {
    let value = if index.is_multiple_of(5) { String::new() } else { "v".repeat(50) };
    let text = format!("{}={value}{}", index * index % 11, if value.is_empty() { "" } else { "!" });
    let term = 1 + index / 40;
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(Proposal(text.into())) }
}

/// The hash of a machine that applied so many entries.
fn hash_at(index: u64) -> u64 {
    let mut cells = Cells::default();
    for index in 1..=index {
        let EntryPayload::Normal(Proposal(text)) = entry(index).payload else { unreachable!() };
        cells.apply(&text, false).unwrap();
    }
    cells.hash()
}

fn apply(replica: &Arc<Replica>, entries: Vec<Entry>) -> std::io::Result<()> {
    let mut machine = StateMachine(replica.clone());
    let entries = futures::stream::iter(entries.into_iter().map(|entry| Ok((entry, None))));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(machine.apply(entries))
}

impl Machinery {
    fn new(seed: u64) -> Self {
        Self {
            disk: SimDisk::new(seed),
            store: Memory::new(),
            entropy: SeededEntropy::new(seed),
            acknowledged: Arc::default(),
        }
    }

    fn start(&self) -> Life {
        let options = journal::Options {
            segment_bytes: 4096,
            kept_bytes: 8192,
            ..journal::Options::default()
        };
        let disk = Arc::new(self.disk.clone());
        let opened = journal::open(disk, Path::new("/journal"), options, &Marks::default());
        let (journal, committer) = opened.unwrap();
        let broken = Arc::new(Mutex::new(Vec::new()));
        let notes = broken.clone();
        let replica = Replica::open(Setup {
            shard: SHARD,
            journal: journal.clone(),
            store: Arc::new(self.store.clone()),
            machine: Box::new(Cells::default()),
            fatal: Arc::new(move |_, broken| notes.lock().unwrap().push(broken.to_string())),
            dirty: Box::new(|_| {}),
        });
        let replica = replica.unwrap();
        let clock = Arc::new(ManualClock::default());
        let options = Options { dirty_parts: 5, journal_bytes: 8192, ..Options::default() };
        let watched = [replica.clone()];
        let checkpointer = Checkpointer::new(journal.clone(), clock.clone(), options, watched);
        Life { journal, committer, replica, checkpointer, clock, broken }
    }

    /// Does one thing, by chance; false when the life has ended by an accident.
    fn act(&self, life: &mut Life) -> bool {
        match self.entropy.below(8) {
            0 | 1 => self.append(life),
            2 => return life.committer.step().is_ok(),
            3 => life.apply_some(self.entropy.below(4)),
            4 => life.purge(),
            5 => life.clock.advance(Duration::from_secs(self.entropy.below(40))),
            _ => return life.checkpointer.step().is_ok(),
        }
        true
    }

    fn append(&self, life: &Life) {
        let last = life.last();
        let count = 1 + self.entropy.below(3);
        let records = (last + 1..=last + count).map(|index| to_record(&entry(index)));
        let acknowledged = self.acknowledged.clone();
        let done: journal::Done = Box::new(move |result| {
            if result.is_ok() {
                *acknowledged.lock().unwrap() = last + count;
            }
        });
        life.journal.append(SHARD, records.collect(), done);
    }

    /// Power goes; then everything is as it must be.
    fn crash_and_check(&self) -> Life {
        self.disk.crash();
        self.store.crash();
        let life = self.start();
        let last = life.last();
        let applied = life.replica.applied().map_or(0, |log_id| log_id.index);
        let acknowledged = *self.acknowledged.lock().unwrap();
        assert!(last >= acknowledged, "entry {acknowledged} was acknowledged, {last} is there");
        assert!(applied <= last, "the checkpoint is at {applied}, the journal ends at {last}");
        assert_eq!(life.replica.hash().1, hash_at(applied), "loaded at {applied}");
        life.apply_some(u64::MAX);
        assert_eq!(life.replica.hash(), (last_log_id(last), hash_at(last)), "replayed to {last}");
        *self.acknowledged.lock().unwrap() = last;
        life
    }
}

fn last_log_id(last: u64) -> Option<LogId> {
    (last > 0).then(|| entry(last).log_id)
}

impl Life {
    fn last(&self) -> u64 {
        self.journal.log_state(SHARD).last.map_or(0, |last| last.index)
    }

    fn apply_some(&self, count: u64) {
        let from = self.replica.applied().map_or(0, |log_id| log_id.index) + 1;
        let until = from.saturating_add(count).min(self.last() + 1);
        let records = self.journal.read(SHARD, from..until, usize::MAX).unwrap();
        assert_eq!(records.len() as u64, until.saturating_sub(from), "{from}..{until} is there");
        let decode = |record: journal::Record| {
            crate::types::decode_entry(record.term, record.index, record.kind, record.payload)
        };
        let entries = records.into_iter().map(decode).collect::<Result<_, _>>().unwrap();
        apply(&self.replica, entries).unwrap();
    }

    /// What openraft does when told.
    fn purge(&self) {
        if let Some(index) = self.replica.marks().borrow().purge
            && index > 0
        {
            let id = entry(index).log_id;
            self.journal.purge(SHARD, journal::LogId { term: id.leader_id.term, index });
        }
    }

    /// Commits and checkpoints until nothing is left to do.
    fn settle(&mut self) {
        loop {
            let committed = self.committer.step().unwrap();
            let step = self.checkpointer.step().unwrap();
            if !committed && step == Step::Idle {
                return;
            }
        }
    }
}

fn cuts() -> u64 {
    if std::env::var_os("WEIR_TEST_LONG").is_some() { 5_000 } else { 200 }
}

#[test]
fn killed_between_any_two_steps_it_comes_back_never_ahead_of_the_journal() {
    for cut in 1..cuts() {
        let machinery = Machinery::new(cut);
        let mut life = machinery.start();
        for _ in 0..3 {
            for _ in 0..cut {
                assert!(machinery.act(&mut life));
            }
            drop(life);
            life = machinery.crash_and_check();
        }
    }
}

#[test]
fn power_lost_within_any_write_it_comes_back_never_ahead_of_the_journal() {
    for cut in 1..cuts() {
        let machinery = Machinery::new(cut);
        let mut life = machinery.start();
        machinery.disk.power_off_after(cut);
        while machinery.act(&mut life) && !machinery.disk.is_off() {}
        drop(life);
        machinery.crash_and_check();
    }
}

#[test]
fn a_switch_that_fails_leaves_the_old_or_the_new_checkpoint_and_ends_the_process() {
    for fault in [SwitchFault::Lost, SwitchFault::Kept] {
        for nth in 1..10 {
            let machinery = Machinery::new(nth);
            let mut life = machinery.start();
            machinery.store.fail_switch(nth, fault);
            while machinery.act(&mut life) {}
            assert_eq!(life.broken.lock().unwrap().len(), 1, "the hook is called once");
            drop(life);
            machinery.crash_and_check();
        }
    }
}

#[test]
fn the_journal_stays_small_and_what_a_follower_needs_stays() {
    let machinery = Machinery::new(1);
    let mut life = machinery.start();
    for _ in 0..2_000 {
        machinery.append(&life);
        life.apply_some(u64::MAX);
        life.settle();
        life.purge();
    }
    let usage = life.journal.usage();
    assert!(usage.bytes < 12 * 4096, "{usage:?}");

    let snapshot = crate::snapshot::current(&life.replica).unwrap().unwrap();
    let held = snapshot.meta.last_log_id.unwrap().index;
    for _ in 0..2_000 {
        machinery.append(&life);
        life.apply_some(u64::MAX);
        life.settle();
        life.purge();
    }
    assert!(life.journal.log_state(SHARD).first_index.unwrap() <= held + 1, "it is held");
    drop(snapshot);
    life.clock.advance(PURGE_EVERY);
    life.settle();
    life.purge();
    assert!(life.journal.log_state(SHARD).first_index.unwrap() > held + 1, "it is let go");
}

#[test]
fn a_shard_is_checkpointed_when_it_is_old_and_has_changes_and_not_otherwise() {
    let machinery = Machinery::new(1);
    let mut life = machinery.start();
    life.settle();
    life.clock.advance(CHECKPOINT_AGE);
    life.settle();
    assert_eq!(life.replica.checkpoint(), None, "nothing has changed");
    machinery.append(&life);
    life.apply_some(1);
    life.settle();
    let first = life.replica.checkpoint().expect("it is old and has changed");
    machinery.append(&life);
    life.apply_some(1);
    life.settle();
    assert_eq!(life.replica.checkpoint(), Some(first.clone()), "it is too young");
    life.clock.advance(CHECKPOINT_AGE);
    life.settle();
    assert!(life.replica.checkpoint().unwrap().number > first.number);
    assert_eq!(life.replica.dirty().bytes, 0);
}

#[test]
fn finishing_takes_everything_to_the_store() {
    let machinery = Machinery::new(1);
    let mut life = machinery.start();
    machinery.append(&life);
    life.apply_some(u64::MAX);
    let committer = std::thread::spawn(move || life.committer.run());
    life.checkpointer.finish().unwrap();
    let applied = life.replica.applied();
    drop((life.checkpointer, life.replica, life.journal));
    committer.join().unwrap().unwrap();
    let root = machinery.store.root(SHARD).unwrap().unwrap();
    let meta = crate::state::RootMeta::decode(&root.meta).unwrap();
    assert_eq!(meta.snapshot.last_log_id, applied);
}
