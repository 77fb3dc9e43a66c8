//! Changing the members of the cluster: the meta group is told once, then the shards are watched
//! until each has followed. Never changes a shard itself.

use std::sync::Arc;
use std::time::Duration;

use base::NodeId;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use raft::{Member, NodeStatus, Shards};

/// How often the shards are looked at.
const INTERVAL: Duration = Duration::from_millis(250);

/// A step of a change of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Shards that are done, of so many; the meta group counts.
    pub shards_done: usize,
    pub shards_count: usize,
    /// What is going on, for people.
    pub message: String,
}

/// Why a node can't be replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// The old node is not a member.
    #[error("node {0} is not a member of this cluster; `weir status` lists them")]
    NotAMember(NodeId),
    /// The new id is not the next free one.
    #[error("the next free node id is {next}, not {given}")]
    WrongId { given: NodeId, next: NodeId },
    /// Something else stands in the way.
    #[error("{0}")]
    Refused(String),
}

/// Who can change the members of the cluster.
pub trait Members: Send + Sync + 'static {
    /// Puts node `id` into the place of `old`, in every shard. Ends after the last step, or with an
    /// error. Asked again, it goes on where it was. Dropping the stream doesn't undo anything.
    fn replace(
        &self,
        old: NodeId,
        id: NodeId,
        member: Member,
    ) -> BoxStream<'static, Result<Progress, ReplaceError>>;
}

/// What is needed of a node for that.
pub trait Roster: Shards {
    /// Tells the meta group; the shards follow. Answers with the new node's id.
    fn begin(&self, old: NodeId, member: Member) -> BoxFuture<'_, Result<NodeId, String>>;
}

impl Roster for raft::Node {
    fn begin(&self, old: NodeId, member: Member) -> BoxFuture<'_, Result<NodeId, String>> {
        Box::pin(self.replace(old, member))
    }
}

/// The members, as a node knows them.
pub struct NodeMembers<R>(pub Arc<R>);

impl<R: Roster> Members for NodeMembers<R> {
    fn replace(
        &self,
        old: NodeId,
        id: NodeId,
        member: Member,
    ) -> BoxStream<'static, Result<Progress, ReplaceError>> {
        let roster = Arc::clone(&self.0);
        let change = Change { roster, old, id, member: Some(member), shown: None };
        let steps = futures::stream::try_unfold(change, |mut change| async move {
            Ok(change.step().await?.map(|step| (step, change)))
        });
        steps.boxed()
    }
}

struct Change<R> {
    roster: Arc<R>,
    old: NodeId,
    id: NodeId,
    /// Until the meta group has it.
    member: Option<Member>,
    shown: Option<Progress>,
}

impl<R: Roster> Change<R> {
    /// The next step that is worth showing; `None` after the last.
    async fn step(&mut self) -> Result<Option<Progress>, ReplaceError> {
        if let Some(member) = self.member.take() {
            self.begin(member).await?;
        }
        if self.shown.as_ref().is_some_and(|shown| shown.shards_done == shown.shards_count) {
            return Ok(None);
        }
        loop {
            let status = self.roster.outline();
            // A node that knows of no shard yet can't say that all have followed.
            let progress = (!status.shards.is_empty()).then(|| self.progress(&status));
            if progress.is_some() && progress != self.shown {
                self.shown.clone_from(&progress);
                return Ok(progress);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Tells the meta group, unless it has been told before.
    async fn begin(&self, member: Member) -> Result<(), ReplaceError> {
        let status = self.roster.outline();
        let known = |node| status.peers.iter().any(|peer| peer.node == node);
        if known(self.id) && self.id != self.old {
            return Ok(());
        }
        if !known(self.old) {
            return Err(ReplaceError::NotAMember(self.old));
        }
        let wrong = |next| ReplaceError::WrongId { given: self.id, next };
        if self.id.0 != status.node_id_next {
            return Err(wrong(NodeId(status.node_id_next)));
        }
        match self.roster.begin(self.old, member).await {
            Ok(given) if given == self.id => Ok(()),
            Ok(given) => Err(wrong(given)),
            Err(reason) => Err(ReplaceError::Refused(reason)),
        }
    }

    fn progress(&self, status: &NodeStatus) -> Progress {
        let followed = |voters: &[NodeId]| voters.contains(&self.id) && !voters.contains(&self.old);
        let done = status.shards.iter().filter(|shard| followed(&shard.voters)).count();
        let there = status.peers.iter().any(|peer| peer.node == self.id && peer.connected);
        let message = match there {
            _ if done == status.shards.len() => format!("node {} has every shard", self.id),
            true => format!("node {} is catching up", self.id),
            false => format!("waiting for node {}: start it with `weir server`", self.id),
        };
        Progress { shards_done: done, shards_count: status.shards.len(), message }
    }
}
