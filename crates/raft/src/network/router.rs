//! Who gets what arrives: answers to the calls they belong to, appends to their session, calls to
//! the host. Checks of every frame that it comes from this cluster, from whom it says, and is for
//! this node. Never what a call does.

mod peer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use base::{Clock, ClusterId, Incarnation, NodeId, ShardId};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::bus::Notice;
use crate::link::{Envelope, Frame, Greeting, Lane, Link, Message, Party, SendError};
use crate::network::sessions::{Arrived, Session, Sessions};
use crate::network::wire::Appended;
pub(crate) use peer::Peer;

/// Kinds of messages.
pub(crate) mod kind {
    pub(crate) const APPEND: u8 = 1;
    pub(crate) const APPEND_END: u8 = 2;
    pub(crate) const APPENDED: u8 = 3;
    /// An append of a session that this node knows nothing of, or gave up.
    pub(crate) const APPEND_LOST: u8 = 4;
    pub(crate) const CALL: u8 = 5;
    pub(crate) const ANSWER: u8 = 6;
    pub(crate) const REFUSAL: u8 = 7;
    /// A notice for whoever listens; nothing comes back.
    pub(crate) const NOTICE: u8 = 8;
}

/// What a call asks for: the `session` of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Vote,
    PreVote,
    Transfer,
    SnapshotBegin,
    SnapshotChunk,
    SnapshotEnd,
    /// A run of commands, for the leader.
    Run,
    /// Queries, for the leader.
    Read,
    /// How far the sender is with forming or joining, and what it wants.
    Form,
    /// A shard's checkpoint, for a node whose store is damaged.
    Repair,
    /// A change of the cluster, for the meta group's leader.
    Meta,
    /// Waits of readers, for the leader.
    Watch,
    /// How many replicas hold what was acknowledged, for the leader.
    Held,
}

const METHODS: [Method; 13] = [
    Method::Vote,
    Method::PreVote,
    Method::Transfer,
    Method::SnapshotBegin,
    Method::SnapshotChunk,
    Method::SnapshotEnd,
    Method::Run,
    Method::Read,
    Method::Form,
    Method::Repair,
    Method::Meta,
    Method::Watch,
    Method::Held,
];

impl Method {
    fn number(self) -> u64 {
        let place = METHODS.iter().position(|method| *method == self).expect("all are listed");
        place as u64 + 1
    }

    fn of(number: u64) -> Option<Self> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        METHODS.get(place).copied()
    }

    fn lane(self) -> Lane {
        match self {
            Method::Run => Lane::Log,
            Method::SnapshotChunk | Method::Repair => Lane::Bulk,
            _ => Lane::Urgent,
        }
    }
}

/// What a call carries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) head: Bytes,
    pub(crate) body: Vec<Bytes>,
}

impl From<Bytes> for Content {
    fn from(head: Bytes) -> Self {
        Self { head, body: Vec::new() }
    }
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// It was not sent: surely nothing happened.
    #[error("not sent: {0}")]
    NotSent(SendError),
    /// The connection went down meanwhile: it may have been received.
    #[error("the connection went down")]
    Down,
    /// No answer in time.
    #[error("no answer in time")]
    Late,
    /// The peer refused; surely nothing happened.
    #[error("refused: {0}")]
    Refused(String),
}

/// A call that arrived.
pub(crate) struct Incoming {
    pub(crate) from: NodeId,
    pub(crate) shard: ShardId,
    pub(crate) method: Method,
    pub(crate) content: Content,
    pub(crate) answer: Answer,
}

/// How a call is answered: at most once; dropped, it is not answered.
pub(crate) struct Answer {
    router: Arc<Router>,
    to: NodeId,
    shard: ShardId,
    number: u64,
    lane: Lane,
}

impl Answer {
    pub(crate) fn send(self, content: impl Into<Content>) {
        self.reply(kind::ANSWER, content.into());
    }

