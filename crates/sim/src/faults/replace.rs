//! A lost node's place is taken by a new one, as an operator does it: asks any node, again where
//! that fails, starts the new node, and waits until every shard has followed. One at a time.

use std::time::Duration;

use base::{Entropy, NodeId};
use raft::Member;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{End, Faults};
use crate::cluster::Cluster;

/// How long a node has to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// How far the replacement of a node has come.
pub(super) enum Replacement {
    /// Some node was asked.
    Asked { lost: NodeId, answer: JoinHandle<Option<NodeId>> },
    /// The shards follow.
    Started { lost: NodeId, new: NodeId },
}

impl Faults {
    /// A node is gone, or refuses its data.
    pub(super) fn lose(&mut self, one: NodeId) {
        self.emptied.retain(|emptied| *emptied != one);
        if !self.hurt.contains(&one) {
            self.hurt.push(one);
        }
        if !self.lost.contains(&one) {
            self.lost.push(one);
        }
    }

    /// Whether a node is about to take the place of another.
    pub(super) fn is_coming(&self, one: NodeId) -> bool {
        matches!(self.replacement, Some(Replacement::Started { new, .. }) if new == one)
    }

    /// Carries the replacement of a lost node a little further.
    pub(super) async fn replace_lost(&mut self, cluster: &mut Cluster) {
        match self.replacement.take() {
            None => self.ask(cluster),
            Some(Replacement::Asked { lost, answer }) if answer.is_finished() => {
                let Ok(Some(new)) = answer.await else { return };
                cluster.trace.note(format!("{new} takes the place of {lost}"));
                assert!(new != lost, "the id of {lost} is given away again");
                cluster.remove(lost);
                if cluster.entropy.below(2) == 0 {
                    self.later(cluster.below(20_000), End::Return(lost));
                }
                if !cluster.machines.contains_key(&new) {
                    cluster.add(new);
                }
                self.start(cluster, new).await;
                self.replacement = Some(Replacement::Started { lost, new });
            }
            Some(Replacement::Started { lost, new }) if has_followed(cluster, lost, new) => {
                cluster.trace.note(format!("{new} has taken the place of {lost}"));
                self.lost.retain(|id| *id != lost);
                self.hurt.retain(|id| *id != lost);
                self.replaced += 1;
            }
            more => self.replacement = more,
        }
    }

    fn ask(&mut self, cluster: &Cluster) {
        let Some(lost) = self.lost.first().copied() else { return };
        let open: Vec<NodeId> = cluster
            .processes()
            .filter(|process| process.gate.is_open() && process.id != lost)
            .map(|process| process.id)
            .collect();
        let Some(process) = cluster.one_of(&open).map(|id| cluster.process(id)) else { return };
        let (done, answer) = oneshot::channel();
        let node = process.node.clone();
        tokio::spawn(process.gate.run(async move {
            // The same words each time, as an operator repeats them who got no answer.
            let member = Member { peer: format!("in place of {lost}"), ..Member::default() };
            let _: Result<(), _> = done.send(node.replace(lost, member).await.ok());
        }));
        let answer =
            tokio::spawn(async move { tokio::time::timeout(PATIENCE, answer).await.ok()?.ok()? });
        self.replacement = Some(Replacement::Asked { lost, answer });
    }
}

/// Whether every node that runs sees the new one, and not the lost one, in every shard.
fn has_followed(cluster: &Cluster, lost: NodeId, new: NodeId) -> bool {
    cluster.up().contains(&new)
        && cluster.processes().all(|process| {
            let status = raft::Shards::outline(&*process.node);
            status.shards.len() == usize::from(cluster.options.shards) + 1
                && status
                    .shards
                    .iter()
                    .all(|shard| shard.voters.contains(&new) && !shard.voters.contains(&lost))
        })
}
