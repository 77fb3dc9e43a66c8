//! openraft's own storage suite, and what it does not ask: reopening after every call.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use base::{Disk, Entropy, NodeId, RealDisk, SeededEntropy, SimDisk};
use bytes::Bytes;
use journal::{Committer, Marks, Options};
use openraft::EntryPayload;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft_rt::Oneshot;
use openraft_rt_tokio::TokioOneshot;
use store::Memory;
use tempfile::TempDir;

use super::*;
use crate::machine::cells::Cells;
use crate::state::{Replica, Setup, StateMachine};
use crate::types::{LeaderId, Proposal};

const SHARD: ShardId = ShardId(3);

fn options() -> Options {
    Options { segment_bytes: 64 * 1024, kept_bytes: 128 * 1024, ..Options::default() }
}

fn open(disk: Arc<dyn Disk>, dir: &Path) -> (Journal, Committer) {
    journal::open(disk, dir, options(), &Marks::default()).unwrap()
}

fn fatal() -> Fatal {
    Arc::new(|shard, broken| panic!("shard {shard}: {broken}"))
}

/// A committer's thread.
struct Running {
    _committer: JoinHandle<()>,
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, Running> for Builder {
    async fn build(
        &self,
    ) -> Result<(Running, LogStore, StateMachine), openraft::StorageError<TypeConfig>> {
        let (journal, committer) = open(Arc::new(SimDisk::new(1)), Path::new("/journal"));
        let committer = std::thread::spawn(move || committer.run().unwrap());
        let replica = Replica::open(Setup {
            shard: SHARD,
            journal: journal.clone(),
            store: Arc::new(Memory::new()),
            machine: Box::new(Cells::default()),
            fatal: fatal(),
            dirty: Box::new(|_| {}),
        });
        let log = LogStore::new(journal, NodeId(1), SHARD, fatal());
        let guard = Running { _committer: committer };
        Ok((guard, log, StateMachine(replica.unwrap())))
    }
}

#[tokio::test]
async fn openrafts_own_storage_suite_passes() {
    Suite::test_all(Builder).await.unwrap();
}

fn entry(term: u64, index: u64) -> Entry {
    let value = Bytes::from(format!("a={index}"));
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(Proposal(value)) }
}

/// A journal whose committer is stepped by hand whenever something is awaited.
struct Stepped {
    log: LogStore,
    committer: Committer,
}

impl Stepped {
    fn open(dir: &Path) -> Self {
        let (journal, committer) = open(Arc::new(RealDisk), dir);
        Self { log: LogStore::new(journal, NodeId(1), SHARD, fatal()), committer }
    }

    /// Awaits a call of the log store; what it handed in is committed meanwhile.
    fn call<T>(&mut self, call: impl AsyncFnOnce(&mut LogStore) -> io::Result<T>) -> T {
        let mut log = self.log.clone();
        let mut future = Box::pin(call(&mut log));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..10 {
            if let std::task::Poll::Ready(result) = future.as_mut().poll(&mut context) {
                return result.unwrap();
            }
            self.committer.step().unwrap();
        }
        panic!("a call waits for more than a commit");
    }

    /// Appends, and says whether the callback came before the commit.
    fn append(&mut self, entries: Vec<Entry>) {
        let (sender, mut receiver) = TokioOneshot::channel();
        self.call(async |log| log.append(entries, IOFlushed::signal(sender)).await);
        receiver.try_recv().expect_err("acknowledged before it is durable");
        self.committer.step().unwrap();
        receiver.try_recv().unwrap().unwrap();
    }

    fn read(&mut self) -> (Vec<LogId>, Option<Vote>, LogState<TypeConfig>, Option<LogId>) {
        let entries = self.call(async |log| log.try_get_log_entries(..).await);
        let vote = self.call(async |log| log.read_vote().await);
        let state = self.call(async |log| log.get_log_state().await);
        let committed = self.call(async |log| log.read_committed().await);
        (entries.into_iter().map(|entry| entry.log_id).collect(), vote, state, committed)
    }
}