    pub(crate) fn refuse(self, why: &str) {
        self.reply(kind::REFUSAL, Bytes::copy_from_slice(why.as_bytes()).into());
    }

    fn reply(self, kind: u8, content: Content) {
        let Content { head, body } = content;
        let message =
            Message { shard: self.shard, kind, session: 0, number: self.number, head, body };
        // A peer that is gone, or far behind, asks again.
        drop(self.router.link.send(self.to, self.lane, message));
    }
}

/// What stands behind a router.
pub(crate) trait Host: Send + Sync + 'static {
    /// A call to be answered. Must not block.
    fn call(&self, call: Incoming);

    /// The group of a shard, if it runs here.
    fn group(&self, shard: ShardId) -> Option<crate::shard::Group>;

    /// Another node told something for whoever listens. Must not block.
    fn told(&self, _notice: &Notice) {}

    /// A connection came or went.
    fn connected(&self, peer: NodeId, up: bool);
}

/// Who this node is, for greetings and envelopes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Me {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) settings: u32,
}

struct Waiting {
    peer: NodeId,
    answer: oneshot::Sender<Result<Content, CallError>>,
}

struct Mailbox {
    peer: NodeId,
    shard: ShardId,
    answers: mpsc::UnboundedSender<Appended>,
}

/// See the file's head.
pub(crate) struct Router {
    pub(crate) link: Arc<dyn Link>,
    clock: Arc<dyn Clock>,
    me: RwLock<Me>,
    disk_free: AtomicU64,
    pressed: AtomicBool,
    leaving: AtomicBool,
    peers: Mutex<BTreeMap<NodeId, Peer>>,
    /// Whose place others take, or have taken: nobody listens to them any more.
    replaced: Mutex<BTreeSet<NodeId>>,
    /// Numbers of calls and sessions. No two lives of this node share them: a peer may still answer
    /// what the life before this one asked.
    next: AtomicU64,
    calls: Mutex<BTreeMap<u64, Waiting>>,
    mailboxes: Mutex<BTreeMap<u64, Mailbox>>,
    sessions: Sessions,
    host: Mutex<Option<Arc<dyn Host>>>,
    this: std::sync::Weak<Router>,
}

