//! What a node said to be on its disk, it has when it starts again: its vote, and its log, unless a
//! later leader may have taken that away. Never a look at a node whose disk was hurt.

use std::collections::BTreeMap;

use base::{NodeId, ShardId};
use raft::{ShardStatus, Shards};

use crate::cluster::Cluster;

/// What was said, as of the last look.
#[derive(Default)]
pub(crate) struct Promised {
    said: BTreeMap<(NodeId, ShardId), Said>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    life: u64,
    voted_term: u64,
    synced: (u64, u64),
}

impl Said {
    fn of(life: u64, shard: &ShardStatus) -> Self {
        Self { life, voted_term: shard.voted_term, synced: (shard.synced_term, shard.synced_index) }
    }
}

impl Promised {
    /// Looks at every node that runs but those that are `hurt`.
    pub(crate) fn look(&mut self, cluster: &Cluster, hurt: &[NodeId]) {
        self.said.retain(|(node, _), _| !hurt.contains(node));
        for process in cluster.processes().filter(|process| !hurt.contains(&process.id)) {
            let life = cluster.machines[&process.id].lives;
            // A group that has just been started says nothing yet.
            let shards = process.node.outline().shards;
            for shard in shards.iter().filter(|shard| !shard.voters.is_empty()) {
                self.check(process.id, life, shard);
            }
        }
    }

    fn check(&mut self, node: NodeId, life: u64, shard: &ShardStatus) {
        let now = Said::of(life, shard);
        let Some(before) = self.said.insert((node, shard.shard), now) else { return };
        // Until a life says something of its own, what the one before said holds.
        let kept = Said {
            voted_term: now.voted_term.max(before.voted_term),
            synced: if now.synced == (0, 0) { before.synced } else { now.synced },
            ..now
        };
        self.said.insert((node, shard.shard), kept);
        if before.life == life {
            return;
        }
        assert!(shard.term >= before.voted_term, "{node} forgot a vote: {before:?} {shard:?}");
        // A leader takes away what earlier ones have written, never what it wrote itself.
        let stays = before.synced.0 == before.voted_term && before.voted_term == shard.term;
        assert!(
            !stays || shard.last_index >= before.synced.1,
            "{node} forgot entries: {before:?} {shard:?}"
        );
    }
}
