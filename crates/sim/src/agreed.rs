//! What was committed stays so: each index of a shard's log has one entry, on whoever has it; a leader has
//! all that was committed before it led; and no majority can lack it. Never a look at a node whose disk was hurt.

use std::collections::BTreeMap;
use std::time::Duration;

use base::{NodeId, ShardId};
use raft::ShardStatus;

use crate::cluster::Cluster;
use crate::machine::Process;

/// A node that has just started takes nothing for synced until it has synced it again.
const BELIEVED_AFTER: Duration = Duration::from_secs(3);

/// What is known of one shard.
#[derive(Default)]
struct Known {
    /// The term of each committed entry that anybody had in its journal, and who that was.
    terms: BTreeMap<u64, (u64, NodeId)>,
    /// The last one that anybody knew to be committed.
    committed_index: u64,
    /// The last term whose leader was looked at.
    led_term: u64,
}

/// What was committed, as of the last look.
#[derive(Default)]
pub(crate) struct Agreed {
    shards: BTreeMap<ShardId, Known>,
    /// Up to where each life of a node has been compared, in each shard.
    compared: BTreeMap<(NodeId, u64, ShardId), u64>,
}

impl Agreed {
    /// Looks at every node that runs and is whole, as each tells of its shards.
    pub(crate) fn look(&mut self, cluster: &Cluster, whole: &[(&Process, Vec<ShardStatus>)]) {
        let replicas = || whole.iter().flat_map(|(process, of)| of.iter().map(|it| (*process, it)));
        replicas().for_each(|(process, shard)| self.check_leader(process, shard));
        for (process, shard) in replicas() {
            self.compare(process, cluster.machines[&process.id].lives, shard);
        }
        self.check_quorums(whole, cluster.options.nodes);
    }

    /// A leader of a new term has what was committed by the last look (leader completeness). One of an earlier term
    /// may have been stopped when it became one.
    fn check_leader(&mut self, process: &Process, shard: &ShardStatus) {
        let known = self.shards.entry(shard.shard).or_default();
        if shard.leader != Some(process.id) || shard.term <= known.led_term {
            return;
        }
        known.led_term = shard.term;
        assert!(
            has(process, shard, known.committed_index),
            "{} leads without {}, which was committed: {shard:?}",
            process.id,
            known.committed_index
        );
    }

    /// What a node has applied, and has in its journal, is what others have there (log matching, state machine safety),
    /// and is never another (it stays committed).
    fn compare(&mut self, process: &Process, life: u64, shard: &ShardStatus) {
        let known = self.shards.entry(shard.shard).or_default();
        known.committed_index = known.committed_index.max(shard.committed_index);
        let from = self.compared.entry((process.id, life, shard.shard)).or_insert(1);
        for index in *from..=shard.applied_index {
            let Some(term) = process.node.term_of(shard.shard, index) else { continue };
            let (first, who) = *known.terms.entry(index).or_insert((term, process.id));
            assert_eq!(
                (first, index),
                (term, index),
                "{who} and {} have applied other entries in shard {}",
                process.id,
                shard.shard
            );
        }
        *from = (*from).max(shard.applied_index + 1);
    }

    /// Of what somebody takes for committed, no majority lacks anything. Not while voters change: then two majorities
    /// count.
    fn check_quorums(&self, whole: &[(&Process, Vec<ShardStatus>)], nodes: u64) {
        for (id, known) in &self.shards {
            let replicas: Vec<_> = whole
                .iter()
                .filter_map(|(process, shards)| {
                    Some((*process, shards.iter().find(|shard| shard.shard == *id)?))
                })
                .collect();
            let voters = |shard: &ShardStatus| shard.voters.len() as u64 == nodes;
            if !replicas.iter().all(|(_, shard)| voters(shard)) {
                continue;
            }
            let lacks = |(process, shard): &&(&Process, &ShardStatus)| {
                process.began.elapsed() > BELIEVED_AFTER
                    && !has(process, shard, known.committed_index)
            };
            let lacking: Vec<NodeId> =
                replicas.iter().filter(lacks).map(|(process, _)| process.id).collect();
            assert!(
                lacking.len() as u64 <= (nodes - 1) / 2,
                "{lacking:?} lack {} of shard {id}, which was committed",
                known.committed_index
            );
        }
    }
}

/// Whether a node has an entry, durable in its journal or in a checkpoint.
fn has(process: &Process, shard: &ShardStatus, index: u64) -> bool {
    let node = &process.node;
    // openraft tells of the last index a little later than the journal has it.
    let is_there = || node.term_of(shard.shard, index).is_some() || shard.last_index >= index;
    shard.checkpoint_index >= index || (node.is_synced(shard.shard, index) && is_there())
}
