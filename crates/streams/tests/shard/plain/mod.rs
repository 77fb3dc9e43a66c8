//! The streams of Redis as plain vectors, written from the specification as simply as they can be:
//! every question is answered by looking at everything. Never shares code with what it checks.

pub(crate) mod groups;
pub(crate) mod info;
pub(crate) mod keys;
pub(crate) mod node;

use std::collections::BTreeMap;

use bytes::Bytes;
use streams::Settings;
use streams::command::{
    Add, AddId, Command, GroupStart, Keep, Most, Producer, References, Step, Trim,
};
use streams::error::Refusal;
use streams::id::EntryId;
use streams::query::{After, Query};
use streams::reply::{Deleted, Entry, Reply};

use groups::Group;
use node::Node;

pub(crate) const ZERO: EntryId = EntryId::MIN;

type Answer = Result<Reply<Entry>, Refusal>;

#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) now: u64,
    pub(crate) keys: BTreeMap<Bytes, Stream>,
    pub(crate) chosen: Settings,
}

#[derive(Clone, Default)]
pub(crate) struct Stream {
    pub(crate) nodes: Vec<Node>,
    pub(crate) last: EntryId,
    pub(crate) max_deleted: EntryId,
    pub(crate) added: u64,
    pub(crate) groups: BTreeMap<Bytes, Group>,
    pub(crate) expires: Option<u64>,
    pub(crate) produced: Produced,
}

/// What producers added: when, who, under which id, and the entry.
#[derive(Clone, Default)]
pub(crate) struct Produced {
    pub(crate) list: Vec<(u64, Producer, EntryId)>,
    pub(crate) duration: Option<u64>,
    pub(crate) most: Option<u64>,
    pub(crate) added: u64,
    pub(crate) duplicates: u64,
    pub(crate) dropped: u64,
}

impl Produced {
    pub(crate) fn bounds(&self, chosen: &Settings) -> (u64, u64) {
        let duration = self.duration.unwrap_or(chosen.idempotence_ms);
        (duration, self.most.unwrap_or(chosen.idempotence_ids_max))
    }

    fn expire(&mut self, now: u64, chosen: &Settings) {
        let (duration, _) = self.bounds(chosen);
        self.list.retain(|(at, _, _)| at + duration > now);
    }

    fn bound(&mut self, name: &[u8], chosen: &Settings) {
        let (_, most) = self.bounds(chosen);
        while self.list.iter().filter(|(_, one, _)| one.name == name).count() as u64 > most {
            let oldest = self.list.iter().position(|(_, one, _)| one.name == name);
            self.list.remove(oldest.unwrap());
            self.dropped += 1;
        }
    }
}

impl Stream {
    pub(crate) fn alive(&self) -> Vec<Entry> {
        let all = self.nodes.iter().flat_map(|node| &node.entries);
        let alive = all.filter(|entry| !entry.deleted);
        alive.map(|e| Entry { id: e.id, fields: Some(e.fields.clone()) }).collect()
    }

    pub(crate) fn length(&self) -> u64 {
        self.alive().len() as u64
    }

    pub(crate) fn first(&self) -> EntryId {
        self.alive().first().map_or(ZERO, |entry| entry.id)
    }

    pub(crate) fn last_alive(&self) -> EntryId {
        self.alive().last().map_or(ZERO, |entry| entry.id)
    }

    pub(crate) fn get(&self, id: EntryId) -> Option<Entry> {
        self.alive().into_iter().find(|entry| entry.id == id)
    }

    fn next_id(&self, now: u64, wanted: AddId) -> Result<EntryId, Refusal> {
        if self.last == EntryId::MAX {
            return Err(Refusal::IdsExhausted);
        }
        let id = match wanted {
            AddId::Exact(id) => id,
            AddId::Ms(ms) if ms == self.last.ms => {
                if self.last.seq == u64::MAX {
                    return Err(Refusal::IdNotAbove);
                }
                EntryId::new(ms, self.last.seq + 1)
            }
            AddId::Ms(ms) => EntryId::new(ms, 0),
            AddId::Auto if now > self.last.ms => EntryId::new(now, 0),
            AddId::Auto if self.last.seq == u64::MAX => EntryId::new(self.last.ms + 1, 0),
            AddId::Auto => EntryId::new(self.last.ms, self.last.seq + 1),
        };
        if id <= self.last { Err(Refusal::IdNotAbove) } else { Ok(id) }
    }

