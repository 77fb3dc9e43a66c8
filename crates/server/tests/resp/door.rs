//! A RESP port on a free port of loopback, with everything a test may want to turn.

use std::net::SocketAddr;
use std::sync::Arc;

use base::{ManualClock, NodeId};
use server::config::Password;
use server::resp::{Handle, Options, Port, Service};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::lone_shards::LoneShards;

/// Bytes of one entry at most, in these tests.
pub(crate) const ENTRY_BYTES_MAX: usize = 64 << 10;

/// The wall clock at the start of a test: a date with thirteen digits.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) shards: Arc<LoneShards>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) handle: Handle,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<()>,
}

impl Door {
    pub(crate) fn open() -> Self {
        Self::open_with(|_| {})
    }

    pub(crate) fn open_with_password(password: &str) -> Self {
        Self::open_with(|options| options.password = Some(Password::new(password)))
    }

    pub(crate) fn open_with(change: impl FnOnce(&mut Options)) -> Self {
        let options = options(change);
        let clock = Arc::new(ManualClock::at(START_MS));
        let shards = Arc::new(LoneShards::new(Arc::clone(&clock)));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Service::new(
            listener,
            options,
            Arc::clone(&shards) as Arc<dyn raft::Shards>,
            Arc::clone(&clock) as Arc<dyn base::Clock>,
        )
        .unwrap();
        let (handle, stop) = (service.handle(), CancellationToken::new());
        let running = tokio::spawn(service.run(stop.clone()));
        Self { address: handle.address(), shards, clock, handle, stop, running }
    }

    /// Opens another port of the same node; gives its address.
    pub(crate) fn open_beside(&self, change: impl FnOnce(&mut Options)) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Service::beside(&self.handle, listener, options(change)).unwrap();
        let address = service.handle().address();
        tokio::spawn(service.run(self.stop.clone()));
        address
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Waits until the port's figures are as wanted.
    pub(crate) async fn until(&self, holds: impl Fn(&server::resp::Stats) -> bool) {
        let checks = async {
            while !holds(&self.handle.stats()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::client::PATIENCE, checks).await.expect("in time");
    }

    /// Waits until so many readers wait.
    pub(crate) async fn until_waiting(&self, count: usize) {
        let checks = async {
            while self.shards.waits_count() != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::client::PATIENCE, checks).await.expect("in time");
    }

    /// Waits until the shards hold so many questions.
    pub(crate) async fn until_held(&self, count: usize) {
        let checks = async {
            while self.shards.held_count() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::client::PATIENCE, checks).await.expect("in time");
    }
}

fn options(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options {
        port: Port::Any,
        node: NodeId(1),
        password: None,
        entry_bytes_max: ENTRY_BYTES_MAX,
        connections_max: 100,
        memory_bytes: 1 << 30,
        output_bytes_max: 64 << 20,
    };
    change(&mut options);
    options
}
