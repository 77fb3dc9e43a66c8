//! What a node is made of, from the opened data directory on. Never a group's inner workings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base::planted::{Bug, is};
use base::{ClusterId, NodeId, ShardId};
use journal::Marks;
use journal::guard::{DataLock, Forming, Found, Identity, inspect};
use streams::command::{Command, Step};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use topology::{NodeState, ShardMap};

pub(crate) use super::running::{Running, Shard};
use super::{Addresses, Failure, NodeStatus, Options, PeerStatus, ProposeError, World};
use crate::bus::Bus;
use crate::clock::LeaderClock;
use crate::gateway::{Budget, Handle};
use crate::network::{Me, Router, Transfers};
use crate::refill::Refills;
use crate::shards::ShardStatus;

/// A quarter of the memory may hold commands that wait.
const WAITING_PART: u64 = 4;

pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) world: World,
    pub(crate) map: ShardMap,
    pub(crate) router: Arc<Router>,
    pub(crate) clock: Arc<LeaderClock>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) refills: Arc<Refills>,
    identity: watch::Sender<Option<Identity>>,
    running: OnceLock<Running>,
    failure: watch::Sender<Option<Failure>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<DataLock>>,
}

impl Inner {
    pub(crate) async fn start(options: Options, world: World) -> Result<Arc<Self>, Failure> {
        let map = ShardMap::new(options.shards).ok_or_else(|| {
            Failure::Config(format!("{} shards are not possible", options.shards))
        })?;
        let lock = DataLock::take(&*world.disk, &options.data_dir).map_err(Failure::from)?;
        let found = inspect(&*world.disk, &options.data_dir, options.node)?;
        let (identity, marks) = match found {
            Found::Nothing => (None, Marks::default()),
            Found::Data { identity, marks } => {
                let next = identity.next_life(&*world.entropy);
                let identity = if is(Bug::IncarnationReused) { identity } else { next };
                identity.save(&*world.disk, &options.data_dir).map_err(refused)?;
                (Some(identity), marks)
            }
        };
        let me = Me {
            cluster: identity.map_or(ClusterId(0), |identity| identity.cluster),
            node: options.node,
            incarnation: identity.map(|identity| identity.incarnation).unwrap_or_default(),
            settings: options.settings,
        };
        let router = Router::new(world.link.clone(), world.clock.clone(), me);
        let inner = Arc::new(Self {
            clock: LeaderClock::new(world.clock.clone(), router.clone()),
            budget: Budget::new(bytes(options.memory_bytes / WAITING_PART)),
            bus: Bus::new(router.clone()),
            transfers: Arc::default(),
            refills: Arc::default(),
            identity: watch::Sender::new(identity),
            running: OnceLock::new(),
            failure: watch::Sender::new(None),
            tasks: Mutex::default(),
            lock: Mutex::new(Some(lock)),
            map,
            router,
            options,
            world,
        });
        if identity.is_some() {
            let running = Running::start(&inner, &marks, true).await;
            let running = running.map_err(|failure| inner.named(failure))?;
            inner.check_map(&running)?;
            inner.set_running(running);
        }
        inner.begin();
        Ok(inner)
    }

    /// Peers, forming, and the supervisor.
    fn begin(self: &Arc<Self>) {
        self.tell_peers();
        self.router.start(self.clone());
        let forming = crate::forming::run(self.clone());
        self.spawn(forming);
        if self.running().is_some() {
            self.spawn(crate::refill::run(self.clone()));
        }
        let supervisor = crate::supervisor::run(self.clone());
        self.spawn(supervisor);
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(crate::runtime::spawn(task));
    }

    /// The number of shards is fixed once the cluster is made.
    pub(crate) fn check_map(&self, running: &Running) -> Result<(), Failure> {
        let made = running.meta().and_then(|meta| meta.map());
        match made {
            Some(made) if made != self.map => Err(Failure::Config(format!(
                "cluster.toml says {} shards, but the cluster was made with {}: the number is \
                 fixed, put it back",
                self.map.len(),
                made.len()
            ))),
            _ => Ok(()),
        }
    }

    pub(crate) fn running(&self) -> Option<&Running> {
        self.running.get()
    }

    pub(crate) fn set_running(&self, running: Running) {
        if self.running.set(running).is_err() {
            tracing::error!("the groups of this node were started twice");
        }
    }

    pub(crate) fn identity(&self) -> Option<Identity> {
        *self.identity.borrow()
    }

    /// Makes an identity durable and this node's.
    pub(crate) fn become_known(&self, identity: Identity) -> Result<(), Failure> {
        identity.save(&*self.world.disk, &self.options.data_dir).map_err(refused)?;
        self.router.set_identity(identity.cluster, identity.incarnation);
        self.identity.send_replace(Some(identity));
        Ok(())
    }

    pub(crate) fn is_formed(&self) -> bool {
        self.identity().is_some_and(|identity| identity.forming == Forming::Formed)
    }

    /// Ends the node; the first reason counts.
    pub(crate) fn fail(&self, failure: Failure) {
        self.failure.send_if_modified(|first| {
            if first.is_some() {
                return false;
            }
            let failure = self.named(failure);
            tracing::error!(%failure, "this node ends");
            *first = Some(failure);
            true
        });
    }

