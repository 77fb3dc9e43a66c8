//! Takes connections and gives each its task. Never a request.

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use base::Clock;
use raft::Shards;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clients::Client;
use super::connection::Connection;
use super::door::{Door, Options, Stats};
use super::limits;
use super::session::Session;
use super::socket::Socket;
use crate::metrics;

/// One RESP port.
pub struct Service {
    listener: TcpListener,
    door: Arc<Door>,
}

impl Service {
    /// Serves `shards` on a socket that listens already. To be called inside a runtime.
    pub fn new(
        listener: std::net::TcpListener,
        options: Options,
        shards: Arc<dyn Shards>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let (listener, address) = taken(listener)?;
        Ok(Self { listener, door: Handle::open(options, address, shards, clock).door })
    }

    /// Another port of the same node: its clients, channels, settings and figures are those of the
    /// first.
    pub fn beside(
        first: &Handle,
        listener: std::net::TcpListener,
        options: Options,
    ) -> io::Result<Self> {
        let (listener, address) = taken(listener)?;
        Ok(Self { listener, door: Arc::new(first.door.beside(options, address)) })
    }

    /// Something to ask the port by while it runs.
    pub fn handle(&self) -> Handle {
        Handle { door: Arc::clone(&self.door) }
    }

    /// Takes connections until told to stop, then waits until each has its answers. Every
    /// connection is a task of the runtime that this runs in.
    pub async fn run(self, stop: CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            // Those who connected before the stop come first: they believe that they are served.
            tokio::select! {
                biased;
                taken = self.listener.accept() => match taken {
                    Ok((stream, address)) => {
                        self.serve(stream, address, &connections, stop.clone());
                    }
                    Err(error) => self.survive(&error).await,
                },
                () = stop.cancelled() => break,
            }
        }
        drop(self.listener);
        connections.close();
        connections.wait().await;
    }

    fn serve(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        connections: &TaskTracker,
        stop: CancellationToken,
    ) {
        let door = Arc::clone(&self.door);
        if !door.has_place() {
            door.counters.connections_refused.add(1);
            metrics::observe_connection_refused();
            refuse(stream);
            return;
        }
        // Replies leave at once: they are written together already.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(client = %address, %error, "no TCP_NODELAY");
        }
        let local_address = stream.local_addr().unwrap_or(door.address);
        connections.spawn(Handle { door }.serve(stream, address, local_address, stop));
    }

    /// CVE-2025-48367: an error of accepting one connection must not end the port.
    async fn survive(&self, error: &io::Error) {
        let is_worth_a_line = self.door.counters.accept_failed.is_worth_a_line();
        if is_of_the_client(error) {
            tracing::debug!(%error, "a connection was gone before it was taken");
            return;
        }
        // Descriptors or memory are out: taking connections again at once would fail again.
        if is_worth_a_line {
            tracing::warn!(%error, "cannot take connections for now");
        }
        tokio::time::sleep(limits::ACCEPT_PAUSE).await;
    }
}

/// A socket that listens, for the runtime, and its address.
fn taken(listener: std::net::TcpListener) -> io::Result<(TcpListener, SocketAddr)> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

/// Says why, as far as the socket takes it at once, and closes.
fn refuse(stream: TcpStream) {
    let said = stream
        .into_std()
        .and_then(|mut stream| stream.write_all(b"-ERR max number of clients reached\r\n"));
    if let Err(error) = said {
        tracing::debug!(%error, "a refused client was gone");
    }
}

/// A connection's place among the clients: left however the connection ends.
struct Guest {
    door: Arc<Door>,
    client: Arc<Client>,
}

impl Guest {
    fn new(door: Arc<Door>, client: Arc<Client>) -> Self {
        door.counters.connections.add(1);
        door.clients.insert(Arc::clone(&client));
        metrics::observe_connection_opened();
        Self { door, client }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.door.channels.unsubscribe_all(&self.client);
        self.door.clients.remove(&self.client);
        metrics::observe_connection_closed();
    }
}

/// Asks a port how it is.
#[derive(Clone)]
pub struct Handle {
    door: Arc<Door>,
}

impl Handle {
    /// A port without a listener: whoever has connections hands them to [`Handle::serve`].
    pub fn open(
        options: Options,
        address: SocketAddr,
        shards: Arc<dyn Shards>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let door = Arc::new(Door::new(options, address, shards, clock));
        if let Some(bus) = door.shards.bus() {
            let channels = Arc::downgrade(&door.channels);
            bus.attach(channels);
        }
        Self { door }
    }

    /// Serves one client, which is counted from now on, until it goes or `stop` is heard.
    pub fn serve<S: Socket>(
        &self,
        socket: S,
        address: SocketAddr,
        local_address: SocketAddr,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<S> {
        let door = Arc::clone(&self.door);
        let id = door.clients.next_id();
        let client = Arc::new(Client::new(id, address, local_address, door.now_ms()));
        let guest = Guest::new(Arc::clone(&door), Arc::clone(&client));
        let session = Session::new(&door, client);
        async move {
            let ended = Connection::new(door, socket, session).run(stop).await;
            if let Err(reason) = ended {
                tracing::debug!(client = %address, %reason, "connection closed");
            }
            drop(guest);
        }
    }

    /// Where the port listens.
    pub fn address(&self) -> SocketAddr {
        self.door.address
    }

    /// Waits until a client wants the node to stop.
    pub async fn shutdown_wanted(&self) {
        self.door.shutdown.cancelled().await;
    }

    /// What happened at the node's ports so far.
    pub fn stats(&self) -> Stats {
        self.door.stats()
    }
}
