//! Redis Streams as plain vectors: slow, obvious, and written apart from the state machine, so that
//! the two can be held against each other. Never shares code with it beyond commands and replies.

use std::collections::BTreeMap;

use bytes::Bytes;
use streams::command::{
    Add, AddId, AutoClaim, Claim, Command, Delivered, GroupStart, Keep, ReadFrom, ReadGroup, Trim,
};
use streams::error::Refusal;
use streams::id::EntryId;
use streams::query::{After, Query};
use streams::reply::{
    Claimed, ConsumerFullInfo, ConsumerInfo, Entry, GroupFullInfo, GroupInfo, PendingDetail,
    PendingEntry, PendingSummary, Reply, StreamFullInfo, StreamInfo, StreamSummary,
};

type Answer = Result<Reply<Entry>, Refusal>;

/// Entries in a node of the tree; entries are kept small enough for the byte rule not to matter.
const NODE_ENTRIES: usize = 100;

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    now: u64,
    streams: BTreeMap<Bytes, Stream>,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    nodes: Vec<Vec<Item>>,
    last: EntryId,
    added: u64,
    max_deleted: EntryId,
    groups: BTreeMap<Bytes, Group>,
}

#[derive(Clone, Debug)]
struct Item {
    id: EntryId,
    fields: Vec<Bytes>,
    deleted: bool,
}

#[derive(Clone, Debug, Default)]
struct Group {
    last: EntryId,
    read: Option<u64>,
    pending: BTreeMap<EntryId, Nack>,
    consumers: BTreeMap<Bytes, Consumer>,
}

#[derive(Clone, Debug)]
struct Nack {
    consumer: Bytes,
    delivered_ms: u64,
    deliveries: u64,
}

#[derive(Clone, Debug)]
struct Consumer {
    seen_ms: u64,
    active_ms: Option<u64>,
}

fn flat(answer: Answer) -> Reply<Entry> {
    answer.unwrap_or_else(Reply::Refused)
}

impl Model {
    pub(crate) fn apply(&mut self, now_ms: u64, command: &Command) -> Reply<Entry> {
        self.now = self.now.max(now_ms);
        flat(self.change(command))
    }

    pub(crate) fn answer(&self, now_ms: u64, query: &Query) -> Reply<Entry> {
        flat(self.ask(self.now.max(now_ms), query))
    }

    fn change(&mut self, command: &Command) -> Answer {
        match command {
            Command::Add(add) => self.add(add),
            Command::Trim { key, trim } => {
                Ok(Reply::Count(self.streams.get_mut(key).map_or(0, |stream| stream.trim(trim))))
            }
            Command::Delete { key, ids } => Ok(Reply::Count(self.delete(key, ids))),
            Command::SetId { key, last_id, entries_added, max_deleted_id } => {
                self.set_id(key, *last_id, *entries_added, *max_deleted_id)
            }
            Command::GroupCreate { key, group, start, make_stream, entries_read } => {
                self.group_create(key, group, *start, *make_stream, *entries_read)
            }
            Command::GroupSetId { key, group, start, entries_read } => {
                let stream = self.stream_for_group(key)?;
                let (last, added) = (stream.last, stream.added);
                let group = self.group_for_key(key, group)?;
                group.last = start_id(*start, last);
                group.read = entries_read.map(|read| read.min(added));
                Ok(Reply::Ok)
            }
            Command::GroupDestroy { key, group } => {
                let gone = self.stream_for_group(key)?.groups.remove(group);
                Ok(Reply::Count(u64::from(gone.is_some())))
            }
            Command::ConsumerCreate { key, group, consumer } => {
                self.stream_for_group(key)?;
                let now = self.now;
                let made = self.group_for_key(key, group)?.consumer(consumer, now);
                Ok(Reply::Count(u64::from(made)))
            }
            Command::ConsumerDelete { key, group, consumer } => {
                self.stream_for_group(key)?;
                let group = self.group_for_key(key, group)?;
                group.consumers.remove(consumer);
                let before = group.pending.len();
                group.pending.retain(|_, nack| nack.consumer != consumer);
                Ok(Reply::Count((before - group.pending.len()) as u64))
            }
            Command::ReadGroup(read) => self.read_group(read),
            Command::Ack { key, group, ids } => {
                let group = self.streams.get_mut(key).and_then(|it| it.groups.get_mut(group));
                let Some(group) = group else { return Ok(Reply::Count(0)) };
                let acked = ids.iter().filter(|id| group.pending.remove(id).is_some()).count();
                Ok(Reply::Count(acked as u64))
            }
            Command::Claim(claim) => self.claim(claim),
            Command::AutoClaim(claim) => self.auto_claim(claim),
            Command::Remove { keys } => {
                let gone = keys.iter().filter(|key| self.streams.remove(*key).is_some()).count();
                Ok(Reply::Count(gone as u64))
            }
            Command::Void => Ok(Reply::Nil),
        }
    }

