//! A network in memory, on tokio's (pausable) time, deterministic from its entropy: delays,
//! partitions of one direction or both, cut connections, nodes that are gone. Never used in
//! production.
//!
//! As over TCP, nothing is lost within a connection: what a partition holds up arrives when it
//! heals, or the connection goes down because nobody answered for too long, and all of it is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use base::{Clock, Entropy, NodeId};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::link::queue::bytes_max;
use crate::link::{Frame, Lane, Link, Message, Party, SendError};
use crate::runtime::gate::Gate;

/// How long a connection survives a partition.
const KEEPALIVE: Duration = Duration::from_secs(4);

/// Between attempts to connect.
const DIAL_AGAIN: Duration = Duration::from_millis(100);

/// The network between the nodes of a simulation.
#[derive(Clone)]
pub struct SimNet(Arc<Net>);

struct Net {
    entropy: Arc<dyn Entropy>,
    delay: Mutex<(Duration, Duration)>,
    /// What every message to or from a node takes more.
    slow: Mutex<BTreeMap<NodeId, Duration>>,
    nodes: Mutex<BTreeMap<NodeId, Arc<SimLink>>>,
    pairs: Mutex<BTreeMap<(NodeId, NodeId), Arc<Wire>>>,
    blocked: watch::Sender<BTreeSet<(NodeId, NodeId)>>,
    messages: AtomicU64,
}

/// One node's place in the network.
pub struct SimLink {
    node: NodeId,
    net: Weak<Net>,
    party: OnceLock<Guest>,
    peers: Mutex<BTreeSet<NodeId>>,
    stopped: watch::Sender<bool>,
}

/// A node's own code, and the gate that it stands behind.
#[derive(Clone)]
struct Guest {
    party: Arc<dyn Party>,
    gate: Gate,
}

impl Guest {
    /// Runs some of its code, as a part of the node.
    fn with<T>(&self, run: impl FnOnce(&dyn Party) -> T) -> T {
        self.gate.within(|| run(&*self.party))
    }

    /// Hands it a frame, when it runs.
    async fn take(self, frame: Frame) -> bool {
        let party = self.party.clone();
        self.gate.run(async move { party.frame(frame).is_ok() }).await
    }
}

/// A connection between two nodes.
struct Wire {
    closed: watch::Sender<bool>,
    pipes: BTreeMap<(NodeId, Lane), Pipe>,
}

/// One direction of one lane.
struct Pipe {
    sender: mpsc::UnboundedSender<(Instant, Frame, usize)>,
    bytes: Arc<AtomicUsize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pair(one: NodeId, other: NodeId) -> (NodeId, NodeId) {
    (one.min(other), one.max(other))
}

impl SimNet {
    /// A network whose messages take between the two durations.
    pub fn new(entropy: Arc<dyn Entropy>, delay: (Duration, Duration)) -> Self {
        Self(Arc::new(Net {
            entropy,
            delay: Mutex::new(delay),
            slow: Mutex::default(),
            nodes: Mutex::default(),
            pairs: Mutex::default(),
            blocked: watch::Sender::default(),
            messages: AtomicU64::new(0),
        }))
    }

    /// The link of a node; a node that is started again gets a new one.
    pub fn link(&self, node: NodeId) -> Arc<SimLink> {
        let link = Arc::new(SimLink {
            node,
            net: Arc::downgrade(&self.0),
            party: OnceLock::new(),
            peers: Mutex::default(),
            stopped: watch::Sender::new(false),
        });
        let before = lock(&self.0.nodes).insert(node, link.clone());
        if let Some(before) = before {
            before.stop();
        }
        link
    }

    /// Lets nothing pass from one node to another.
    pub fn block(&self, from: NodeId, to: NodeId) {
        self.0.blocked.send_modify(|blocked| {
            blocked.insert((from, to));
        });
    }

    /// Parts a node from all others, both ways.
    pub fn isolate(&self, node: NodeId) {
        let others: Vec<NodeId> = lock(&self.0.nodes).keys().copied().collect();
        for other in others.into_iter().filter(|other| *other != node) {
            self.block(node, other);
            self.block(other, node);
        }
    }

    /// Everything passes again.
    pub fn heal(&self) {
        self.0.blocked.send_modify(BTreeSet::clear);
    }

    /// How long messages take from now on, at least and at most.
    pub fn set_delay(&self, delay: (Duration, Duration)) {
        *lock(&self.0.delay) = delay;
    }

    /// Every message from or to a node takes so much more from now on.
    pub fn slow_down(&self, node: NodeId, by: Duration) {
        lock(&self.0.slow).insert(node, by);
    }

    /// A node is there no more: its connections end, and nothing reaches it.
    pub fn remove(&self, node: NodeId) {
        let link = lock(&self.0.nodes).remove(&node);
        if let Some(link) = link {
            link.stop();
        }
    }

