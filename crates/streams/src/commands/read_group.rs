//! XREADGROUP: what was never delivered, what is pending for the asking consumer, and with CLAIM
//! before all what others have left lying.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::claim::admitted;
use super::{Call, Outcome, entry_ref};
use crate::block::Blocks;
use crate::command::{ReadFrom, ReadGroup};
use crate::error::{Fault, Refusal, Stop};
use crate::event::Event;
use crate::group::{ConsumerNumber, Group, Pending, Place};
use crate::id::{BlockKey, EntryId};
use crate::limits::{CLAIM_GONE_MAX, READ_ENTRIES_MAX};
use crate::reading::{Budget, Looked, Walk, entries_max};
use crate::reply::{Delivery, Earlier, EntryRef, Reply};
use crate::state::State;
use crate::stream::{Once, Stream};
use crate::view::View;
use crate::wire;

/// An entry that is given, and with CLAIM how it was delivered before.
type Given = (EntryId, Option<Earlier>);

impl Call<'_> {
    pub(super) fn read_group(&mut self, read: &ReadGroup) -> Outcome {
        check_groups(self.state.at(self.now_ms), read)?;
        let mut served = Vec::new();
        let mut budget = Budget::new(read.most);
        for (key, from) in &read.streams {
            if budget.is_spent() {
                break;
            }
            budget.begin(key);
            let given = self.read_one(read, key, *from, &mut budget)?;
            let history = matches!(from, ReadFrom::History(_));
            self.state.dirty.bytes += 48 * given.len();
            if let Some(stream) = self.state.stream(key)
                && (history || !given.is_empty())
            {
                served.push((stream.key.clone(), refs(stream, given)));
            }
        }
        Ok(match read.claim_idle_ms {
            _ if served.is_empty() => Reply::Nil,
            Some(_) => Reply::Deliveries(served),
            None => {
                let entry = |delivery: Delivery<EntryRef>| delivery.entry;
                let all = |list: Vec<_>| list.into_iter().map(entry).collect();
                Reply::Streams(served.into_iter().map(|(key, list)| (key, all(list))).collect())
            }
        })
    }

    fn read_one(
        &mut self,
        read: &ReadGroup,
        key: &Bytes,
        from: ReadFrom,
        budget: &mut Budget,
    ) -> Result<Vec<Given>, Stop> {
        let now_ms = self.now_ms;
        let Some(stream) = self.state.stream_mut(key) else { return Ok(Vec::new()) };
        let Some(mut group) = stream.take_group(&read.group) else { return Ok(Vec::new()) };
        let (consumer, made) = group.consumer_or_new(&read.consumer, now_ms);
        group.see(consumer, now_ms);
        let mut reader =
            Reader { stream, group: &mut group, blocks: self.blocks, budget, consumer, now_ms };
        let given = match from {
            ReadFrom::New => reader.deliver(read)?,
            ReadFrom::History(after) => reader.redeliver(read, after)?,
        };
        stream.put_group(&read.group, group);
        if made {
            let (key, group) = (key.clone(), read.group.clone());
            self.events.push(Event::ConsumerCreated { key, group });
        }
        Ok(given)
    }
}

fn refs(stream: &Stream, given: Vec<Given>) -> Vec<Delivery<EntryRef>> {
    let delivery = |(id, earlier)| Delivery { entry: entry_ref(stream, id), earlier };
    given.into_iter().map(delivery).collect()
}

struct Reader<'a> {
    stream: &'a Stream,
    /// Taken out of the stream.
    group: &'a mut Group,
    blocks: &'a Blocks,
    /// Of the whole read.
    budget: &'a mut Budget,
    consumer: ConsumerNumber,
    now_ms: u64,
}