    fn append(&mut self, id: EntryId, fields: &[Bytes], chosen: &Settings) {
        let fits = self.nodes.last().is_some_and(|node| node.fits(id, fields, chosen));
        if !fits {
            self.nodes.iter_mut().for_each(|node| node.closed = true);
            self.nodes.push(Node::new(id, fields));
        }
        self.nodes.last_mut().unwrap().append(id, fields);
        self.last = id;
        self.added += 1;
    }

    fn drop_empty_nodes(&mut self) {
        self.nodes.retain(|node| node.alive() > 0);
    }

    fn trim(&mut self, trim: &Trim, chosen: &Settings) -> u64 {
        let before = self.length();
        let limit = match trim.limit {
            _ if !trim.approximate => 0,
            None => 100 * node::entries_max(chosen) as u64,
            Some(limit) => limit,
        };
        let mut nodes = std::mem::take(&mut self.nodes);
        let mut left = before;
        for node in &mut nodes {
            let entries = node.alive();
            if limit != 0 && before - left + entries > limit {
                break;
            }
            let whole = match trim.keep {
                Keep::Newest(newest) if left <= newest => break,
                Keep::Newest(newest) => left - entries >= newest,
                Keep::From(id) => node.entries.last().unwrap().id < id,
            };
            if trim.approximate && !whole {
                break;
            }
            for entry in &mut node.entries {
                let stop = match trim.keep {
                    Keep::Newest(newest) => left <= newest,
                    Keep::From(id) => entry.id >= id,
                };
                if stop {
                    break;
                }
                if !entry.deleted && self.lets_go(entry.id, trim.references) {
                    entry.deleted = true;
                    left -= 1;
                }
            }
        }
        self.nodes = nodes;
        self.drop_empty_nodes();
        before - self.length()
    }

    pub(crate) fn is_held(&self, id: EntryId) -> bool {
        self.groups.values().any(|group| group.last < id || group.pending.contains_key(&id))
    }

    /// Whether an entry may be deleted; references that go with it are gone then.
    pub(crate) fn lets_go(&mut self, id: EntryId, references: References) -> bool {
        match references {
            References::Keep => true,
            References::Acked => !self.is_held(id),
            References::Delete => {
                self.groups.values_mut().for_each(|group| drop(group.pending.remove(&id)));
                true
            }
        }
    }

    fn delete_with(&mut self, id: EntryId, references: References) -> Deleted {
        if self.get(id).is_none() {
            return Deleted::Missing;
        }
        if !self.lets_go(id, references) {
            return Deleted::Kept;
        }
        self.delete(id);
        Deleted::Done
    }

    fn ack_delete(&mut self, group: &Bytes, id: EntryId, references: References) -> Deleted {
        let group = self.groups.get_mut(group);
        if group.is_none_or(|group| group.pending.remove(&id).is_none()) {
            return Deleted::Missing;
        }
        if !self.lets_go(id, references) {
            return Deleted::Kept;
        }
        self.delete(id);
        Deleted::Done
    }

    fn delete(&mut self, id: EntryId) -> bool {
        let entries = self.nodes.iter_mut().flat_map(|node| &mut node.entries);
        let found = entries.into_iter().find(|entry| entry.id == id && !entry.deleted);
        let Some(entry) = found else { return false };
        entry.deleted = true;
        self.max_deleted = self.max_deleted.max(id);
        self.drop_empty_nodes();
        true
    }

    fn start(&self, start: GroupStart) -> EntryId {
        match start {
            GroupStart::Last => self.last,
            GroupStart::After(id) => id,
        }
    }
}

impl Model {
    pub(crate) fn apply(&mut self, now: u64, command: &Command) -> Reply<Entry> {
        self.now = self.now.max(now);
        for key in command.keys() {
            if !keys::is_there(self.now, self.keys.get(key)) {
                self.keys.remove(key);
            }
        }
        self.run(command).unwrap_or_else(Reply::Refused)
    }