#[test]
fn what_was_answered_is_there_after_reopening_after_every_call() {
    type Step = Box<dyn Fn(&mut Stepped)>;
    let vote = |term| Vote { leader_id: LeaderId { term, voted_for: 2 }, committed: term > 1 };
    let steps: Vec<Step> = vec![
        Box::new(move |log| log.call(async |log| log.save_vote(&vote(1)).await)),
        Box::new(|log| log.append((1..=9).map(|index| entry(1, index)).collect())),
        Box::new(move |log| log.call(async |log| log.save_vote(&vote(2)).await)),
        Box::new(|log| log.call(async |log| log.truncate_after(Some(log_id(1, 5))).await)),
        Box::new(|log| log.append((6..=7).map(|index| entry(2, index)).collect())),
        Box::new(|log| {
            log.call(async |log| log.save_committed(Some(log_id(2, 6))).await);
            log.append(vec![entry(2, 8)]);
        }),
        Box::new(|log| {
            log.call(async |log| log.purge(log_id(1, 3)).await);
            log.append(vec![entry(2, 9)]);
        }),
        Box::new(|log| {
            log.call(async |log| log.purge(log_id(2, 20)).await);
            log.append(vec![entry(2, 21)]);
        }),
        Box::new(|log| log.call(async |log| log.truncate_after(Some(log_id(2, 20))).await)),
    ];
    let dir = TempDir::new().unwrap();
    let mut log = Stepped::open(dir.path());
    for step in steps {
        step(&mut log);
        let before = log.read();
        drop(log);
        log = Stepped::open(dir.path());
        assert_eq!(log.read(), before);
    }
    assert_eq!(log.read().2.last_log_id, Some(log_id(2, 20)));
}

/// What a log must hold when everything handed in is durable, and what was answered.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    vote: Option<Vote>,
    entries: std::collections::BTreeMap<u64, u64>,
    purged: Option<LogId>,
}

impl Model {
    fn last(&self) -> u64 {
        let purged = self.purged.map_or(0, |purged| purged.index);
        self.entries.keys().next_back().copied().unwrap_or(purged)
    }

    /// What a log holds.
    fn of(log: &LogStore) -> Self {
        let state = log.journal.log_state(SHARD);
        let entries = log.read(0..u64::MAX, usize::MAX).unwrap();
        Self {
            vote: state.vote.map(|vote| decode_vote(&vote).unwrap()),
            entries: entries.iter().map(|e| (e.log_id.index, e.log_id.leader_id.term)).collect(),
            purged: state.purged.map(from_journal),
        }
    }

    /// One call by chance, to the log and to the model. Gives a future that ends when the call is
    /// answered.
    fn call(&mut self, log: &LogStore, by: &dyn Entropy, term: u64) -> Answer {
        let mut log = log.clone();
        match by.below(6) {
            0 => {
                let vote = Vote { leader_id: LeaderId { term, voted_for: 1 }, committed: true };
                self.vote = Some(vote);
                Box::pin(async move { log.save_vote(&vote).await })
            }
            1 | 2 => {
                let (last, count) = (self.last(), 1 + by.below(4));
                let indices = last + 1..=last + count;
                self.entries.extend(indices.clone().map(|index| (index, term)));
                let (sender, receiver) = TokioOneshot::channel();
                let entries = indices.map(move |index| entry(term, index));
                let mut append: Answer =
                    Box::pin(async move { log.append(entries, IOFlushed::signal(sender)).await });
                poll(&mut append).expect("an append doesn't wait");
                Box::pin(async move { receiver.await.expect("the callback is called") })
            }
            3 => {
                let purged = self.purged.map_or(0, |purged| purged.index);
                let after = purged + by.below(self.last() - purged + 1);
                self.entries.retain(|index, _| *index <= after);
                Box::pin(async move { log.truncate_after(Some(log_id(0, after))).await })
            }
            4 if !self.entries.is_empty() => {
                let upto = *self.entries.keys().next().unwrap();
                self.purged = Some(log_id(self.entries[&upto], upto));
                self.entries.remove(&upto);
                let purged = self.purged.unwrap();
                Box::pin(async move { log.purge(purged).await })
            }
            _ => Box::pin(async { Ok(()) }),
        }
    }
}