impl Reader<'_> {
    fn deliver(&mut self, read: &ReadGroup) -> Result<Vec<Given>, Fault> {
        let streams = read.streams.len();
        let mut given = match read.claim_idle_ms {
            Some(idle_ms) => self.claim(idle_ms, entries_max(read.count, streams))?,
            None => Vec::new(),
        };
        let Some(mut walk) = Walk::after(self.group.last_id, read.count, streams) else {
            return Ok(given);
        };
        walk.entries_max -= given.len() as u64;
        let ids = walk.ids(self.stream, self.blocks, self.budget)?;
        let Some(last) = ids.last() else { return Ok(given) };
        self.group.entries_read = read_after(self.stream, self.group, &ids);
        self.group.last_id = *last;
        self.group.changed = true;
        if !read.no_ack {
            for id in &ids {
                // One that is pending already (the group was moved back) starts again with this
                // one.
                self.group.set_pending(*id, Pending::of(self.consumer, self.now_ms, 1));
            }
            self.group.set_active(self.consumer, self.now_ms);
        }
        let earlier = read.claim_idle_ms.map(|_| Earlier::default());
        given.extend(ids.into_iter().map(|id| (id, earlier)));
        Ok(given)
    }

    /// Takes over what is pending and idle for so long, first in line first. What exists no more
    /// stays pending, and leaves the line.
    fn claim(&mut self, idle_ms: u64, entries_max: u64) -> Result<Vec<Given>, Fault> {
        let line: Vec<Place> = {
            let line = claimable(self.group, idle_ms, self.now_ms);
            line.take(scans_max(entries_max)).collect()
        };
        let mut looked = Looked::default();
        let mut given = Vec::new();
        for id in line.into_iter().map(Place::id) {
            let enough = given.len() as u64 >= entries_max || self.budget.is_spent();
            if enough || !admitted(self.stream, id, &mut looked) {
                break;
            }
            let Some(before) = self.group.pending.get(&id).copied() else { continue };
            if !self.stream.is_there(self.blocks, id)? {
                // An id above the last one may still come.
                if id <= self.stream.last_id {
                    self.group.mark_gone(id);
                }
                continue;
            }
            let (idle_ms, deliveries) = (before.idle_ms(self.now_ms), before.deliveries);
            if !self.admits(id, wire::earlier(idle_ms, deliveries))? {
                break;
            }
            let after = Pending::of(self.consumer, self.now_ms, deliveries.saturating_add(1));
            self.group.set_pending(id, after);
            self.group.set_active(self.consumer, self.now_ms);
            given.push((id, Some(Earlier { idle_ms, deliveries })));
        }
        Ok(given)
    }

    fn redeliver(&mut self, read: &ReadGroup, after: EntryId) -> Result<Vec<Given>, Fault> {
        let ids = history(self.stream, self.group, self.consumer, after, read.count);
        let mut given = Vec::with_capacity(ids.len());
        for id in ids {
            if !self.admits(id, 0)? {
                break;
            }
            given.push((id, None));
            if self.stream.is_there(self.blocks, id)?
                && let Some(before) = self.group.pending.get(&id).copied()
            {
                let deliveries = before.deliveries.saturating_add(1);
                self.group.set_pending(id, Pending::of(self.consumer, self.now_ms, deliveries));
            }
        }
        Ok(given)
    }

    /// Whether the read may give this entry and so many bytes with it.
    fn admits(&mut self, id: EntryId, more_bytes: u64) -> Result<bool, Fault> {
        let bytes = match self.budget.counts_bytes() {
            true => self.stream.wire_bytes(self.blocks, id)?.unwrap_or(wire::gone(id)),
            false => 0,
        };
        Ok(self.budget.admits(|| bytes + more_bytes))
    }
}

/// The part of a group's line that is idle for so long.
fn claimable(group: &Group, idle_ms: u64, now_ms: u64) -> impl Iterator<Item = Place> {
    let line = group.line.iter().copied();
    line.take_while(move |place| place.claimable_ms(idle_ms) <= now_ms)
}

