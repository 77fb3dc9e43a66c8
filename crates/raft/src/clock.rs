//! The clock that stamps commands: monotonic, set once against the median of the peers' clocks.
//! A jump of the wall clock never gets into the log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Clock, NodeId};
use streams::command::Stamp;

use crate::network::Router;

/// Stamps for all shards of a node.
pub(crate) struct LeaderClock {
    clock: Arc<dyn Clock>,
    router: Arc<Router>,
    /// Wall milliseconds at a moment of the monotonic clock.
    set: Mutex<Option<(u64, Duration)>>,
}

/// How far from the median of all clocks a node may be and still lead.
pub(crate) const OFFSET_MAX_MS: u64 = 1000;

impl LeaderClock {
    pub(crate) fn new(clock: Arc<dyn Clock>, router: Arc<Router>) -> Arc<Self> {
        Arc::new(Self { clock, router, set: Mutex::new(None) })
    }

    /// The time to put on a batch.
    pub(crate) fn stamp(&self) -> Stamp {
        let now = self.clock.monotonic();
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall_ms, at) = *set.get_or_insert_with(|| (self.median_ms(), now));
        let since = u64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(0);
        Stamp { now_ms: wall_ms.saturating_add(since) }
    }

    /// This node's wall clock, put right by the median of all clocks that were heard.
    fn median_ms(&self) -> u64 {
        let wall = self.clock.wall_ms();
        wall.saturating_add_signed(self.median_offset_ms())
    }

    /// How far the median of all clocks is ahead of this node's wall clock. With an even number
    /// the one nearer to ours counts.
    pub(crate) fn median_offset_ms(&self) -> i64 {
        let peers = self.router.peers();
        let heard = peers.values().filter(|peer| peer.connected);
        let mut offsets: Vec<i64> = heard.filter_map(|peer| peer.clock_offset_ms).collect();
        offsets.push(0);
        offsets.sort_unstable();
        let upper = offsets[offsets.len() / 2];
        let lower = offsets[(offsets.len() - 1) / 2];
        if upper.unsigned_abs() < lower.unsigned_abs() { upper } else { lower }
    }

    /// Whether this node's clock is near enough to the others' for it to lead.
    pub(crate) fn may_lead(&self) -> bool {
        self.median_offset_ms().unsigned_abs() <= OFFSET_MAX_MS
    }

    /// Of some other nodes, the one whose clock is nearest to the median, if it may lead by that.
    pub(crate) fn nearest(&self, among: &[NodeId]) -> Option<NodeId> {
        let peers = self.router.peers();
        let offset = |node: &NodeId| Some((*node, peers.get(node)?.clock_offset_ms?));
        nearest(self.median_offset_ms(), among.iter().filter_map(offset))
    }
}

/// The node nearest to the median, by how far each and the median are ahead of the same clock.
fn nearest(median_ms: i64, offsets: impl Iterator<Item = (NodeId, i64)>) -> Option<NodeId> {
    let distances = offsets.map(|(node, offset)| (offset.abs_diff(median_ms), node));
    distances.filter(|(distance, _)| *distance <= OFFSET_MAX_MS).min().map(|(_, node)| node)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two nodes, one an hour fast and one a minute slow, beside a third whose clock was right and
    /// that was no voter yet, handed a shard to each other without end: nothing else got done.
    #[test]
    fn nobody_hands_over_to_a_clock_that_is_off_as_well() {
        let hour_ms = 3_600_000;
        let offsets = [(NodeId(2), hour_ms), (NodeId(3), -61_000)];
        assert_eq!(nearest(0, offsets.into_iter()), None);
        let nearer = [(NodeId(4), 900), (NodeId(5), -200)];
        assert_eq!(nearest(0, offsets.into_iter().chain(nearer)), Some(NodeId(5)));
        assert_eq!(nearest(hour_ms - 500, offsets.into_iter()), Some(NodeId(2)));
    }
}
