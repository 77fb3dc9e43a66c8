//! `Range`: pages of a stream, each asked for when the client has taken the one before. Never holds
//! more than one query's answer.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::Stream;
use rpc::v1;
use streams::id::EntryId;
use streams::query::Query;
use streams::reply::Reply;
use tonic::Status;

use super::convert;
use super::error::Failure;
use super::limits::{PAGE_BYTES, PAGE_ENTRIES_FIRST, PAGE_ENTRIES_MAX};
use super::streams::Door;

/// Where a call has got to.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    stream: Bytes,
    /// What is left to read, both ends inclusive; `None` when nothing is.
    left: Option<(EntryId, EntryId)>,
    /// Entries still wanted.
    limit: u64,
    reverse: bool,
    /// How many to ask for next.
    count: u64,
    /// Read and not yet sent.
    page: VecDeque<v1::Entry>,
}

impl Cursor {
    pub(super) fn new(request: v1::RangeRequest) -> Result<Self, Failure> {
        let start = request.start.map_or(EntryId::MIN, convert::entry_id);
        let end = request.end.map_or(EntryId::MAX, convert::entry_id);
        Ok(Self {
            stream: convert::stream_key(request.stream)?,
            left: (start <= end).then_some((start, end)),
            limit: if request.limit == 0 { u64::MAX } else { request.limit },
            reverse: request.reverse,
            count: PAGE_ENTRIES_FIRST,
            page: VecDeque::new(),
        })
    }

    /// Entries until [`PAGE_BYTES`] are full, but one at least.
    fn message(&mut self) -> v1::RangeResponse {
        let mut entries = Vec::new();
        let mut bytes = 0;
        while let Some(entry) = self.page.front() {
            bytes += convert::entry_bytes(entry);
            if bytes > PAGE_BYTES && !entries.is_empty() {
                break;
            }
            entries.extend(self.page.pop_front());
        }
        v1::RangeResponse { entries }
    }

    /// Reads the next page; `false` when there is none.
    async fn fill(&mut self, door: &Door) -> Result<bool, Failure> {
        while let Some((start, end)) = self.left {
            let count = self.count.min(self.limit);
            if count == 0 {
                return Ok(false);
            }
            let (key, reverse) = (self.stream.clone(), self.reverse);
            let query = Query::Range { key, start, end, count: Some(count), reverse };
            let entries = match door.ask(door.shards.shard_of(&self.stream), query).await? {
                Reply::Entries(entries) => entries,
                Reply::Nil => Vec::new(),
                _ => return Err(Failure::unexpected("a range")),
            };
            let last = entries.last().map(|entry| entry.id);
            let full = entries.len() as u64 >= count;
            self.left = last.filter(|_| full).and_then(|last| self.after(last, start, end));
            self.page = entries.into_iter().filter_map(convert::entry_message).collect();
            self.limit -= (self.page.len() as u64).min(self.limit);
            self.count = next_count(&self.page);
            if !self.page.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn after(&self, last: EntryId, start: EntryId, end: EntryId) -> Option<(EntryId, EntryId)> {
        let left = if self.reverse { (start, last.previous()?) } else { (last.next()?, end) };
        (left.0 <= left.1).then_some(left)
    }
}

/// So many that the next page is about as large as two messages.
fn next_count(page: &VecDeque<v1::Entry>) -> u64 {
    let entries = page.len().max(1);
    let bytes: usize = page.iter().map(convert::entry_bytes).sum();
    let fitting = (2 * PAGE_BYTES / (bytes / entries).max(1)) as u64;
    // Never many times more than what was just seen: what follows may be larger.
    fitting.clamp(1, PAGE_ENTRIES_MAX).min(16 * entries as u64)
}

/// The pages of a range.
pub(super) fn pages(
    door: Door,
    cursor: Cursor,
) -> impl Stream<Item = Result<v1::RangeResponse, Status>> {
    futures::stream::try_unfold((door, cursor), |(door, mut cursor)| async move {
        if cursor.page.is_empty() {
            if door.stopping.is_cancelled() {
                return Err(Status::from(Failure::stopping()));
            }
            if !cursor.fill(&door).await? {
                return Ok(None);
            }
        }
        let message = cursor.message();
        Ok(Some((message, (door, cursor))))
    })
}
