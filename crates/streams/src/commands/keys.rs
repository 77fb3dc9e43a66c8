//! DEL and UNLINK.

use bytes::Bytes;

use super::{Call, Outcome};
use crate::event::Event;
use crate::parts;
use crate::reply::Reply;

impl Call<'_> {
    pub(super) fn remove(&mut self, keys: &[Bytes]) -> Outcome {
        let mut removed = 0;
        for key in keys {
            let Some(number) = self.state.names.remove(key) else { continue };
            removed += 1;
            let stream = self.state.streams.remove(&number);
            if stream.is_some_and(|stream| stream.changed.stored) {
                self.state.dropped_prefixes.push(parts::stream_prefix(number));
            }
            self.state.dirty.parts += 1;
            self.state.dirty.bytes += 16;
            self.events.push(Event::Removed { key: key.clone() });
        }
        Ok(Reply::Count(removed))
    }
}
