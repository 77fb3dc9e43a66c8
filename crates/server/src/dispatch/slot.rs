//! The keys of one slot: those of its shard, without those of other slots.

use std::pin::Pin;
use std::task::{Context, Poll};

use raft::{Outcome, Pending, Shards};
use streams::query::Query;
use streams::reply::Reply;
use topology::{ShardMap, SlotId, slot_of};

/// What is asked about a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotQuestion {
    pub(crate) slot: SlotId,
    /// So many keys at most; none: how many there are.
    pub(crate) wanted: Option<usize>,
}

/// The answer on its way.
pub(crate) struct InSlot {
    question: SlotQuestion,
    keys: Pending,
}

impl InSlot {
    pub(super) fn ask(shards: &dyn Shards, question: SlotQuestion) -> Self {
        let all = shards.shards();
        let map = u16::try_from(all.len()).ok().and_then(ShardMap::new);
        let shard = map.map_or(all[0], |map| map.shard_of_slot(question.slot));
        Self { question, keys: shards.read(shard, Query::Keys { pattern: "*".into() }) }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = std::task::ready!(Pin::new(&mut self.keys).poll(context));
        let SlotQuestion { slot, wanted } = self.question;
        Poll::Ready(outcome.map(|reply| match reply {
            Reply::Keys(keys) => {
                let mut keys = keys.into_iter().filter(|key| slot_of(key) == slot);
                match wanted {
                    Some(wanted) => Reply::Keys(keys.by_ref().take(wanted).collect()),
                    None => Reply::Count(keys.count() as u64),
                }
            }
            other => other,
        }))
    }
}
