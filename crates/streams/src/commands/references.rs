//! XDELEX and XACKDEL, and what deleting an entry means to the groups that refer to it: that it is
//! pending there, or was not read yet.

use bytes::Bytes;

use super::{Call, Outcome};
use crate::block::Blocks;
use crate::command::References;
use crate::error::Fault;
use crate::event::Event;
use crate::group::Group;
use crate::id::{BlockKey, EntryId};
use crate::reply::{Deleted, Reply};
use crate::stream::Stream;

impl Call<'_> {
    pub(super) fn delete_with(
        &mut self,
        key: &Bytes,
        ids: &[EntryId],
        references: References,
    ) -> Outcome {
        let blocks = self.blocks;
        let Some(stream) = self.state.stream_mut(key) else {
            return Ok(Reply::Deleted(vec![Deleted::Missing; ids.len()]));
        };
        let mut done = Vec::with_capacity(ids.len());
        for id in ids {
            done.push(stream.delete_with(blocks, *id, references)?);
        }
        self.deleted(key, ids.len(), done.contains(&Deleted::Done));
        Ok(Reply::Deleted(done))
    }

    pub(super) fn ack_delete(
        &mut self,
        key: &Bytes,
        group: &Bytes,
        ids: &[EntryId],
        references: References,
    ) -> Outcome {
        let blocks = self.blocks;
        let missing = || Ok(Reply::Deleted(vec![Deleted::Missing; ids.len()]));
        let Some(stream) = self.state.stream_mut(key) else { return missing() };
        if !stream.groups.contains_key(group) {
            return missing();
        }
        let (mut done, mut any) = (Vec::with_capacity(ids.len()), false);
        for id in ids {
            let acked = stream.group_mut(group).is_some_and(|group| group.drop_pending(*id));
            done.push(match acked {
                false => Deleted::Missing,
                true if references == References::Acked && stream.is_held(*id) => Deleted::Kept,
                true => {
                    any |= stream.delete_id(blocks, *id)?;
                    if references == References::Delete {
                        stream.drop_references(&[*id]);
                    }
                    Deleted::Done
                }
            });
        }
        self.deleted(key, ids.len(), any);
        Ok(Reply::Deleted(done))
    }

    fn deleted(&mut self, key: &Bytes, named: usize, any: bool) {
        self.state.dirty.bytes += 64 * named;
        if any {
            self.events.push(Event::Deleted { key: key.clone() });
        }
    }
}

/// The blocks of these ids.
pub(super) fn needs(stream: &Stream, ids: &[EntryId]) -> Vec<BlockKey> {
    ids.iter().filter_map(|id| stream.is_absent(&stream.locate(*id)?)).collect()
}

impl Stream {
    /// What a group has pending counts as held, and goes with DELREF, even when its entry is gone.
    fn delete_with(
        &mut self,
        blocks: &Blocks,
        id: EntryId,
        references: References,
    ) -> Result<Deleted, Fault> {
        if references == References::Acked
            && self.is_held(id)
            && (self.is_pending(id) || self.holds(blocks, id)?)
        {
            return Ok(Deleted::Kept);
        }
        if references == References::Delete {
            self.drop_references(&[id]);
        }
        Ok(if self.delete_id(blocks, id)? { Deleted::Done } else { Deleted::Missing })
    }

    fn is_pending(&self, id: EntryId) -> bool {
        self.groups.values().any(|group| group.pending.get(&id).is_some())
    }

    /// Whether a group has yet to read an entry, or to acknowledge it.
    pub(super) fn is_held(&self, id: EntryId) -> bool {
        let holds = |group: &Group| group.last_id < id || group.pending.get(&id).is_some();
        self.groups.values().any(holds)
    }

    /// The first id that a group may hold, and the last one that none has yet to read.
    pub(super) fn held_from(&self) -> (EntryId, EntryId) {
        let read = self.groups.values().map(|group| group.last_id).min().unwrap_or(EntryId::MAX);
        let first = |group: &Group| group.pending.first().map(|(id, _)| *id);
        let pending = self.groups.values().filter_map(first).min();
        (pending.unwrap_or(EntryId::MAX).min(read.next().unwrap_or(EntryId::MAX)), read)
    }

    /// What any group has pending from one id to another, each once however many have it.
    pub(super) fn pending_between(&self, first: EntryId, last: EntryId) -> Vec<EntryId> {
        let between = |group: &'_ Group| {
            let ids = group.pending.from(first).map(|(id, _)| *id);
            ids.take_while(|id| *id <= last).collect::<Vec<_>>()
        };
        let mut ids: Vec<EntryId> = self.groups.values().flat_map(between).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Takes entries off the pending lists of all groups.
    pub(super) fn drop_references(&mut self, ids: &[EntryId]) {
        let holds = |group: &Group| ids.iter().any(|id| group.pending.get(id).is_some());
        let holding = self.groups.iter().filter(|(_, group)| holds(group));
        let names: Vec<Bytes> = holding.map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(group) = self.group_mut(&name) else { continue };
            for id in ids {
                group.drop_pending(*id);
            }
        }
    }
}