    fn stream_for_group(&mut self, key: &Bytes) -> Result<&mut Stream, Refusal> {
        self.streams.get_mut(key).ok_or(Refusal::GroupNeedsKey)
    }

    fn group_for_key(&mut self, key: &Bytes, group: &Bytes) -> Result<&mut Group, Refusal> {
        let found = self.streams.get_mut(key).and_then(|stream| stream.groups.get_mut(group));
        found.ok_or_else(|| Refusal::NoGroupForKey { key: key.clone(), group: group.clone() })
    }

    fn add(&mut self, add: &Add) -> Answer {
        if add.must_exist && !self.streams.contains_key(&add.key) {
            return Ok(Reply::Nil);
        }
        let missing = Stream::default();
        let stream = self.streams.get(&add.key).unwrap_or(&missing);
        if stream.last == EntryId::MAX {
            return Err(Refusal::IdsExhausted);
        }
        let id = match add.id {
            AddId::Auto if self.now > stream.last.ms => EntryId::new(self.now, 0),
            AddId::Auto => stream.last.next().expect("not the last"),
            AddId::Ms(ms) if ms == stream.last.ms => {
                EntryId::new(ms, stream.last.seq.checked_add(1).ok_or(Refusal::IdNotAbove)?)
            }
            AddId::Ms(ms) => EntryId::new(ms, 0),
            AddId::Exact(id) => id,
        };
        if id <= stream.last {
            return Err(Refusal::IdNotAbove);
        }
        let stream = self.streams.entry(add.key.clone()).or_default();
        if stream.nodes.last().is_none_or(|node| node.len() >= NODE_ENTRIES) {
            stream.nodes.push(Vec::new());
        }
        let item = Item { id, fields: add.fields.clone(), deleted: false };
        stream.nodes.last_mut().expect("just made").push(item);
        stream.last = id;
        stream.added += 1;
        if let Some(trim) = &add.trim {
            stream.trim(trim);
        }
        Ok(Reply::Added(id))
    }

    fn delete(&mut self, key: &Bytes, ids: &[EntryId]) -> u64 {
        let Some(stream) = self.streams.get_mut(key) else { return 0 };
        let mut count = 0;
        for id in ids {
            let found = stream.nodes.iter_mut().flatten().find(|it| it.id == *id && !it.deleted);
            if let Some(item) = found {
                item.deleted = true;
                count += 1;
                stream.max_deleted = stream.max_deleted.max(*id);
            }
        }
        stream.drop_empty_nodes();
        count
    }

