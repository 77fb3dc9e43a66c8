//! The workload: every shard appends, votes, takes back, checkpoints, installs and sweeps, many at
//! once, until the process is stopped and killed. It is stopped before its disk goes, so that every
//! error is one: it ends the process. Tells what is durable after it is, and what it takes back before.

use std::convert::Infallible;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context, Result, bail};
use base::{Entropy, SeededEntropy, ShardId};
use bytes::Bytes;
use journal::{Done, Journal, LogId, Record};
use store::{CheckpointNumber, PUT_PARTS_MAX, Part, Sled, Store, Switch};

use crate::expect::Line;
use crate::{model, place, recover};

/// Entries between two looks at the journal's sync: what may be in flight.
const IN_FLIGHT_MAX: u64 = 40;

/// The exit code that says that churning met an error.
pub(crate) const FAILED: u8 = 4;

/// Churns until it is killed; only an error ends it.
pub(crate) fn churn(dir: &Path, seed: u64, control: bool) -> Result<Infallible> {
    let (journal, committer, store) = place::open(dir, control)?;
    let store = Arc::new(store);
    let (tell, lines) = channel();
    start("the journal", move || {
        committer.run()?;
        bail!("it takes nothing more")
    });
    let entropy = SeededEntropy::new(seed);
    for shard in model::SHARDS {
        let (journal, store, tell) = (journal.clone(), Arc::clone(&store), tell.clone());
        let entropy = SeededEntropy::new(entropy.next_u64());
        let worker = Worker::start(shard, journal, store, tell, entropy)?;
        start(&format!("shard {shard}"), move || worker.run());
    }
    tell.send(Line::Ready)?;
    drop((tell, journal));
    write_lines(&lines)?;
    bail!("nobody churns any more")
}

/// Runs a piece of the work in a thread of its own. Its end, be it a panic, is the process's.
fn start(name: &str, work: impl FnOnce() -> Result<Infallible> + Send + 'static) {
    let name = name.to_owned();
    std::thread::spawn(move || {
        let why = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Err(error)) => format!("{error:#}"),
            // What it was about was said by then.
            Err(_) => "a panic".to_owned(),
        };
        let _ = writeln!(std::io::stderr(), "churn: {name}: {why}");
        std::process::exit(i32::from(FAILED));
    });
}

