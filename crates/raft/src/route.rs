//! Whom this node asks of a shard: who leads it, as its own replica knows, or else as a refusal said; and
//! not again at once after one. Never decides who leads: that is the group's.

use std::sync::Arc;
use std::time::Duration;

use base::NodeId;
use openraft::async_runtime::watch::{Watch, WatchReceiver};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::node::inner::Shard;

/// Before a leader is asked again that refused, or did not answer.
const RETRY: Duration = Duration::from_millis(20);

/// What a group says of its leader, as it changes.
type Leaders = <<crate::runtime::Runtime as openraft::AsyncRuntime>::Watch as Watch>::Receiver<
    openraft::metrics::RaftServerMetrics<crate::types::TypeConfig>,
>;

/// What a route goes by has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The group says something new of its leader.
    Leader,
    /// Another group stands here for the shard, or none: what was asked of the one before is lost.
    Group,
    /// The node is gone.
    End,
}

/// See the file's head.
pub(crate) struct Route {
    node: NodeId,
    /// The shard's group on this node, while it runs.
    current: watch::Receiver<Option<Arc<Shard>>>,
    here: Option<Arc<Shard>>,
    leaders: Option<Leaders>,
    target: Option<NodeId>,
    /// Where a refusal said that the leader is, while our own replica doesn't know.
    hint: Option<NodeId>,
    /// Nothing is asked before.
    not_before: Instant,
}

impl Route {
    /// From `node`, on which `current` is the shard's group.
    pub(crate) fn new(node: NodeId, mut current: watch::Receiver<Option<Arc<Shard>>>) -> Self {
        current.mark_changed();
        let not_before = Instant::now();
        Self { node, current, here: None, leaders: None, target: None, hint: None, not_before }
    }

    /// Looks who leads now; true when that is another one than before.
    pub(crate) fn aim(&mut self) -> bool {
        let known = self.here.as_ref().and_then(|here| here.group.leader());
        let leader = known.or(self.hint);
        let other = leader != self.target;
        self.target = leader;
        other
    }

    /// Who may be asked now.
    pub(crate) fn target(&self) -> Option<NodeId> {
        self.target.filter(|_| self.retry_at().is_none())
    }

    /// The group on this node, where it is the one to ask.
    pub(crate) fn here(&self) -> Option<&Arc<Shard>> {
        self.here.as_ref().filter(|_| self.target == Some(self.node))
    }

    /// When somebody may be asked, if not yet.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        (self.not_before > Instant::now()).then_some(self.not_before)
    }

    /// Who was asked does not lead; perhaps it knows who does.
    pub(crate) fn refused(&mut self, leader: Option<NodeId>) {
        self.hint = leader.filter(|leader| Some(*leader) != self.target);
    }

    /// Asks nobody for a while.
    pub(crate) fn pause(&mut self) {
        self.not_before = Instant::now() + RETRY;
    }

    /// Ends when something has changed. May be given up at any moment.
    pub(crate) async fn changed(&mut self) -> Change {
        tokio::select! {
            biased;
            () = leader_changed(&mut self.leaders) => Change::Leader,
            changed = self.current.changed() => {
                if changed.is_err() {
                    return Change::End;
                }
                self.here = self.current.borrow_and_update().clone();
                self.leaders = self.here.as_ref().map(|here| here.group.raft.server_metrics());
                Change::Group
            }
        }
    }
}

/// Ends when a group says something new of itself; never where there is none.
async fn leader_changed(leaders: &mut Option<Leaders>) {
    let changed = match leaders {
        Some(leaders) => leaders.changed().await.map(|()| drop(leaders.borrow_and_update())),
        None => std::future::pending().await,
    };
    // The group has ended; another may take its place.
    if changed.is_err() {
        *leaders = None;
    }
}