    fn set_id(
        &mut self,
        key: &Bytes,
        last_id: EntryId,
        added: Option<u64>,
        max_deleted: Option<EntryId>,
    ) -> Answer {
        if max_deleted.is_some_and(|deleted| last_id < deleted) {
            return Err(Refusal::SetIdBelowGivenDeleted);
        }
        let stream = self.streams.get_mut(key).ok_or(Refusal::NoKey)?;
        if last_id < stream.max_deleted {
            return Err(Refusal::SetIdBelowDeleted);
        }
        if let Some(top) = stream.live().last()
            && last_id < top.id
        {
            return Err(Refusal::SetIdBelowLast);
        }
        if stream.len() > 0 && added.is_some_and(|added| added < stream.len()) {
            return Err(Refusal::SetIdAddedBelowLength);
        }
        stream.last = last_id;
        stream.added = added.unwrap_or(stream.added);
        if let Some(deleted) = max_deleted
            && deleted != EntryId::MIN
        {
            stream.max_deleted = deleted;
        }
        Ok(Reply::Ok)
    }

    fn group_create(
        &mut self,
        key: &Bytes,
        group: &Bytes,
        start: GroupStart,
        make_stream: bool,
        read: Option<u64>,
    ) -> Answer {
        if !self.streams.contains_key(key) && !make_stream {
            return Err(Refusal::GroupNeedsKey);
        }
        let stream = self.streams.entry(key.clone()).or_default();
        if stream.groups.contains_key(group) {
            return Err(Refusal::GroupExists);
        }
        let last = start_id(start, stream.last);
        // More than were ever added is capped, as Redis does since 8.
        let read = read.map(|read| read.min(stream.added));
        stream.groups.insert(group.clone(), Group { last, read, ..Group::default() });
        Ok(Reply::Ok)
    }

    fn read_group(&mut self, read: &ReadGroup) -> Answer {
        for (key, _) in &read.streams {
            let group = self.streams.get(key).and_then(|stream| stream.groups.get(&read.group));
            if group.is_none() {
                let (key, group) = (key.clone(), read.group.clone());
                return Err(Refusal::NoGroupForRead { key, group });
            }
        }
        let now = self.now;
        let mut found = Vec::new();
        for (key, from) in &read.streams {
            let stream = self.streams.get_mut(key).expect("checked");
            let entries = match from {
                ReadFrom::New => stream.deliver(read, now),
                ReadFrom::History(after) => Some(stream.history(read, *after, now)),
            };
            if let Some(entries) = entries {
                found.push((key.clone(), entries));
            }
        }
        Ok(if found.is_empty() { Reply::Nil } else { Reply::Streams(found) })
    }

    fn claim(&mut self, claim: &Claim) -> Answer {
        let now = self.now;
        let refusal = || Refusal::NoGroup { key: claim.key.clone(), group: claim.group.clone() };
        let stream = self.streams.get_mut(&claim.key).ok_or_else(refusal)?;
        let mut group = stream.groups.remove(&claim.group).ok_or_else(refusal)?;
        if let Some(last) = claim.last_id {
            group.last = group.last.max(last);
        }
        let delivered_ms = match claim.delivered {
            None => now,
            Some(Delivered::IdleMs(idle)) => now.checked_sub(idle).unwrap_or(now),
            Some(Delivered::AtMs(at)) => at.min(now),
        };
        group.consumer(&claim.consumer, now);
        group.consumers.get_mut(&claim.consumer).expect("made").seen_ms = now;
        let mut claimed = Vec::new();
        for id in &claim.ids {
            let item = stream.live().find(|item| item.id == *id).cloned();
            let Some(item) = item else {
                group.pending.remove(id);
                continue;
            };
            let Some(nack) = group.pending.get(id).cloned().or_else(|| {
                let nack = Nack { consumer: Bytes::new(), delivered_ms: now, deliveries: 1 };
                claim.force.then_some(nack)
            }) else {
                continue;
            };
            let forced = !group.pending.contains_key(id);
            if !forced && now.saturating_sub(nack.delivered_ms) < claim.min_idle_ms {
                continue;
            }
            let deliveries = match claim.deliveries {
                Some(count) => count,
                None if claim.just_id => nack.deliveries,
                None if forced => 2,
                None => nack.deliveries + 1,
            };
            let consumer = claim.consumer.clone();
            group.pending.insert(*id, Nack { consumer, delivered_ms, deliveries });
            group.consumers.get_mut(&claim.consumer).expect("made").active_ms = Some(now);
            claimed.push(item);
        }
        stream.groups.insert(claim.group.clone(), group);
        Ok(if claim.just_id {
            Reply::Ids(claimed.iter().map(|item| item.id).collect())
        } else {
            Reply::Entries(claimed.iter().map(entry_of).collect())
        })
    }

