//! Receiving appends: one `Raft::stream_append` for each session, so that the entries of a shard
//! keep their order and shards don't wait for each other. Answers go back in order.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use base::{NodeId, ShardId};
use futures::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::link::{Lane, Message};
use crate::network::router::{Router, kind};
use crate::network::wire::{Append, encode_appended};
use crate::shard::Group;

/// Sessions that peers have opened here. What one may have under way is bounded by its sender.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<(NodeId, u64), Open>>);

struct Open {
    appends: mpsc::UnboundedSender<Append>,
    feed: Feed,
}

impl Sessions {
    /// Takes an append; opens the session with the first. False when its group doesn't run here,
    /// has ended, or is not to be fed.
    pub(crate) fn append(
        &self,
        router: &Arc<Router>,
        from: NodeId,
        shard: ShardId,
        session: u64,
        append: Append,
        group: impl FnOnce() -> Option<Group>,
    ) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = open.get(&(from, session)) {
            return !session.feed.is_stopped() && session.appends.send(append).is_ok();
        }
        let Some(group) = group().filter(|group| !group.feed.is_stopped()) else { return false };
        let (appends, receiver) = mpsc::unbounded_channel();
        drop(appends.send(append));
        open.insert((from, session), Open { appends, feed: group.feed.clone() });
        drop(open);
        tokio::spawn(serve(router.clone(), group, Session { from, shard, session }, receiver));
        true
    }

    /// The sender is done: what it sent is still answered.
    pub(crate) fn end(&self, from: NodeId, session: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(from, session));
    }

    /// The connection is gone.
    pub(crate) fn forget(&self, peer: NodeId) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(from, _), _| *from != peer);
    }
}

/// Whether a group may be fed appends, and how many of its sessions have something under way.
#[derive(Clone, Debug)]
pub(crate) struct Feed(watch::Sender<Fed>);

#[derive(Clone, Copy, Debug, Default)]
struct Fed {
    stops: usize,
    serving: usize,
}

impl Default for Feed {
    fn default() -> Self {
        Self(watch::Sender::new(Fed::default()))
    }
}

impl Feed {
    fn is_stopped(&self) -> bool {
        self.0.borrow().stops > 0
    }

    /// Feeds nothing more until the gate is dropped.
    pub(crate) fn stop(&self) -> Gate {
        self.0.send_modify(|fed| fed.stops += 1);
        Gate(self.clone())
    }
}

/// Keeps a group from being fed.
pub(crate) struct Gate(Feed);

impl Gate {
    /// Everything that was fed before is answered.
    pub(crate) async fn drained(&self) {
        let mut watch = self.0.0.subscribe();
        drop(watch.wait_for(|fed| fed.serving == 0).await);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.0.send_modify(|fed| fed.stops -= 1);
    }
}

struct Serving(Feed);

impl Serving {
    fn new(feed: &Feed) -> Self {
        feed.0.send_modify(|fed| fed.serving += 1);
        Self(feed.clone())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.0.send_modify(|fed| fed.serving -= 1);
    }
}

struct Session {
    from: NodeId,
    shard: ShardId,
    session: u64,
}

async fn serve(
    router: Arc<Router>,
    group: Group,
    session: Session,
    appends: mpsc::UnboundedReceiver<Append>,
) {
    let _serving = Serving::new(&group.feed);
    let Session { from, shard, session } = session;
    let stopped = group.feed.0.subscribe();
    let appends = UnboundedReceiverStream::new(appends);
    // A group that is not to be fed any more gets what it has, and no more.
    let until_stopped = appends.take_until(async move {
        let mut stopped = stopped;
        drop(stopped.wait_for(|fed| fed.stops > 0).await);
    });
    let mut results = pin!(group.raft.stream_append(until_stopped));
    let mut number = 0;
    let mut broke_off = true;
    while let Some(Ok(appended)) = results.next().await {
        let head = encode_appended(&appended);
        let body = Vec::new();
        let message = Message { shard, kind: kind::APPENDED, session, number, head, body };
        number += 1;
        if router.link.send(from, Lane::Urgent, message).is_err() || appended.is_err() {
            broke_off = false;
            break;
        }
    }
    if broke_off {
        let lost = Message { shard, kind: kind::APPEND_LOST, session, ..Message::default() };
        drop(router.link.send(from, Lane::Urgent, lost));
    }
    router.end_session(from, session);
}
