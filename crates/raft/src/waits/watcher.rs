//! The waits of this node's clients on one shard: told to the leader, wherever that is, and told
//! again when another one leads or the way to it was broken. A client sees nothing of it.
//!
//! One message with changes is under way at a time, so that they arrive in their order, and beside
//! it one poll that is answered when somebody is to be woken. Whoever leads keeps all of it under
//! an epoch; where that is lost, everything is told anew under the next.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use base::{NodeId, ShardId};
use streams::query::Query;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::codec::{decode_answer, encode_message};
use super::{Answered, Asked, Message, Replies, Tell};
use crate::network::{CallError, Method, Router};
use crate::route::{Change, Route};

/// Waits told in one message.
const TOLD_MAX: usize = 500;

/// For an answer: longer than a poll is kept.
const CALL_PATIENCE: Duration = Duration::from_secs(3);

/// What becomes of waits, for whoever wakes them.
#[derive(Debug)]
pub enum WaitWork {
    /// Somebody waits.
    Add { id: u64, query: Query, woken: oneshot::Sender<()> },
    /// It was woken and waits on.
    Again { id: u64, woken: oneshot::Sender<()> },
    /// It waits no longer.
    Done { id: u64 },
}

/// Makes waits and hands them to whoever wakes them.
#[derive(Clone, Debug)]
pub struct Watches {
    work: mpsc::UnboundedSender<WaitWork>,
    next: Arc<AtomicU64>,
}

impl Watches {
    /// With where its waits arrive.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<WaitWork>) {
        let (work, receiver) = mpsc::unbounded_channel();
        (Self { work, next: Arc::default() }, receiver)
    }

    /// A new wait, the last in its order.
    pub fn watch(&self, query: Query) -> Watch {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (woken, wake) = oneshot::channel();
        drop(self.work.send(WaitWork::Add { id, query, woken }));
        Watch(Some(Held { id, work: self.work.clone(), wake }))
    }
}

/// A wait at a shard's leader. It ends when it is dropped.
#[derive(Debug)]
pub struct Watch(Option<Held>);

#[derive(Debug)]
struct Held {
    id: u64,
    work: mpsc::UnboundedSender<WaitWork>,
    wake: oneshot::Receiver<()>,
}

impl Watch {
    /// A wait for nothing: it is never woken.
    pub fn never() -> Self {
        Self(None)
    }

    /// Ready when it is worth asking again. Perhaps somebody else is faster: then
    /// [`Watch::again`].
    pub fn poll_woken(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            // The watcher is gone only when the node is: its clients are told so elsewhere.
            Some(held) => match std::task::ready!(Pin::new(&mut held.wake).poll(context)) {
                Ok(()) => Poll::Ready(()),
                Err(_) => {
                    self.0 = None;
                    Poll::Pending
                }
            },
            None => Poll::Pending,
        }
    }

    /// Goes on waiting, in the same place.
    pub fn again(&mut self) {
        if let Some(held) = &mut self.0 {
            let (woken, wake) = oneshot::channel();
            held.wake = wake;
            drop(held.work.send(WaitWork::Again { id: held.id, woken }));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.work.send(WaitWork::Done { id: self.id }));
    }
}

struct Open {
    query: Query,
    /// None while the client is asking.
    woken: Option<oneshot::Sender<()>>,
    /// The leader knows it under this epoch.
    told: bool,
}

/// What a watcher is made of.
pub(crate) struct WatcherSetup {
    pub(crate) shard: ShardId,
    /// Differs from that of every other life of this node, as good as surely.
    pub(crate) epoch: u64,
    pub(crate) route: Route,
    pub(crate) router: Arc<Router>,
    pub(crate) work: mpsc::UnboundedReceiver<WaitWork>,
}

/// What came of a message.
enum Came {
    Told { epoch: u64, answered: Option<Answered> },
    Polled { epoch: u64, answered: Option<Answered> },
}

/// One shard's waits on this node.
pub(crate) struct Watcher {
    setup: WatcherSetup,
    open: BTreeMap<u64, Open>,
    /// Changes that the leader is yet to be told.
    add: Vec<u64>,
    done: Vec<u64>,
    again: Vec<u64>,
    epoch: u64,
    /// Nothing was told under this epoch yet.
    first: bool,
    /// The leader has noted this epoch.
    noted: bool,
    telling: bool,
    polling: bool,
    came_in: mpsc::UnboundedSender<Came>,
    came: mpsc::UnboundedReceiver<Came>,
}

impl Watcher {
    pub(crate) fn new(setup: WatcherSetup) -> Self {
        let (came_in, came) = mpsc::unbounded_channel();
        let epoch = setup.epoch;
        Self {
            setup,
            open: BTreeMap::new(),
            add: Vec::new(),
            done: Vec::new(),
            again: Vec::new(),
            epoch,
            first: true,
            noted: false,
            telling: false,
            polling: false,
            came_in,
            came,
        }
    }