    fn auto_claim(&mut self, claim: &AutoClaim) -> Answer {
        let now = self.now;
        let refusal = || Refusal::NoGroup { key: claim.key.clone(), group: claim.group.clone() };
        let stream = self.streams.get_mut(&claim.key).ok_or_else(refusal)?;
        let mut group = stream.groups.remove(&claim.group).ok_or_else(refusal)?;
        group.consumer(&claim.consumer, now);
        group.consumers.get_mut(&claim.consumer).expect("made").seen_ms = now;
        let ids: Vec<EntryId> = group.pending.range(claim.start..).map(|(id, _)| *id).collect();
        let (mut claimed, mut deleted) = (Vec::new(), Vec::new());
        let (mut attempts, mut count) = (claim.count.saturating_mul(10), claim.count);
        let mut next = 0;
        while next < ids.len() && attempts > 0 && count > 0 {
            let id = ids[next];
            next += 1;
            attempts -= 1;
            let Some(item) = stream.live().find(|item| item.id == id).cloned() else {
                group.pending.remove(&id);
                deleted.push(id);
                count -= 1;
                continue;
            };
            let nack = group.pending.get_mut(&id).expect("listed");
            if now.saturating_sub(nack.delivered_ms) < claim.min_idle_ms {
                continue;
            }
            nack.consumer = claim.consumer.clone();
            nack.delivered_ms = now;
            nack.deliveries += u64::from(!claim.just_id);
            group.consumers.get_mut(&claim.consumer).expect("made").active_ms = Some(now);
            claimed.push(item);
            count -= 1;
        }
        stream.groups.insert(claim.group.clone(), group);
        let claimed = if claim.just_id {
            Claimed::Ids(claimed.iter().map(|item| item.id).collect())
        } else {
            Claimed::Entries(claimed.iter().map(entry_of).collect())
        };
        let next = ids.get(next).copied().unwrap_or_default();
        Ok(Reply::AutoClaimed { next, claimed, deleted })
    }
}

fn start_id(start: GroupStart, last: EntryId) -> EntryId {
    match start {
        GroupStart::Last => last,
        GroupStart::After(id) => id,
    }
}

fn entry_of(item: &Item) -> Entry {
    Entry { id: item.id, fields: Some(item.fields.clone()) }
}

impl Group {
    fn consumer(&mut self, name: &Bytes, now: u64) -> bool {
        let missing = !self.consumers.contains_key(name);
        if missing {
            self.consumers.insert(name.clone(), Consumer { seen_ms: now, active_ms: None });
        }
        missing
    }
}

impl Stream {
    fn live(&self) -> impl DoubleEndedIterator<Item = &Item> {
        self.nodes.iter().flatten().filter(|item| !item.deleted)
    }

    fn len(&self) -> u64 {
        self.live().count() as u64
    }

    fn first(&self) -> EntryId {
        self.live().next().map_or(EntryId::MIN, |item| item.id)
    }

    fn drop_empty_nodes(&mut self) {
        self.nodes.retain(|node| node.iter().any(|item| !item.deleted));
    }

