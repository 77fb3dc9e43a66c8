//! Shards without replicas: plain states, applied at once, or held back until a test lets go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base::{Clock, ClusterId, ManualClock, NodeId, ShardId};
use raft::bus::Bus;
use raft::settings::Settings;
use raft::{NodeStatus, Outcome, Pending, ProposeError, Shards, WaitWork, Watch, Watches};
use streams::command::{Command, Stamp};
use streams::error::Fault;
use streams::query::Query;
use streams::reply::{EntryRef, Reply};
use streams::{Blocks, State};
use tokio::sync::{mpsc, oneshot};
use topology::{Meta, MetaCommand, ShardMap};

/// As many as it takes for two keys to be apart.
const SHARDS_COUNT: u16 = 4;

/// Something that was asked and is not answered yet.
enum Asked {
    Write(Command),
    Read(Query),
}

type Held = (oneshot::Sender<Outcome>, ShardId, Asked);

pub(crate) struct LoneShards {
    states: Vec<Mutex<State>>,
    clock: Arc<ManualClock>,
    /// What was asked since the shards were held, if they are.
    held: Mutex<Option<Vec<Held>>>,
    failing: Mutex<Option<ProposeError>>,
    bus: Bus,
    waits: Vec<Mutex<Waits>>,
    /// What the node knows of the cluster.
    status: Mutex<NodeStatus>,
    /// Reads that were asked of this node's own replicas.
    asked_here: AtomicUsize,
    meta: Mutex<Meta>,
}

/// Those who wait at a shard: all of them are woken when it is worth asking.
struct Waits {
    watches: Watches,
    work: mpsc::UnboundedReceiver<WaitWork>,
    open: BTreeMap<u64, (Query, Option<oneshot::Sender<()>>)>,
}

impl Waits {
    fn new() -> Mutex<Self> {
        let (watches, work) = Watches::new();
        Mutex::new(Self { watches, work, open: BTreeMap::new() })
    }

    fn look(&mut self, state: &State) {
        while let Ok(work) = self.work.try_recv() {
            match work {
                WaitWork::Add { id, query, woken } => {
                    drop(self.open.insert(id, (query, Some(woken))))
                }
                WaitWork::Again { id, woken } => self.open.get_mut(&id).unwrap().1 = Some(woken),
                WaitWork::Done { id } => drop(self.open.remove(&id)),
            }
        }
        for (_, woken) in self.open.values_mut().filter(|(query, _)| state.is_worth(query)) {
            if let Some(woken) = woken.take() {
                // Whoever waited may be gone.
                let _ = woken.send(());
            }
        }
    }
}

impl LoneShards {
    pub(crate) fn new(clock: Arc<ManualClock>) -> Self {
        let states = (0..SHARDS_COUNT).map(|_| Mutex::new(State::new())).collect();
        let waits = (0..SHARDS_COUNT).map(|_| Waits::new()).collect();
        let (cluster, node) = (ClusterId(7), NodeId(1));
        let status = NodeStatus { cluster, node, ready: true, ..NodeStatus::default() };
        Self {
            states,
            clock,
            bus: Bus::alone(),
            held: Mutex::new(None),
            failing: Mutex::new(None),
            waits,
            status: Mutex::new(status),
            asked_here: AtomicUsize::new(0),
            meta: Mutex::default(),
        }
    }

    /// Changes what the node knows of the cluster.
    pub(crate) fn learn(&self, change: impl FnOnce(&mut NodeStatus)) {
        change(&mut self.status.lock().unwrap());
    }

    /// How many reads were asked of this node's own replicas.
    pub(crate) fn asked_here(&self) -> usize {
        self.asked_here.load(Ordering::SeqCst)
    }

    /// How many wait.
    pub(crate) fn waits_count(&self) -> usize {
        let count = |at: usize| {
            let state = self.states[at].lock().unwrap();
            let mut waits = self.waits[at].lock().unwrap();
            waits.look(&state);
            waits.open.len()
        };
        (0..self.states.len()).map(count).sum()
    }

