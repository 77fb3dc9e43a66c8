//! Receiving appends: one `Raft::stream_append` for each session, so that the entries of a shard
//! keep their order and shards don't wait for each other. Answers go back in order.
//!
//! Entries are held back while this node's checkpoints are behind, or while much that is committed
//! waits to be applied: so what isn't in the store stays bounded on a follower too. Heartbeats have
//! sessions of their own and hold no entries; they go on, so nobody campaigns against a leader that
//! lives. What a checkpoint needs (the journal's sync, the store) waits for nothing that is held.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{NodeId, ShardId};
use futures::{Stream, StreamExt};
use tokio::sync::{mpsc, watch};

use crate::link::{Lane, Message};
use crate::network::append::WINDOW_BYTES;
use crate::network::router::{Router, kind};
use crate::network::wire::{Append, encode_appended};
use crate::shard::Group;
use crate::state::Replica;

/// What may wait in a session here. Its sender has no more than a window under way, one append
/// aside; twice that leaves room for one whose window is larger.
const WAITING_BYTES_MAX: usize = 2 * WINDOW_BYTES;

/// Of a session, committed and not yet applied: above it applying is what is slow, and more entries
/// would become dirty long after they were let through.
const UNAPPLIED_BYTES_MAX: usize = 1 << 20;

/// How often a session looks whether what it holds back may go on.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Sessions that peers have opened here.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<(NodeId, u64), Open>>);

struct Open {
    shard: ShardId,
    /// None once something was refused: nothing may follow that.
    appends: Option<mpsc::UnboundedSender<Arrived>>,
    waiting_bytes: Arc<AtomicUsize>,
    feed: Feed,
}

/// An append, and what it counts against limits.
pub(crate) struct Arrived {
    pub(crate) append: Append,
    pub(crate) bytes: usize,
}

/// Whose session it is, and which.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    pub(crate) from: NodeId,
    pub(crate) shard: ShardId,
    pub(crate) session: u64,
}

impl Open {
    fn push(&mut self, arrived: Arrived) -> bool {
        let full = self.waiting_bytes.load(Ordering::Relaxed) >= WAITING_BYTES_MAX;
        if full || self.feed.is_stopped() {
            self.appends = None;
        }
        self.waiting_bytes.fetch_add(arrived.bytes, Ordering::Relaxed);
        self.appends.as_ref().is_some_and(|appends| appends.send(arrived).is_ok())
    }
}

impl Sessions {
    /// Takes an append; opens the session with the first. False when its group doesn't run here,
    /// has ended, or is not to be fed, or when its sender sends more than it may.
    pub(crate) fn append(
        &self,
        router: &Arc<Router>,
        session: Session,
        arrived: Arrived,
        group: impl FnOnce() -> Option<Group>,
    ) -> bool {
        let key = (session.from, session.session);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = all.get_mut(&key) {
            return open.shard == session.shard && open.push(arrived);
        }
        let Some(group) = group().filter(|group| !group.feed.is_stopped()) else { return false };
        let (appends, receiver) = mpsc::unbounded_channel();
        let waiting_bytes = Arc::<AtomicUsize>::default();
        let (shard, feed) = (session.shard, group.feed.clone());
        let appends = Some(appends);
        let mut open = Open { shard, appends, waiting_bytes: waiting_bytes.clone(), feed };
        open.push(arrived);
        all.insert(key, open);
        drop(all);
        let held = Held::new(receiver, waiting_bytes, group.replica.clone());
        crate::runtime::spawn(serve(router.clone(), group, session, held));
        true
    }

    /// The sender is done: what was taken in is still answered, what is held back is dropped.
    pub(crate) fn end(&self, from: NodeId, session: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(from, session));
    }

    /// The connection is gone.
    pub(crate) fn forget(&self, peer: NodeId) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(from, _), _| *from != peer);
    }
}

/// Appends of a session that wait to be let through.
struct Held {
    arriving: mpsc::UnboundedReceiver<Arrived>,
    waiting_bytes: Arc<AtomicUsize>,
    replica: Arc<Replica>,
    /// Index and bytes of what was let through and, as far as is known, is not applied.
    through: VecDeque<(u64, usize)>,
    committed: u64,
}

impl Held {
    fn new(
        arriving: mpsc::UnboundedReceiver<Arrived>,
        waiting_bytes: Arc<AtomicUsize>,
        replica: Arc<Replica>,
    ) -> Self {
        Self { arriving, waiting_bytes, replica, through: VecDeque::new(), committed: 0 }
    }

    fn into_stream(self) -> impl Stream<Item = Append> + Send {
        futures::stream::unfold(self, async |mut held| Some((held.next().await?, held)))
    }

    /// The next append, once it may be let through. None at the end: nobody waits for the answers
    /// to what is still held then, its sender sends it again.
    async fn next(&mut self) -> Option<Append> {
        let Arrived { append, bytes } = self.arriving.recv().await?;
        if let Some(last) = append.entries.last() {
            while self.holds_back() {
                if self.arriving.is_closed() {
                    return None;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            self.through.push_back((last.log_id.index, bytes));
        }
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let committed = append.leader_commit.map_or(0, |commit| commit.index);
        self.committed = self.committed.max(committed);
        Some(append)
    }

    /// Never for what is not known to be committed: it may need what is held back to become so.
    fn holds_back(&mut self) -> bool {
        if self.replica.is_pressed() {
            return true;
        }
        let applied = self.replica.applied().map_or(0, |applied| applied.index);
        while self.through.front().is_some_and(|(index, _)| *index <= applied) {
            self.through.pop_front();
        }
        let due = self.through.iter().take_while(|(index, _)| *index <= self.committed);
        due.map(|(_, bytes)| bytes).sum::<usize>() > UNAPPLIED_BYTES_MAX
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

async fn serve(router: Arc<Router>, group: Group, session: Session, held: Held) {
    let _serving = Serving::new(&group.feed);
    let Session { from, shard, session } = session;
    let stopped = group.feed.0.subscribe();
    // A group that is not to be fed any more gets what it has, and no more.
    let until_stopped = held.into_stream().take_until(async move {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(bytes: usize) -> Arrived {
        let vote = crate::types::Vote::new(1, 1);
        let append = Append { vote, prev_log_id: None, entries: Vec::new(), leader_commit: None };
        Arrived { append, bytes }
    }

    #[tokio::test]
    async fn what_waits_in_a_session_is_bounded_and_nothing_follows_what_was_refused() {
        let (appends, mut receiver) = mpsc::unbounded_channel();
        let mut open = Open {
            shard: ShardId(1),
            appends: Some(appends),
            waiting_bytes: Arc::default(),
            feed: Feed::default(),
        };
        let taken = (0..100).take_while(|_| open.push(arrived(1 << 20))).count();
        assert_eq!(taken, WAITING_BYTES_MAX >> 20);
        while let Some(one) = receiver.recv().await {
            open.waiting_bytes.fetch_sub(one.bytes, Ordering::Relaxed);
        }
        assert!(!open.push(arrived(1)), "an append was lost before this one");
    }
}
