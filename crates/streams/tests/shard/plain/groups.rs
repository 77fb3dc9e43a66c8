//! Groups as plain maps.

use std::collections::BTreeMap;

use bytes::Bytes;
use streams::command::{AutoClaim, Claim, Command, Delivered, ReadFrom, ReadGroup};
use streams::error::Refusal;
use streams::id::EntryId;
use streams::reply::{Claimed, Entry, Reply};

use super::{Answer, Model, Stream, ZERO};

#[derive(Default)]
pub(crate) struct Group {
    pub(crate) last: EntryId,
    pub(crate) read: Option<u64>,
    pub(crate) pending: BTreeMap<EntryId, Pending>,
    pub(crate) consumers: BTreeMap<Bytes, Consumer>,
}

#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) consumer: Bytes,
    pub(crate) delivered: u64,
    pub(crate) count: u64,
}

#[derive(Default)]
pub(crate) struct Consumer {
    pub(crate) seen: u64,
    pub(crate) active: Option<u64>,
}

impl Stream {
    fn tombstone_after(&self, id: EntryId) -> bool {
        self.length() > 0 && self.max_deleted != ZERO && id <= self.max_deleted
    }

    pub(crate) fn estimate(&self, id: EntryId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if self.length() == 0 && id <= self.last {
            return Some(self.added);
        }
        if id != ZERO && id < self.max_deleted {
            return None;
        }
        if id == self.last {
            return Some(self.added);
        }
        if id > self.last {
            return None;
        }
        if self.max_deleted == ZERO || self.max_deleted < self.first() {
            if id < self.first() {
                return Some(self.added - self.length());
            }
            if id == self.first() {
                return Some(self.added - self.length() + 1);
            }
        }
        None
    }

    pub(crate) fn lag(&self, group: &Group) -> Option<u64> {
        if self.added == 0 || self.length() == 0 {
            return Some(0);
        }
        if group.last < self.first() && self.max_deleted < self.first() {
            return Some(self.length());
        }
        if let Some(read) = group.read
            && !self.tombstone_after(group.last)
        {
            return Some(self.added.saturating_sub(read));
        }
        self.estimate(group.last).map(|read| self.added.saturating_sub(read))
    }
}

fn no_group(key: &Bytes, group: &Bytes) -> Refusal {
    Refusal::NoGroup { key: key.clone(), group: group.clone() }
}

impl Model {
    pub(crate) fn group(&self, key: &Bytes, group: &Bytes) -> Result<(&Stream, &Group), Refusal> {
        let stream = self.keys.get(key).ok_or_else(|| no_group(key, group))?;
        Ok((stream, stream.groups.get(group).ok_or_else(|| no_group(key, group))?))
    }