    fn run(&mut self, command: &Command) -> Answer {
        match command {
            Command::Add(add) => self.add(add),
            Command::Trim { key, trim } => {
                let stream = self.keys.get_mut(key);
                Ok(Reply::Count(stream.map_or(0, |stream| stream.trim(trim, &self.chosen))))
            }
            Command::Delete { key, ids } => {
                let Some(stream) = self.keys.get_mut(key) else { return Ok(Reply::Count(0)) };
                Ok(Reply::Count(ids.iter().filter(|id| stream.delete(**id)).count() as u64))
            }
            Command::Configure { key, duration_ms, ids_max } => {
                let stream = self.keys.get_mut(key).ok_or(Refusal::NoKey)?;
                stream.produced.duration = duration_ms.or(stream.produced.duration);
                stream.produced.most = ids_max.or(stream.produced.most);
                stream.produced.expire(self.now, &self.chosen);
                for name in [b"p", b"q"] {
                    stream.produced.bound(name, &self.chosen);
                }
                Ok(Reply::Ok)
            }
            Command::DeleteWith { key, ids, references } => {
                let mut missing = Stream::default();
                let stream = self.keys.get_mut(key).unwrap_or(&mut missing);
                let done = ids.iter().map(|id| stream.delete_with(*id, *references));
                Ok(Reply::Deleted(done.collect()))
            }
            Command::AckDelete { key, group, ids, references } => {
                let mut missing = Stream::default();
                let stream = self.keys.get_mut(key).unwrap_or(&mut missing);
                let done = ids.iter().map(|id| stream.ack_delete(group, *id, *references));
                Ok(Reply::Deleted(done.collect()))
            }
            Command::SetId { key, last_id, entries_added, max_deleted_id } => {
                self.set_id(key, *last_id, *entries_added, *max_deleted_id)
            }
            Command::Remove { keys } => {
                let gone = keys.iter().filter(|key| self.keys.remove(*key).is_some()).count();
                Ok(Reply::Count(gone as u64))
            }
            Command::Expire { .. } | Command::Persist { .. } | Command::ExpireDue => {
                Ok(self.run_expiry(command))
            }
            Command::Rename { .. } | Command::Copy { .. } | Command::Flush => {
                self.run_names(command)
            }
            Command::Transaction(transaction) => {
                let step = |step: &Step| match step {
                    Step::Command(command) => self.run(command).unwrap_or_else(Reply::Refused),
                    Step::Query(query) => self.answer(self.now, query),
                };
                Ok(Reply::Transaction(transaction.steps.iter().map(step).collect()))
            }
            Command::Set(settings) => {
                if settings.revision > self.chosen.revision {
                    self.chosen = *settings;
                }
                Ok(Reply::Ok)
            }
            Command::Void => Ok(Reply::Nil),
            Command::Misplaced => Err(Refusal::Misplaced),
            _ => self.run_group(command),
        }
    }

    fn add(&mut self, add: &Add) -> Answer {
        if add.must_exist && !self.keys.contains_key(&add.key) {
            return Ok(Reply::Nil);
        }
        if let Some(once) = &add.once
            && let Some(stream) = self.keys.get_mut(&add.key)
        {
            stream.produced.expire(self.now, &self.chosen);
            let done = stream.produced.list.iter().find(|(_, one, _)| one == once);
            if let Some((_, _, id)) = done {
                stream.produced.duplicates += 1;
                return Ok(Reply::Added(*id));
            }
        }
        let empty = Stream::default();
        let id = self.keys.get(&add.key).unwrap_or(&empty).next_id(self.now, add.id)?;
        let stream = self.keys.entry(add.key.clone()).or_default();
        stream.append(id, &add.fields, &self.chosen);
        if let Some(once) = &add.once {
            stream.produced.added += 1;
            stream.produced.list.push((self.now, once.clone(), id));
            stream.produced.bound(&once.name, &self.chosen);
        }
        if let Some(trim) = &add.trim {
            stream.trim(trim, &self.chosen);
        }
        Ok(Reply::Added(id))
    }

    fn set_id(
        &mut self,
        key: &Bytes,
        last: EntryId,
        added: Option<u64>,
        max_deleted: Option<EntryId>,
    ) -> Answer {
        if max_deleted.is_some_and(|deleted| last < deleted) {
            return Err(Refusal::SetIdBelowGivenDeleted);
        }
        let stream = self.keys.get_mut(key).ok_or(Refusal::NoKey)?;
        if last < stream.max_deleted {
            return Err(Refusal::SetIdBelowDeleted);
        }
        if stream.length() > 0 {
            if last < stream.last_alive() {
                return Err(Refusal::SetIdBelowLast);
            }
            if added.is_some_and(|added| added < stream.length()) {
                return Err(Refusal::SetIdAddedBelowLength);
            }
        }
        if last < stream.last {
            let pending = stream.groups.values_mut().flat_map(|group| group.pending.values_mut());
            pending.for_each(|pending| pending.gone = false);
        }
        stream.last = last;
        stream.added = added.unwrap_or(stream.added);
        if max_deleted.is_some_and(|deleted| deleted != ZERO) {
            stream.max_deleted = max_deleted.unwrap();
        }
        Ok(Reply::Ok)
    }