    fn trim(&mut self, trim: &Trim) -> u64 {
        let limit = match trim.limit {
            _ if !trim.approximate => u64::MAX,
            None => 100 * NODE_ENTRIES as u64,
            Some(0) => u64::MAX,
            Some(limit) => limit,
        };
        let mut cut = 0;
        while !self.nodes.is_empty() {
            let length = self.nodes.iter().flatten().filter(|item| !item.deleted).count() as u64;
            let node = self.nodes.first_mut().expect("there is one");
            let live = node.iter().filter(|item| !item.deleted).count() as u64;
            let whole = match trim.keep {
                Keep::Newest(keep) if length <= keep => return cut,
                Keep::Newest(keep) => length - live >= keep,
                Keep::From(id) => node.last().is_some_and(|item| item.id < id),
            };
            if cut + live > limit {
                return cut;
            }
            if whole {
                cut += live;
                self.nodes.remove(0);
                continue;
            }
            if trim.approximate {
                return cut;
            }
            let mut left = length;
            for item in node.iter_mut().filter(|item| !item.deleted) {
                let goes = match trim.keep {
                    Keep::Newest(keep) => left > keep,
                    Keep::From(id) => item.id < id,
                };
                if !goes {
                    break;
                }
                item.deleted = true;
                left -= 1;
                cut += 1;
            }
            return cut;
        }
        cut
    }

    fn tombstone_after(&self, start: EntryId) -> bool {
        self.len() > 0 && self.max_deleted != EntryId::MIN && start <= self.max_deleted
    }

    fn estimate(&self, id: EntryId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if self.len() == 0 && id <= self.last {
            return Some(self.added);
        }
        if id != EntryId::MIN && id < self.max_deleted {
            return None;
        }
        if id == self.last {
            return Some(self.added);
        }
        if id > self.last {
            return None;
        }
        let first = self.first();
        if self.max_deleted == EntryId::MIN || self.max_deleted < first {
            if id < first {
                return Some(self.added - self.len());
            }
            if id == first {
                return Some(self.added - self.len() + 1);
            }
        }
        None
    }

    fn lag(&self, group: &Group) -> Option<u64> {
        if self.added == 0 || self.len() == 0 {
            return Some(0);
        }
        if group.last < self.first() && self.max_deleted < self.first() {
            return Some(self.len());
        }
        match group.read {
            Some(read) if !self.tombstone_after(group.last) => {
                Some(self.added.saturating_sub(read))
            }
            _ => self.estimate(group.last).map(|read| self.added.saturating_sub(read)),
        }
    }

    fn deliver(&mut self, read: &ReadGroup, now: u64) -> Option<Vec<Entry>> {
        let mut group = self.groups.remove(&read.group).expect("checked");
        group.consumer(&read.consumer, now);
        group.consumers.get_mut(&read.consumer).expect("made").seen_ms = now;
        let count = if read.count == 0 { usize::MAX } else { read.count as usize };
        let items: Vec<Item> =
            self.live().filter(|item| item.id > group.last).take(count).cloned().collect();
        for item in &items {
            match group.read {
                Some(read) if group.last >= self.first() && !self.tombstone_after(group.last) => {
                    group.read = Some(read + 1);
                }
                _ if self.added > 0 => group.read = self.estimate(item.id),
                _ => {}
            }
            group.last = item.id;
            if !read.no_ack {
                // As Redis says of `inactive`: since entries were last read into the pending list.
                group.consumers.get_mut(&read.consumer).expect("made").active_ms = Some(now);
                let nack =
                    Nack { consumer: read.consumer.clone(), delivered_ms: now, deliveries: 1 };
                group.pending.insert(item.id, nack);
            }
        }
        self.groups.insert(read.group.clone(), group);
        (!items.is_empty()).then(|| items.iter().map(entry_of).collect())
    }

    fn history(&mut self, read: &ReadGroup, after: EntryId, now: u64) -> Vec<Entry> {
        let mut group = self.groups.remove(&read.group).expect("checked");
        group.consumer(&read.consumer, now);
        group.consumers.get_mut(&read.consumer).expect("made").seen_ms = now;
        let count = if read.count == 0 { usize::MAX } else { read.count as usize };
        let mut found = Vec::new();
        let mine =
            |(id, nack): &(&EntryId, &mut Nack)| **id > after && nack.consumer == read.consumer;
        for (id, nack) in group.pending.iter_mut().filter(mine).take(count) {
            match self.live().find(|item| item.id == *id) {
                Some(item) => {
                    nack.delivered_ms = now;
                    nack.deliveries += 1;
                    found.push(entry_of(item));
                }
                None => found.push(Entry { id: *id, fields: None }),
            }
        }
        self.groups.insert(read.group.clone(), group);
        found
    }
}