    /// Cuts the connection of two nodes; it is opened again.
    pub fn cut(&self, one: NodeId, other: NodeId) {
        self.0.close(pair(one, other));
    }

    /// Messages delivered so far: equal for equal seeds.
    pub fn messages(&self) -> u64 {
        self.0.messages.load(Ordering::SeqCst)
    }
}

impl Net {
    fn is_blocked(&self, one: NodeId, other: NodeId) -> bool {
        let blocked = self.blocked.borrow();
        blocked.contains(&(one, other)) || blocked.contains(&(other, one))
    }

    /// Whether one of them answers nothing, though its machine is there.
    fn is_stopped(&self, one: NodeId, other: NodeId) -> bool {
        [one, other].into_iter().filter_map(|node| self.guest(node)).any(|it| !it.gate.is_open())
    }

    fn node(&self, node: NodeId) -> Option<Arc<SimLink>> {
        lock(&self.nodes).get(&node).cloned()
    }

    fn guest(&self, node: NodeId) -> Option<Guest> {
        self.node(node)?.party.get().cloned()
    }

    fn delay(&self, one: NodeId, other: NodeId) -> Duration {
        let (least, most) = *lock(&self.delay);
        let spread = u64::try_from((most - least).as_micros()).unwrap_or(u64::MAX);
        let slow = lock(&self.slow);
        let more = [one, other].map(|node| slow.get(&node).copied().unwrap_or_default());
        least + Duration::from_micros(self.entropy.below(spread + 1)) + more[0] + more[1]
    }

    fn close(&self, ends: (NodeId, NodeId)) {
        let wire = lock(&self.pairs).remove(&ends);
        let Some(wire) = wire else { return };
        wire.closed.send_replace(true);
        for (here, there) in [ends, (ends.1, ends.0)] {
            if let Some(guest) = self.guest(here) {
                guest.with(|party| party.down(there));
            }
        }
    }

    /// Opens a connection if both ends want it.
    fn open(self: &Arc<Self>, ends: (NodeId, NodeId)) {
        let (Some(low), Some(high)) = (self.node(ends.0), self.node(ends.1)) else { return };
        let (Some(one), Some(other)) = (low.party.get(), high.party.get()) else { return };
        if *low.stopped.borrow() || *high.stopped.borrow() || self.is_blocked(ends.0, ends.1) {
            return;
        }
        let greeting = one.with(|party| party.greeting(ends.1));
        let answer = other.with(|party| party.greeted(&greeting).map(|_| party.greeting(ends.0)));
        let welcome = answer.and_then(|answer| one.with(|party| party.greeted(&answer)));
        if let Err(why) = welcome {
            tracing::info!(?ends, why, "a peer is refused");
            return;
        }
        let closed = watch::Sender::new(false);
        let mut pipes = BTreeMap::new();
        for (from, to) in [ends, (ends.1, ends.0)] {
            for lane in Lane::ALL {
                pipes.insert((from, lane), self.pipe(from, to, &closed));
            }
        }
        lock(&self.pairs).insert(ends, Arc::new(Wire { closed, pipes }));
        one.with(|party| party.up(ends.1));
        other.with(|party| party.up(ends.0));
    }

