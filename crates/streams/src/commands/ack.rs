//! XACK. Looks at no block.

use bytes::Bytes;

use super::{Call, Outcome};
use crate::id::EntryId;
use crate::reply::Reply;

impl Call<'_> {
    pub(super) fn ack(&mut self, key: &Bytes, group: &Bytes, ids: &[EntryId]) -> Outcome {
        let stream = self.state.stream_mut(key);
        let Some(group) = stream.and_then(|stream| stream.group_mut(group)) else {
            return Ok(Reply::Count(0));
        };
        let acked = ids.iter().filter(|id| group.drop_pending(**id)).count();
        self.state.dirty.bytes += 16 * acked;
        Ok(Reply::Count(acked as u64))
    }
}
