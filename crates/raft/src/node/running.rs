//! The groups of a node, and what carries them: journal, store, committer, checkpointer. Started
//! once the node belongs to a cluster.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use base::{Disk, NodeId, ShardId};
use journal::guard::{
    Ballast, DamagedPart, Identity, JOURNAL_DIR, STORE_DIR, damaged_parts, forget_damaged,
    note_damaged,
};
use journal::{Committer, Journal, Marks};
use store::Store;
use streams::Origin;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use topology::Meta;

use super::inner::{Inner, bytes, refused};
use super::{Driver, Failure, Pace};
use crate::checkpoint::{self, Bell, Checkpointer, Step};
use crate::expire;
use crate::gateway::{Gateway, GatewaySetup, Handle};
use crate::machine::data::{BlockCache, Data};
use crate::machine::{Broken, Fatal, Machine};
use crate::meta::MetaMachine;
use crate::propose::{Proposer, Waiting};
use crate::read::{self, Asked};
use crate::repair::{self, damaged_part};
use crate::route::Route;
use crate::shard::{Group, GroupSetup, Times};
use crate::shards::ShardStatus;
use crate::state::{Replica, Setup};
use crate::waits::{self, Watcher, WatcherSetup, Watches};

/// Parts of the memory limit: blocks with what is dirty, and recent entries of the log.
const BLOCKS_PART: u64 = 2;
const LOG_PART: u64 = 8;

/// How often a simulated checkpointer looks for work.
const STEP_EVERY: Duration = Duration::from_millis(50);

/// How long the threads may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Running {
    pub(crate) journal: Journal,
    store: Arc<dyn Store>,
    cache: Arc<BlockCache>,
    identity: Identity,
    places: BTreeMap<ShardId, Place>,
    bell: Bell,
    node: Weak<Inner>,
    stopping: Arc<AtomicBool>,
    hold_checkpoints: watch::Sender<bool>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// A shard of this node, whether its group runs or not.
struct Place {
    shard: watch::Sender<Option<Arc<Shard>>>,
    /// None for the meta group.
    gateway: Option<Handle>,
    /// None for the meta group.
    watcher: Option<Watches>,
    /// Its store isn't whole: why.
    damage: Option<String>,
}

/// A shard whose group runs here. Its tasks end when it is dropped.
pub(crate) struct Shard {
    pub(crate) group: Group,
    pub(crate) proposer: mpsc::UnboundedSender<Waiting>,
    pub(crate) reader: mpsc::UnboundedSender<Asked>,
    pub(crate) waits: mpsc::UnboundedSender<waits::Asked>,
}

impl Running {
    /// Opens journal and store and starts every group whose store is whole. `again`: the groups
    /// may have run here before, so no vote until old leases are over.
    pub(crate) async fn start(
        node: &Arc<Inner>,
        marks: &Marks,
        again: bool,
    ) -> Result<Self, Failure> {
        let identity = node.identity().ok_or_else(stopping)?;
        let (journal, committer) = open_journal(node, marks)?;
        let mut notes = damaged_parts(&*node.world.disk, &node.options.data_dir)?;
        let store = open_store(node, &mut notes)?;
        let cache = Arc::new(BlockCache::new(bytes(node.options.memory_bytes / BLOCKS_PART)));
        let mut running = Self {
            journal,
            store,
            cache,
            identity,
            places: BTreeMap::new(),
            bell: Bell::default(),
            node: Arc::downgrade(node),
            stopping: Arc::default(),
            hold_checkpoints: watch::Sender::new(false),
            threads: Mutex::default(),
            tasks: Mutex::default(),
        };
        running.drive(node, committer);
        running.checkpoint(node);
        for shard in node.map.shards().chain([ShardId::META]) {
            let damage = repair::damage(&*running.store, &running.journal, shard, &notes, marks);
            let damage = damage.map_err(|broken| failure_of(&broken))?;
            running.add_place(node, shard, damage);
            running.try_start_shard(shard, again).await?;
        }
        Ok(running)
    }

