//! XPENDING. Looks at no block.

use bytes::Bytes;

use crate::commands::no_group;
use crate::error::Refusal;
use crate::group::{ConsumerNumber, Group, Owner};
use crate::id::EntryId;
use crate::limits::READ_ENTRIES_MAX;
use crate::reply::{EntryRef, PendingEntry, PendingSummary, Reply};
use crate::view::View;

/// Which pending entries are wanted.
pub(super) struct Range<'a> {
    pub(super) min_idle_ms: u64,
    pub(super) start: EntryId,
    pub(super) end: EntryId,
    pub(super) count: u64,
    pub(super) consumer: Option<&'a Bytes>,
}

pub(super) fn summary(
    view: View<'_>,
    key: &Bytes,
    name: &Bytes,
) -> Result<Reply<EntryRef>, Refusal> {
    let group = find(view, key, name)?;
    let range = group.pending.first().zip(group.pending.last());
    let pending = |number: &ConsumerNumber| {
        group.consumers.get(number).map_or(0, |consumer| consumer.pending.len() as u64)
    };
    Ok(Reply::PendingSummary(PendingSummary {
        total: group.pending.len() as u64,
        range: range.map(|((first, _), (last, _))| (*first, *last)),
        consumers: group
            .names
            .iter()
            .map(|(name, number)| (name.clone(), pending(number)))
            .filter(|(_, count)| *count > 0)
            .collect(),
    }))
}

pub(super) fn range(
    view: View<'_>,
    key: &Bytes,
    name: &Bytes,
    now_ms: u64,
    range: &Range<'_>,
) -> Result<Reply<EntryRef>, Refusal> {
    let group = find(view, key, name)?;
    let count = usize::try_from(range.count.min(READ_ENTRIES_MAX)).unwrap_or(usize::MAX);
    if range.start > range.end {
        return Ok(Reply::Pending(Vec::new()));
    }
    let describe = |id: EntryId| {
        let pending = group.pending.get(&id)?;
        pending.is_idle_for(range.min_idle_ms, now_ms).then(|| PendingEntry {
            id,
            consumer: group.owner_name(pending),
            idle_ms: match pending.owner {
                Owner::Consumer(_) => Some(pending.idle_ms(now_ms)),
                Owner::Nobody { .. } => None,
            },
            deliveries: pending.deliveries,
        })
    };
    let list = match range.consumer {
        Some(wanted) => match group.consumer(wanted) {
            Some(consumer) => {
                let ids = consumer.pending.range(range.start..=range.end);
                ids.filter_map(|id| describe(*id)).take(count).collect()
            }
            None => Vec::new(),
        },
        None => {
            let ids = group.pending.from(range.start).map(|(id, _)| *id);
            ids.take_while(|id| *id <= range.end).filter_map(describe).take(count).collect()
        }
    };
    Ok(Reply::Pending(list))
}

fn find<'a>(view: View<'a>, key: &Bytes, name: &Bytes) -> Result<&'a Group, Refusal> {
    let stream = view.stream(key);
    stream.and_then(|stream| stream.groups.get(name)).ok_or_else(|| no_group(key, name))
}
