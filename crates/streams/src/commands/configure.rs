//! XCFGSET: how long and how much a stream remembers of its producers. What it remembers stays, as
//! far as the new bounds have room for it.

use bytes::Bytes;

use super::{Call, Outcome};
use crate::error::Refusal;
use crate::reply::Reply;

impl Call<'_> {
    pub(super) fn configure(
        &mut self,
        key: &Bytes,
        duration_ms: Option<u64>,
        ids_max: Option<u64>,
    ) -> Outcome {
        let (now_ms, settings) = (self.now_ms, self.state.settings);
        let stream = self.state.stream_mut(key).ok_or(Refusal::NoKey)?;
        let known = &mut stream.idempotence;
        known.duration_ms = duration_ms.or(known.duration_ms);
        known.ids_max = ids_max.or(known.ids_max);
        let window = known.window(&settings);
        known.expire(now_ms, window);
        known.bound_all(window);
        stream.changed.meta = true;
        self.state.dirty.bytes += 64;
        Ok(Reply::Ok)
    }
}