    fn add_place(&mut self, node: &Arc<Inner>, shard: ShardId, damage: Option<String>) {
        let place = watch::Sender::new(None);
        let gateway = (!shard.is_meta()).then(|| {
            let (gateway, work) = Handle::new(node.budget.clone());
            let setup = GatewaySetup {
                origin: Origin { node: self.identity.node, incarnation: self.identity.incarnation },
                shard,
                route: Route::new(self.identity.node, place.subscribe()),
                router: node.router.clone(),
                budget: node.budget.clone(),
                timeout: node.options.request_timeout,
                work,
            };
            self.spawn(Gateway::new(setup).run());
            gateway
        });
        let watcher = (!shard.is_meta()).then(|| {
            let (watcher, work) = Watches::new();
            let setup = WatcherSetup {
                shard,
                epoch: self.identity.incarnation.random,
                route: Route::new(self.identity.node, place.subscribe()),
                router: node.router.clone(),
                work,
            };
            self.spawn(Watcher::new(setup).run());
            watcher
        });
        self.places.insert(shard, Place { shard: place, gateway, watcher, damage });
    }

    /// Starts a shard's group, unless its store isn't whole, which is noted.
    async fn try_start_shard(&mut self, shard: ShardId, again: bool) -> Result<(), Failure> {
        let Some(place) = self.places.get(&shard) else { return Ok(()) };
        if place.damage.is_some() {
            return Ok(());
        }
        let replica = match self.open_replica(shard) {
            Ok(replica) => replica,
            Err(broken) if damaged_part(shard, &broken).is_some() => {
                if let Some(place) = self.places.get_mut(&shard) {
                    place.damage = Some(broken.to_string());
                }
                return Ok(());
            }
            Err(broken) => return Err(failure_of(&broken)),
        };
        self.start_group(replica, again).await
    }

    /// Starts the group of a shard whose store is whole again.
    pub(crate) async fn start_again(&self, shard: ShardId) -> Result<(), Failure> {
        let node = self.node.upgrade().ok_or_else(stopping)?;
        let (disk, dir) = (&*node.world.disk, &node.options.data_dir);
        let replica = self.open_replica(shard);
        let replica = replica.map_err(|broken| noted(disk, dir, shard, &broken))?;
        self.start_group(replica, true).await
    }

    /// Builds a group anew whose core panicked: from the last checkpoint, with everything that its
    /// log was handed synced, and quiet until old leases are over.
    pub(crate) async fn rebuild(&self, shard: ShardId) -> Result<(), Failure> {
        let Some(place) = self.places.get(&shard) else { return Ok(()) };
        let Some(old) = place.shard.send_replace(None) else { return Ok(()) };
        // It has ended already: this waits for what is left of it.
        drop(old.group.raft.shutdown().await);
        let gate = old.group.feed.stop();
        drop(tokio::time::timeout(STOP_PATIENCE, gate.drained()).await);
        let synced = crate::log::synced(&self.journal).await;
        synced.map_err(|error| Failure::Refused(error.to_string()))?;
        old.group.replica.close().map_err(|broken| failure_of(&broken))?;
        self.start_again(shard).await
    }

    async fn start_group(&self, replica: Arc<Replica>, again: bool) -> Result<(), Failure> {
        let node = self.node.upgrade().ok_or_else(stopping)?;
        let (shard, options) = (replica.shard(), &node.options);
        self.bell.watch(replica.clone());
        let setup = GroupSetup {
            node: options.node,
            map: node.map,
            replica,
            journal: self.journal.clone(),
            router: node.router.clone(),
            times: Times { heartbeat: options.heartbeat, election: options.election },
            fatal: fatal(&node),
            quiet: again,
        };
        let group = Group::start(setup).await.map_err(Failure::Untrusted)?;
        self.spawn(checkpoint::follow(group.raft.clone(), group.replica.marks()));
        let (proposer, arriving) = mpsc::unbounded_channel();
        let (reader, asked) = mpsc::unbounded_channel();
        let (waits, waiting) = mpsc::unbounded_channel();
        let clock = node.clock.clone();
        self.spawn(Proposer::new(group.clone(), clock.clone(), arriving).run());
        self.spawn(read::serve(group.clone(), clock.clone(), options.reads, asked));
        if !shard.is_meta() {
            let listener = group.replica.with::<Data, _>(Data::listen);
            self.spawn(waits::serve(group.clone(), clock.clone(), listener, waiting));
            let wanted = node.bus.wanted();
            let listener = group.replica.with(|data: &mut Data| data.listen_while(wanted));
            self.spawn(node.bus.clone().pass_on(listener));
        }
        if let Some(place) = self.places.get(&shard) {
            let shard = Arc::new(Shard { group, proposer, reader, waits });
            if let Some(gateway) = &place.gateway {
                self.spawn(expire::run(Arc::downgrade(&shard), clock, gateway.clone()));
            }
            place.shard.send_replace(Some(shard));
        }
        Ok(())
    }

