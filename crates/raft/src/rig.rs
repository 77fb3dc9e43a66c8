//! For tests of one group without Raft: a simulated disk, a store in memory, cells as the machine,
//! and lives of a node that end when the test says so.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Entropy, ManualClock, SeededEntropy, ShardId, SimDisk};
use journal::{Committer, Journal, Marks};
use openraft::EntryPayload;
use openraft::storage::RaftStateMachine;
use store::Memory;

use crate::checkpoint::{Checkpointer, Options, Step};
use crate::log::to_record;
use crate::machine::cells::Cells;
use crate::machine::{Broken, Machine};
use crate::state::{Replica, Setup, StateMachine};
use crate::types::{Entry, LogId, Proposal, decode_entry, log_id};

pub(crate) const SHARD: ShardId = ShardId(3);

/// What outlives a crash.
pub(crate) struct Machinery {
    pub(crate) disk: SimDisk,
    pub(crate) store: Memory,
    pub(crate) entropy: SeededEntropy,
    /// Entries whose append was acknowledged.
    pub(crate) acknowledged: Arc<Mutex<u64>>,
}

/// One life of a node.
pub(crate) struct Life {
    pub(crate) journal: Journal,
    pub(crate) committer: Committer,
    pub(crate) replica: Arc<Replica>,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) broken: Arc<Mutex<Vec<String>>>,
}

pub(crate) fn entry(index: u64) -> Entry {
    let value = if index.is_multiple_of(5) { String::new() } else { "v".repeat(50) };
    let text = format!("{}={value}{}", index * index % 11, if value.is_empty() { "" } else { "!" });
    let term = 1 + index / 40;
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(Proposal(text.into())) }
}

/// The hash of a machine that applied so many entries.
pub(crate) fn hash_at(index: u64) -> u64 {
    let mut cells = Cells::default();
    for index in 1..=index {
        let EntryPayload::Normal(Proposal(text)) = entry(index).payload else { unreachable!() };
        cells.apply(&text, false).unwrap();
    }
    cells.hash()
}

pub(crate) fn apply(replica: &Arc<Replica>, entries: Vec<Entry>) -> std::io::Result<()> {
    let mut machine = StateMachine(replica.clone());
    let entries = futures::stream::iter(entries.into_iter().map(|entry| Ok((entry, None))));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(machine.apply(entries))
}

impl Machinery {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            disk: SimDisk::new(seed),
            store: Memory::new(),
            entropy: SeededEntropy::new(seed),
            acknowledged: Arc::default(),
        }
    }

    pub(crate) fn journal(&self) -> (Journal, Committer) {
        let options = journal::Options {
            segment_bytes: 4096,
            kept_bytes: 8192,
            ..journal::Options::default()
        };
        let disk = Arc::new(self.disk.clone());
        journal::open(disk, Path::new("/journal"), options, &Marks::default()).unwrap()
    }

    pub(crate) fn start(&self) -> Life {
        self.try_start().unwrap()
    }

    pub(crate) fn try_start(&self) -> Result<Life, Broken> {
        let (journal, committer) = self.journal();
        let broken = Arc::new(Mutex::new(Vec::new()));
        let notes = broken.clone();
        let record = move |broken: &Broken| notes.lock().unwrap().push(broken.to_string());
        let replica = self.open(journal.clone(), move |_, broken| record(broken))?;
        let clock = Arc::new(ManualClock::default());
        let options = Options { dirty_parts: 5, journal_bytes: 8192, ..Options::default() };
        let watched = [replica.clone()];
        let checkpointer = Checkpointer::new(journal.clone(), clock.clone(), options, watched);
        Ok(Life { journal, committer, replica, checkpointer, clock, broken })
    }

    pub(crate) fn open(
        &self,
        journal: Journal,
        fatal: impl Fn(ShardId, &Broken) + Send + Sync + 'static,
    ) -> Result<Arc<Replica>, Broken> {
        Replica::open(Setup {
            shard: SHARD,
            journal,
            store: Arc::new(self.store.clone()),
            machine: Box::new(Cells::default()),
            fatal: Arc::new(fatal),
            dirty: Box::new(|_| {}),
        })
    }

    /// Does one thing, by chance; false when the life has ended by an accident.
    pub(crate) fn act(&self, life: &mut Life) -> bool {
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

    pub(crate) fn append(&self, life: &Life) {
        let last = life.last();
        let count = 1 + self.entropy.below(3);
        let records = (last + 1..=last + count).map(|index| to_record(&entry(index)));
        let acknowledged = self.acknowledged.clone();
        let done: journal::Done = Box::new(move |result| {
            if result.is_ok() {
                *acknowledged.lock().unwrap() = last + count;
            }
        });
        life.journal.append(SHARD, records.collect::<Vec<_>>(), done);
    }

    /// Power goes; then everything is as it must be.
    pub(crate) fn crash_and_check(&self) -> Life {
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

pub(crate) fn last_log_id(last: u64) -> Option<LogId> {
    (last > 0).then(|| entry(last).log_id)
}

impl Life {
    pub(crate) fn last(&self) -> u64 {
        self.journal.log_state(SHARD).last.map_or(0, |last| last.index)
    }

    pub(crate) fn apply_some(&self, count: u64) {
        let from = self.replica.applied().map_or(0, |log_id| log_id.index) + 1;
        let until = from.saturating_add(count).min(self.last() + 1);
        let records = self.journal.read(SHARD, from..until, usize::MAX).unwrap();
        assert_eq!(records.len() as u64, until.saturating_sub(from), "{from}..{until} is there");
        let decode = |record: journal::Record| {
            decode_entry(record.term, record.index, record.kind, record.payload)
        };
        let entries = records.into_iter().map(decode).collect::<Result<_, _>>().unwrap();
        apply(&self.replica, entries).unwrap();
    }

    /// What openraft does when told.
    pub(crate) fn purge(&self) {
        if let Some(index) = self.replica.marks().borrow().purge
            && index > 0
        {
            let id = entry(index).log_id;
            self.journal.purge(SHARD, journal::LogId { term: id.leader_id.term, index });
        }
    }

    /// Commits and checkpoints until nothing is left to do.
    pub(crate) fn settle(&mut self) {
        loop {
            let committed = self.committer.step().unwrap();
            let step = self.checkpointer.step().unwrap();
            if !committed && step == Step::Idle {
                return;
            }
        }
    }
}
