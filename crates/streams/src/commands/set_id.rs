//! XSETID.

use bytes::Bytes;

use super::{Call, Outcome};
use crate::error::Refusal;
use crate::event::Event;
use crate::id::EntryId;
use crate::reply::Reply;

impl Call<'_> {
    pub(super) fn set_id(
        &mut self,
        key: &Bytes,
        last_id: EntryId,
        entries_added: Option<u64>,
        max_deleted_id: Option<EntryId>,
    ) -> Outcome {
        if max_deleted_id.is_some_and(|deleted| last_id < deleted) {
            return Err(Refusal::SetIdBelowGivenDeleted.into());
        }
        let stream = self.state.stream_mut(key).ok_or(Refusal::NoKey)?;
        if last_id < stream.max_deleted_id {
            return Err(Refusal::SetIdBelowDeleted.into());
        }
        if stream.length > 0 {
            if last_id < stream.last_live_id() {
                return Err(Refusal::SetIdBelowLast.into());
            }
            if entries_added.is_some_and(|added| added < stream.length) {
                return Err(Refusal::SetIdAddedBelowLength.into());
            }
        }
        if last_id < stream.last_id {
            stream.rewind();
        }
        stream.last_id = last_id;
        stream.entries_added = entries_added.unwrap_or(stream.entries_added);
        // 0-0 stands for "not given", as in Redis.
        if let Some(deleted) = max_deleted_id.filter(|deleted| *deleted != EntryId::MIN) {
            stream.max_deleted_id = deleted;
        }
        stream.changed.meta = true;
        self.events.push(Event::IdSet { key: key.clone() });
        Ok(Reply::Ok)
    }
}