    fn open_replica(&self, shard: ShardId) -> Result<Arc<Replica>, Broken> {
        let node = self.node.upgrade().ok_or_else(|| Broken::Journal("stopping".into()))?;
        let machine: Box<dyn Machine> = if shard.is_meta() {
            Box::new(MetaMachine::default())
        } else {
            let data = Data::new(shard, self.store.clone(), self.cache.clone());
            Box::new(data.with_clock(&node.world.clock))
        };
        let cache = self.cache.clone();
        Replica::open(Setup {
            shard,
            journal: self.journal.clone(),
            store: self.store.clone(),
            machine,
            fatal: fatal(&node),
            dirty: Box::new(move |bytes| cache.set_dirty(shard, bytes)),
        })
    }

    /// The shards whose stores aren't whole, and why.
    pub(crate) fn damaged(&self) -> BTreeMap<ShardId, String> {
        let damage = |(shard, place): (&ShardId, &Place)| Some((*shard, place.damage.clone()?));
        self.places.iter().filter_map(damage).collect()
    }

    /// Every damaged shard has its replacement: neither notes nor what was set aside is needed.
    pub(crate) fn forget_damage(&self, node: &Arc<Inner>) -> Result<(), Failure> {
        let dir = &node.options.data_dir;
        if !self.damaged().is_empty() {
            forget_damaged(&*node.world.disk, dir).map_err(refused)?;
        }
        let removed = node.world.stores.remove_set_aside(&dir.join(STORE_DIR));
        removed.map_err(|error| failure_of(&Broken::Store(error.into())))
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = crate::runtime::spawn(task);
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Sets the committer to work.
    fn drive(&self, node: &Arc<Inner>, mut committer: Committer) {
        let weak = Arc::downgrade(node);
        let failed = move |failed: journal::Failed| {
            if let Some(node) = weak.upgrade() {
                node.fail(Failure::Refused(failed.to_string()));
            }
        };
        match &node.world.driver {
            Driver::Thread => self.thread("journal", move || {
                if let Err(error) = committer.run() {
                    failed(error);
                }
            }),
            Driver::Task(pace) => {
                let work = Arc::new(Notify::new());
                let (waker, pace) = (work.clone(), pace.clone());
                self.journal.set_waker(Arc::new(move || waker.notify_one()));
                self.spawn(async move {
                    loop {
                        wait(&pace).await;
                        match committer.step() {
                            Ok(true) => {}
                            Ok(false) => work.notified().await,
                            Err(error) => return failed(error),
                        }
                    }
                });
            }
        }
    }

    fn checkpoint(&mut self, node: &Arc<Inner>) {
        let options = checkpoint::Options {
            dirty_bytes: bytes(node.options.checkpoint_dirty_bytes),
            journal_bytes: node.options.kept_bytes,
            ..checkpoint::Options::default()
        };
        let clock = node.world.clock.clone();
        let mut checkpointer = Checkpointer::new(self.journal.clone(), clock, options, []);
        self.bell = checkpointer.bell();
        match &node.world.driver {
            Driver::Thread => self.thread("store", move || checkpointer.run()),
            Driver::Task(pace) => {
                let (mut hold, pace) = (self.hold_checkpoints.subscribe(), pace.clone());
                self.spawn(async move {
                    while hold.wait_for(|hold| !hold).await.is_ok() {
                        match checkpointer.step() {
                            Ok(Step::Worked) => wait(&pace).await,
                            Ok(Step::Waiting | Step::Idle) => tokio::time::sleep(STEP_EVERY).await,
                            Err(_) => return,
                        }
                    }
                });
            }
        }
    }

    /// A thread whose panic ends the node.
    fn thread(&self, name: &str, run: impl FnOnce() + Send + 'static) {
        let node = self.node.clone();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let ended = std::panic::catch_unwind(AssertUnwindSafe(run));
            if let (Err(panic), Some(node)) = (ended, node.upgrade()) {
                node.fail(Failure::panicked(crate::runtime::said(&*panic)));
            }
        });
        let thread = thread.expect("a process may start a few threads");
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    /// The shard, where its group runs.
    pub(crate) fn shard(&self, shard: ShardId) -> Option<Arc<Shard>> {
        self.places.get(&shard)?.shard.borrow().clone()
    }