    pub(crate) fn run_group(&mut self, command: &Command) -> Answer {
        let now = self.now;
        match command {
            Command::ReadGroup(read) => self.read_group(read),
            Command::Ack { key, group, ids } => {
                let stream = self.keys.get_mut(key);
                let Some(group) = stream.and_then(|stream| stream.groups.get_mut(group)) else {
                    return Ok(Reply::Count(0));
                };
                let acked = ids.iter().filter(|id| group.pending.remove(id).is_some());
                Ok(Reply::Count(acked.count() as u64))
            }
            Command::Claim(claim) => self.claim(claim),
            Command::AutoClaim(claim) => self.auto_claim(claim),
            Command::GroupCreate { key, group, start, make_stream, entries_read } => {
                if !self.keys.contains_key(key) && !make_stream {
                    return Err(Refusal::GroupNeedsKey);
                }
                let stream = self.keys.entry(key.clone()).or_default();
                if stream.groups.contains_key(group) {
                    return Err(Refusal::GroupExists);
                }
                let last = stream.start(*start);
                let read = entries_read.map(|read| read.min(stream.added));
                stream.groups.insert(group.clone(), Group { last, read, ..Group::default() });
                Ok(Reply::Ok)
            }
            Command::GroupSetId { key, group: name, start, entries_read } => {
                let stream = self.keys.get_mut(key).ok_or(Refusal::GroupNeedsKey)?;
                let (last, added) = (stream.start(*start), stream.added);
                let group = stream.groups.get_mut(name).ok_or_else(|| missing(key, name))?;
                group.last = last;
                group.read = entries_read.map(|read| read.min(added));
                Ok(Reply::Ok)
            }
            Command::GroupDestroy { key, group } => {
                let stream = self.keys.get_mut(key).ok_or(Refusal::GroupNeedsKey)?;
                Ok(Reply::Count(u64::from(stream.groups.remove(group).is_some())))
            }
            Command::ConsumerCreate { key, group: name, consumer } => {
                let stream = self.keys.get_mut(key).ok_or(Refusal::GroupNeedsKey)?;
                let group = stream.groups.get_mut(name).ok_or_else(|| missing(key, name))?;
                let new = !group.consumers.contains_key(consumer);
                let made = Consumer { seen: now, active: None };
                group.consumers.entry(consumer.clone()).or_insert(made);
                Ok(Reply::Count(u64::from(new)))
            }
            Command::ConsumerDelete { key, group: name, consumer } => {
                let stream = self.keys.get_mut(key).ok_or(Refusal::GroupNeedsKey)?;
                let group = stream.groups.get_mut(name).ok_or_else(|| missing(key, name))?;
                let before = group.pending.len();
                group.pending.retain(|_, pending| pending.consumer != consumer);
                group.consumers.remove(consumer);
                Ok(Reply::Count((before - group.pending.len()) as u64))
            }
            _ => unreachable!("not about groups"),
        }
    }

    fn read_group(&mut self, read: &ReadGroup) -> Answer {
        self.check_read(read)?;
        let now = self.now;
        let mut served = Vec::new();
        for (key, from) in &read.streams {
            let stream = self.keys.get_mut(key).unwrap();
            let mut group = stream.groups.remove(&read.group).unwrap();
            group.consumers.entry(read.consumer.clone()).or_default().seen = now;
            let entries = match from {
                ReadFrom::New => stream.deliver(&mut group, read, now),
                ReadFrom::History(after) => stream.redeliver(&mut group, read, *after, now),
            };
            stream.groups.insert(read.group.clone(), group);
            if *from != ReadFrom::New || !entries.is_empty() {
                served.push((key.clone(), entries));
            }
        }
        Ok(if served.is_empty() { Reply::Nil } else { Reply::Streams(served) })
    }

    pub(crate) fn check_read(&self, read: &ReadGroup) -> Result<(), Refusal> {
        for (key, _) in &read.streams {
            if self.group(key, &read.group).is_err() {
                let (key, group) = (key.clone(), read.group.clone());
                return Err(Refusal::NoGroupForRead { key, group });
            }
        }
        Ok(())
    }

    fn claim(&mut self, claim: &Claim) -> Answer {
        let now = self.now;
        self.group(&claim.key, &claim.group)?;
        let stream = self.keys.get_mut(&claim.key).unwrap();
        let mut group = stream.groups.remove(&claim.group).unwrap();
        group.last = group.last.max(claim.last_id.unwrap_or(ZERO));
        group.consumers.entry(claim.consumer.clone()).or_default().seen = now;
        let delivered = match claim.delivered {
            Some(Delivered::IdleMs(idle)) if idle <= now => now - idle,
            Some(Delivered::AtMs(at)) if at <= now => at,
            _ => now,
        };
        let mut taken = Vec::new();
        for id in &claim.ids {
            let Some(entry) = stream.get(*id) else {
                group.pending.remove(id);
                continue;
            };
            let before = group.pending.get(id).cloned();
            match &before {
                None if !claim.force => continue,
                Some(before) if now - before.delivered < claim.min_idle_ms => continue,
                _ => {}
            }
            let mut count = before.map_or(1, |before| before.count);
            if !claim.just_id {
                count += 1;
            }
            let count = claim.deliveries.unwrap_or(count);
            let consumer = claim.consumer.clone();
            group.consumers.get_mut(&consumer).unwrap().active = Some(now);
            group.pending.insert(*id, Pending { consumer, delivered, count });
            taken.push(entry);
        }
        stream.groups.insert(claim.group.clone(), group);
        Ok(if claim.just_id {
            Reply::Ids(taken.into_iter().map(|entry| entry.id).collect())
        } else {
            Reply::Entries(taken)
        })
    }

