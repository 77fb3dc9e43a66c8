//! A journal on a simulated disk whose committer is stepped by hand.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base::{Disk, ShardId, SimDisk};
use bytes::Bytes;
use journal::{
    Committer, Done, Failed, Journal, LogId, LogState, Marks, OpenError, Options, Record, open,
};

pub(crate) const DATA: &str = "/data";
pub(crate) const A: ShardId = ShardId(1);
pub(crate) const B: ShardId = ShardId(2);

pub(crate) fn dir() -> PathBuf {
    Path::new(DATA).join("journal")
}

pub(crate) fn segment(number: u64) -> PathBuf {
    dir().join(format!("segment-{number:012}"))
}

pub(crate) fn new_disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new(DATA)).unwrap();
    disk
}

pub(crate) fn options() -> Options {
    Options {
        segment_bytes: 8 * 1024,
        batch_bytes: 2 * 1024,
        cache_bytes: 512,
        kept_bytes: 16 * 1024,
        salt: 7,
    }
}

pub(crate) fn try_open(disk: &SimDisk, marks: &Marks) -> Result<(Journal, Committer), OpenError> {
    open(Arc::new(disk.clone()), &dir(), options(), marks)
}

/// Who was told what, in order.
pub(crate) type Told = Arc<Mutex<Vec<(u64, Result<(), Failed>)>>>;

/// An open journal, its committer, and who was told what.
pub(crate) struct Rig {
    pub(crate) disk: SimDisk,
    pub(crate) journal: Journal,
    pub(crate) committer: Committer,
    pub(crate) told: Told,
    dones: u64,
}

pub(crate) fn record(term: u64, index: u64, length: usize) -> Record {
    let byte = u8::try_from((term * 31 + index) % 251).unwrap();
    Record { term, index, kind: 1, payload: Bytes::from(vec![byte; length]) }
}

pub(crate) fn id(term: u64, index: u64) -> LogId {
    LogId { term, index }
}

impl Rig {
    pub(crate) fn open(disk: &SimDisk) -> Self {
        Self::open_with(disk, &Marks::default()).expect("an undamaged journal opens")
    }

    pub(crate) fn open_with(disk: &SimDisk, marks: &Marks) -> Result<Self, OpenError> {
        let (journal, committer) = try_open(disk, marks)?;
        let told = Told::default();
        Ok(Self { disk: disk.clone(), journal, committer, told, dones: 0 })
    }

    /// A callback that notes its number and its result.
    pub(crate) fn done(&mut self) -> Done {
        let told = Arc::clone(&self.told);
        let number = self.dones;
        self.dones += 1;
        Box::new(move |result| told.lock().unwrap().push((number, result)))
    }

    pub(crate) fn append(&mut self, shard: ShardId, records: Vec<Record>) {
        let done = self.done();
        self.journal.append(shard, records, done);
    }

    /// Appends one entry after the last and waits until it is durable.
    pub(crate) fn entry(&mut self, shard: ShardId, term: u64, length: usize) {
        let last = self.journal.log_state(shard).last;
        let index = last.map_or(0, |last| last.index + 1);
        self.append(shard, vec![record(term, index, length)]);
        self.step();
    }

    pub(crate) fn vote(&mut self, shard: ShardId, vote: &'static str) {
        let done = self.done();
        self.journal.save_vote(shard, Bytes::from_static(vote.as_bytes()), done);
    }

    pub(crate) fn truncate(&mut self, shard: ShardId, after: Option<u64>) {
        let done = self.done();
        self.journal.truncate_after(shard, after, done);
    }

    pub(crate) fn step(&mut self) {
        self.committer.step().expect("the disk works");
    }

    /// How many were told that it is durable.
    pub(crate) fn acknowledged(&self) -> usize {
        self.told.lock().unwrap().iter().filter(|(_, result)| result.is_ok()).count()
    }

    pub(crate) fn all(&self, shard: ShardId) -> Vec<Record> {
        all(&self.journal, shard)
    }

    /// Power is lost, and the journal is opened again.
    pub(crate) fn crash(self) -> Self {
        self.disk.crash();
        Self::open(&self.disk)
    }

    /// The process dies, and the journal is opened again.
    pub(crate) fn kill(self) -> Self {
        self.disk.kill();
        Self::open(&self.disk)
    }

    /// State and entries of the shards used in tests.
    pub(crate) fn contents(&self) -> Vec<(LogState, Vec<Record>)> {
        [A, B].map(|shard| (self.journal.log_state(shard), self.all(shard))).into()
    }
}

pub(crate) fn all(journal: &Journal, shard: ShardId) -> Vec<Record> {
    let Some(first) = journal.log_state(shard).first_index else { return Vec::new() };
    journal.read(shard, first..u64::MAX, usize::MAX).expect("readable")
}
