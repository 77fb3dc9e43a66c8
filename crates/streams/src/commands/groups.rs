//! XGROUP: groups and their consumers made, moved, removed.

use bytes::Bytes;

use super::{Call, Outcome, no_group_for_key};
use crate::command::GroupStart;
use crate::error::{Refusal, Stop};
use crate::event::Event;
use crate::group::Group;
use crate::id::EntryId;
use crate::reply::Reply;
use crate::stream::Stream;

impl Call<'_> {
    pub(super) fn group_create(
        &mut self,
        key: &Bytes,
        name: &Bytes,
        start: GroupStart,
        make_stream: bool,
        entries_read: Option<u64>,
    ) -> Outcome {
        match self.state.stream(key) {
            None if !make_stream => return Err(Refusal::GroupNeedsKey.into()),
            Some(stream) if stream.groups.contains_key(name) => {
                return Err(Refusal::GroupExists.into());
            }
            None => drop(self.state.add_stream(key)),
            Some(_) => {}
        }
        let stream = self.state.stream_mut(key).ok_or(Refusal::GroupNeedsKey)?;
        let last_id = start_id(stream, start);
        let entries_read = entries_read.map(|read| read.min(stream.entries_added));
        stream.add_group(name, last_id, entries_read);
        self.state.dirty.bytes += 64;
        self.state.dirty.parts += 1;
        self.events.push(Event::GroupCreated { key: key.clone(), group: name.clone() });
        Ok(Reply::Ok)
    }

    pub(super) fn group_set_id(
        &mut self,
        key: &Bytes,
        name: &Bytes,
        start: GroupStart,
        entries_read: Option<u64>,
    ) -> Outcome {
        let stream = self.state.stream_mut(key).ok_or(Refusal::GroupNeedsKey)?;
        let last_id = start_id(stream, start);
        let added = stream.entries_added;
        let group = stream.group_mut(name).ok_or_else(|| no_group_for_key(key, name))?;
        group.last_id = last_id;
        group.entries_read = entries_read.map(|read| read.min(added));
        group.changed = true;
        self.events.push(Event::GroupMoved { key: key.clone(), group: name.clone() });
        Ok(Reply::Ok)
    }

    pub(super) fn group_destroy(&mut self, key: &Bytes, name: &Bytes) -> Outcome {
        let stream = self.state.stream_mut(key).ok_or(Refusal::GroupNeedsKey)?;
        let gone = stream.drop_group(name);
        if gone {
            self.events.push(Event::GroupDestroyed { key: key.clone(), group: name.clone() });
        }
        Ok(Reply::Count(u64::from(gone)))
    }

    pub(super) fn consumer_create(&mut self, key: &Bytes, name: &Bytes, who: &Bytes) -> Outcome {
        let now_ms = self.now_ms;
        let group = self.group_of_key(key, name)?;
        let (_, made) = group.consumer_or_new(who, now_ms);
        if made {
            self.state.dirty.bytes += 64;
            self.events.push(Event::ConsumerCreated { key: key.clone(), group: name.clone() });
        }
        Ok(Reply::Count(u64::from(made)))
    }

    pub(super) fn consumer_delete(&mut self, key: &Bytes, name: &Bytes, who: &Bytes) -> Outcome {
        let group = self.group_of_key(key, name)?;
        let dropped = group.drop_consumer(who);
        if let Some(pending) = dropped {
            self.state.dirty.bytes += 64 + 16 * usize::try_from(pending).unwrap_or(usize::MAX);
            self.events.push(Event::ConsumerDeleted { key: key.clone(), group: name.clone() });
        }
        Ok(Reply::Count(dropped.unwrap_or(0)))
    }

    fn group_of_key(&mut self, key: &Bytes, name: &Bytes) -> Result<&mut Group, Stop> {
        let stream = self.state.stream_mut(key).ok_or(Refusal::GroupNeedsKey)?;
        stream.group_mut(name).ok_or_else(|| no_group_for_key(key, name).into())
    }
}

fn start_id(stream: &Stream, start: GroupStart) -> EntryId {
    match start {
        GroupStart::Last => stream.last_id,
        GroupStart::After(id) => id,
    }
}
