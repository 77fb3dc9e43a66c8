//! What a node said to be on its disk, it has when it starts again: its vote, and its log, unless a
//! later leader may have taken that away; and it votes for nobody before old leases are over. Never a
//! look at a node whose disk was hurt.

use std::collections::BTreeMap;
use std::time::Duration;

use base::{NodeId, ShardId};
use raft::{Node, ShardStatus};

use crate::cluster::Cluster;
use crate::machine::Process;

/// A process that starts with data votes for nobody for so long: a little less than is promised.
const QUIET: Duration = Duration::from_millis(850);

/// What was said, as of the last look.
#[derive(Default)]
pub(crate) struct Promised {
    said: BTreeMap<(NodeId, ShardId), Said>,
    /// The term in which it had voted when its process started again.
    started: BTreeMap<(NodeId, ShardId), u64>,
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
    /// Looks at every node that runs but those that are `hurt`, as each tells of its shards.
    pub(crate) fn look(
        &mut self,
        cluster: &Cluster,
        hurt: &[NodeId],
        whole: &[(&Process, Vec<ShardStatus>)],
    ) {
        self.said.retain(|(node, _), _| !hurt.contains(node));
        self.started.retain(|(node, _), _| !hurt.contains(node));
        for (process, shards) in whole {
            let life = cluster.machines[&process.id].lives;
            // A group that has just been started says nothing yet.
            for shard in shards.iter().filter(|shard| !shard.voters.is_empty()) {
                self.check(process.id, life, shard);
                if process.began.elapsed() < QUIET {
                    self.check_quiet(process.id, shard);
                }
                if process.gate.is_open() {
                    Self::check_checkpoint(process.id, &process.node, shard);
                }
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
        self.started.insert((node, shard.shard), shard.voted_term);
        assert!(shard.term >= before.voted_term, "{node} forgot a vote: {before:?} {shard:?}");
        // A leader takes away what earlier ones have written, never what it wrote itself.
        let stays = before.synced.0 == before.voted_term && before.voted_term == shard.term;
        assert!(
            !stays || shard.last_index >= before.synced.1,
            "{node} forgot entries: {before:?} {shard:?}"
        );
    }

    /// A vote of the next term, which nobody is known to lead, was given to another. Its own is one that a leader has
    /// asked for that hands its shard over; one of a later term it may have heard of as a candidate or a leader itself.
    fn check_quiet(&self, node: NodeId, shard: &ShardStatus) {
        let Some(voted_term) = self.started.get(&(node, shard.shard)) else { return };
        let as_before = shard.voted_term != *voted_term + 1 || shard.voted_for == Some(node);
        assert!(
            as_before || shard.leader.is_some(),
            "{node} voted before old leases were over: after term {voted_term} {shard:?}"
        );
    }

    /// What a leader has in a checkpoint, its journal has synced. Others may have it from a snapshot, and a leader from
    /// one of before its term.
    fn check_checkpoint(node: NodeId, of: &Node, shard: &ShardStatus) {
        let leads = shard.leader == Some(node) && shard.synced_term == shard.term;
        assert!(
            !leads || of.is_synced(shard.shard, shard.checkpoint_index),
            "{node} has a checkpoint ahead of its journal: {shard:?}"
        );
    }
}
