//! Random operations, with power lost or the process killed between any two steps, against a
//! model: after each restart the journal holds what was handed in up to some point, and that point
//! isn't before anything acknowledged.
//!
//! `WEIR_TEST_LONG=1` runs a million operations (best with `--release`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, Entropy, ManualClock, SeededEntropy, ShardId, SimDisk};
use bytes::Bytes;
use journal::{
    Committer, Done, Journal, LogId, LogState, OpenError, Options, Record, guard, open, verify,
};

use crate::rig::{DATA, all, dir, new_disk, segment};

const SHARDS: u16 = 3;

/// One record's worth of change.
#[derive(Clone, Debug)]
enum Op {
    Append(Record),
    Vote(Bytes),
    Committed(LogId),
    Truncate(Option<u64>),
    Purge(LogId),
}

/// What a shard's log should be: as plain as possible.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shard {
    vote: Option<Bytes>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: Vec<Record>,
}

impl Shard {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Append(record) => self.entries.push(record.clone()),
            Op::Vote(vote) => self.vote = Some(vote.clone()),
            Op::Committed(id) => self.committed = Some(*id),
            Op::Truncate(after) => {
                self.entries.retain(|entry| after.is_some_and(|after| entry.index <= after));
            }
            Op::Purge(id) => {
                self.purged = Some(*id);
                self.entries.retain(|entry| entry.index > id.index);
            }
        }
    }

    fn last(&self) -> Option<LogId> {
        let last = self.entries.last();
        last.map(|last| LogId { term: last.term, index: last.index }).or(self.purged)
    }

    fn log_state(&self) -> LogState {
        LogState {
            vote: self.vote.clone(),
            committed: self.committed,
            purged: self.purged,
            last: self.last(),
            first_index: self.entries.first().map(|entry| entry.index),
        }
    }

    fn term_starts(&self) -> Vec<LogId> {
        let mut starts: Vec<LogId> = Vec::new();
        for entry in &self.entries {
            if starts.last().is_none_or(|start| start.term != entry.term) {
                starts.push(LogId { term: entry.term, index: entry.index });
            }
        }
        if let Some(last) = self.entries.last().and_then(|_| self.last())
            && starts.last() != Some(&last)
        {
            starts.push(last);
        }
        starts
    }
}

type Shards = BTreeMap<ShardId, Shard>;

struct World {
    entropy: SeededEntropy,
    disk: SimDisk,
    clock: Arc<ManualClock>,
    journal: Journal,
    committer: Committer,
    /// Everything handed in.
    now: Shards,
    /// Everything up to and with `base` operations, and the ones since.
    durable: Shards,
    base: u64,
    since: Vec<(ShardId, Op)>,
    /// Operations acknowledged.
    acknowledged: Arc<Mutex<u64>>,
    failed: bool,
    figures: Figures,
}

#[derive(Debug, Default)]
struct Figures {
    operations: u64,
    crashes: u64,
    kills: u64,
    segments: u64,
    lost_unacknowledged: u64,
    damage_found: u64,
}

fn options(salt: u64) -> Options {
    Options { segment_bytes: 4096, batch_bytes: 700, cache_bytes: 900, kept_bytes: 0, salt }
}

fn start(
    disk: &SimDisk,
    clock: &Arc<ManualClock>,
    salt: u64,
) -> Result<(Journal, Committer), OpenError> {
    let marks = guard::load_witness(disk, DATA.as_ref()).expect("whole").unwrap_or_default();
    let (journal, mut committer) = open(Arc::new(disk.clone()), &dir(), options(salt), &marks)?;
    committer.keep_witness(DATA.as_ref(), Arc::clone(clock) as Arc<dyn Clock>)?;
    Ok((journal, committer))
}

impl World {
    fn new(seed: u64) -> Self {
        let disk = new_disk(seed);
        let clock = Arc::new(ManualClock::at(0));
        let (journal, committer) = start(&disk, &clock, seed).unwrap();
        Self {
            entropy: SeededEntropy::new(seed),
            disk,
            clock,
            journal,
            committer,
            now: Shards::new(),
            durable: Shards::new(),
            base: 0,
            since: Vec::new(),
            acknowledged: Arc::default(),
            failed: false,
            figures: Figures::default(),
        }
    }

    fn below(&self, bound: u64) -> u64 {
        self.entropy.below(bound)
    }

