//! A data shard on the machine's disk: journal, sled, streams, all as in production, opened again
//! and again, and sent to another node.

use std::path::Path;
use std::sync::Arc;

use base::{Entropy, Incarnation, NodeId, RealDisk, SeededEntropy, ShardId, SystemClock};
use bytes::Bytes;
use journal::{Committer, Journal, Marks};
use openraft::EntryPayload;
use store::{Sled, Store};
use streams::command::{Add, AddId, Command, Keep, References, Stamp, Trim};
use streams::id::EntryId;
use streams::query::Query;
use streams::reply::{Entry as StreamEntry, Reply};
use streams::{Batch, Origin, Run};
use tempfile::TempDir;

use crate::checkpoint::{Checkpointer, Options, Step};
use crate::log::to_record;
use crate::machine::data::{BlockCache, Data};
use crate::snapshot::{SnapshotWriter, current};
use crate::state::{Replica, Setup};
use crate::types::{Entry, Proposal, log_id};

const SHARD: ShardId = ShardId(2);

struct Life {
    journal: Journal,
    committer: Committer,
    replica: Arc<Replica>,
    checkpointer: Checkpointer,
    cache: Arc<BlockCache>,
}

fn open(dir: &Path, cache_bytes: usize) -> Life {
    let options = journal::Options {
        segment_bytes: 256 * 1024,
        kept_bytes: 512 * 1024,
        ..journal::Options::default()
    };
    let opened =
        journal::open(Arc::new(RealDisk), &dir.join("journal"), options, &Marks::default());
    let (journal, committer) = opened.unwrap();
    let store = Sled::open(&dir.join("store"), store::Options::default()).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let cache = Arc::new(BlockCache::new(cache_bytes));
    let dirty = cache.clone();
    let replica = Replica::open(Setup {
        shard: SHARD,
        journal: journal.clone(),
        store: store.clone(),
        machine: Box::new(Data::new(SHARD, store, cache.clone())),
        fatal: Arc::new(|shard, broken| panic!("shard {shard}: {broken}")),
        dirty: Box::new(move |bytes| dirty.set_dirty(SHARD, bytes)),
    });
    let replica = replica.unwrap();
    let when = Options { dirty_bytes: 200_000, journal_bytes: 512 * 1024, ..Options::default() };
    let clock = Arc::new(SystemClock);
    let checkpointer = Checkpointer::new(journal.clone(), clock, when, [replica.clone()]);
    Life { journal, committer, replica, checkpointer, cache }
}

fn origin() -> Origin {
    Origin { node: NodeId(1), incarnation: Incarnation { count: 1, random: 1 } }
}

impl Life {
    fn last(&self) -> u64 {
        self.journal.log_state(SHARD).last.map_or(0, |last| last.index)
    }

    fn propose(&mut self, commands: Vec<Command>) {
        let first = self.replica.with(|data: &mut Data| data.mark(&origin()).unwrap_or(0)) + 1;
        let run = Run { origin: origin(), first, lowest_unanswered: first, commands };
        let index = self.last() + 1;
        let batch = Batch { stamp: Stamp { now_ms: 1000 + index }, runs: vec![run] };
        let payload = EntryPayload::Normal(Proposal(batch.encode()));
        let entry = Entry { log_id: log_id(1, index), payload };
        self.journal.append(SHARD, vec![to_record(&entry)], Box::new(|done| done.unwrap()));
        self.replica.apply(entry, true).unwrap();
        self.committer.step().unwrap();
    }

    /// What a start of Raft does with the log.
    fn replay(&self) {
        let from = self.replica.applied().map_or(0, |log_id| log_id.index) + 1;
        for record in self.journal.read(SHARD, from..u64::MAX, usize::MAX).unwrap() {
            let payload = EntryPayload::Normal(Proposal(record.payload));
            let entry = Entry { log_id: log_id(record.term, record.index), payload };
            self.replica.apply(entry, false).unwrap();
        }
    }

    fn settle(&mut self) {
        while self.committer.step().unwrap() || self.checkpointer.step().unwrap() != Step::Idle {}
        if let Some(index) = self.replica.marks().borrow().purge {
            self.journal.purge(SHARD, journal::LogId { term: 1, index });
        }
    }

    fn range(&self, key: &str) -> Vec<StreamEntry> {
        let query = Query::Range {
            key: Bytes::copy_from_slice(key.as_bytes()),
            start: EntryId::MIN,
            end: EntryId::MAX,
            count: None,
            reverse: false,
        };
        let reply = self.replica.with(|data: &mut Data| data.answer(&query, Stamp::default()));
        let Reply::Entries(entries) = reply.unwrap() else { panic!("no entries") };
        entries
    }
}

