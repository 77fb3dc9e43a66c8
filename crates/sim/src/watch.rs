//! What must hold at every moment, whatever goes wrong: Raft's invariants as far as a node shows
//! them, and equal states wherever equally much is applied. Never waits.

use std::collections::BTreeMap;

use base::{NodeId, ShardId};
use raft::{ShardStatus, Shards};

use crate::cluster::Cluster;

/// Of so many looks one compares states, which costs a walk over them.
const HASHED_ONE_OF: u64 = 10;

/// What was seen so far.
#[derive(Default)]
pub(crate) struct Watch {
    looks: u64,
    /// Who led a shard in a term: one at most (election safety).
    leaders: BTreeMap<(ShardId, u64), NodeId>,
    /// What each life of a node had last.
    last: BTreeMap<(NodeId, u64, ShardId), Last>,
    /// The state of whoever applied so much of a shard first (state machine safety).
    states: BTreeMap<(ShardId, u64), (u64, NodeId)>,
    /// States that were compared with that of another replica.
    pub(crate) compared: u64,
}

#[derive(Clone, Copy)]
struct Last {
    term: u64,
    applied_index: u64,
}

impl Watch {
    /// Looks at every node that runs.
    pub(crate) fn look(&mut self, cluster: &Cluster) {
        self.looks += 1;
        let hashed = self.looks.is_multiple_of(HASHED_ONE_OF);
        for process in cluster.processes() {
            let life = cluster.machines[&process.id].lives;
            let node = &process.node;
            let status = if hashed { node.status() } else { node.outline() };
            for shard in &status.shards {
                self.check(process.id, life, shard);
                if hashed {
                    self.compare(process.id, shard);
                }
            }
        }
        for stray in cluster.strays() {
            for shard in &stray.node.outline().shards {
                self.check_leader(stray.id, shard);
            }
        }
    }

    fn check_leader(&mut self, node: NodeId, shard: &ShardStatus) {
        if shard.leader == Some(node) {
            let first = *self.leaders.entry((shard.shard, shard.term)).or_insert(node);
            assert_eq!(first, node, "two leaders of shard {} in term {}", shard.shard, shard.term);
        }
    }

    fn check(&mut self, node: NodeId, life: u64, shard: &ShardStatus) {
        self.check_leader(node, shard);
        let ShardStatus { term, applied_index, .. } = *shard;
        let now = Last { term, applied_index };
        let before = self.last.insert((node, life, shard.shard), now).unwrap_or(now);
        // A group that is built anew begins at its last checkpoint: only its term stays.
        assert!(before.term <= term, "the term of {node} goes back: {before:?} {shard:?}");
        // A node that starts has applied what its journal has, before it hears what is committed.
        assert!(
            applied_index >= before.applied_index || applied_index == shard.checkpoint_index,
            "node {node} takes back what it applied: {before:?} {shard:?}"
        );
    }

    fn compare(&mut self, node: NodeId, shard: &ShardStatus) {
        if shard.applied_index == 0 {
            return;
        }
        let place = (shard.shard, shard.applied_index);
        let (hash, first) = *self.states.entry(place).or_insert((shard.state_hash, node));
        if first != node {
            self.compared += 1;
        }
        assert_eq!(
            hash, shard.state_hash,
            "nodes {first} and {node} differ in shard {} at {}",
            shard.shard, shard.applied_index
        );
    }
}

impl std::fmt::Debug for Last {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { term, applied_index } = self;
        write!(f, "term {term} applied {applied_index}")
    }
}