/// Where a life's numbers begin: its random bits, less some so that the encoding stays short. A
/// node that belongs to no cluster yet has none, and begins at 1.
fn first_number(incarnation: Incarnation) -> u64 {
    const SPARED_BITS: u32 = 16;
    1 + (incarnation.random >> SPARED_BITS)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Router {
    pub(crate) fn new(link: Arc<dyn Link>, clock: Arc<dyn Clock>, me: Me) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            link,
            clock,
            me: RwLock::new(me),
            disk_free: AtomicU64::new(u64::MAX),
            pressed: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            peers: Mutex::default(),
            replaced: Mutex::default(),
            next: AtomicU64::new(first_number(me.incarnation)),
            calls: Mutex::default(),
            mailboxes: Mutex::default(),
            sessions: Sessions::default(),
            host: Mutex::new(None),
            this: this.clone(),
        })
    }

    /// Begins to talk to peers, for `host`.
    pub(crate) fn start(self: &Arc<Self>, host: Arc<dyn Host>) {
        *lock(&self.host) = Some(host);
        self.link.start(self.clone());
    }

    /// Ends all traffic and forgets the host.
    pub(crate) fn stop(&self) {
        self.link.stop();
        let peers: Vec<NodeId> = lock(&self.peers).keys().copied().collect();
        peers.into_iter().for_each(|peer| self.forget(peer));
        *lock(&self.host) = None;
    }

    pub(crate) fn me(&self) -> Me {
        *self.me.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on this node belongs to a cluster.
    pub(crate) fn set_identity(&self, cluster: ClusterId, incarnation: Incarnation) {
        let mut me = self.me.write().unwrap_or_else(PoisonError::into_inner);
        me.cluster = cluster;
        me.incarnation = incarnation;
    }

    /// Bytes free on this node's disk.
    pub(crate) fn disk_free(&self) -> u64 {
        self.disk_free.load(Ordering::Relaxed)
    }

    pub(crate) fn set_disk_free(&self, bytes: u64) {
        self.disk_free.store(bytes, Ordering::Relaxed);
    }

    /// The least of any node that was heard of, this one included.
    pub(crate) fn disk_free_lowest(&self) -> u64 {
        let peers = lock(&self.peers);
        peers.values().filter_map(|peer| peer.disk_free).fold(self.disk_free(), u64::min)
    }

    /// Whether peers are told that this node takes no entries.
    pub(crate) fn set_pressed(&self, pressed: bool) {
        self.pressed.store(pressed, Ordering::Relaxed);
    }

    /// Whom to listen to no longer: a lost node that comes back would vote, and lead.
    pub(crate) fn set_replaced(&self, replaced: BTreeSet<NodeId>) {
        *lock(&self.replaced) = replaced;
    }

    /// From here on peers are told that this node is about to stop.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    pub(crate) fn peers(&self) -> BTreeMap<NodeId, Peer> {
        lock(&self.peers).clone()
    }

    /// What is known of one; of a stranger, nothing.
    pub(crate) fn peer(&self, peer: NodeId) -> Peer {
        lock(&self.peers).get(&peer).copied().unwrap_or_default()
    }

    pub(crate) fn is_connected(&self, peer: NodeId) -> bool {
        self.peer(peer).connected
    }

    /// Asks a peer and waits for its answer.
    pub(crate) async fn call(
        &self,
        to: NodeId,
        shard: ShardId,
        method: Method,
        content: impl Into<Content>,
        deadline: Duration,
    ) -> Result<Content, CallError> {
        let Content { head, body } = content.into();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        lock(&self.calls).insert(number, Waiting { peer: to, answer });
        let _forget = ForgetCall { router: self, number };
        let session = method.number();
        let message = Message { shard, kind: kind::CALL, session, number, head, body };
        self.link.send(to, method.lane(), message).map_err(CallError::NotSent)?;
        match tokio::time::timeout(deadline, answered).await {
            Ok(answered) => answered.unwrap_or(Err(CallError::Down)),
            Err(_) => Err(CallError::Late),
        }
    }

    /// Tells every peer that is connected. It takes the lane of snapshots: whatever clients publish,
    /// no vote and no entry waits behind it. Where that is full, the peer misses it.
    pub(crate) fn tell_all(&self, notice: &Notice) {
        let connected = |(id, peer): (&NodeId, &Peer)| peer.connected.then_some(*id);
        let peers: Vec<NodeId> = lock(&self.peers).iter().filter_map(connected).collect();
        for peer in peers {
            drop(self.link.send(peer, Lane::Bulk, notice.to_message(kind::NOTICE)));
        }
    }

    /// Opens a session of appends: its number and where the answers come.
    pub(crate) fn open_session(
        &self,
        peer: NodeId,
        shard: ShardId,
    ) -> Result<(u64, mpsc::UnboundedReceiver<Appended>), SendError> {
        let session = self.next.fetch_add(1, Ordering::Relaxed);
        let (answers, receiver) = mpsc::unbounded_channel();
        // Under the lock of the mailboxes, so that a connection that goes down meanwhile closes it.
        let mut mailboxes = lock(&self.mailboxes);
        if !self.is_connected(peer) {
            return Err(SendError::Down);
        }
        mailboxes.insert(session, Mailbox { peer, shard, answers });
        Ok((session, receiver))
    }

    pub(crate) fn close_session(&self, session: u64) {
        lock(&self.mailboxes).remove(&session);
    }

    /// A session that `peer` had opened here is over.
    pub(crate) fn end_session(&self, peer: NodeId, session: u64) {
        self.sessions.end(peer, session);
    }

    fn host(&self) -> Option<Arc<dyn Host>> {
        lock(&self.host).clone()
    }

    /// Fails whatever waits for this peer.
    fn forget(&self, peer: NodeId) {
        if let Some(peer) = lock(&self.peers).get_mut(&peer) {
            peer.connected = false;
        }
        lock(&self.mailboxes).retain(|_, mailbox| mailbox.peer != peer);
        let calls: Vec<Waiting> = {
            let mut calls = lock(&self.calls);
            let gone: Vec<u64> =
                calls.iter().filter(|(_, call)| call.peer == peer).map(|(id, _)| *id).collect();
            gone.iter().filter_map(|id| calls.remove(id)).collect()
        };
        for call in calls {
            drop(call.answer.send(Err(CallError::Down)));
        }
        self.sessions.forget(peer);
    }

    fn check(&self, envelope: &Envelope) -> Result<(), String> {
        let me = self.me();
        if envelope.to != me.node {
            return Err(format!("this is node {}, not node {}", me.node, envelope.to));
        }
        // A node without a cluster may only ask to form or join one.
        let unformed = me.cluster == ClusterId(0) || envelope.cluster == ClusterId(0);
        if envelope.cluster != me.cluster && !unformed {
            return Err(format!(
                "node {} belongs to cluster {}, this one to {}",
                envelope.from, envelope.cluster, me.cluster
            ));
        }
        // One whose disk is empty is told who it was, and ends.
        if !unformed && lock(&self.replaced).contains(&envelope.from) {
            return Err(format!("node {} was replaced: switch it off for good", envelope.from));
        }
        Ok(())
    }

    fn note(&self, envelope: &Envelope) {
        let mut peers = lock(&self.peers);
        let peer = peers.entry(envelope.from).or_default();
        peer.note(envelope, self.clock.wall_ms(), self.clock.monotonic());
    }

    fn deliver(&self, envelope: &Envelope, message: Message) -> Result<(), String> {
        let from = envelope.from;
        match message.kind {
            kind::CALL => self.deliver_call(envelope, message),
            kind::ANSWER => {
                let content = Content { head: message.head, body: message.body };
                self.deliver_answer(from, message.number, Ok(content));
                Ok(())
            }
            kind::REFUSAL => {
                let why = String::from_utf8_lossy(&message.head).into_owned();
                self.deliver_answer(from, message.number, Err(CallError::Refused(why)));
                Ok(())
            }
            kind::NOTICE => self.deliver_notice(envelope, message),
            kind::APPENDED => self.deliver_appended(from, &message),
            kind::APPEND_LOST => {
                self.close_session(message.session);
                Ok(())
            }
            kind::APPEND | kind::APPEND_END if envelope.cluster == ClusterId(0) => {
                Err("a node without a cluster leads nothing".into())
            }
            kind::APPEND => self.deliver_append(from, message),
            kind::APPEND_END => {
                self.sessions.end(from, message.session);
                Ok(())
            }
            unknown => Err(format!("unknown kind of message {unknown}")),
        }
    }

    fn deliver_call(&self, envelope: &Envelope, message: Message) -> Result<(), String> {
        let method = Method::of(message.session).ok_or("unknown method")?;
        if envelope.cluster != self.me().cluster && method != Method::Form {
            return Err("a call of another cluster".into());
        }
        let (Some(host), Some(router)) = (self.host(), self.this.upgrade()) else { return Ok(()) };
        let Message { shard, number, head, body, .. } = message;
        let answer = Answer { router, to: envelope.from, shard, number, lane: method.lane() };
        let content = Content { head, body };
        host.call(Incoming { from: envelope.from, shard, method, content, answer });
        Ok(())
    }

    fn deliver_notice(&self, envelope: &Envelope, message: Message) -> Result<(), String> {
        if envelope.cluster != self.me().cluster {
            return Err("a notice of another cluster".into());
        }
        let notice = Notice::of_message(message)?;
        if let Some(host) = self.host() {
            host.told(&notice);
        }
        Ok(())
    }

    fn deliver_answer(&self, from: NodeId, number: u64, answer: Result<Content, CallError>) {
        let waiting = {
            let mut calls = lock(&self.calls);
            let mine = calls.get(&number).is_some_and(|call| call.peer == from);
            mine.then(|| calls.remove(&number)).flatten()
        };
        // Who asked may have given up.
        if let Some(waiting) = waiting {
            drop(waiting.answer.send(answer));
        }
    }

    fn deliver_appended(&self, from: NodeId, message: &Message) -> Result<(), String> {
        let appended =
            super::wire::decode_appended(&message.head).map_err(|error| error.to_string())?;
        let mailboxes = lock(&self.mailboxes);
        let theirs = |mailbox: &&Mailbox| (mailbox.peer, mailbox.shard) == (from, message.shard);
        if let Some(mailbox) = mailboxes.get(&message.session).filter(theirs) {
            drop(mailbox.answers.send(appended));
        }
        Ok(())
    }

    fn deliver_append(&self, from: NodeId, message: Message) -> Result<(), String> {
        let bytes = message.bytes();
        let append = super::wire::decode_append(&message.head, message.body)
            .map_err(|error| error.to_string())?;
        let group = || self.host().and_then(|host| host.group(message.shard));
        let router = self.this.upgrade().ok_or("stopping")?;
        let session = Session { from, shard: message.shard, session: message.session };
        if !self.sessions.append(&router, session, Arrived { append, bytes }, group) {
            let lost = Message {
                shard: message.shard,
                kind: kind::APPEND_LOST,
                session: message.session,
                ..Message::default()
            };
            drop(self.link.send(from, Lane::Urgent, lost));
        }
        Ok(())
    }
}

