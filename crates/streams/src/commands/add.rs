//! XADD. The id is chosen here, from the shard clock and the stream's last id.

use super::{Call, Outcome, trim};
use crate::command::{Add, AddId};
use crate::error::Refusal;
use crate::event::Event;
use crate::id::{BlockKey, EntryId};
use crate::reply::Reply;
use crate::settings::Settings;
use crate::state::State;
use crate::stream::Stream;

impl Call<'_> {
    pub(super) fn add(&mut self, add: &Add) -> Outcome {
        let settings = self.state.settings;
        let stream = match self.state.stream_mut(&add.key) {
            Some(stream) => stream,
            None if add.must_exist => return Ok(Reply::Nil),
            None => {
                // Refused before the key is made.
                next_id(EntryId::MIN, self.now_ms, add.id)?;
                self.state.add_stream(&add.key)
            }
        };
        if let Some(done) = stream.done_before(add, &settings, self.now_ms) {
            return Ok(Reply::Added(done));
        }
        let id = next_id(stream.last_id, self.now_ms, add.id)?;
        if let Some(once) = &add.once {
            let window = stream.idempotence.window(&settings);
            stream.idempotence.remember(&once.name, &once.id, id, self.now_ms, window);
        }
        let sealed = stream.append(id, &add.fields, &settings);
        let trimmed = match &add.trim {
            Some(trim) => stream.trim(self.blocks, &settings.limited(trim))?,
            None => 0,
        };
        self.events.push(Event::Added { key: add.key.clone(), id });
        if trimmed > 0 {
            self.events.push(Event::Trimmed { key: add.key.clone() });
        }
        let dirty = &mut self.state.dirty;
        dirty.bytes += add.once.as_ref().map_or(0, |once| once.name.len() + once.id.len() + 32);
        dirty.bytes += add.fields.iter().map(|text| text.len() + 2).sum::<usize>() + 16;
        dirty.parts += 2 * usize::from(sealed);
        Ok(Reply::Added(id))
    }
}

impl Stream {
    /// The entry that a producer has added already.
    fn done_before(&mut self, add: &Add, settings: &Settings, now_ms: u64) -> Option<EntryId> {
        let once = add.once.as_ref()?;
        self.idempotence.expire(now_ms, self.idempotence.window(settings));
        let done = self.idempotence.find(&once.name, &once.id)?;
        self.idempotence.duplicates = self.idempotence.duplicates.saturating_add(1);
        self.changed.meta = true;
        Some(done)
    }
}

pub(super) fn needs(state: &State, add: &Add) -> Vec<BlockKey> {
    match (&add.trim, state.stream(&add.key)) {
        (Some(wanted), Some(stream)) => trim::needs(stream, &state.settings.limited(wanted), 1),
        _ => Vec::new(),
    }
}

fn next_id(last: EntryId, now_ms: u64, wanted: AddId) -> Result<EntryId, Refusal> {
    let after_last = last.next().ok_or(Refusal::IdsExhausted)?;
    let id = match wanted {
        AddId::Auto if now_ms > last.ms => EntryId::new(now_ms, 0),
        AddId::Auto => after_last,
        AddId::Ms(ms) if ms == last.ms => {
            EntryId::new(ms, last.seq.checked_add(1).ok_or(Refusal::IdNotAbove)?)
        }
        AddId::Ms(ms) => EntryId::new(ms, 0),
        AddId::Exact(id) => id,
    };
    if id > last { Ok(id) } else { Err(Refusal::IdNotAbove) }
}
