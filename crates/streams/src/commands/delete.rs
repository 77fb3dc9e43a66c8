//! XDEL.

use bytes::Bytes;

use super::{Call, Outcome};
use crate::block::Blocks;
use crate::error::Fault;
use crate::event::Event;
use crate::id::{BlockKey, EntryId};
use crate::reply::Reply;
use crate::stream::Stream;

impl Call<'_> {
    pub(super) fn delete(&mut self, key: &Bytes, ids: &[EntryId]) -> Outcome {
        let Some(stream) = self.state.stream_mut(key) else { return Ok(Reply::Count(0)) };
        let mut deleted = 0;
        for id in ids {
            if stream.delete(self.blocks, *id)? {
                stream.max_deleted_id = stream.max_deleted_id.max(*id);
                deleted += 1;
            }
        }
        if deleted > 0 {
            self.events.push(Event::Deleted { key: key.clone() });
            self.state.dirty.bytes += 64 * ids.len();
        }
        Ok(Reply::Count(deleted))
    }
}

pub(super) fn needs(stream: &Stream, ids: &[EntryId]) -> Vec<BlockKey> {
    ids.iter().filter_map(|id| stream.is_absent(&stream.locate(*id)?)).collect()
}

impl Stream {
    fn delete(&mut self, blocks: &Blocks, id: EntryId) -> Result<bool, Fault> {
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
        Ok(true)
    }
}
