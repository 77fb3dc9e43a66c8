//! XNACK: pending entries are given back to their group.

use super::{Call, Outcome, no_group};
use crate::command::{Nack, NackMode};
use crate::error::Fault;
use crate::event::Event;
use crate::id::BlockKey;
use crate::limits::DELIVERIES_MAX;
use crate::reply::Reply;
use crate::state::State;

impl Call<'_> {
    pub(super) fn nack(&mut self, nack: &Nack) -> Outcome {
        let blocks = self.blocks;
        let refusal = || no_group(&nack.key, &nack.group);
        let stream = self.state.stream_mut(&nack.key).ok_or_else(refusal)?;
        let mut group = stream.take_group(&nack.group).ok_or_else(refusal)?;
        let mut released = 0;
        for id in &nack.ids {
            let before = group.pending.get(id).map(|pending| pending.deliveries);
            let forced = || -> Result<Option<u64>, Fault> {
                Ok((nack.force && stream.holds(blocks, *id)?).then_some(0))
            };
            let Some(before) = before.map_or_else(forced, |before| Ok(Some(before)))? else {
                continue;
            };
            let counted = match nack.mode {
                NackMode::Silent => before.saturating_sub(1),
                NackMode::Fail => before,
                NackMode::Fatal => DELIVERIES_MAX,
            };
            group.release(*id, nack.deliveries.unwrap_or(counted));
            released += 1;
        }
        stream.put_group(&nack.group, group);
        if released > 0 {
            let (key, group) = (nack.key.clone(), nack.group.clone());
            self.events.push(Event::Released { key, group });
            self.state.dirty.bytes += 48 * nack.ids.len();
        }
        Ok(Reply::Count(released))
    }
}

/// With FORCE, the blocks of what isn't pending.
pub(super) fn needs(state: &State, nack: &Nack) -> Vec<BlockKey> {
    let Some(stream) = state.stream(&nack.key).filter(|_| nack.force) else { return Vec::new() };
    let Some(group) = stream.groups.get(&nack.group) else { return Vec::new() };
    let unknown = nack.ids.iter().filter(|id| group.pending.get(id).is_none());
    unknown.filter_map(|id| stream.is_absent(&stream.locate(*id)?)).collect()
}