type Answer = std::pin::Pin<Box<dyn Future<Output = io::Result<()>>>>;

#[test]
fn killed_between_any_two_calls_it_is_what_it_was_after_some_call_at_or_past_the_last_answer() {
    for seed in 1..=400 {
        let (disk, by) = (SimDisk::new(seed), SeededEntropy::new(seed));
        let mut model = Model::default();
        let mut term = 1;
        for _ in 0..3 {
            let (journal, mut committer) = open(Arc::new(disk.clone()), Path::new("/journal"));
            let log = LogStore::new(journal, NodeId(1), SHARD, fatal());
            assert_eq!(Model::of(&log), model);
            // The model after each call, from the last on whose answer came.
            let mut may = vec![model.clone()];
            let mut waiting: Vec<(usize, Answer)> = Vec::new();
            for call in 1..=by.below(60) as usize {
                let mut answer = model.call(&log, &by, term);
                may.push(model.clone());
                // The first poll hands it in. A call that is answered at once (a purge) says
                // nothing of what is durable.
                if poll(&mut answer).is_none() {
                    waiting.push((call, answer));
                }
                term += by.below(2);
                if by.below(3) == 0 {
                    committer.step().unwrap();
                }
            }
            let sure = answered(&mut waiting);
            drop((log, committer));
            disk.crash();
            let (journal, committer) = open(Arc::new(disk.clone()), Path::new("/journal"));
            let now = Model::of(&LogStore::new(journal, NodeId(1), SHARD, fatal()));
            drop(committer);
            assert!(may[sure..].contains(&now), "seed {seed}: {now:?} after answer {sure}");
            model = now;
        }
    }
}

fn poll(answer: &mut Answer) -> Option<()> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match answer.as_mut().poll(&mut context) {
        std::task::Poll::Ready(result) => result.map(Some).unwrap(),
        std::task::Poll::Pending => None,
    }
}

/// The last call that was answered.
fn answered(waiting: &mut [(usize, Answer)]) -> usize {
    let answered = waiting.iter_mut().filter_map(|(call, answer)| poll(answer).map(|()| *call));
    answered.last().unwrap_or(0)
}

#[test]
fn a_read_is_bounded_in_bytes_and_never_empty() {
    let dir = TempDir::new().unwrap();
    let mut log = Stepped::open(dir.path());
    let big = |index| {
        let value = Bytes::from(vec![b'='; READ_BYTES_MAX / 2 + 1]);
        Entry { log_id: log_id(1, index), payload: EntryPayload::Normal(Proposal(value)) }
    };
    log.append((1..=5).map(big).collect());
    let limited = log.call(async |log| log.limited_get_log_entries(2, 6).await);
    assert_eq!(limited.len(), 1);
    let all = log.call(async |log| log.try_get_log_entries(2..6).await);
    assert_eq!(all.len(), 4);
    let streamed = log.call(async |log| {
        let stream = log.entries_stream(2..6).await;
        stream.try_collect::<Vec<_>>().await
    });
    assert_eq!(streamed, all);
}

#[test]
fn key_log_ids_are_the_last_of_each_term() {
    let dir = TempDir::new().unwrap();
    let mut log = Stepped::open(dir.path());
    log.append(vec![entry(2, 2), entry(2, 3), entry(5, 4), entry(5, 5), entry(7, 6)]);
    let mut keys = |first, last| log.call(async |log| log.get_key_log_ids(first..=last).await);
    let (first, last) = (log_id(2, 2), log_id(7, 6));
    assert_eq!(keys(first, last), [log_id(2, 3), log_id(5, 5), last]);
    assert_eq!(keys(log_id(2, 3), log_id(5, 5)), [log_id(2, 3), log_id(5, 5)]);
    assert_eq!(keys(log_id(5, 4), log_id(5, 5)), [log_id(5, 5)]);
    assert_eq!(keys(log_id(5, 4), last), [log_id(5, 5), last]);
    assert_eq!(keys(last, last), [last]);
}