    fn auto_claim(&mut self, claim: &AutoClaim) -> Answer {
        let now = self.now;
        self.group(&claim.key, &claim.group)?;
        let stream = self.keys.get_mut(&claim.key).unwrap();
        let mut group = stream.groups.remove(&claim.group).unwrap();
        group.consumers.entry(claim.consumer.clone()).or_default().seen = now;
        let (mut taken, mut deleted, mut next) = (Vec::new(), Vec::new(), ZERO);
        let list: Vec<EntryId> = group.pending.range(claim.start..).map(|(id, _)| *id).collect();
        for (scanned, id) in list.into_iter().enumerate() {
            let count = (taken.len() + deleted.len()) as u64;
            if count == claim.count || scanned as u64 == claim.count * 10 {
                next = id;
                break;
            }
            let Some(entry) = stream.get(id) else {
                group.pending.remove(&id);
                deleted.push(id);
                continue;
            };
            let pending = group.pending.get_mut(&id).unwrap();
            if now - pending.delivered < claim.min_idle_ms {
                continue;
            }
            pending.consumer = claim.consumer.clone();
            pending.delivered = now;
            pending.count += u64::from(!claim.just_id);
            group.consumers.get_mut(&claim.consumer).unwrap().active = Some(now);
            taken.push(entry);
        }
        stream.groups.insert(claim.group.clone(), group);
        let claimed = if claim.just_id {
            Claimed::Ids(taken.into_iter().map(|entry| entry.id).collect())
        } else {
            Claimed::Entries(taken)
        };
        Ok(Reply::AutoClaimed { next, claimed, deleted })
    }
}

impl Stream {
    fn deliver(&self, group: &mut Group, read: &ReadGroup, now: u64) -> Vec<Entry> {
        let mut found = self.alive();
        found.retain(|entry| entry.id > group.last);
        found.truncate(if read.count == 0 { usize::MAX } else { read.count as usize });
        for entry in &found {
            group.read = match group.read {
                Some(count) if group.last >= self.first() && !self.tombstone_after(group.last) => {
                    Some(count + 1)
                }
                _ => self.estimate(entry.id),
            };
            group.last = entry.id;
            if !read.no_ack {
                let consumer = read.consumer.clone();
                group.consumers.get_mut(&consumer).unwrap().active = Some(now);
                group.pending.insert(entry.id, Pending { consumer, delivered: now, count: 1 });
            }
        }
        found
    }

    fn redeliver(
        &self,
        group: &mut Group,
        read: &ReadGroup,
        after: EntryId,
        now: u64,
    ) -> Vec<Entry> {
        let limit = if read.count == 0 { usize::MAX } else { read.count as usize };
        let mut found = Vec::new();
        for (id, pending) in &mut group.pending {
            if *id <= after || pending.consumer != read.consumer || found.len() == limit {
                continue;
            }
            match self.get(*id) {
                Some(entry) => {
                    pending.delivered = now;
                    pending.count += 1;
                    found.push(entry);
                }
                None => found.push(Entry { id: *id, fields: None }),
            }
        }
        found
    }
}

fn missing(key: &Bytes, group: &Bytes) -> Refusal {
    Refusal::NoGroupForKey { key: key.clone(), group: group.clone() }
}