    pub(crate) fn group(&self, shard: ShardId) -> Option<Group> {
        self.shard(shard).map(|shard| shard.group.clone())
    }

    /// Every group that runs, in order.
    pub(crate) fn groups(&self) -> Vec<Group> {
        self.places.keys().filter_map(|shard| self.group(*shard)).collect()
    }

    /// Whether every shard's group runs.
    pub(crate) fn is_whole(&self) -> bool {
        self.places.values().all(|place| place.shard.borrow().is_some())
    }

    pub(crate) fn gateway(&self, shard: ShardId) -> Option<&Handle> {
        if self.stopping.load(Ordering::SeqCst) {
            return None;
        }
        self.places.get(&shard)?.gateway.as_ref()
    }

    /// Who keeps the waits of this node's clients on a shard.
    pub(crate) fn watcher(&self, shard: ShardId) -> Option<&Watches> {
        self.places.get(&shard)?.watcher.as_ref()
    }

    /// The cluster, as applied here.
    pub(crate) fn meta(&self) -> Option<Meta> {
        self.group(ShardId::META).map(|group| crate::meta::view(&group.replica))
    }

    pub(crate) fn status(&self, hashed: bool) -> Vec<ShardStatus> {
        self.groups().iter().map(|group| group.status(hashed)).collect()
    }

    pub(crate) fn hold_checkpoints(&self, hold: bool) {
        self.hold_checkpoints.send_replace(hold);
    }

    pub(crate) fn dirty_bytes(&self) -> usize {
        self.cache.dirty_bytes()
    }

    /// Whether entries are held back until checkpoints have caught up.
    pub(crate) fn is_pressed(&self) -> bool {
        self.cache.is_pressed()
    }

    /// See [`Inner::low_disk`].
    pub(crate) fn low_disk(&self, shard: ShardId, free_min: u64) -> Option<NodeId> {
        let router = &self.node.upgrade()?.router;
        // Almost always; this is asked for each write.
        if router.disk_free_lowest() >= free_min {
            return None;
        }
        let group = self.group(shard)?;
        let (me, heard) = (self.identity.node, router.peers());
        let free = |voter: NodeId| {
            if voter == me {
                return router.disk_free();
            }
            heard.get(&voter).and_then(|peer| peer.disk_free).unwrap_or(u64::MAX)
        };
        let voters: Vec<NodeId> = group.voters();
        let low: Vec<NodeId> = voters.iter().copied().filter(|one| free(*one) < free_min).collect();
        let room = voters.len() - low.len();
        if room * 2 > voters.len() {
            return low.into_iter().find(|voter| Some(*voter) == group.leader());
        }
        low.into_iter().next()
    }

    /// The journal gives way before appends have to be refused.
    pub(crate) fn set_disk_short(&self, short: bool) {
        self.bell.set_short(short);
    }

    pub(crate) fn kill(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.bell.stop();
        for task in std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
        {
            task.abort();
        }
        for group in self.groups() {
            let raft = group.raft.clone();
            crate::runtime::spawn(async move { drop(raft.shutdown().await) });
        }
    }

    pub(crate) async fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for group in self.groups() {
            drop(group.raft.shutdown().await);
        }
        drop(crate::log::synced(&self.journal).await);
        self.bell.stop();
        for task in std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
        {
            task.abort();
        }
        self.join_threads().await;
    }

    /// The checkpointer's thread ends; the committer's ends with the last handle of the journal,
    /// which may outlive this call: everything is synced already.
    async fn join_threads(&self) {
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let store = threads.into_iter().filter(|one| one.thread().name() == Some("store"));
        for thread in store {
            let joined = tokio::task::spawn_blocking(move || drop(thread.join()));
            drop(tokio::time::timeout(STOP_PATIENCE, joined).await);
        }
    }
}

/// As long as a simulated disk takes, and a turn of the runtime at least.
async fn wait(pace: &Pace) {
    match pace() {
        Duration::ZERO => tokio::task::yield_now().await,
        time => tokio::time::sleep(time).await,
    }
}

