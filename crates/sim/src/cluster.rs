//! The machines of a life and the network between them. Knows how to start, stop and look at them,
//! never when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{Entropy, NodeId, SeededEntropy};
use raft::link::sim::SimNet;
use raft::{Failure, Member, Node, NodeStatus, Shards};
use tokio::sync::mpsc;

use crate::machine::{Machine, Process};
use crate::options::Options;
use crate::trace::Trace;

/// When all clocks begin, in milliseconds.
const BEGIN_MS: u64 = 1_700_000_000_000;

/// A node that ended by itself: which, in which of its lives, and why.
pub(crate) type Ended = (NodeId, u64, Failure);

/// The cluster.
pub(crate) struct Cluster {
    pub(crate) options: Options,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) net: SimNet,
    pub(crate) machines: BTreeMap<NodeId, Machine>,
    pub(crate) trace: Trace,
    /// Machines of nodes that others have taken the place of.
    replaced: BTreeMap<NodeId, Machine>,
    /// Nodes that were ever members, the replaced ones included.
    members: BTreeMap<NodeId, Member>,
    ended: mpsc::UnboundedSender<Ended>,
    endings: mpsc::UnboundedReceiver<Ended>,
}

impl Cluster {
    /// Machines on which nothing has run.
    pub(crate) fn new(options: Options, entropy: Arc<SeededEntropy>, trace: Trace) -> Self {
        let net = SimNet::new(entropy.clone(), options.delay);
        let (ended, endings) = mpsc::unbounded_channel();
        let (machines, replaced, members) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let nodes = options.nodes;
        let mut cluster =
            Self { options, entropy, net, machines, trace, replaced, members, ended, endings };
        (1..=nodes).for_each(|id| cluster.add(NodeId(id)));
        cluster
    }

    /// One more machine, for a new node.
    pub(crate) fn add(&mut self, id: NodeId) {
        let machine = Machine::new(id, BEGIN_MS, self.entropy.next_u64());
        let most = u64::try_from(self.options.disk.as_micros()).unwrap_or(u64::MAX);
        machine.pace_us.store(most, Ordering::Relaxed);
        self.machines.insert(id, machine);
        self.members.insert(id, member(id));
    }

    /// A node is gone for good: another has its place.
    pub(crate) fn remove(&mut self, id: NodeId) {
        if let Some(machine) = self.machines.remove(&id) {
            self.replaced.insert(id, machine);
        }
    }

    /// Somebody finds the machine of a node that was replaced, and switches it on.
    pub(crate) async fn bring_back(&mut self, id: NodeId) -> Result<(), Failure> {
        let options = self.options_of(id);
        let machine = self.replaced.get_mut(&id).expect("a machine that was replaced");
        machine.start(options, &self.net).await?;
        tell_end(machine, &self.ended);
        Ok(())
    }

    /// Processes of nodes that were replaced.
    pub(crate) fn strays(&self) -> impl Iterator<Item = &Process> {
        self.replaced.values().filter_map(|machine| machine.process.as_ref())
    }

    fn options_of(&self, id: NodeId) -> raft::Options {
        raft::Options {
            node: id,
            data_dir: "/data".into(),
            members: self.members.clone(),
            shards: self.options.shards,
            disk_free_min: 0,
            segment_bytes: 64 << 10,
            ballast_bytes: 32 << 10,
            kept_bytes: self.options.kept_bytes,
            memory_bytes: 1 << 30,
            checkpoint_dirty_bytes: self.options.checkpoint_bytes,
            reads: self.options.reads,
            ..raft::Options::default()
        }
    }

    /// Starts the process of a node.
    pub(crate) async fn start(&mut self, id: NodeId) -> Result<(), Failure> {
        let options = self.options_of(id);
        let machine = self.machines.get_mut(&id).expect("a machine of the cluster");
        let started = machine.start(options, &self.net).await;
        match &started {
            Ok(()) => {
                self.trace.note(format!("node {id} starts"));
                tell_end(machine, &self.ended);
            }
            Err(failure) => self.trace.note(format!("node {id} does not start: {failure}")),
        }
        started
    }

    /// The power of a machine goes.
    pub(crate) fn crash(&mut self, id: NodeId) {
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.crash(&self.net);
        }
    }

    /// The process of a node is killed; its machine goes on.
    pub(crate) fn kill(&mut self, id: NodeId) {
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.kill(&self.net);
        }
    }

    /// Nodes that ended by themselves, in the life that they still are in.
    pub(crate) fn take_ended(&mut self) -> Vec<Ended> {
        let mut all = Vec::new();
        while let Ok(ended) = self.endings.try_recv() {
            if let Some(stray) = self.replaced.get_mut(&ended.0) {
                self.trace
                    .note(format!("node {}, which was replaced, ends: {}", stray.id, ended.2));
                stray.kill(&self.net);
                continue;
            }
            let machine = self.machines.get(&ended.0);
            if machine.is_some_and(|it| it.lives == ended.1 && it.process.is_some()) {
                all.push(ended);
            }
        }
        all
    }

    /// Every node that has a machine.
    pub(crate) fn all(&self) -> Vec<NodeId> {
        self.machines.keys().copied().collect()
    }

    /// Every node whose process is there.
    pub(crate) fn up(&self) -> Vec<NodeId> {
        self.processes().map(|process| process.id).collect()
    }

    pub(crate) fn processes(&self) -> impl Iterator<Item = &Process> {
        self.machines.values().filter_map(|machine| machine.process.as_ref())
    }

    pub(crate) fn node(&self, id: NodeId) -> Arc<Node> {
        self.process(id).node
    }

    pub(crate) fn process(&self, id: NodeId) -> Process {
        self.machines[&id].process.clone().expect("its process runs")
    }

    /// What every node says of itself.
    pub(crate) fn statuses(&self) -> Vec<NodeStatus> {
        self.processes().map(|process| process.node.status()).collect()
    }

    /// One of some, at random.
    pub(crate) fn one_of<T: Copy>(&self, some: &[T]) -> Option<T> {
        some.get(self.entropy.below(some.len() as u64) as usize).copied()
    }

    /// A time below `most_ms` milliseconds.
    pub(crate) fn below(&self, most_ms: u64) -> Duration {
        Duration::from_millis(self.entropy.below(most_ms))
    }

    /// Whether every node is ready, and sees the members that there are.
    pub(crate) fn is_ready(&self) -> bool {
        let here: BTreeSet<NodeId> = self.machines.keys().copied().collect();
        self.up().len() == here.len()
            && self.processes().all(|process| {
                let status = process.node.outline();
                let shards = usize::from(self.options.shards) + 1;
                status.ready
                    && status.shards.len() == shards
                    && status
                        .shards
                        .iter()
                        .all(|shard| shard.voters.iter().all(|it| here.contains(it)))
            })
    }
}

/// Tells when the process of a machine ends by itself.
fn tell_end(machine: &Machine, ended: &mpsc::UnboundedSender<Ended>) {
    let process = machine.process.as_ref().expect("it has started");
    let (id, life, node, ended) = (machine.id, machine.lives, process.node.clone(), ended.clone());
    tokio::spawn(async move { drop(ended.send((id, life, node.failed().await))) });
}

fn member(id: NodeId) -> Member {
    Member { peer: format!("n{id}"), ..Member::default() }
}
