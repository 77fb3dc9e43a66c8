//! A shard's log and vote, as openraft wants them, over the node's journal. Never its own I/O,
//! never its own order: what is handed in first is durable first, votes included.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::ops::{Bound, Range, RangeBounds, RangeInclusive};

use base::planted::{Bug, is};
use base::{NodeId, ShardId};
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use journal::{Done, Failed, Journal, ReadError, Record};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use crate::limits::READ_BYTES_MAX;
use crate::machine::{Broken, Fatal};
use crate::types::{
    Entry, LogId, TypeConfig, Vote, decode_entry, decode_vote, encode_payload, encode_vote, log_id,
};

/// One shard's log. Cheap to clone; a clone is a reader too.
#[derive(Clone)]
pub struct LogStore {
    journal: Journal,
    node: NodeId,
    shard: ShardId,
    fatal: Fatal,
}

impl LogStore {
    /// The log of `shard` in the journal of `node`. `fatal` is called when an entry that is there
    /// can't be read.
    pub fn new(journal: Journal, node: NodeId, shard: ShardId, fatal: Fatal) -> Self {
        Self { journal, node, shard, fatal }
    }

    /// Whether the vote is that of this node, and was won. Only a planted defect asks.
    fn leads(&self) -> bool {
        let vote = self.journal.log_state(self.shard).vote.and_then(|vote| decode_vote(&vote).ok());
        vote.is_some_and(|it| it.committed && it.leader_id.voted_for == self.node.0)
    }

    /// The entries of `range` that are there. What lies before the first entry is not missed.
    fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let first = self.journal.log_state(self.shard).first_index.unwrap_or(0);
        let range = range.start.max(first)..range.end;
        match self.journal.read(self.shard, range, bytes_max) {
            Ok(records) => records.into_iter().map(|record| self.entry(record)).collect(),
            Err(error @ ReadError::Gone { .. }) => Err(io::Error::other(error)),
            Err(error) => Err(self.break_with(&Broken::Journal(error.to_string()))),
        }
    }

    fn entry(&self, record: Record) -> io::Result<Entry> {
        decode_entry(record.term, record.index, record.kind, record.payload)
            .map_err(|error| self.break_with(&error.into()))
    }

    fn break_with(&self, broken: &Broken) -> io::Error {
        tracing::error!(shard = %self.shard, error = %broken, "this node can't be trusted");
        (self.fatal)(self.shard, broken);
        io::Error::other(broken.to_string())
    }
}

/// An entry as the journal keeps it.
pub fn to_record(entry: &Entry) -> Record {
    let (kind, payload) = encode_payload(&entry.payload);
    Record { term: entry.log_id.leader_id.term, index: entry.log_id.index, kind, payload }
}

fn from_journal(id: journal::LogId) -> LogId {
    log_id(id.term, id.index)
}

/// A log id as the journal keeps it.
pub(crate) fn to_journal(id: LogId) -> journal::LogId {
    journal::LogId { term: id.leader_id.term, index: id.index }
}

/// A callback, and a future that is ready when it was called.
fn done() -> (Done, impl Future<Output = io::Result<()>>) {
    let (sender, receiver) = oneshot::channel::<Result<(), Failed>>();
    let done: Done = Box::new(move |result| drop(sender.send(result)));
    let wait = async move {
        let result = receiver.await.map_err(|_| io::Error::other("the journal is closed"))?;
        result.map_err(io::Error::other)
    };
    (done, wait)
}

/// Waits until everything that was handed in before is durable.
pub(crate) async fn synced(journal: &Journal) -> Result<(), Broken> {
    let (done, wait) = done();
    journal.sync(done);
    wait.await.map_err(|error| Broken::Journal(error.to_string()))
}

/// Takes away the entries after `index`, durably.
pub(crate) async fn truncated(
    journal: &Journal,
    shard: ShardId,
    index: Option<u64>,
) -> io::Result<()> {
    let (done, wait) = done();
    journal.truncate_after(shard, index, done);
    wait.await
}

fn bounds(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.read(bounds(&range), usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, READ_BYTES_MAX)
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let log = self.clone();
        let chunks = stream::try_unfold((log, bounds(&range)), |(log, range)| async move {
            let entries = log.read(range.clone(), READ_BYTES_MAX)?;
            let Some(last) = entries.last() else { return Ok(None) };
            let rest = last.log_id.index + 1..range.end;
            Ok::<_, io::Error>(Some((stream::iter(entries.into_iter().map(Ok)), (log, rest))))
        });
        chunks.try_flatten().boxed()
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let vote = self.journal.log_state(self.shard).vote;
        let vote = vote.map(|bytes| decode_vote(&bytes)).transpose();
        vote.map_err(|error| self.break_with(&error.into()))
    }

    /// The last entry of each term: what openraft takes today, whatever its trait's text says
    /// of first entries (its storage suite tells).
    async fn get_key_log_ids(&mut self, range: RangeInclusive<LogId>) -> io::Result<Vec<LogId>> {
        let (first, last) = range.into_inner();
        let starts = self.journal.term_starts(self.shard);
        let ends = starts.windows(2).filter(|pair| pair[0].term != pair[1].term);
        let ends = ends.map(|pair| log_id(pair[0].term, pair[1].index - 1));
        let inside = ends.filter(|id| first.index <= id.index && id.index < last.index);
        Ok(inside.chain([last]).collect())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.journal.log_state(self.shard);
        Ok(LogState {
            last_purged_log_id: state.purged.map(from_journal),
            last_log_id: state.last.map(from_journal),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (done, wait) = done();
        self.journal.save_vote(self.shard, encode_vote(vote), done);
        if is(Bug::VoteNotSynced) {
            return Ok(());
        }
        wait.await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(committed) = committed {
            self.journal.save_committed(self.shard, to_journal(committed));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.journal.log_state(self.shard).committed.map(from_journal))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let records: Vec<_> = entries.into_iter().map(|entry| to_record(&entry)).collect();
        if is(Bug::AckBeforeSync) && !self.leads() || is(Bug::LeaderCountsUnsynced) && self.leads()
        {
            self.journal.append(self.shard, records, Box::new(|_| ()));
            callback.io_completed(Ok(()));
            return Ok(());
        }
        let done: Done =
            Box::new(move |result| callback.io_completed(result.map_err(io::Error::other)));
        self.journal.append(self.shard, records, done);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        truncated(&self.journal, self.shard, last.map(|last| last.index)).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.journal.purge(self.shard, to_journal(upto));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