impl Model {
    fn ask(&self, now: u64, query: &Query) -> Answer {
        match query {
            Query::Length { key } => Ok(Reply::Count(self.streams.get(key).map_or(0, Stream::len))),
            Query::Range { key, start, end, count, reverse } => {
                Ok(self.range(key, *start, *end, *count, *reverse))
            }
            Query::Read { count, streams } => Ok(self.read(*count, streams)),
            Query::PendingSummary { key, group } => {
                let (_, group) = self.group(key, group)?;
                Ok(Reply::PendingSummary(summary_of(group)))
            }
            Query::PendingRange { key, group, min_idle_ms, start, end, count, consumer } => {
                let (_, group) = self.group(key, group)?;
                let idle = |nack: &Nack| now.saturating_sub(nack.delivered_ms);
                let all = group.pending.iter().filter(|(id, _)| (*start..=*end).contains(*id));
                let found = all
                    .filter(|(_, nack)| consumer.as_ref().is_none_or(|name| *name == nack.consumer))
                    .filter(|(_, nack)| idle(nack) >= *min_idle_ms)
                    .take(*count as usize)
                    .map(|(id, nack)| PendingEntry {
                        id: *id,
                        consumer: nack.consumer.clone(),
                        idle_ms: idle(nack),
                        deliveries: nack.deliveries,
                    });
                Ok(Reply::Pending(found.collect()))
            }
            Query::Stream { key } => {
                let stream = self.streams.get(key).ok_or(Refusal::NoKey)?;
                Ok(Reply::Stream(Box::new(StreamInfo {
                    summary: stream.summary(),
                    groups_count: stream.groups.len() as u64,
                    first: stream.live().next().map(entry_of),
                    last: stream.live().next_back().map(entry_of),
                })))
            }
            Query::StreamFull { key, count } => {
                let stream = self.streams.get(key).ok_or(Refusal::NoKey)?;
                let count = if *count == 0 { usize::MAX } else { *count as usize };
                let groups =
                    stream.groups.iter().map(|(name, it)| full_of(stream, name, it, count));
                Ok(Reply::StreamFull(Box::new(StreamFullInfo {
                    summary: stream.summary(),
                    entries: stream.live().take(count).map(entry_of).collect(),
                    groups: groups.collect(),
                })))
            }
            Query::Groups { key } => {
                let stream = self.streams.get(key).ok_or(Refusal::NoKey)?;
                let groups = stream.groups.iter().map(|(name, group)| info_of(stream, name, group));
                Ok(Reply::Groups(groups.collect()))
            }
            Query::Consumers { key, group } => self.consumers(now, key, group),
            Query::Exists { keys } => {
                let there = keys.iter().filter(|key| self.streams.contains_key(*key)).count();
                Ok(Reply::Count(there as u64))
            }
            Query::Type { key } => Ok(Reply::Type { exists: self.streams.contains_key(key) }),
            Query::KeysCount => Ok(Reply::Count(self.streams.len() as u64)),
            Query::WouldDeliver(_) => Ok(Reply::Nil),
        }
    }

    fn group(&self, key: &Bytes, group: &Bytes) -> Result<(&Stream, &Group), Refusal> {
        let stream = self.streams.get(key);
        let found = stream.and_then(|stream| Some((stream, stream.groups.get(group)?)));
        found.ok_or_else(|| Refusal::NoGroup { key: key.clone(), group: group.clone() })
    }

    fn range(
        &self,
        key: &Bytes,
        start: EntryId,
        end: EntryId,
        count: Option<u64>,
        reverse: bool,
    ) -> Reply<Entry> {
        let Some(stream) = self.streams.get(key) else { return Reply::Entries(Vec::new()) };
        if count == Some(0) {
            return Reply::Nil;
        }
        let mut found: Vec<Entry> =
            stream.live().filter(|item| start <= item.id && item.id <= end).map(entry_of).collect();
        if reverse {
            found.reverse();
        }
        found.truncate(count.map_or(usize::MAX, |count| count as usize));
        Reply::Entries(found)
    }