    /// Works until nobody can wait any more.
    pub(crate) async fn run(mut self) {
        loop {
            if self.setup.route.aim() {
                self.restart();
            }
            self.pump();
            let retry = self.setup.route.retry_at();
            let at = retry.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                came = self.came.recv() => {
                    let came = came.expect("this watcher holds a sender");
                    self.take(came);
                }
                work = self.setup.work.recv() => {
                    let Some(work) = work else { return };
                    self.accept(work);
                    while let Ok(work) = self.setup.work.try_recv() {
                        self.accept(work);
                    }
                }
                change = self.setup.route.changed() => match change {
                    Change::Leader => {}
                    Change::Group => self.restart(),
                    Change::End => return,
                },
                () = tokio::time::sleep_until(at), if retry.is_some() => {}
            }
        }
    }

    fn accept(&mut self, work: WaitWork) {
        match work {
            WaitWork::Add { id, query, woken } => {
                self.open.insert(id, Open { query, woken: Some(woken), told: false });
                self.add.push(id);
            }
            WaitWork::Again { id, woken } => {
                let Some(open) = self.open.get_mut(&id) else { return };
                open.woken = Some(woken);
                if open.told { self.again.push(id) } else { self.add.push(id) }
            }
            WaitWork::Done { id } => {
                if self.open.remove(&id).is_some_and(|open| open.told) {
                    self.done.push(id);
                }
            }
        }
    }

    /// From here on whatever was told is told again, in the order in which it came.
    fn restart(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        (self.first, self.noted, self.telling, self.polling) = (true, false, false, false);
        (self.done, self.again) = (Vec::new(), Vec::new());
        self.add =
            self.open.iter().filter(|(_, one)| one.woken.is_some()).map(|(id, _)| *id).collect();
        self.open.values_mut().for_each(|open| open.told = false);
    }

    fn restart_later(&mut self) {
        self.restart();
        self.setup.route.pause();
    }

    /// Sends what is to be sent.
    fn pump(&mut self) {
        let Some(target) = self.setup.route.target() else { return };
        let changed = !(self.add.is_empty() && self.done.is_empty() && self.again.is_empty());
        if changed && !self.telling {
            self.telling = true;
            let message = Message::Tell(self.tell());
            let epoch = self.epoch;
            self.send(target, message, move |answered| Came::Told { epoch, answered });
        }
        if self.noted && !self.polling && !self.open.is_empty() {
            self.polling = true;
            let epoch = self.epoch;
            let message = Message::Poll { epoch };
            self.send(target, message, move |answered| Came::Polled { epoch, answered });
        }
    }

    fn tell(&mut self) -> Tell {
        let mut tell = Tell { epoch: self.epoch, first: self.first, ..Tell::default() };
        self.first = false;
        let most = self.add.len().min(TOLD_MAX);
        for id in self.add.drain(..most) {
            // It may be over already.
            if let Some(open) = self.open.get_mut(&id) {
                open.told = true;
                tell.add.push((id, open.query.clone()));
            }
        }
        (tell.done, tell.again) = (std::mem::take(&mut self.done), std::mem::take(&mut self.again));
        tell
    }

    fn send(
        &self,
        target: NodeId,
        message: Message,
        came: impl FnOnce(Option<Answered>) -> Came + Send + 'static,
    ) {
        let came_in = self.came_in.clone();
        let answered = if let Some(here) = self.setup.route.here() {
            let (answer, answered) = oneshot::channel();
            let asked = Asked { from: target, message, answer: Replies::Here(answer) };
            drop(here.waits.send(asked));
            futures::future::Either::Left(async move { answered.await.ok() })
        } else {
            let (router, shard) = (self.setup.router.clone(), self.setup.shard);
            futures::future::Either::Right(call(router, target, shard, message))
        };
        crate::runtime::spawn(async move {
            let answered = answered.await;
            drop(came_in.send(came(answered)));
        });
    }

    fn take(&mut self, came: Came) {
        let (epoch, answered, told) = match came {
            Came::Told { epoch, answered } => (epoch, answered, true),
            Came::Polled { epoch, answered } => (epoch, answered, false),
        };
        if epoch != self.epoch {
            return;
        }
        match answered {
            Some(Answered::Woken(ids)) => {
                match told {
                    true => (self.telling, self.noted) = (false, true),
                    false => self.polling = false,
                }
                ids.into_iter().for_each(|id| self.wake(id));
            }
            Some(Answered::NotLeader(leader)) => {
                self.setup.route.refused(leader);
                self.restart_later();
            }
            Some(Answered::Unknown) | None => self.restart_later(),
        }
    }

    fn wake(&mut self, id: u64) {
        let woken = self.open.get_mut(&id).and_then(|open| open.woken.take());
        if let Some(woken) = woken {
            let _ = woken.send(());
        }
    }
}

/// None where there is no answer.
async fn call(
    router: Arc<Router>,
    leader: NodeId,
    shard: ShardId,
    message: Message,
) -> Option<Answered> {
    let content = encode_message(&message);
    match router.call(leader, shard, Method::Watch, content, CALL_PATIENCE).await {
        Ok(content) => decode_answer(&content.head).ok(),
        Err(CallError::Refused(_)) => Some(Answered::NotLeader(None)),
        Err(_) => None,
    }
}