/// Hands the lines to the parent, as many at once as there are.
fn write_lines(lines: &Receiver<Line>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    while let Ok(line) = lines.recv() {
        let mut text = format!("{line}\n");
        lines.try_iter().for_each(|line| text.push_str(&format!("{line}\n")));
        out.write_all(text.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

/// One shard.
struct Worker {
    shard: ShardId,
    journal: Journal,
    store: Arc<Sled>,
    tell: Sender<Line>,
    entropy: SeededEntropy,
    term: u64,
    /// The last entry handed in.
    last: u64,
    /// The last entry that is surely durable.
    synced: u64,
    number: u64,
    /// What the store's checkpoint stands for.
    applied: u64,
}

impl Worker {
    fn start(
        shard: ShardId,
        journal: Journal,
        store: Arc<Sled>,
        tell: Sender<Line>,
        entropy: SeededEntropy,
    ) -> Result<Self> {
        let state = journal.log_state(shard);
        let (number, applied) = match store.root(shard)? {
            Some(root) => (root.number.0, recover::applied(&root.meta)?),
            None => (0, 0),
        };
        let voted = recover::vote_term(state.vote.as_deref())?;
        let term = voted.max(state.last.map_or(0, |id| id.term)) + 1;
        let last = state.last.map_or(0, |id| id.index);
        Ok(Self { shard, journal, store, tell, entropy, term, last, synced: last, number, applied })
    }

    fn run(mut self) -> Result<Infallible> {
        self.vote();
        loop {
            self.step()?;
        }
    }

    fn step(&mut self) -> Result<()> {
        if self.last - self.synced > IN_FLIGHT_MAX {
            self.sync()?;
        }
        match self.entropy.below(32) {
            0 => self.vote(),
            1 => self.take_back()?,
            2..5 => self.checkpoint()?,
            5..8 => drop(self.store.sweep(self.shard)?),
            _ => self.append(),
        }
        Ok(())
    }

    fn told(&self, line: Line) -> Done {
        let tell = self.tell.clone();
        Box::new(move |result| {
            if result.is_ok() {
                // Nobody listens any more once the parent is gone.
                let _ = tell.send(line);
            }
        })
    }

    fn append(&mut self) {
        let (shard, term) = (self.shard, self.term);
        for _ in 0..=self.entropy.below(3) {
            let count = 1 + self.entropy.below(4);
            let record = |index| {
                let payload = model::payload(shard, index, term);
                Record { term, index, kind: 1, payload }
            };
            let records: Vec<_> = (self.last + 1..=self.last + count).map(record).collect();
            let (tell, first) = (self.tell.clone(), self.last + 1);
            let done: Done = Box::new(move |result| {
                let indexes = first..first + count;
                for index in indexes.filter(|_| result.is_ok()) {
                    let _ = tell.send(Line::Entry { shard, index, term });
                }
            });
            self.journal.append(shard, records, done);
            self.last += count;
        }
    }

    fn vote(&mut self) {
        self.term += 1;
        let (shard, term) = (self.shard, self.term);
        let vote = Bytes::copy_from_slice(&term.to_le_bytes());
        self.journal.save_vote(shard, vote, self.told(Line::Vote { shard, term }));
    }

    /// Takes entries back that no checkpoint has.
    fn take_back(&mut self) -> Result<()> {
        let shard = self.shard;
        let index = self.last - self.entropy.below((self.last - self.applied).min(9) + 1);
        if index == 0 {
            return Ok(());
        }
        // What is still in flight would otherwise be told after it was taken back.
        self.sync()?;
        self.tell.send(Line::Cancelled { shard, index })?;
        self.term += 1;
        let done = self.told(Line::Truncated { shard, index, term: self.term });
        self.journal.truncate_after(shard, Some(index), done);
        self.last = index;
        self.synced = self.synced.min(index);
        Ok(())
    }

    /// Waits until everything handed in is durable, and told.
    fn sync(&mut self) -> Result<()> {
        let (done, synced) = channel();
        self.journal.sync(Box::new(move |result| drop(done.send(result))));
        synced.recv()??;
        self.synced = self.last;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.sync()?;
        let applied = self.last - self.entropy.below((self.last - self.applied).min(3) + 1);
        if applied == self.applied {
            return Ok(());
        }
        let shard = self.shard;
        let number = self.number + 1 + self.entropy.below(2);
        let meta = Bytes::copy_from_slice(&applied.to_le_bytes());
        if self.entropy.below(12) == 0 {
            let state = model::state(shard, applied).into_iter().collect();
            self.put(number, state)?;
            self.store.replace(shard, CheckpointNumber(number), meta)?;
        } else {
            self.switch(number, applied, meta)?;
        }
        self.tell.send(Line::Checkpoint { shard, number, applied })?;
        self.number = number;
        self.applied = applied;
        self.note_and_purge()
    }

    fn switch(&mut self, number: u64, applied: u64, meta: Bytes) -> Result<()> {
        let changes = model::changes(self.shard, self.applied, applied);
        let written = |(key, index): (&Bytes, &Option<u64>)| Some((key.clone(), (*index)?));
        self.put(number, changes.touched.iter().filter_map(written).collect())?;
        let removed = changes.touched.iter().filter(|(_, index)| index.is_none());
        let switch = Switch {
            number: CheckpointNumber(number),
            meta,
            removed: removed.map(|(key, _)| key.clone()).collect(),
            dropped_prefixes: changes.dropped.into_iter().collect(),
        };
        Ok(self.store.switch(self.shard, switch)?)
    }

    fn put(&self, number: u64, parts: Vec<(Bytes, u64)>) -> Result<()> {
        for parts in parts.chunks(1 + self.entropy.below(PUT_PARTS_MAX as u64) as usize) {
            let part = |(key, index): &(Bytes, u64)| {
                let value = model::value(self.shard, *index);
                Part { key: key.clone(), value }
            };
            let parts: Vec<Part> = parts.iter().map(part).collect();
            self.store.put(self.shard, CheckpointNumber(number), &parts)?;
        }
        Ok(())
    }

    fn note_and_purge(&mut self) -> Result<()> {
        let shard = self.shard;
        self.journal.note_checkpoint(shard, self.id(self.applied)?);
        let purged = self.journal.log_state(shard).purged.map_or(0, |id| id.index);
        let upto = self.applied.saturating_sub(self.entropy.below(60));
        if upto > purged {
            self.journal.purge(shard, self.id(upto)?);
        }
        Ok(())
    }

    fn id(&self, index: u64) -> Result<LogId> {
        let records = self.journal.read(self.shard, index..index + 1, 1)?;
        let record = records.first().context("an entry that isn't purged")?;
        Ok(LogId { term: record.term, index })
    }
}
