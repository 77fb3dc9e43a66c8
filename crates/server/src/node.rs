//! One node: everything opened in order, and stopped in reverse. Never a decision of its own about
//! data: what is found wrong at start is named by whoever owns it.

mod doors;
mod options;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Disk, Entropy};
use raft::Shards;
use raft::network::grpc::GrpcLink;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, Listen};
use crate::failure::Failure;
use crate::http::{self, Pages};
use crate::ports;
use crate::watchdog::Watchdog;
use doors::Doors;

/// Between two looks at who is still there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the world can change, handed in.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub disk: Arc<dyn Disk>,
}

/// Runs a node until SIGTERM or SIGINT, or until it cannot go on.
pub fn run(config: &Config, world: &World) -> Result<(), Failure> {
    let listeners = Listeners::bind(&config.node.listen)?;
    warn_if_open(config);
    let pages = Pages::new(Arc::clone(&world.clock));
    let http = http::Server::start(listeners.http, pages.clone())?;
    let runtime = runtime()?;
    let ended = runtime.block_on(serve(config, world, &pages, listeners.clients));
    http.stop();
    ended
}

async fn serve(
    config: &Config,
    world: &World,
    pages: &Pages,
    listeners: ClientListeners,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let link = GrpcLink::bind(config.node.listen.peer).await;
    let link = link.map_err(|error| ports::refused("peer", config.node.listen.peer, &error))?;
    let world_of_raft = options::world(world, Arc::new(link), config.node.limits.memory);
    let node = tokio::select! {
        opened = raft::Node::start(options::of(config), world_of_raft) => opened?,
        name = signals.next() => {
            tracing::info!(signal = name, "stopping before the data was open");
            return Ok(());
        }
    };
    node.end_on_panic();
    pages.open(Arc::<raft::Node>::clone(&node));
    let watchdog = Watchdog::start();
    let _watchdog =
        watchdog.map_err(|error| Failure::Machine(format!("cannot start a thread: {error}")))?;
    let mut doors = Doors::open(config, world, &node, pages, listeners)?;
    tracing::info!(node = %config.node.id, resp = %config.node.listen.resp, "serving");
    let failed = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping");
            None
        }
        ended = doors.ended() => ended.or_else(|| {
            tracing::info!("stopping, as a client wants");
            None
        }),
        failure = node.failed() => Some(Failure::from(failure)),
    };
    match failed {
        // Nobody is answered any more: what cannot be trusted must not say anything.
        Some(failure) => Err(failure),
        None => {
            tokio::select! {
                () = node.hand_over() => {}
                () = nobody_to_lead(&node) => tracing::info!("nobody is left to hand over to"),
            }
            doors.close(config.node.limits.request_timeout).await;
            node.stop().await;
            tracing::info!("stopped");
            Ok(())
        }
    }
}

/// Ends when the others that are reached cannot lead or stop as well: a whole cluster that is stopped at once must
/// not wait for itself.
async fn nobody_to_lead(node: &raft::Node) {
    loop {
        let status = node.outline();
        let stays = |it: &raft::PeerStatus| it.connected && !it.leaving && it.node != status.node;
        let others = status.peers.iter().any(stays);
        if !others || !http::hears_majority(&status) {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Every port of the node, taken before any data is opened.
struct Listeners {
    http: TcpListener,
    clients: ClientListeners,
}

/// The ports for clients.
struct ClientListeners {
    resp: TcpListener,
    resp_cluster: TcpListener,
    grpc: TcpListener,
}

impl Listeners {
    fn bind(listen: &Listen) -> Result<Self, Failure> {
        Ok(Self {
            clients: ClientListeners {
                resp: ports::bind("resp", listen.resp)?,
                resp_cluster: ports::bind("resp_cluster", listen.resp_cluster)?,
                grpc: ports::bind("grpc", listen.grpc)?,
            },
            http: ports::bind("http", listen.http)?,
        })
    }
}

/// The signals that end a node in good order.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let on = |kind| {
            signal(kind).map_err(|error| Failure::Machine(format!("cannot take signals: {error}")))
        };
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    /// The name of the one that came.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn runtime() -> Result<Runtime, Failure> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::Machine(format!("cannot start a runtime: {error}")))
}

fn warn_if_open(config: &Config) {
    if config.node.security.password.is_none() {
        let who = if config.node.security.insecure {
            "whoever reaches the listeners"
        } else {
            "anybody on this machine"
        };
        tracing::warn!("no security.password_file: {who} may read and write");
    }
}
