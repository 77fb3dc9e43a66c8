//! A client that waits until replicas hold what it wrote: one question to each shard that it wrote
//! to, and the least of their answers. Never a decision who holds what.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base::ShardId;
use raft::{Held, Outcome, Shards};
use streams::reply::Reply;
use tokio::time::Instant;

/// The questions, and the answers so far.
pub(crate) struct Holding {
    asked: Vec<Held>,
    least: usize,
    ended: bool,
}

impl Holding {
    /// Waits for so many replicas beside the leader, until `deadline` (none: for ever). Who wrote
    /// nothing is told how many there are.
    pub(super) fn new(
        shards: &Arc<dyn Shards>,
        written: &[ShardId],
        wanted: usize,
        deadline: Option<Instant>,
    ) -> Self {
        let least = match written {
            [] => connected_count(&**shards),
            _ => usize::MAX,
        };
        let ask = |shard: &ShardId| shards.held(*shard, wanted, deadline);
        Self { asked: written.iter().map(ask).collect(), least, ended: false }
    }

    /// The client waits no longer.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut least = self.least;
        self.asked.retain_mut(|held| match Pin::new(held).poll(context) {
            Poll::Ready(count) => {
                least = least.min(count);
                false
            }
            Poll::Pending => true,
        });
        self.least = least;
        match (self.asked.is_empty(), self.ended) {
            (true, _) => Poll::Ready(Ok(Reply::Count(self.least as u64))),
            (false, true) => Poll::Ready(Ok(Reply::Count(0))),
            (false, false) => Poll::Pending,
        }
    }
}

/// Other nodes that this one reaches.
fn connected_count(shards: &dyn Shards) -> usize {
    let status = shards.outline();
    status.peers.iter().filter(|peer| peer.connected && peer.node != status.node).count()
}