    pub(crate) fn answer(&self, now: u64, query: &Query) -> Reply<Entry> {
        let now = now.max(self.now);
        let there = |stream: &Stream| keys::is_there(now, Some(stream));
        let answer = if self.keys.values().all(there) {
            self.ask(now, query)
        } else {
            let mut seen = self.clone();
            seen.keys.retain(|_, stream| there(stream));
            seen.ask(now, query)
        };
        answer.unwrap_or_else(Reply::Refused)
    }

    fn ask(&self, now: u64, query: &Query) -> Answer {
        Ok(match query {
            Query::Length { key } => Reply::Count(self.keys.get(key).map_or(0, Stream::length)),
            Query::Range { key, start, end, count, reverse } => {
                let Some(stream) = self.keys.get(key) else { return Ok(Reply::Entries(vec![])) };
                if *count == Some(0) {
                    return Ok(Reply::Nil);
                }
                let mut found = stream.alive();
                found.retain(|entry| *start <= entry.id && entry.id <= *end);
                if *reverse {
                    found.reverse();
                }
                found.truncate(count.unwrap_or(u64::MAX) as usize);
                Reply::Entries(found)
            }
            Query::Read { count, most, streams } => self.read(*count, *most, streams),
            Query::Exists { keys } => {
                Reply::Count(keys.iter().filter(|key| self.keys.contains_key(*key)).count() as u64)
            }
            Query::Type { key } => Reply::Type { exists: self.keys.contains_key(key) },
            Query::KeysCount => Reply::Count(self.keys.len() as u64),
            Query::LastIds { keys } => {
                let last =
                    |key| self.keys.get(key).map_or(EntryId::MIN, |stream: &Stream| stream.last);
                Reply::Ids(keys.iter().map(last).collect())
            }
            Query::Keys { .. } | Query::Object { .. } | Query::Lifetime { .. } => {
                return self.ask_key(now, query);
            }
            _ => return self.ask_group(now, query),
        })
    }

    fn read(&self, count: u64, most: Most, streams: &[(Bytes, After)]) -> Reply<Entry> {
        let mut served = Vec::new();
        let mut room = Room::new(most);
        for (key, after) in streams {
            let Some(stream) = self.keys.get(key) else { continue };
            let mut found = stream.alive();
            match after {
                After::Id(id) => {
                    found.retain(|entry| entry.id > *id);
                    found.truncate(if count == 0 { usize::MAX } else { count as usize });
                }
                After::Last => found.clear(),
                After::Newest => drop(found.drain(..found.len().saturating_sub(1))),
            }
            room.name(key);
            let fitting = found.iter().take_while(|entry| room.takes(entry, "")).count();
            found.truncate(fitting);
            if !found.is_empty() {
                served.push((key.clone(), found));
            }
        }
        if served.is_empty() { Reply::Nil } else { Reply::Streams(served) }
    }
}

/// MAXCOUNT and MAXSIZE of one read: the reply is written, only to know how long it is.
pub(crate) struct Room {
    most: Most,
    entries: u64,
    written: String,
    name: String,
    pub(crate) full: bool,
}

impl Room {
    pub(crate) fn new(most: Most) -> Self {
        let (written, name) = (String::new(), String::new());
        Self { most, entries: 0, written, name, full: false }
    }

    pub(crate) fn name(&mut self, key: &Bytes) {
        self.name = format!("*2\r\n${}\r\n{}\r\n*9\r\n", key.len(), "k".repeat(key.len()));
    }

    pub(crate) fn takes(&mut self, entry: &Entry, more: &str) -> bool {
        let id = entry.id.to_string();
        let mut text = format!("{}*2\r\n${}\r\n{id}\r\n{more}", self.name, id.len());
        match &entry.fields {
            None => text += "*-1\r\n",
            Some(fields) => {
                text += &format!("*{}\r\n", fields.len());
                for field in fields {
                    text += &format!("${}\r\n{}\r\n", field.len(), "x".repeat(field.len()));
                }
            }
        }
        let long = self.written.len() + text.len();
        let too_long = self.entries > 0 && self.most.bytes.is_some_and(|most| long as u64 > most);
        let too_many = self.most.entries.is_some_and(|most| self.entries >= most);
        self.full |= too_long || too_many;
        if self.full {
            return false;
        }
        self.written += &text;
        self.name.clear();
        self.entries += 1;
        self.full = self.most.entries == Some(self.entries)
            || self.most.bytes.is_some_and(|most| self.written.len() as u64 >= most);
        true
    }
}