    fn note(&mut self, shard: ShardId, op: Op) {
        self.now.entry(shard).or_default().apply(&op);
        self.since.push((shard, op));
        self.figures.operations += 1;
    }

    fn done(&self) -> Done {
        let upto = self.base + self.since.len() as u64;
        let acknowledged = Arc::clone(&self.acknowledged);
        let failed = self.failed;
        Box::new(move |result| {
            if result.is_ok() {
                assert!(!failed, "acknowledged after a failure");
                let mut acknowledged = acknowledged.lock().unwrap();
                assert!(*acknowledged <= upto, "out of order");
                *acknowledged = upto;
            }
        })
    }

    fn random_op(&mut self) {
        let shard = ShardId(1 + u16::try_from(self.below(u64::from(SHARDS))).unwrap());
        let model = self.now.entry(shard).or_default().clone();
        match self.below(20) {
            0..=9 => self.append(shard, &model),
            10 => {
                let vote = Bytes::from(format!("vote {}", self.entropy.next_u64() >> 40));
                self.note(shard, Op::Vote(vote.clone()));
                self.journal.save_vote(shard, vote, self.done());
            }
            11 | 12 => {
                let Some(last) = model.last() else { return };
                self.note(shard, Op::Committed(last));
                self.journal.save_committed(shard, last);
            }
            13 => self.truncate(shard, &model),
            14..=16 => self.purge(shard, &model),
            17 => {
                self.clock.advance(Duration::from_millis(self.below(80)));
                self.journal.sync(self.done());
            }
            _ => self.compare(shard, &model),
        }
    }

    fn append(&mut self, shard: ShardId, model: &Shard) {
        let last = model.last();
        let mut term = last.map_or(1, |last| last.term);
        let first = last.map_or(0, |last| last.index + 1);
        let mut records = Vec::new();
        for index in first..=first + self.below(4) {
            term += u64::from(self.below(12) == 0);
            let length = if self.below(30) == 0 { self.below(3000) } else { self.below(150) };
            let byte = u8::try_from(self.below(256)).unwrap();
            let payload = Bytes::from(vec![byte; usize::try_from(length).unwrap()]);
            let kind = u8::try_from(self.below(4)).unwrap();
            let record = Record { term, index, kind, payload };
            self.note(shard, Op::Append(record.clone()));
            records.push(record);
        }
        self.journal.append(shard, records, self.done());
    }

    fn truncate(&mut self, shard: ShardId, model: &Shard) {
        let (Some(first), Some(last)) = (model.entries.first(), model.entries.last()) else {
            return;
        };
        // Never back into what was purged: Raft doesn't either.
        let keep = (first.index + self.below(last.index - first.index + 1)).checked_sub(1);
        self.note(shard, Op::Truncate(keep));
        self.journal.truncate_after(shard, keep, self.done());
    }

    fn purge(&mut self, shard: ShardId, model: &Shard) {
        let Some(last) = model.last() else { return };
        let upto = if self.below(40) == 0 {
            LogId { term: last.term + 1, index: last.index + self.below(5) + 1 }
        } else if let Some(first) = model.entries.first() {
            let index = first.index + self.below(last.index - first.index + 1);
            let entry = model.entries.iter().find(|entry| entry.index == index);
            LogId { term: entry.expect("present").term, index }
        } else {
            return;
        };
        self.note(shard, Op::Purge(upto));
        self.journal.purge(shard, upto);
    }

    fn compare(&self, shard: ShardId, model: &Shard) {
        if self.failed {
            return;
        }
        assert_eq!(self.journal.log_state(shard), model.log_state());
        assert_eq!(self.journal.term_starts(shard), model.term_starts());
        if let Some(first) = model.entries.first() {
            let from = self.below(model.entries.len() as u64);
            let bytes = usize::try_from(self.below(600)).unwrap();
            let start = first.index + from;
            let read = self.journal.read(shard, start..u64::MAX, bytes).unwrap();
            let from = usize::try_from(from).unwrap();
            assert!(!read.is_empty());
            assert_eq!(read[..], model.entries[from..from + read.len()]);
        }
    }

    fn step(&mut self) {
        if self.committer.step().is_err() {
            assert!(self.failed || self.disk.is_off());
            self.failed = true;
        }
    }

