//! One machine of the cluster: a disk, a store and a clock that outlive the process on it, and the
//! process, which is all of the product but its sockets. Never decides when it is hurt.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Entropy, NodeId, SeededEntropy, SimDisk};
use raft::link::sim::{SimClock, SimNet};
use raft::runtime::gate::Gate;
use raft::{Driver, Failure, Node, Shards, World};
use server::grpc::{self, StreamsDoor};
use server::resp::{self, Port};
use store::Memory;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::pipe::{self, Cut, Delay, End};

/// A machine, whether its process runs or not.
pub(crate) struct Machine {
    pub(crate) id: NodeId,
    pub(crate) disk: SimDisk,
    pub(crate) store: Memory,
    pub(crate) clock: Arc<SimClock>,
    /// Microseconds that a write and sync takes at most.
    pub(crate) pace_us: Arc<AtomicU64>,
    pub(crate) process: Option<Process>,
    /// Processes that it had so far.
    pub(crate) lives: u64,
    entropy: Arc<SeededEntropy>,
}

/// A process of a node. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) id: NodeId,
    pub(crate) began: Instant,
    pub(crate) gate: Gate,
    pub(crate) node: Arc<Node>,
    resp: resp::Handle,
    /// Connections of clients, such as have ended among them.
    connections: Arc<Mutex<Vec<Cut>>>,
    grpc: StreamsDoor,
    stop: CancellationToken,
}

impl Machine {
    /// A new one, on which nothing has run.
    pub(crate) fn new(id: NodeId, wall_ms: u64, seed: u64) -> Self {
        let entropy = Arc::new(SeededEntropy::new(seed));
        Self {
            id,
            disk: SimDisk::new(entropy.next_u64()),
            store: Memory::new(),
            clock: Arc::new(SimClock::at(wall_ms + entropy.below(200))),
            pace_us: Arc::default(),
            process: None,
            lives: 0,
            entropy,
        }
    }

    /// As if its disk had been replaced by an empty one.
    pub(crate) fn empty(&mut self, seed: u64) {
        self.disk = SimDisk::new(seed);
        self.store = Memory::new();
    }

    /// Starts a process on it.
    pub(crate) async fn start(
        &mut self,
        options: raft::Options,
        net: &SimNet,
    ) -> Result<(), Failure> {
        let gate = Gate::new(self.entropy.next_u64());
        let (pace_us, entropy) = (self.pace_us.clone(), self.entropy.clone());
        let pace =
            move || Duration::from_micros(entropy.below(pace_us.load(Ordering::Relaxed) + 1));
        let world = World {
            disk: Arc::new(self.disk.clone()),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            link: net.link(self.id),
            stores: Arc::new(self.store.clone()),
            driver: Driver::Task(Arc::new(pace)),
        };
        self.lives += 1;
        let began = Instant::now();
        let memory_bytes = options.memory_bytes;
        let node = gate.run(Node::start(options, world)).await;
        let node = node.inspect_err(|_| gate.kill())?;
        let process = gate.within(|| self.process(began, &gate, node, memory_bytes));
        self.process = Some(process);
        Ok(())
    }

    fn process(&self, began: Instant, gate: &Gate, node: Arc<Node>, memory_bytes: u64) -> Process {
        let shards: Arc<dyn Shards> = node.clone();
        let options = resp::Options {
            port: Port::Any,
            node: self.id,
            password: None,
            entry_bytes_max: 1 << 20,
            connections_max: 1_000,
            memory_bytes,
            output_bytes_max: 64 << 20,
        };
        let resp = resp::Handle::open(options, address(), shards.clone(), self.clock.clone());
        let stop = CancellationToken::new();
        let options =
            grpc::Options { entry_bytes_max: 1 << 20, connections_max: 1_000, password: None };
        let grpc = StreamsDoor::new(shards, &options, stop.clone());
        let connections = Arc::default();
        Process { id: self.id, began, gate: gate.clone(), node, resp, connections, grpc, stop }
    }

    /// The process is killed; what it wrote stays written.
    pub(crate) fn kill(&mut self, net: &SimNet) {
        self.end(net);
        self.disk.kill();
    }

    /// Power is lost; what was not synced is lost in part.
    pub(crate) fn crash(&mut self, net: &SimNet) {
        self.end(net);
        self.disk.crash();
        self.store.crash();
    }

    fn end(&mut self, net: &SimNet) {
        if let Some(process) = self.process.take() {
            process.gate.kill();
            net.remove(self.id);
        }
    }
}

impl Process {
    /// A new connection to its RESP port.
    pub(crate) fn connect(&self, delay: &Delay) -> End {
        let (client, server, cut) = pipe::pair(delay);
        lock(&self.connections).push(cut);
        let serving =
            self.gate.within(|| self.resp.serve(server, address(), address(), self.stop.clone()));
        tokio::spawn(self.gate.run(serving));
        client
    }

    /// Cuts every client off, with whatever is on its way.
    pub(crate) fn cut_clients(&self) -> usize {
        let connections = std::mem::take(&mut *lock(&self.connections));
        connections.iter().filter(|connection| connection.cut()).count()
    }

    /// Its gRPC service, to be called behind its gate.
    pub(crate) fn grpc(&self) -> StreamsDoor {
        self.grpc.clone()
    }

    /// As after SIGTERM: hands over, answers what it took, ends.
    pub(crate) async fn stop(&self) {
        let (node, stop) = (self.node.clone(), self.stop.clone());
        let stopping = async move {
            node.hand_over().await;
            stop.cancel();
            node.stop().await;
        };
        self.gate.run(stopping).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose connections come from nowhere in particular.
fn address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 1).into()
}