    fn pipe(self: &Arc<Self>, from: NodeId, to: NodeId, closed: &watch::Sender<bool>) -> Pipe {
        let (sender, mut frames) = mpsc::unbounded_channel::<(Instant, Frame, usize)>();
        let bytes = Arc::new(AtomicUsize::new(0));
        let (waiting, mut closed) = (bytes.clone(), closed.subscribe());
        let (this, mut blocked) = (Arc::downgrade(self), self.blocked.subscribe());
        tokio::spawn(async move {
            let deliver = async {
                while let Some((at, frame, size)) = frames.recv().await {
                    tokio::time::sleep_until(at).await;
                    let passes = |blocked: &BTreeSet<_>| !blocked.contains(&(from, to));
                    if blocked.wait_for(passes).await.is_err() {
                        return;
                    }
                    waiting.fetch_sub(size, Ordering::SeqCst);
                    let Some(net) = this.upgrade() else { return };
                    net.messages.fetch_add(1, Ordering::SeqCst);
                    let Some(guest) = net.guest(to) else { return };
                    drop(net);
                    let taken = guest.take(frame).await;
                    if let Some(net) = this.upgrade().filter(|_| !taken) {
                        net.close(pair(from, to));
                    }
                }
            };
            tokio::select! {
                biased;
                _ = closed.wait_for(|closed| *closed) => {}
                () = deliver => {}
            }
        });
        Pipe { sender, bytes }
    }
}

/// Keeps a pair of nodes connected.
async fn keep(net: Weak<Net>, link: Arc<SimLink>, peer: NodeId) {
    let ends = pair(link.node, peer);
    let mut stopped = link.stopped.subscribe();
    let mut blocked_since: Option<Instant> = None;
    loop {
        let Some(net) = net.upgrade() else { return };
        let open = lock(&net.pairs).contains_key(&ends);
        let blocked = net.is_blocked(ends.0, ends.1) || net.is_stopped(ends.0, ends.1);
        match (open, blocked, blocked_since) {
            (false, false, _) => net.open(ends),
            (true, true, None) => blocked_since = Some(Instant::now()),
            (true, true, Some(since)) if since.elapsed() >= KEEPALIVE => {
                net.close(ends);
                blocked_since = None;
            }
            (_, false, _) => blocked_since = None,
            _ => {}
        }
        let wait = DIAL_AGAIN + net.delay(ends.0, ends.1);
        drop(net);
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl SimLink {
    /// As the higher id does, for every peer below that nobody dials yet.
    fn dial(&self, new: impl IntoIterator<Item = NodeId>) {
        let Some(net) = self.net.upgrade() else { return };
        let Some(this) = net.node(self.node) else { return };
        if self.party.get().is_none() {
            return;
        }
        for peer in new.into_iter().filter(|peer| *peer < self.node) {
            tokio::spawn(keep(self.net.clone(), this.clone(), peer));
        }
    }
}

impl Link for SimLink {
    fn start(&self, party: Arc<dyn Party>) {
        let gate = Gate::current().unwrap_or_else(|| Gate::new(0));
        drop(self.party.set(Guest { party, gate }));
        let peers = lock(&self.peers).clone();
        self.dial(peers);
    }

    fn send(&self, to: NodeId, lane: Lane, message: Message) -> Result<(), SendError> {
        let net = self.net.upgrade().ok_or(SendError::Down)?;
        let guest = self.party.get().ok_or(SendError::Down)?;
        if *self.stopped.borrow() {
            return Err(SendError::Down);
        }
        let wire = lock(&net.pairs).get(&pair(self.node, to)).cloned().ok_or(SendError::Down)?;
        let pipe = wire.pipes.get(&(self.node, lane)).ok_or(SendError::Down)?;
        let size = message.bytes();
        if pipe.bytes.load(Ordering::SeqCst) >= bytes_max(lane) {
            return Err(SendError::Full);
        }
        pipe.bytes.fetch_add(size, Ordering::SeqCst);
        let frame = Frame { envelope: guest.party.envelope(to), messages: vec![message] };
        let at = Instant::now() + net.delay(self.node, to);
        pipe.sender.send((at, frame, size)).map_err(|_| SendError::Down)
    }

    fn cut(&self, peer: NodeId) {
        if let Some(net) = self.net.upgrade() {
            net.close(pair(self.node, peer));
        }
    }

    fn set_peers(&self, peers: BTreeMap<NodeId, String>) {
        let new: Vec<NodeId> = {
            let mut known = lock(&self.peers);
            let new = peers.keys().filter(|peer| !known.contains(peer)).copied().collect();
            *known = peers.into_keys().collect();
            new
        };
        self.dial(new);
    }

    fn stop(&self) {
        self.stopped.send_replace(true);
        let Some(net) = self.net.upgrade() else { return };
        let ends: Vec<_> = lock(&net.pairs).keys().copied().collect();
        for ends in ends.into_iter().filter(|ends| ends.0 == self.node || ends.1 == self.node) {
            net.close(ends);
        }
    }
}

/// A node's clock in a simulation: tokio's time, with a wall clock that may be off.
pub struct SimClock {
    start: Instant,
    wall_ms: AtomicU64,
    /// By so many in 1000 it is fast, and since when on its monotonic clock.
    drift: Mutex<(i64, Duration)>,
}

impl SimClock {
    /// A clock whose wall clock shows `wall_ms` now. Call it inside the runtime.
    pub fn at(wall_ms: u64) -> Self {
        Self { start: Instant::now(), wall_ms: AtomicU64::new(wall_ms), drift: Mutex::default() }
    }

    /// Makes the wall clock jump by so many milliseconds.
    pub fn jump(&self, by_ms: i64) {
        let wall = self.wall_ms.load(Ordering::SeqCst).saturating_add_signed(by_ms);
        self.wall_ms.store(wall, Ordering::SeqCst);
    }

    /// Makes the wall clock run fast (or slow) from now on, by so many in 1000.
    pub fn drift(&self, permille: i64) {
        self.jump(self.drifted_ms());
        *lock(&self.drift) = (permille, self.monotonic());
    }

    fn drifted_ms(&self) -> i64 {
        let (permille, since) = *lock(&self.drift);
        let passed = i64::try_from((self.monotonic() - since).as_millis()).unwrap_or(i64::MAX);
        passed.saturating_mul(permille) / 1000
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> u64 {
        let since = u64::try_from(self.monotonic().as_millis()).unwrap_or(u64::MAX);
        let wall = self.wall_ms.load(Ordering::SeqCst).saturating_add(since);
        wall.saturating_add_signed(self.drifted_ms())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