    /// What fails may not say where it lies.
    fn named(&self, failure: Failure) -> Failure {
        let dir = self.options.data_dir.display().to_string();
        let named = |why: String| if why.contains(&dir) { why } else { format!("{dir}: {why}") };
        match failure {
            Failure::Refused(why) => Failure::Refused(named(why)),
            Failure::Untrusted(why) => Failure::Untrusted(named(why)),
            config @ Failure::Config(_) => config,
        }
    }

    pub(crate) async fn failed(&self) -> Failure {
        let mut watch = self.failure.subscribe();
        let found = watch.wait_for(Option::is_some).await;
        found.ok().and_then(|found| found.clone()).expect("the sender lives as long as the node")
    }

    /// Who answers for a shard on this node.
    pub(crate) fn gateway(&self, shard: ShardId) -> Result<&Handle, ProposeError> {
        if !self.is_formed() {
            return Err(ProposeError::Expired);
        }
        let running = self.running().ok_or(ProposeError::Expired)?;
        // A shard that is being refilled has no group here yet.
        running.gateway(shard).ok_or_else(|| match running.is_whole() {
            true => ProposeError::Stopped,
            false => ProposeError::Expired,
        })
    }

    /// A node whose disk is too full for a command that takes room: the shard's leader, or one of so
    /// many voters that no majority is left.
    pub(crate) fn low_disk(&self, shard: ShardId, command: &Command) -> Option<NodeId> {
        if !takes_room(command) {
            return None;
        }
        self.running()?.low_disk(shard, self.options.disk_free_min)
    }

    /// Tells the link where peers are, as the meta group says or else the list, and the router whom to listen to no
    /// longer.
    pub(crate) fn tell_peers(&self) {
        let meta = self.running().and_then(Running::meta);
        let mut peers: BTreeMap<NodeId, String> = match &meta {
            Some(meta) if meta.map().is_some() => {
                let all = meta.nodes().iter();
                let (lost, there): (Vec<_>, Vec<_>) =
                    all.partition(|(_, node)| node.state.is_lost());
                self.router.set_replaced(lost.into_iter().map(|(id, _)| *id).collect());
                there.into_iter().map(|(id, node)| (*id, node.addresses.peer.clone())).collect()
            }
            _ => {
                let members = self.options.members.iter();
                members.map(|(id, member)| (*id, member.peer.clone())).collect()
            }
        };
        peers.remove(&self.options.node);
        self.world.link.set_peers(peers);
    }

    pub(crate) fn status(&self, hashed: bool) -> NodeStatus {
        let meta = self.running().and_then(Running::meta).unwrap_or_default();
        let shards = self.running().map(|running| running.status(hashed)).unwrap_or_default();
        let heard = self.router.peers();
        let peer = |(id, at): (NodeId, Addresses)| {
            let known = heard.get(&id);
            let here = id == self.options.node;
            PeerStatus {
                node: id,
                resp: at.resp,
                resp_cluster: at.resp_cluster,
                grpc: at.grpc,
                peer: at.peer,
                connected: here || known.is_some_and(|known| known.connected),
                leaving: known.is_some_and(|known| known.leaving),
                clock_offset_ms: if here {
                    Some(0)
                } else {
                    known.and_then(|one| one.clock_offset_ms)
                },
            }
        };
        let nodes: Vec<(NodeId, Addresses)> = if meta.map().is_some() {
            let there = meta.nodes().iter().filter(|(_, node)| node.state != NodeState::Gone);
            there.map(|(id, node)| (*id, node.addresses.clone())).collect()
        } else {
            let members = self.options.members.iter();
            members.map(|(id, member)| (*id, member.clone().into())).collect()
        };
        NodeStatus {
            cluster: self.router.me().cluster,
            node: self.options.node,
            ready: self.is_formed()
                && self.running().is_some_and(Running::is_whole)
                && shards.iter().all(is_ready),
            peers: nodes.into_iter().map(peer).collect(),
            shards,
            node_id_next: meta.node_next().0,
        }
    }

    pub(crate) fn kill(&self) {
        self.router.stop();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(JoinHandle::abort);
        if let Some(running) = self.running() {
            running.kill();
        }
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    pub(crate) async fn stop(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(JoinHandle::abort);
        if let Some(running) = self.running() {
            running.stop().await;
        }
        self.router.stop();
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// A follower may be this many entries behind and still count as caught up: entries are batches,
/// and some are always under way.
const BEHIND_MAX: u64 = 64;

fn is_ready(shard: &ShardStatus) -> bool {
    shard.leader.is_some() && shard.committed_index.saturating_sub(shard.applied_index) < BEHIND_MAX
}

pub(crate) fn refused(error: journal::Refused) -> Failure {
    Failure::Refused(error.to_string())
}

impl From<journal::guard::GuardError> for Failure {
    fn from(error: journal::guard::GuardError) -> Self {
        match error.exit_code() {
            2 => Self::Untrusted(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

pub(crate) fn bytes(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn takes_room(command: &Command) -> bool {
    match command {
        Command::Transaction(transaction) => transaction.steps.iter().any(|step| match step {
            Step::Command(command) => takes_room(command),
            Step::Query(_) => false,
        }),
        command => matches!(
            command,
            Command::Add(_)
                | Command::Copy { .. }
                | Command::GroupCreate { .. }
                | Command::ConsumerCreate { .. }
        ),
    }
}