/// How far along the line a read for so many entries goes.
fn scans_max(entries_max: u64) -> usize {
    let scans_max = entries_max.saturating_add(CLAIM_GONE_MAX);
    usize::try_from(scans_max).unwrap_or(usize::MAX)
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
fn check_groups(view: View<'_>, read: &ReadGroup) -> Result<(), Refusal> {
    for (key, _) in &read.streams {
        let stream = view.stream(key);
        if stream.is_none_or(|stream| !stream.groups.contains_key(&read.group)) {
            return Err(Refusal::NoGroupForRead {
                key: Bytes::copy_from_slice(key),
                group: Bytes::copy_from_slice(&read.group),
            });
        }
    }
    Ok(())
}

pub(super) fn needs(state: &State, now_ms: u64, read: &ReadGroup) -> Vec<BlockKey> {
    let mut needs = Vec::new();
    // How often each stream is read for what is new; its blocks are named where it comes first.
    let mut new: BTreeMap<&Bytes, u64> = BTreeMap::new();
    for (key, _) in read.streams.iter().filter(|(_, from)| *from == ReadFrom::New) {
        *new.entry(key).or_default() += 1;
    }
    for (key, from) in &read.streams {
        let Some(stream) = state.stream(key) else { continue };
        let Some(group) = stream.groups.get(&read.group) else { continue };
        match from {
            ReadFrom::New => {
                let Some(repeats) = new.remove(key) else { continue };
                needs.extend(needs_to_claim(stream, group, now_ms, read, repeats));
                let walk = Walk::after(group.last_id, read.count, read.streams.len());
                let walk = walk.map(|walk| walk.within(read.most));
                needs.extend(walk.into_iter().flat_map(|walk| walk.needs(stream, repeats)));
            }
            ReadFrom::History(after) => {
                let Some(consumer) = group.consumer_number(&read.consumer) else { continue };
                let ids = history(stream, group, consumer, *after, read.count);
                needs.extend(ids.iter().filter_map(|id| look_into(stream, *id, read)));
            }
        }
    }
    needs
}

/// The blocks of what is first in line, as far as claiming it `repeats` times goes.
fn needs_to_claim(
    stream: &Stream,
    group: &Group,
    now_ms: u64,
    read: &ReadGroup,
    repeats: u64,
) -> Vec<BlockKey> {
    let Some(idle_ms) = read.claim_idle_ms else { return Vec::new() };
    let each = entries_max(read.count, read.streams.len());
    let wanted = each.saturating_mul(repeats).min(read.most.entries.unwrap_or(u64::MAX));
    let scans_max = scans_max(each).saturating_mul(usize::try_from(repeats).unwrap_or(usize::MAX));
    let bytes_max = read.most.bytes.unwrap_or(u64::MAX);
    let mut looked = Looked::times(repeats);
    let mut given = 0;
    let mut needs = Vec::new();
    for id in claimable(group, idle_ms, now_ms).take(scans_max).map(Place::id) {
        let enough = given >= wanted || given.saturating_mul(wire::ENTRY_BYTES_MIN) >= bytes_max;
        if enough || !admitted(stream, id, &mut looked) {
            break;
        }
        given += u64::from(matches!(stream.once_there(id), Once::There));
        needs.extend(look_into(stream, id, read));
    }
    needs
}

/// The block that says whether a pending entry is there, and where bytes are counted how big it is.
fn look_into(stream: &Stream, id: EntryId, read: &ReadGroup) -> Option<BlockKey> {
    match stream.once_there(id) {
        Once::LookInto(span) => stream.is_absent(&span),
        Once::There if read.most.bytes.is_some() => stream.is_absent(&stream.locate(id)?),
        Once::Gone | Once::There => None,
    }
}

/// Whether the command would give or make anything.
pub(crate) fn would_deliver(view: View<'_>, read: &ReadGroup) -> Result<bool, Refusal> {
    check_groups(view, read)?;
    let claimable = claimable_ms(view, read).is_some_and(|at_ms| at_ms <= view.now_ms());
    Ok(claimable
        || read.streams.iter().any(|(key, from)| {
            let Some(stream) = view.stream(key) else { return false };
            let Some(group) = stream.groups.get(&read.group) else { return false };
            let Some(consumer) = group.consumer(&read.consumer) else { return true };
            match from {
                ReadFrom::New => stream.length > 0 && stream.last_live_id() > group.last_id,
                ReadFrom::History(after) => {
                    let later = (Bound::Excluded(*after), Bound::Unbounded);
                    consumer.pending.range(later).next().is_some()
                }
            }
        }))
}

/// From which time on there is something to claim.
pub(crate) fn claimable_ms(view: View<'_>, read: &ReadGroup) -> Option<u64> {
    let idle_ms = read.claim_idle_ms?;
    let new = read.streams.iter().filter(|(_, from)| *from == ReadFrom::New);
    let first = |(key, _): &(Bytes, ReadFrom)| {
        let first = view.stream(key)?.groups.get(&read.group)?.line.first()?;
        Some(first.claimable_ms(idle_ms))
    };
    new.filter_map(first).min()
}
