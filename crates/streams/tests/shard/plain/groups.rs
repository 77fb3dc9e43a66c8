//! Groups as plain maps.

use std::collections::BTreeMap;

use bytes::Bytes;
use streams::command::{AutoClaim, Claim, Command, Delivered, Nack, NackMode, ReadFrom, ReadGroup};
use streams::error::Refusal;
use streams::id::EntryId;
use streams::reply::{Claimed, Delivery, Earlier, Entry, Reply};

use super::{Answer, Model, Room, Stream, ZERO};

#[derive(Clone, Default)]
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
    /// A reader that would have claimed it found nothing.
    pub(crate) gone: bool,
    /// When it was given back, as a number that grows: it is nobody's then.
    pub(crate) released: Option<u64>,
}

impl Pending {
    fn new(consumer: &Bytes, delivered: u64, count: u64) -> Self {
        Self { consumer: consumer.clone(), delivered, count, gone: false, released: None }
    }

    pub(crate) fn is_idle(&self, idle: u64, now: u64) -> bool {
        self.released.is_some() || now - self.delivered >= idle
    }
}

#[derive(Clone, Default)]
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
            Command::Nack(nack) => self.nack(nack),
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
                group.pending.retain(|_, pending| {
                    pending.released.is_some() || pending.consumer != consumer
                });
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
        let mut room = Room::new(read.most);
        for (key, from) in &read.streams {
            if room.full {
                break;
            }
            room.name(key);
            let stream = self.keys.get_mut(key).unwrap();
            let mut group = stream.groups.remove(&read.group).unwrap();
            group.consumers.entry(read.consumer.clone()).or_default().seen = now;
            let given = match from {
                ReadFrom::New => stream.deliver(&mut group, read, &mut room, now),
                ReadFrom::History(after) => {
                    stream.redeliver(&mut group, read, *after, &mut room, now)
                }
            };
            stream.groups.insert(read.group.clone(), group);
            if *from != ReadFrom::New || !given.is_empty() {
                served.push((key.clone(), given));
            }
        }
        if served.is_empty() {
            return Ok(Reply::Nil);
        }
        if read.claim_idle_ms.is_some() {
            return Ok(Reply::Deliveries(served));
        }
        let plain = |(key, given): (Bytes, Vec<Delivery<Entry>>)| {
            (key, given.into_iter().map(|delivery| delivery.entry).collect())
        };
        Ok(Reply::Streams(served.into_iter().map(plain).collect()))
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
                Some(before) if !before.is_idle(claim.min_idle_ms, now) => continue,
                _ => {}
            }
            let mut count = before.map_or(1, |before| before.count);
            if !claim.just_id {
                count += 1;
            }
            let count = claim.deliveries.unwrap_or(count).min(i64::MAX as u64);
            let consumer = claim.consumer.clone();
            group.consumers.get_mut(&consumer).unwrap().active = Some(now);
            group.pending.insert(*id, Pending::new(&consumer, delivered, count));
            taken.push(entry);
        }
        stream.groups.insert(claim.group.clone(), group);
        Ok(if claim.just_id {
            Reply::Ids(taken.into_iter().map(|entry| entry.id).collect())
        } else {
            Reply::Entries(taken)
        })
    }

    fn nack(&mut self, nack: &Nack) -> Answer {
        self.group(&nack.key, &nack.group)?;
        let stream = self.keys.get_mut(&nack.key).unwrap();
        let mut done = 0;
        for id in &nack.ids {
            let there = stream.get(*id).is_some();
            let group = stream.groups.get_mut(&nack.group).unwrap();
            let mut count = match group.pending.get(id) {
                Some(pending) => pending.count,
                None if nack.force && there => 0,
                None => continue,
            };
            match nack.mode {
                NackMode::Silent => count -= u64::from(count > 0),
                NackMode::Fail => {}
                NackMode::Fatal => count = i64::MAX as u64,
            }
            let count = nack.deliveries.unwrap_or(count);
            let turns = group.pending.values().filter_map(|pending| pending.released);
            let released = Some(turns.max().map_or(0, |turn| turn + 1));
            let pending = Pending { released, ..Pending::new(&Bytes::new(), 0, count) };
            group.pending.insert(*id, pending);
            done += 1;
        }
        Ok(Reply::Count(done))
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
            if !pending.is_idle(claim.min_idle_ms, now) {
                continue;
            }
            let count = (pending.count + u64::from(!claim.just_id)).min(i64::MAX as u64);
            *pending = Pending::new(&claim.consumer, now, count);
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

impl Group {
    /// Everything pending whose entry is not known to be gone, in the order in which it is claimed.
    pub(crate) fn line(&self) -> Vec<EntryId> {
        let order = |id: &EntryId| {
            let pending = &self.pending[id];
            (pending.released.is_none(), pending.released, pending.delivered, *id)
        };
        let mut line: Vec<EntryId> = self.pending.keys().copied().collect();
        line.retain(|id| !self.pending[id].gone);
        line.sort_unstable_by_key(order);
        line
    }
}

fn limit(count: u64) -> usize {
    if count == 0 { usize::MAX } else { count as usize }
}

impl Stream {
    fn deliver(
        &self,
        group: &mut Group,
        read: &ReadGroup,
        room: &mut Room,
        now: u64,
    ) -> Vec<Delivery<Entry>> {
        let mut given = match read.claim_idle_ms {
            Some(idle) => self.claim(group, read, idle, room, now),
            None => Vec::new(),
        };
        let mut found = self.alive();
        found.retain(|entry| entry.id > group.last);
        found.truncate(limit(read.count).saturating_sub(given.len()));
        for entry in found {
            if !room.takes(&entry, "") {
                break;
            }
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
                group.pending.insert(entry.id, Pending::new(&consumer, now, 1));
            }
            given.push(Delivery { entry, earlier: read.claim_idle_ms.map(|_| Earlier::default()) });
        }
        given
    }

    fn claim(
        &self,
        group: &mut Group,
        read: &ReadGroup,
        idle: u64,
        room: &mut Room,
        now: u64,
    ) -> Vec<Delivery<Entry>> {
        let mut given = Vec::new();
        for id in group.line().into_iter().take(limit(read.count).saturating_add(1000)) {
            let pending = group.pending.get_mut(&id).unwrap();
            let (idle_ms, deliveries) = (now - pending.delivered, pending.count);
            if !pending.is_idle(idle, now) || given.len() == limit(read.count) || room.full {
                break;
            }
            let Some(entry) = self.get(id) else {
                pending.gone = id <= self.last;
                continue;
            };
            if !room.takes(&entry, &format!(":{idle_ms}\r\n:{deliveries}\r\n")) {
                break;
            }
            let consumer = read.consumer.clone();
            group.consumers.get_mut(&consumer).unwrap().active = Some(now);
            *pending = Pending::new(&consumer, now, (deliveries + 1).min(i64::MAX as u64));
            given.push(Delivery { entry, earlier: Some(Earlier { idle_ms, deliveries }) });
        }
        given
    }

    fn redeliver(
        &self,
        group: &mut Group,
        read: &ReadGroup,
        after: EntryId,
        room: &mut Room,
        now: u64,
    ) -> Vec<Delivery<Entry>> {
        let mut found = Vec::new();
        for (id, pending) in &mut group.pending {
            let owned = pending.released.is_none() && pending.consumer == read.consumer;
            let mine = *id > after && owned;
            if !mine || found.len() == limit(read.count) {
                continue;
            }
            let alive = self.get(*id);
            let entry = alive.clone().unwrap_or(Entry { id: *id, fields: None });
            if !room.takes(&entry, "") {
                break;
            }
            if alive.is_some() {
                pending.delivered = now;
                pending.count = (pending.count + 1).min(i64::MAX as u64);
                pending.gone = false;
            }
            found.push(Delivery { entry, earlier: None });
        }
        found
    }
}

fn missing(key: &Bytes, group: &Bytes) -> Refusal {
    Refusal::NoGroupForKey { key: key.clone(), group: group.clone() }
}