    fn read(&self, count: u64, streams: &[(Bytes, After)]) -> Reply<Entry> {
        let mut found = Vec::new();
        for (key, after) in streams {
            let Some(stream) = self.streams.get(key) else { continue };
            let entries: Vec<Entry> = match after {
                After::Last => Vec::new(),
                After::Newest => stream.live().next_back().map(entry_of).into_iter().collect(),
                After::Id(id) => {
                    let count = if count == 0 { usize::MAX } else { count as usize };
                    stream.live().filter(|item| item.id > *id).take(count).map(entry_of).collect()
                }
            };
            if !entries.is_empty() {
                found.push((key.clone(), entries));
            }
        }
        if found.is_empty() { Reply::Nil } else { Reply::Streams(found) }
    }

    fn consumers(&self, now: u64, key: &Bytes, group: &Bytes) -> Answer {
        let stream = self.streams.get(key).ok_or(Refusal::NoKey)?;
        let refusal = || Refusal::NoGroupForKey { key: key.clone(), group: group.clone() };
        let group = stream.groups.get(group).ok_or_else(refusal)?;
        let consumers = group.consumers.iter().map(|(name, consumer)| ConsumerInfo {
            name: name.clone(),
            pending_count: group.pending.values().filter(|it| it.consumer == name).count() as u64,
            idle_ms: now.saturating_sub(consumer.seen_ms),
            inactive_ms: consumer.active_ms.map(|active| now.saturating_sub(active)),
        });
        Ok(Reply::Consumers(consumers.collect()))
    }
}

fn summary_of(group: &Group) -> PendingSummary {
    let ids = || group.pending.keys().copied();
    let count =
        |name: &Bytes| group.pending.values().filter(|it| it.consumer == name).count() as u64;
    let consumers = group.consumers.keys().map(|name| (name.clone(), count(name)));
    PendingSummary {
        total: group.pending.len() as u64,
        range: ids().next().zip(ids().next_back()),
        consumers: consumers.filter(|(_, count)| *count > 0).collect(),
    }
}

fn info_of(stream: &Stream, name: &Bytes, group: &Group) -> GroupInfo {
    GroupInfo {
        name: name.clone(),
        consumers_count: group.consumers.len() as u64,
        pending_count: group.pending.len() as u64,
        last_delivered_id: group.last,
        entries_read: group.read,
        lag: stream.lag(group),
    }
}

fn full_of(stream: &Stream, name: &Bytes, group: &Group, count: usize) -> GroupFullInfo {
    let detail = |(id, nack): (&EntryId, &Nack)| PendingDetail {
        id: *id,
        consumer: nack.consumer.clone(),
        delivered_ms: nack.delivered_ms,
        deliveries: nack.deliveries,
    };
    let consumers = group.consumers.iter().map(|(name, consumer)| {
        let mine = || group.pending.iter().filter(|(_, nack)| nack.consumer == name);
        ConsumerFullInfo {
            name: name.clone(),
            seen_ms: consumer.seen_ms,
            active_ms: consumer.active_ms,
            pending_count: mine().count() as u64,
            pending: mine().take(count).map(detail).collect(),
        }
    });
    GroupFullInfo {
        info: info_of(stream, name, group),
        pending: group.pending.iter().take(count).map(detail).collect(),
        consumers: consumers.collect(),
    }
}

impl Stream {
    fn summary(&self) -> StreamSummary {
        StreamSummary {
            length: self.len(),
            blocks_count: self.nodes.len() as u64,
            tree_nodes_count: 0,
            last_id: self.last,
            max_deleted_id: self.max_deleted,
            entries_added: self.added,
            first_id: self.first(),
        }
    }
}
