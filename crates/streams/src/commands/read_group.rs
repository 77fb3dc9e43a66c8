//! XREADGROUP: what was never delivered, or what is pending for the asking consumer.

use std::ops::Bound;

use bytes::Bytes;

use super::{Call, Outcome, entry_ref};
use crate::block::Blocks;
use crate::command::{ReadFrom, ReadGroup};
use crate::error::{Fault, Refusal, Stop};
use crate::event::Event;
use crate::group::{ConsumerNumber, Group, Pending};
use crate::id::{BlockKey, EntryId};
use crate::limits::READ_ENTRIES_MAX;
use crate::reading::{Looked, Walk};
use crate::reply::Reply;
use crate::state::State;
use crate::stream::{Once, Stream};

impl Call<'_> {
    pub(super) fn read_group(&mut self, read: &ReadGroup) -> Outcome {
        check_groups(self.state, read)?;
        let mut served = Vec::new();
        for (key, from) in &read.streams {
            let ids = self.read_one(read, key, *from)?;
            let history = matches!(from, ReadFrom::History(_));
            self.state.dirty.bytes += 48 * ids.len();
            if let Some(stream) = self.state.stream(key)
                && (history || !ids.is_empty())
            {
                let refs = ids.into_iter().map(|id| entry_ref(stream, id)).collect();
                served.push((stream.key.clone(), refs));
            }
        }
        if served.is_empty() { Ok(Reply::Nil) } else { Ok(Reply::Streams(served)) }
    }

    fn read_one(
        &mut self,
        read: &ReadGroup,
        key: &Bytes,
        from: ReadFrom,
    ) -> Result<Vec<EntryId>, Stop> {
        let now_ms = self.now_ms;
        let Some(stream) = self.state.stream_mut(key) else { return Ok(Vec::new()) };
        let Some(mut group) = stream.take_group(&read.group) else { return Ok(Vec::new()) };
        let (consumer, made) = group.consumer_or_new(&read.consumer, now_ms);
        group.see(consumer, now_ms);
        let mut reader =
            Reader { stream, group: &mut group, blocks: self.blocks, consumer, now_ms };
        let ids = match from {
            ReadFrom::New => reader.deliver(read)?,
            ReadFrom::History(after) => reader.redeliver(read, after)?,
        };
        stream.put_group(&read.group, group);
        if made {
            let (key, group) = (key.clone(), read.group.clone());
            self.events.push(Event::ConsumerCreated { key, group });
        }
        Ok(ids)
    }
}

struct Reader<'a> {
    stream: &'a Stream,
    /// Taken out of the stream.
    group: &'a mut Group,
    blocks: &'a Blocks,
    consumer: ConsumerNumber,
    now_ms: u64,
}

impl Reader<'_> {
    fn deliver(&mut self, read: &ReadGroup) -> Result<Vec<EntryId>, Fault> {
        let walk = Walk::after(self.group.last_id, read.count, read.streams.len());
        let Some(walk) = walk else { return Ok(Vec::new()) };
        let ids = walk.ids(self.stream, self.blocks)?;
        let Some(last) = ids.last() else { return Ok(ids) };
        self.group.entries_read = read_after(self.stream, self.group, &ids);
        self.group.last_id = *last;
        self.group.changed = true;
        if read.no_ack {
            return Ok(ids);
        }
        let (consumer, delivered_ms) = (self.consumer, self.now_ms);
        for id in &ids {
            // One that is pending already (the group was moved back) starts again with this one.
            self.group.set_pending(*id, Pending { consumer, delivered_ms, deliveries: 1 });
        }
        self.group.set_active(consumer, self.now_ms);
        Ok(ids)
    }

    fn redeliver(&mut self, read: &ReadGroup, after: EntryId) -> Result<Vec<EntryId>, Fault> {
        let ids = history(self.stream, self.group, self.consumer, after, read.count);
        for id in &ids {
            if self.stream.is_there(self.blocks, *id)?
                && let Some(pending) = self.group.pending.get_mut(id)
            {
                pending.delivered_ms = self.now_ms;
                pending.deliveries = pending.deliveries.saturating_add(1);
            }
        }
        Ok(ids)
    }
}

