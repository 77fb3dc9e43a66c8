//! One node: everything opened in order, and stopped in reverse. Never a decision of its own about
//! data: what is found wrong at start is named by whoever owns it.

use std::net::TcpListener;
use std::sync::Arc;

use base::{Clock, Disk, Entropy};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, Listen};
use crate::failure::Failure;
use crate::http::{self, Pages};
use crate::ports;

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
    let http = http::Server::start(listeners.http, pages)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(serve());
    http.stop();
    ended
}

async fn serve() -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let name = signals.next().await;
    tracing::info!(signal = name, "stopping");
    Ok(())
}

/// Every port of the node, taken before any data is opened.
struct Listeners {
    http: TcpListener,
}

impl Listeners {
    fn bind(listen: &Listen) -> Result<Self, Failure> {
        Ok(Self { http: ports::bind("http", listen.http)? })
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
        tracing::warn!(
            "no security.password_file: whoever reaches the listeners may read and write"
        );
    }
}