fn add(key: &str, bytes: usize) -> Command {
    Command::Add(Add {
        key: Bytes::copy_from_slice(key.as_bytes()),
        id: AddId::Auto,
        fields: vec![Bytes::from_static(b"f"), Bytes::from(vec![b'v'; bytes])],
        must_exist: false,
        trim: None,
        once: None,
    })
}

fn size(by: &dyn Entropy) -> usize {
    let sizes = [1, 100, 100, 100, 100, 3_000, 9_000, 40_000];
    sizes[usize::try_from(by.below(8)).unwrap()]
}

#[test]
fn opened_again_and_sent_to_another_node_a_shard_on_sled_is_the_same() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let by = SeededEntropy::new(4);
    let mut life = open(dir.path(), 1_000_000);
    for round in 0..4 {
        for _ in 0..150 {
            let keys = ["a", "b", "c"];
            let commands = (0..1 + by.below(4))
                .map(|_| add(keys[usize::try_from(by.below(3)).unwrap()], size(&by)));
            let commands = commands.collect();
            life.propose(commands);
            life.settle();
        }
        let (keep, references) = (Keep::Newest(50), References::Keep);
        let trim = Trim { keep, approximate: round % 2 == 0, limit: None, references };
        life.propose(vec![Command::Trim { key: Bytes::from_static(b"a"), trim }]);
        if round == 2 {
            life.propose(vec![Command::Remove { keys: vec![Bytes::from_static(b"b")] }]);
        }
        assert!(life.cache.bytes() <= 1_000_000);
        let (hash, ranges) = (life.replica.hash(), ["a", "b", "c"].map(|key| life.range(key)));
        assert!(life.replica.checkpoint().unwrap().number.0 > 1);
        drop(life);
        life = open(dir.path(), 100_000 * round);
        life.replay();
        assert_eq!(life.replica.hash(), hash, "round {round}");
        assert_eq!(["a", "b", "c"].map(|key| life.range(key)), ranges, "round {round}");
    }
    send(&mut life, other.path());
}

fn send(life: &mut Life, to: &Path) {
    life.propose(vec![add("c", 200_000), add("c", 200_000)]);
    life.settle();
    let snapshot = current(&life.replica).unwrap().unwrap();
    assert_eq!(snapshot.meta.last_log_id, life.replica.applied());
    let mut reader = snapshot.snapshot.reader().unwrap();
    let target = open(to, 0);
    let mut writer = SnapshotWriter::new(&target.replica);
    while let Some(chunk) = reader.next_chunk().unwrap() {
        writer.accept(&chunk).unwrap();
    }
    let (number, meta) = writer.finish().unwrap().into_parts();
    target.replica.replace(number, meta).unwrap();
    assert_eq!(target.replica.hash(), life.replica.hash());
    assert_eq!(target.range("c"), life.range("c"));
    drop(target);
    let target = open(to, 0);
    assert_eq!(target.replica.hash(), life.replica.hash());
    assert_eq!(target.range("c"), life.range("c"));
}

/// What applying costs: `cargo test -p raft --release -- --ignored --nocapture apply_costs`.
#[test]
#[ignore = "a measurement"]
fn apply_costs() {
    let dir = TempDir::new().unwrap();
    let life = open(dir.path(), 64 << 20);
    for per_entry in [1, 16, 64] {
        let entries = 200_000 / per_entry;
        let mut first = life.replica.with(|data: &mut Data| data.mark(&origin()).unwrap_or(0)) + 1;
        let proposals: Vec<Bytes> = (0..entries)
            .map(|index| {
                let commands: Vec<_> = (0..per_entry).map(|_| add("k", 100)).collect();
                let run = Run { origin: origin(), first, lowest_unanswered: first, commands };
                first += per_entry;
                Batch { stamp: Stamp { now_ms: 1000 + index }, runs: vec![run] }.encode()
            })
            .collect();
        let clock = SystemClock;
        let begun = base::Clock::monotonic(&clock);
        for proposal in proposals {
            let index = life.replica.applied().map_or(1, |log_id| log_id.index + 1);
            let payload = EntryPayload::Normal(Proposal(proposal));
            let entry = Entry { log_id: log_id(1, index), payload };
            life.replica.apply(entry, true).unwrap();
        }
        let took = base::Clock::monotonic(&clock) - begun;
        println!("{per_entry} adds an entry: {} ns an add", took.as_nanos() / 200_000);
    }
}