fn stopping() -> Failure {
    Failure::Refused("stopping".into())
}

fn open_journal(node: &Arc<Inner>, marks: &Marks) -> Result<(Journal, Committer), Failure> {
    let (options, world) = (&node.options, &node.world);
    let journal_options = journal::Options {
        segment_bytes: options.segment_bytes,
        kept_bytes: options.kept_bytes,
        cache_bytes: bytes(options.memory_bytes / LOG_PART),
        salt: world.entropy.next_u64(),
        ..journal::Options::default()
    };
    let dir = options.data_dir.join(JOURNAL_DIR);
    let opened = journal::open(world.disk.clone(), &dir, journal_options, marks);
    let (journal, mut committer) = opened.map_err(|error| match error.exit_code() {
        2 => Failure::Untrusted(error.to_string()),
        _ => Failure::Refused(error.to_string()),
    })?;
    committer.keep_witness(&options.data_dir, world.clock.clone()).map_err(refused)?;
    let ballast = Ballast::new(world.disk.clone(), &options.data_dir, options.ballast_bytes);
    if !ballast.take().map_err(refused)? {
        tracing::warn!("there is no room for a ballast file: a full disk will be harder to leave");
    }
    committer.when_full(Box::new(move || ballast.give_up().unwrap_or(false)));
    Ok((journal, committer))
}

/// Opens the store. One that can't be read is set aside: its shards are refilled by peers. So is one of
/// which that was noted while it ran: opening doesn't look at every page. Then no note holds any more.
fn open_store(node: &Arc<Inner>, notes: &mut Vec<DamagedPart>) -> Result<Arc<dyn Store>, Failure> {
    let (dir, disk) = (&node.options.data_dir, &*node.world.disk);
    let (store_dir, stores) = (dir.join(STORE_DIR), &node.world.stores);
    let opened = match notes.iter().any(repair::is_whole_store) {
        true => Err(store::Error::Unreadable("noted while it ran".to_owned())),
        false => stores.open(&store_dir),
    };
    let opened = match opened {
        Err(store::Error::Unreadable(why)) => {
            let aside = stores.set_aside(&store_dir).map_err(store::Error::from);
            let aside = aside.map_err(|error| failure_of(&Broken::Store(error)))?;
            let aside = aside.as_ref().map(|aside| tracing::field::display(aside.display()));
            tracing::warn!(%why, aside, "the store is damaged and set aside");
            forget_damaged(disk, dir).map_err(refused)?;
            notes.clear();
            stores.open(&store_dir)
        }
        opened => opened,
    };
    opened.map_err(|error| failure_of(&Broken::Store(error)))
}

/// What a broken replica does: what is damaged is noted, and the node ends.
fn fatal(node: &Arc<Inner>) -> Fatal {
    let (disk, dir) = (node.world.disk.clone(), node.options.data_dir.clone());
    let node = Arc::downgrade(node);
    Arc::new(move |shard, broken| {
        let failure = noted(&*disk, &dir, shard, broken);
        if let Some(node) = node.upgrade() {
            node.fail(failure);
        }
    })
}

/// How a node ends over what is broken. What is damaged is noted for the next start.
pub(crate) fn noted(disk: &dyn Disk, dir: &Path, shard: ShardId, broken: &Broken) -> Failure {
    match damaged_part(shard, broken).map(|part| note_damaged(disk, dir, part)) {
        Some(Ok(())) => {
            // What doesn't decode was read from the store, and says only what it should have been.
            let broken = match broken {
                Broken::Fault(fault) => {
                    format!("damaged value in the store of shard {shard}, {fault}")
                }
                broken => broken.to_string(),
            };
            Failure::Untrusted(format!(
                "{broken}; start again: what it lacks then comes from its peers"
            ))
        }
        Some(Err(error)) => {
            tracing::error!(%error, "the damage could not be noted");
            failure_of(broken)
        }
        None => failure_of(broken),
    }
}

pub(crate) fn failure_of(broken: &Broken) -> Failure {
    match broken {
        Broken::Store(store::Error::Io(_)) | Broken::Journal(_) => {
            Failure::Refused(broken.to_string())
        }
        _ => Failure::Untrusted(broken.to_string()),
    }
}
