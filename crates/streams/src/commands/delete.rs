//! XDEL.

use bytes::Bytes;

use super::{Call, Outcome};
use crate::block::Blocks;
use crate::error::Fault;
use crate::event::Event;
use crate::id::EntryId;
use crate::reply::Reply;
use crate::stream::Stream;

impl Call<'_> {
    pub(super) fn delete(&mut self, key: &Bytes, ids: &[EntryId]) -> Outcome {
        let Some(stream) = self.state.stream_mut(key) else { return Ok(Reply::Count(0)) };
        let mut deleted = 0;
        for id in ids {
            deleted += u64::from(stream.delete_id(self.blocks, *id)?);
        }
        if deleted > 0 {
            self.events.push(Event::Deleted { key: key.clone() });
            self.state.dirty.bytes += 64 * ids.len();
        }
        Ok(Reply::Count(deleted))
    }
}

impl Stream {
    /// Whether the entry exists.
    pub(super) fn holds(&self, blocks: &Blocks, id: EntryId) -> Result<bool, Fault> {
        match self.locate(id) {
            None => Ok(false),
            Some(span) => Ok(self.position(blocks, &span, id)?.is_some()),
        }
    }

    /// Deletes an entry, and says whether there was one.
    pub(super) fn delete_id(&mut self, blocks: &Blocks, id: EntryId) -> Result<bool, Fault> {
        let Some(span) = self.locate(id) else { return Ok(false) };
        let (mut position, mut first, mut last) = (None, None, None);
        self.visit(blocks, &span, false, |live| {
            if live.id == id {
                position = Some(live.position);
            } else {
                first = first.or(Some(live.id));
                last = Some(live.id);
            }
            true
        })?;
        let (sealed, base) = (span.sealed, span.base);
        let Some(position) = position else { return Ok(false) };
        self.mark(sealed, base, 1 << position, first.zip(last));
        self.max_deleted_id = self.max_deleted_id.max(id);
        Ok(true)
    }
}
