//! A shard's waits on one node: kept while it leads. Never decides what a reader is given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::NodeId;
use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use streams::event::Event;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::codec::encode_answer;
use super::registry::Registry;
use super::{Answered, Message, Tell};
use crate::clock::LeaderClock;
use crate::machine::data::{Data, Listener};
use crate::network::Answer;
use crate::shard::Group;

/// How long a poll is kept when nobody is to be woken. A node that asked nothing for
/// [`SESSION_KEPT`] is gone.
const POLL_KEPT: Duration = Duration::from_secs(1);

/// Longer than a poll, the way of it and a few attempts; short enough that what was promised to a
/// node that died is soon there for others.
const SESSION_KEPT: Duration = Duration::from_secs(4);

/// How often readers are looked for whose time to take something over has come, and old polls and
/// sessions.
const TICK: Duration = Duration::from_millis(100);

/// Who is to be answered.
pub(crate) enum Replies {
    Here(oneshot::Sender<Answered>),
    There(Answer),
}

impl Replies {
    fn send(self, answered: Answered) {
        match self {
            Self::Here(answer) => drop(answer.send(answered)),
            Self::There(answer) => answer.send(encode_answer(&answered)),
        }
    }
}

/// A message of a node.
pub(crate) struct Asked {
    pub(crate) from: NodeId,
    pub(crate) message: Message,
    pub(crate) answer: Replies,
}

/// What is known of a node that has waits here.
struct Session {
    epoch: u64,
    poll: Option<(Replies, Instant)>,
    woken: Vec<u64>,
    heard: Instant,
}

struct Waits {
    group: Group,
    clock: Arc<LeaderClock>,
    registry: Registry,
    sessions: BTreeMap<NodeId, Session>,
    listener: Listener,
}

/// Keeps the waits of a shard until nobody can ask any more.
pub(crate) async fn serve(
    group: Group,
    clock: Arc<LeaderClock>,
    listener: Listener,
    mut asked: mpsc::UnboundedReceiver<Asked>,
) {
    let mut server = group.raft.server_metrics();
    let (registry, sessions) = (Registry::default(), BTreeMap::new());
    let mut waits = Waits { group, clock, registry, sessions, listener };
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let busy = !waits.sessions.is_empty();
        tokio::select! {
            biased;
            _ = tick.tick(), if busy => waits.tick(),
            Some(events) = waits.listener.next() => waits.touched(&events),
            one = asked.recv() => {
                let Some(one) = one else { return };
                waits.answer(one);
            }
            changed = server.changed() => {
                if changed.is_err() {
                    return;
                }
                drop(server.borrow_and_update());
                waits.leave_unless_leading();
            }
        }
        waits.wake();
    }
}

impl Waits {
    fn answer(&mut self, asked: Asked) {
        if !self.group.leads() {
            return asked.answer.send(Answered::NotLeader(self.group.leader()));
        }
        match asked.message {
            Message::Tell(tell) => {
                let answered = self.tell(asked.from, tell);
                asked.answer.send(answered);
            }
            Message::Poll { epoch } => match self.session(asked.from, epoch) {
                Some(session) => {
                    if let Some((older, _)) = session.poll.take() {
                        older.send(Answered::Woken(Vec::new()));
                    }
                    session.poll = Some((asked.answer, Instant::now()));
                }
                None => asked.answer.send(Answered::Unknown),
            },
        }
    }

    fn tell(&mut self, from: NodeId, tell: Tell) -> Answered {
        if tell.first {
            self.forget(from);
            let heard = Instant::now();
            let session = Session { epoch: tell.epoch, poll: None, woken: Vec::new(), heard };
            self.sessions.insert(from, session);
            self.listener.listen(true);
        }
        if self.session(from, tell.epoch).is_none() {
            return Answered::Unknown;
        }
        let registry = &mut self.registry;
        // Under the state's lock, so that nothing is applied between a look and its wait.
        self.group.replica.with::<Data, _>(|data| {
            let state = data.state();
            tell.done.iter().for_each(|id| registry.remove(state, (from, *id)));
            tell.again.iter().for_each(|id| registry.again(state, (from, *id)));
            for (id, query) in tell.add {
                registry.add(state, (from, id), query);
            }
        });
        Answered::Woken(Vec::new())
    }

    /// The session of a node, if it is of this epoch. It was just heard of.
    fn session(&mut self, node: NodeId, epoch: u64) -> Option<&mut Session> {
        let session = self.sessions.get_mut(&node).filter(|session| session.epoch == epoch)?;
        session.heard = Instant::now();
        Some(session)
    }

    fn touched(&mut self, events: &[Event]) {
        if self.registry.is_empty() {
            return;
        }
        let keys: BTreeSet<&Bytes> = events.iter().map(Event::key).collect();
        let registry = &mut self.registry;
        self.group.replica.with::<Data, _>(|data| {
            keys.iter().for_each(|key| registry.touched(data.state(), key));
        });
    }

    /// Tells the nodes whom to wake.
    fn wake(&mut self) {
        for (node, id) in self.registry.take_woken() {
            if let Some(session) = self.sessions.get_mut(&node) {
                session.woken.push(id);
            }
        }
        for session in self.sessions.values_mut().filter(|session| !session.woken.is_empty()) {
            if let Some((answer, _)) = session.poll.take() {
                answer.send(Answered::Woken(std::mem::take(&mut session.woken)));
            }
        }
    }

    fn forget(&mut self, node: NodeId) {
        if self.sessions.remove(&node).is_some() {
            let registry = &mut self.registry;
            self.group.replica.with::<Data, _>(|data| registry.forget(data.state(), node));
        }
    }

    /// Who leads now has the waits: everybody is sent there.
    fn leave_unless_leading(&mut self) {
        if self.sessions.is_empty() || self.group.leads() {
            return;
        }
        self.listener.listen(false);
        self.registry = Registry::default();
        let leader = self.group.leader();
        for (_, session) in std::mem::take(&mut self.sessions) {
            if let Some((answer, _)) = session.poll {
                answer.send(Answered::NotLeader(leader));
            }
        }
    }

    fn tick(&mut self) {
        let (registry, now_ms) = (&mut self.registry, self.clock.stamp().now_ms);
        self.group.replica.with::<Data, _>(|data| registry.passed(data.state(), now_ms));
        let is_gone = |session: &Session| session.heard.elapsed() > SESSION_KEPT;
        let gone: Vec<NodeId> =
            self.sessions.iter().filter(|(_, one)| is_gone(one)).map(|(node, _)| *node).collect();
        gone.into_iter().for_each(|node| self.forget(node));
        for session in self.sessions.values_mut() {
            if let Some((answer, _)) = session.poll.take_if(|(_, at)| at.elapsed() > POLL_KEPT) {
                answer.send(Answered::Woken(Vec::new()));
            }
        }
        if self.sessions.is_empty() {
            self.listener.listen(false);
        }
    }
}
