//! DEL and UNLINK, RENAME, FLUSHALL.

use bytes::Bytes;

use super::{Call, Outcome};
use crate::error::Refusal;
use crate::event::Event;
use crate::reply::Reply;

impl Call<'_> {
    pub(super) fn remove(&mut self, keys: &[Bytes]) -> Outcome {
        let mut removed = 0;
        for key in keys {
            if self.state.drop_stream(key) {
                removed += 1;
                self.events.push(Event::Removed { key: key.clone() });
            }
        }
        Ok(Reply::Count(removed))
    }

    pub(super) fn rename(&mut self, key: &Bytes, to: &Bytes, only_new: bool) -> Outcome {
        if self.state.stream(key).is_none() {
            return Err(Refusal::NoKey.into());
        }
        let done = |done| if only_new { Reply::Count(u64::from(done)) } else { Reply::Ok };
        if key == to || (only_new && self.state.stream(to).is_some()) {
            return Ok(done(false));
        }
        self.state.drop_stream(to);
        self.state.rename_stream(key, to);
        self.events.push(Event::RenamedFrom { key: key.clone() });
        self.events.push(Event::RenamedTo { key: to.clone() });
        Ok(done(true))
    }

    pub(super) fn flush(&mut self) -> Outcome {
        let keys = self.state.drop_all();
        self.events.extend(keys.into_iter().map(|key| Event::Flushed { key }));
        Ok(Reply::Ok)
    }
}
