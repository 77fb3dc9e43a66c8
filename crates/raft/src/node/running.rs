//! The groups of a node, and what carries them: journal, store, committer, checkpointer. Started
//! once the node belongs to a cluster.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{NodeId, ShardId};
use journal::guard::{Ballast, Identity, JOURNAL_DIR, STORE_DIR, note_damaged};
use journal::{Committer, Journal, Marks};
use store::Store;
use streams::Origin;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use topology::Meta;

use super::inner::{Inner, bytes, refused};
use super::{Driver, Failure};
use crate::checkpoint::{self, Bell, Checkpointer, Step};
use crate::gateway::{Gateway, GatewaySetup, Handle};
use crate::machine::data::{BlockCache, Data};
use crate::machine::{Broken, Fatal, Machine};
use crate::meta::MetaMachine;
use crate::propose::{Proposer, Waiting};
use crate::read::{self, Asked};
use crate::repair::damaged_part;
use crate::shard::{Group, GroupSetup, Times};
use crate::shards::ShardStatus;
use crate::state::{Replica, Setup};

/// Parts of the memory limit: blocks with what is dirty, and recent entries of the log.
const BLOCKS_PART: u64 = 2;
const LOG_PART: u64 = 8;

/// How often a simulated checkpointer looks for work.
const STEP_EVERY: Duration = Duration::from_millis(50);

/// How long the threads may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Running {
    node: NodeId,
    pub(crate) journal: Journal,
    pub(crate) cache: Arc<BlockCache>,
    shards: BTreeMap<ShardId, Shard>,
    bell: Bell,
    router: Arc<crate::network::Router>,
    stopping: Arc<AtomicBool>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// One shard on this node. The meta group has no gateway.
struct Shard {
    group: Group,
    doors: Option<Doors>,
}

struct Doors {
    gateway: Handle,
    proposer: mpsc::UnboundedSender<Waiting>,
    reader: mpsc::UnboundedSender<Asked>,
}

impl Running {
    /// Opens journal and store and starts every group. `again`: the groups may have run here
    /// before, so no vote until old leases are over.
    pub(crate) async fn start(
        node: &Arc<Inner>,
        identity: Identity,
        marks: &Marks,
        again: bool,
    ) -> Result<Self, Failure> {
        let (journal, committer) = open_journal(node, marks)?;
        let store = open_store(node)?;
        let cache = Arc::new(BlockCache::new(bytes(node.options.memory_bytes / BLOCKS_PART)));
        let mut running = Self {
            node: node.options.node,
            cache,
            shards: BTreeMap::new(),
            bell: Bell::default(),
            router: node.router.clone(),
            stopping: Arc::default(),
            threads: Mutex::default(),
            tasks: Mutex::default(),
            journal,
        };
        running.drive(node, committer);
        let fatal = fatal(node);
        let mut replicas = Vec::new();
        for shard in node.map.shards().chain([ShardId::META]) {
            let replica = running.open_replica(shard, &store, &fatal)?;
            replicas.push(replica.clone());
            let group = start_group(node, &running.journal, replica, &fatal, again).await?;
            running.adopt(node, identity, group);
        }
        running.checkpoint(node, replicas);
        Ok(running)
    }

    fn open_replica(
        &self,
        shard: ShardId,
        store: &Arc<dyn Store>,
        fatal: &Fatal,
    ) -> Result<Arc<Replica>, Failure> {
        let machine: Box<dyn Machine> = if shard.is_meta() {
            Box::new(MetaMachine::default())
        } else {
            Box::new(Data::new(shard, store.clone(), self.cache.clone()))
        };
        let cache = self.cache.clone();
        let setup = Setup {
            shard,
            journal: self.journal.clone(),
            store: store.clone(),
            machine,
            fatal: fatal.clone(),
            dirty: Box::new(move |bytes| cache.set_dirty(shard, bytes)),
        };
        Replica::open(setup).map_err(|broken| failure_of(&broken))
    }

    /// Everything around a group: checkpoints that it is told of, and its doors.
    fn adopt(&mut self, node: &Arc<Inner>, identity: Identity, group: Group) {
        let shard = group.shard;
        self.spawn(checkpoint::follow(group.raft.clone(), group.replica.marks()));
        let doors = (!shard.is_meta()).then(|| self.open_doors(node, identity, &group));
        self.shards.insert(shard, Shard { group, doors });
    }

    fn open_doors(&self, node: &Arc<Inner>, identity: Identity, group: &Group) -> Doors {
        let (gateway, work) = Handle::new(node.budget.clone());
        let (proposer, arriving) = mpsc::unbounded_channel();
        let (reader, asked) = mpsc::unbounded_channel();
        let clock = node.clock.clone();
        self.spawn(Proposer::new(group.clone(), clock.clone(), arriving).run());
        self.spawn(read::serve(group.clone(), clock, node.options.reads, asked));
        let setup = GatewaySetup {
            origin: Origin { node: identity.node, incarnation: identity.incarnation },
            group: group.clone(),
            router: node.router.clone(),
            budget: node.budget.clone(),
            timeout: node.options.request_timeout,
            proposer: proposer.clone(),
            reader: reader.clone(),
            work,
        };
        self.spawn(Gateway::new(setup).run());
        Doors { gateway, proposer, reader }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(task);
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
        match node.world.driver {
            Driver::Thread => self.thread("journal", move || {
                if let Err(error) = committer.run() {
                    failed(error);
                }
            }),
            Driver::Task => {
                let work = Arc::new(Notify::new());
                let waker = work.clone();
                self.journal.set_waker(Arc::new(move || waker.notify_one()));
                self.spawn(async move {
                    loop {
                        match committer.step() {
                            Ok(true) => tokio::task::yield_now().await,
                            Ok(false) => work.notified().await,
                            Err(error) => return failed(error),
                        }
                    }
                });
            }
        }
    }