/// Forgets a call whose caller went away.
struct ForgetCall<'a> {
    router: &'a Router,
    number: u64,
}

impl Drop for ForgetCall<'_> {
    fn drop(&mut self) {
        lock(&self.router.calls).remove(&self.number);
    }
}

impl Party for Router {
    fn greeting(&self, peer: NodeId) -> Greeting {
        let Me { cluster, node, incarnation, settings } = self.me();
        Greeting { cluster, from: node, to: peer, incarnation, settings }
    }

    fn greeted(&self, greeting: &Greeting) -> Result<(), String> {
        let me = self.me();
        if greeting.from == me.node {
            return Err(format!("another node says that it is node {} too", me.node));
        }
        let Greeting { cluster, from, to, .. } = *greeting;
        self.check(&Envelope { cluster, from, to, ..Envelope::default() })?;
        if greeting.settings != me.settings {
            return Err(format!(
                "the [cluster] section of cluster.toml differs between node {from} and node {}",
                me.node
            ));
        }
        Ok(())
    }

    fn envelope(&self, peer: NodeId) -> Envelope {
        let me = self.me();
        Envelope {
            cluster: me.cluster,
            from: me.node,
            to: peer,
            clock_ms: self.clock.wall_ms(),
            disk_free: self.disk_free.load(Ordering::Relaxed),
            pressed: self.pressed.load(Ordering::Relaxed),
            leaving: self.leaving.load(Ordering::Relaxed),
        }
    }

    fn up(&self, peer: NodeId) {
        lock(&self.peers).entry(peer).or_default().connected = true;
        if let Some(host) = self.host() {
            host.connected(peer, true);
        }
    }

    fn down(&self, peer: NodeId) {
        self.forget(peer);
        if let Some(host) = self.host() {
            host.connected(peer, false);
        }
    }

    fn frame(&self, frame: Frame) -> Result<(), String> {
        self.check(&frame.envelope)?;
        self.note(&frame.envelope);
        for message in frame.messages {
            self.deliver(&frame.envelope, message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod tests;