    /// From now on nothing is answered.
    pub(crate) fn hold(&self) {
        *self.held.lock().unwrap() = Some(Vec::new());
    }

    /// How many questions wait.
    pub(crate) fn held_count(&self) -> usize {
        self.held.lock().unwrap().as_ref().map_or(0, Vec::len)
    }

    /// Answers what waits, oldest first, and goes on holding.
    pub(crate) fn answer_held(&self) {
        let held = self.held.lock().unwrap().replace(Vec::new()).unwrap_or_default();
        self.answer_all(held);
    }

    /// Answers what waits, oldest first, and everything from now on.
    pub(crate) fn let_go(&self) {
        let held = self.held.lock().unwrap().take().unwrap_or_default();
        self.answer_all(held);
    }

    /// From now on nothing succeeds.
    pub(crate) fn fail(&self, error: Option<ProposeError>) {
        *self.failing.lock().unwrap() = error;
    }

    fn answer_all(&self, held: Vec<Held>) {
        for (sender, shard, asked) in held {
            drop(sender.send(self.answer(shard, &asked)));
        }
    }

    fn ask(&self, shard: ShardId, asked: Asked) -> Pending {
        if let Some(held) = &mut *self.held.lock().unwrap() {
            let (sender, pending) = Pending::new();
            held.push((sender, shard, asked));
            return pending;
        }
        Pending::ready(self.answer(shard, &asked))
    }

    fn answer(&self, shard: ShardId, asked: &Asked) -> Outcome {
        if let Some(error) = &*self.failing.lock().unwrap() {
            return Err(error.clone());
        }
        let stamp = Stamp { now_ms: self.clock.wall_ms() };
        let blocks = Blocks::new();
        let mut state = self.states[usize::from(shard.0)].lock().unwrap();
        let reply: Reply<EntryRef> = match asked {
            Asked::Write(command) => {
                let fetch = |_| Ok::<_, Fault>(Blocks::new());
                let applied = state.apply_steps(stamp, command, fetch).unwrap();
                self.bus.happened(&applied.events);
                applied.reply
            }
            Asked::Read(query) => {
                if let Query::WouldDeliver(read) = query {
                    state.note_seen(read, stamp);
                }
                state.answer(&blocks, stamp, query).unwrap()
            }
        };
        self.waits[usize::from(shard.0)].lock().unwrap().look(&state);
        Ok(state.resolve(&blocks, reply).unwrap())
    }
}

impl Shards for LoneShards {
    fn write(&self, shard: ShardId, command: Command) -> Pending {
        self.ask(shard, Asked::Write(command))
    }

    fn read(&self, shard: ShardId, query: Query) -> Pending {
        self.ask(shard, Asked::Read(query))
    }

    fn read_here(&self, shard: ShardId, query: Query) -> Pending {
        self.asked_here.fetch_add(1, Ordering::SeqCst);
        self.read(shard, query)
    }

    fn watch(&self, shard: ShardId, query: Query) -> Watch {
        let at = usize::from(shard.0);
        let state = self.states[at].lock().unwrap();
        let mut waits = self.waits[at].lock().unwrap();
        let watch = waits.watches.watch(query);
        waits.look(&state);
        watch
    }

    fn settings(&self) -> Settings {
        Settings::of(self.meta.lock().unwrap().settings())
    }

    fn choose(&self, numbers: BTreeMap<String, u64>) -> Pending {
        self.meta.lock().unwrap().apply(MetaCommand::Choose { numbers });
        let set = Command::Set(self.settings().shards);
        let told =
            self.shards().into_iter().map(|shard| self.ask(shard, Asked::Write(set.clone())));
        told.last().unwrap()
    }

    fn bus(&self) -> Option<&Bus> {
        Some(&self.bus)
    }

    fn shard_of(&self, key: &[u8]) -> ShardId {
        ShardMap::new(SHARDS_COUNT).unwrap().shard_of(key)
    }

    fn shards(&self) -> Vec<ShardId> {
        (0..SHARDS_COUNT).map(ShardId).collect()
    }

    fn status(&self) -> NodeStatus {
        self.status.lock().unwrap().clone()
    }
}