    fn checkpoint(&mut self, node: &Arc<Inner>, replicas: Vec<Arc<Replica>>) {
        let options = checkpoint::Options {
            dirty_bytes: bytes(node.options.checkpoint_dirty_bytes),
            journal_bytes: node.options.kept_bytes,
            ..checkpoint::Options::default()
        };
        let clock = node.world.clock.clone();
        let mut checkpointer = Checkpointer::new(self.journal.clone(), clock, options, replicas);
        self.bell = checkpointer.bell();
        match node.world.driver {
            Driver::Thread => self.thread("store", move || checkpointer.run()),
            Driver::Task => self.spawn(async move {
                while let Ok(step) = checkpointer.step() {
                    match step {
                        Step::Worked => tokio::task::yield_now().await,
                        Step::Waiting | Step::Idle => tokio::time::sleep(STEP_EVERY).await,
                    }
                }
            }),
        }
    }

    fn thread(&self, name: &str, run: impl FnOnce() + Send + 'static) {
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        let thread = thread.expect("a process may start a few threads");
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    pub(crate) fn group(&self, shard: ShardId) -> Option<&Group> {
        self.shards.get(&shard).map(|shard| &shard.group)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.shards.values().map(|shard| &shard.group)
    }

    pub(crate) fn gateway(&self, shard: ShardId) -> Option<&Handle> {
        if self.stopping.load(Ordering::SeqCst) {
            return None;
        }
        self.shards.get(&shard)?.doors.as_ref().map(|doors| &doors.gateway)
    }

    pub(crate) fn proposer(&self, shard: ShardId) -> Option<&mpsc::UnboundedSender<Waiting>> {
        self.shards.get(&shard)?.doors.as_ref().map(|doors| &doors.proposer)
    }

    pub(crate) fn reader(&self, shard: ShardId) -> Option<&mpsc::UnboundedSender<Asked>> {
        self.shards.get(&shard)?.doors.as_ref().map(|doors| &doors.reader)
    }

    /// The cluster, as applied here.
    pub(crate) fn meta(&self) -> Option<Meta> {
        self.group(ShardId::META).map(|group| crate::meta::view(&group.replica))
    }

    pub(crate) fn status(&self) -> Vec<ShardStatus> {
        self.groups().map(Group::status).collect()
    }

    /// See [`Inner::low_disk`].
    pub(crate) fn low_disk(&self, shard: ShardId, free_min: u64) -> Option<NodeId> {
        let group = self.group(shard)?;
        let heard = self.router.peers();
        let free = |voter: NodeId| {
            if voter == self.node {
                return self.router.disk_free();
            }
            heard.get(&voter).and_then(|peer| peer.disk_free).unwrap_or(u64::MAX)
        };
        let voters: Vec<NodeId> = group.voters();
        let low: Vec<NodeId> = voters.iter().copied().filter(|one| free(*one) < free_min).collect();
        let room = voters.len() - low.len();
        if room * 2 > voters.len() {
            return low.into_iter().find(|voter| *voter == self.node && group.leads());
        }
        low.into_iter().next()
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
            tokio::spawn(async move { drop(raft.shutdown().await) });
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

async fn start_group(
    node: &Arc<Inner>,
    journal: &Journal,
    replica: Arc<Replica>,
    fatal: &Fatal,
    again: bool,
) -> Result<Group, Failure> {
    let times = Times { heartbeat: node.options.heartbeat, election: node.options.election };
    let setup = GroupSetup {
        node: node.options.node,
        replica,
        journal: journal.clone(),
        router: node.router.clone(),
        times,
        fatal: fatal.clone(),
        quiet: again,
    };
    Group::start(setup).await.map_err(Failure::Untrusted)
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

fn open_store(node: &Arc<Inner>) -> Result<Arc<dyn Store>, Failure> {
    let dir = node.options.data_dir.join(STORE_DIR);
    (node.world.open_store)(&dir).map_err(|error| failure_of(&Broken::Store(error)))
}

/// What a broken replica does: what is damaged is noted, and the node ends.
fn fatal(node: &Arc<Inner>) -> Fatal {
    let (disk, dir) = (node.world.disk.clone(), node.options.data_dir.clone());
    let node = Arc::downgrade(node);
    Arc::new(move |shard, broken| {
        let part = damaged_part(shard, broken);
        if let Some(Err(error)) = part.map(|part| note_damaged(&*disk, &dir, part)) {
            tracing::error!(%error, "the damage could not be noted");
        }
        if let Some(node) = node.upgrade() {
            node.fail(failure_of(broken));
        }
    })
}

pub(crate) fn failure_of(broken: &Broken) -> Failure {
    match broken {
        Broken::Store(store::Error::Io(_)) | Broken::Journal(_) => {
            Failure::Refused(broken.to_string())
        }
        _ => Failure::Untrusted(broken.to_string()),
    }
}