    /// Ends this life, and begins the next one.
    fn restart(&mut self) {
        if self.below(3) == 0 {
            self.disk.kill();
            self.figures.kills += 1;
        } else {
            self.disk.crash();
            self.figures.crashes += 1;
        }
        if self.below(4) == 0 {
            self.find_damage();
        }
        // The open may be cut short as well.
        for _ in 0..self.below(3) {
            self.disk.power_off_after(1 + self.below(12));
            let _ = start(&self.disk, &self.clock, self.entropy.next_u64());
            self.disk.crash();
        }
        let marks = guard::load_witness(&self.disk, DATA.as_ref()).unwrap().unwrap_or_default();
        verify(&self.disk, &dir(), &marks).expect("undamaged");
        let salt = self.entropy.next_u64();
        let (journal, committer) = start(&self.disk, &self.clock, salt).expect("undamaged");
        self.journal = journal;
        self.committer = committer;
        self.failed = false;
        self.recognise();
    }

    /// Finds the point that the journal stands for.
    fn recognise(&mut self) {
        let mut found = Shards::new();
        for shard in (1..=SHARDS).map(ShardId) {
            let state = self.journal.log_state(shard);
            let entries = all(&self.journal, shard);
            let (vote, committed, purged) = (state.vote, state.committed, state.purged);
            found.insert(shard, Shard { vote, committed, purged, entries });
        }
        let acknowledged = *self.acknowledged.lock().unwrap();
        let mut candidate: Shards =
            (1..=SHARDS).map(|shard| (ShardId(shard), Shard::default())).collect();
        candidate.extend(std::mem::take(&mut self.durable));
        let handed_in = self.base + self.since.len() as u64;
        let mut at = self.base;
        let mut since = std::mem::take(&mut self.since).into_iter();
        while at < acknowledged || candidate != found {
            let Some((shard, op)) = since.next() else {
                panic!("no point from {acknowledged} to {handed_in} is what was found: {found:#?}");
            };
            candidate.get_mut(&shard).unwrap().apply(&op);
            at += 1;
        }
        self.figures.lost_unacknowledged += handed_in - at;
        self.now = found;
        self.durable = candidate;
        self.base = at;
        *self.acknowledged.lock().unwrap() = at;
        self.figures.segments = self.journal.synced_position().segment;
    }

    /// A flipped bit below what is known to be synced must be found, on a copy.
    fn find_damage(&mut self) {
        let marks = guard::load_witness(&self.disk, DATA.as_ref()).unwrap().unwrap_or_default();
        let synced = verify(&self.disk, &dir(), &marks).expect("undamaged").synced;
        let offset = self.below(synced.offset);
        let fork = self.disk.fork(0);
        fork.flip(&segment(synced.segment), offset, 3).unwrap();
        match verify(&fork, &dir(), &marks) {
            Err(OpenError::Damaged(damage)) => {
                assert_eq!(damage.file, segment(synced.segment));
                assert!(damage.offset <= offset);
                self.figures.damage_found += 1;
            }
            other => panic!("byte {offset} of {synced:?}: {other:?}"),
        }
    }

    /// Drops what is acknowledged from the list of what may come.
    fn forget_acknowledged(&mut self) {
        let acknowledged = *self.acknowledged.lock().unwrap();
        let count = usize::try_from(acknowledged - self.base).unwrap();
        for (shard, op) in self.since.drain(..count) {
            self.durable.entry(shard).or_default().apply(&op);
        }
        self.base = acknowledged;
    }

    fn run(&mut self, operations: u64) {
        while self.figures.operations < operations {
            if self.below(60) == 0 && !self.disk.is_off() {
                self.disk.power_off_after(1 + self.below(25));
            }
            self.random_op();
            if self.below(3) == 0 {
                self.step();
                self.forget_acknowledged();
            }
            if self.failed || self.below(400) == 0 {
                self.restart();
            }
        }
    }
}

#[test]
fn random_operations_with_crashes_between_any_two_steps_agree_with_a_model() {
    let long = std::env::var_os("WEIR_TEST_LONG").is_some();
    let (seeds, operations) = if long { (50, 20_000) } else { (20, 5_000) };
    let mut total = Figures::default();
    for seed in 0..seeds {
        let mut world = World::new(seed);
        world.run(operations);
        world.restart();
        let figures = world.figures;
        total.operations += figures.operations;
        total.crashes += figures.crashes;
        total.kills += figures.kills;
        total.segments += figures.segments;
        total.lost_unacknowledged += figures.lost_unacknowledged;
        total.damage_found += figures.damage_found;
    }
    println!("{total:?}");
}