/// How many entries the group has read once these are delivered, where that can be told.
fn read_after(stream: &Stream, group: &Group, ids: &[EntryId]) -> Option<u64> {
    let first = stream.first_id();
    let (mut read, mut last) = (group.entries_read, group.last_id);
    for id in ids {
        read = match read {
            Some(count) if last >= first && !stream.has_tombstone_from(last) => {
                Some(count.saturating_add(1))
            }
            _ => stream.added_up_to(*id),
        };
        last = *id;
    }
    read
}

/// A consumer's own pending entries after an id, within the bounds of a read.
fn history(
    stream: &Stream,
    group: &Group,
    consumer: ConsumerNumber,
    after: EntryId,
    count: u64,
) -> Vec<EntryId> {
    let entries_max = if count == 0 { READ_ENTRIES_MAX } else { count.min(READ_ENTRIES_MAX) };
    let Some(consumer) = group.consumers.get(&consumer) else { return Vec::new() };
    let mut looked = Looked::default();
    consumer
        .pending
        .range((Bound::Excluded(after), Bound::Unbounded))
        .copied()
        .take_while(|id| stream.locate(*id).is_none_or(|span| looked.admits(&span)))
        .take(usize::try_from(entries_max).unwrap_or(usize::MAX))
        .collect()
}

/// All streams and groups must be there before anything is done for one of them.
fn check_groups(state: &State, read: &ReadGroup) -> Result<(), Refusal> {
    for (key, _) in &read.streams {
        let stream = state.stream(key);
        if stream.is_none_or(|stream| !stream.groups.contains_key(&read.group)) {
            return Err(Refusal::NoGroupForRead {
                key: Bytes::copy_from_slice(key),
                group: Bytes::copy_from_slice(&read.group),
            });
        }
    }
    Ok(())
}

pub(super) fn needs(state: &State, read: &ReadGroup) -> Vec<BlockKey> {
    let mut needs = Vec::new();
    for (at, (key, from)) in read.streams.iter().enumerate() {
        let Some(stream) = state.stream(key) else { continue };
        let Some(group) = stream.groups.get(&read.group) else { continue };
        match from {
            ReadFrom::New => {
                let is_same =
                    |(other, from): &&(Bytes, ReadFrom)| other == key && *from == ReadFrom::New;
                if read.streams[..at].iter().any(|stream| is_same(&stream)) {
                    continue;
                }
                let repeats = read.streams.iter().filter(is_same).count() as u64;
                let walk = Walk::after(group.last_id, read.count, read.streams.len());
                needs.extend(walk.into_iter().flat_map(|walk| walk.needs(stream, repeats)));
            }
            ReadFrom::History(after) => {
                let Some(consumer) = group.consumer_number(&read.consumer) else { continue };
                let ids = history(stream, group, consumer, *after, read.count);
                needs.extend(ids.iter().filter_map(|id| match stream.once_there(*id) {
                    Once::LookInto(span) => stream.is_absent(&span),
                    Once::Gone | Once::There => None,
                }));
            }
        }
    }
    needs
}

/// Whether the command would give or make anything.
pub(crate) fn would_deliver(state: &State, read: &ReadGroup) -> Result<bool, Refusal> {
    check_groups(state, read)?;
    Ok(read.streams.iter().any(|(key, from)| {
        let Some(stream) = state.stream(key) else { return false };
        let Some(group) = stream.groups.get(&read.group) else { return false };
        let Some(consumer) = group.consumer(&read.consumer) else { return true };
        match from {
            ReadFrom::New => stream.length > 0 && stream.last_live_id() > group.last_id,
            ReadFrom::History(after) => {
                consumer.pending.range((Bound::Excluded(*after), Bound::Unbounded)).next().is_some()
            }
        }
    }))
}
