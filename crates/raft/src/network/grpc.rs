//! The link between processes: one HTTP/2 connection a pair of nodes, dialled by the higher id,
//! with a gRPC stream for each lane. Never what the messages mean.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use base::NodeId;
use futures::Stream;
use rpc::peer::Frame as WireFrame;
use rpc::peer::peers_client::PeersClient;
use rpc::peer::peers_server::{Peers, PeersServer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

use crate::link::{Greeting, Lane, Link, Message, Party, SendError};

mod connection;
pub(super) mod frames;

use connection::{Connection, Outgoing};
use frames::Hello;

/// HTTP/2 frames and windows: the defaults cost up to 40 % (measured, 256 KiB messages).
const HTTP_FRAME_BYTES: u32 = 1 << 20;
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 24 << 20;

/// A frame holds what its messages hold: one entry may be large.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// A peer that doesn't answer pings so long is taken for gone. Longer than a stalled disk holds a
/// single-threaded node up, shorter than what a client waits.
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_PATIENCE: Duration = Duration::from_secs(4);

const DIAL_PATIENCE: Duration = Duration::from_secs(2);
const DIAL_AGAIN: Duration = Duration::from_millis(100);

/// Peers over gRPC.
pub struct GrpcLink {
    shared: Arc<Shared>,
    listener: Mutex<Option<TcpListener>>,
    address: SocketAddr,
}

struct Shared {
    party: OnceLock<Arc<dyn Party>>,
    connections: Mutex<BTreeMap<NodeId, Arc<Connection>>>,
    /// Accepted connections whose lanes are not all open yet.
    opening: Mutex<BTreeMap<(NodeId, u64), Arc<Connection>>>,
    dialling: Mutex<BTreeMap<NodeId, Dialling>>,
    server: Mutex<Option<JoinHandle<()>>>,
    next: AtomicU64,
}

struct Dialling {
    address: String,
    task: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GrpcLink {
    /// Takes the port for peers; begins to accept with [`Link::start`].
    ///
    /// # Errors
    /// The port is in use, or the address is not one of this machine.
    pub async fn bind(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let shared = Shared {
            party: OnceLock::new(),
            connections: Mutex::default(),
            opening: Mutex::default(),
            dialling: Mutex::default(),
            server: Mutex::default(),
            next: AtomicU64::new(1),
        };
        Ok(Self { shared: Arc::new(shared), listener: Mutex::new(Some(listener)), address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Link for GrpcLink {
    fn start(&self, party: Arc<dyn Party>) {
        if self.shared.party.set(party).is_err() {
            return;
        }
        let Some(listener) = lock(&self.listener).take() else { return };
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let service = PeersServer::new(Door(self.shared.clone()))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let serving = Server::builder()
            .max_frame_size(HTTP_FRAME_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keepalive_interval(Some(PING_EVERY))
            .http2_keepalive_timeout(Some(PING_PATIENCE))
            .add_service(service)
            .serve_with_incoming(incoming);
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the listener for peers ended");
            }
        });
        *lock(&self.shared.server) = Some(task);
        self.shared.dial_all();
    }

    fn send(&self, to: NodeId, lane: Lane, message: Message) -> Result<(), SendError> {
        let connection = lock(&self.shared.connections).get(&to).cloned();
        connection.ok_or(SendError::Down)?.queue(lane).push(message)
    }

    fn cut(&self, peer: NodeId) {
        let connection = lock(&self.shared.connections).get(&peer).cloned();
        if let Some(connection) = connection {
            self.shared.close(&connection);
        }
    }

    fn set_peers(&self, peers: BTreeMap<NodeId, String>) {
        {
            let mut dialling = lock(&self.shared.dialling);
            dialling.retain(|peer, dial| {
                let stays = peers.get(peer) == Some(&dial.address);
                if let (false, Some(task)) = (stays, &dial.task) {
                    task.abort();
                }
                stays
            });
            for (peer, address) in peers {
                dialling.entry(peer).or_insert(Dialling { address, task: None });
            }
        }
        self.shared.dial_all();
    }

    fn stop(&self) {
        for (_, dial) in std::mem::take(&mut *lock(&self.shared.dialling)) {
            if let Some(task) = dial.task {
                task.abort();
            }
        }
        if let Some(server) = lock(&self.shared.server).take() {
            server.abort();
        }
        let all: Vec<_> = lock(&self.shared.connections).values().cloned().collect();
        all.iter().for_each(|connection| self.shared.close(connection));
    }
}

impl Shared {
    fn party(&self) -> Option<&Arc<dyn Party>> {
        self.party.get()
    }

    /// Dials every peer with a lower id that isn't dialled yet.
    fn dial_all(self: &Arc<Self>) {
        let Some(party) = self.party() else { return };
        for (peer, dial) in lock(&self.dialling).iter_mut() {
            let me = party.greeting(*peer).from;
            if *peer < me && dial.task.is_none() {
                let task = dial_for_ever(self.clone(), *peer, dial.address.clone());
                dial.task = Some(tokio::spawn(task));
            }
        }
    }

    /// All lanes are open: the connection is used from here on, unless a lane has ended meanwhile.
    fn open(&self, connection: &Arc<Connection>) {
        if connection.is_closed() {
            return;
        }
        let before = lock(&self.connections).insert(connection.peer, connection.clone());
        if let Some(before) = before {
            before.close();
            self.tell_down(connection.peer);
        }
        if let Some(party) = self.party() {
            party.up(connection.peer);
        }
    }

    fn close(&self, connection: &Arc<Connection>) {
        connection.close();
        lock(&self.opening).remove(&(connection.peer, connection.id));
        let was_open = {
            let mut connections = lock(&self.connections);
            let mine = connections
                .get(&connection.peer)
                .is_some_and(|current| Arc::ptr_eq(current, connection));
            mine && connections.remove(&connection.peer).is_some()
        };
        if was_open {
            self.tell_down(connection.peer);
        }
    }

    fn tell_down(&self, peer: NodeId) {
        if let Some(party) = self.party() {
            party.down(peer);
        }
    }

    fn hello(&self, peer: NodeId, lane: Lane, connection: u64) -> Option<Hello> {
        let greeting = self.party()?.greeting(peer);
        Some(Hello { lane, connection, greeting })
    }

    fn outgoing(&self, connection: &Arc<Connection>, lane: Lane) -> Option<Outgoing> {
        let hello = self.hello(connection.peer, lane, connection.id)?;
        Some(Outgoing::new(connection.clone(), lane, self.party()?.clone(), frames::greet(&hello)))
    }

    /// Hands over what arrives on a lane until it ends; then the connection is over.
    fn receive(self: &Arc<Self>, connection: Arc<Connection>, mut frames: Streaming<WireFrame>) {
        let shared = self.clone();
        tokio::spawn(async move {
            let why = tokio::select! {
                () = connection.closed() => "closed".to_owned(),
                why = shared.hand_over(&mut frames) => why,
            };
            tracing::debug!(peer = %connection.peer, why, "a connection to a peer ends");
            shared.close(&connection);
        });
    }

    async fn hand_over(&self, frames: &mut Streaming<WireFrame>) -> String {
        loop {
            let frame = match frames.message().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return "the peer closed it".into(),
                Err(status) => return status.message().to_owned(),
            };
            let Some(frame) = frames::read(frame) else { return "a malformed frame".into() };
            let Some(party) = self.party() else { return "stopping".into() };
            if let Err(why) = party.frame(frame) {
                tracing::warn!(why, "a frame of a peer is refused");
                return why;
            }
        }
    }

    /// Opens the lane that a peer's first frame asks for.
    fn accept(
        self: &Arc<Self>,
        hello: &Hello,
        frames: Streaming<WireFrame>,
    ) -> Result<Outgoing, Status> {
        let party = self.party().ok_or_else(|| Status::unavailable("starting"))?;
        party.greeted(&hello.greeting).map_err(|why| {
            tracing::warn!(peer = %hello.greeting.from, why, "a peer is refused");
            Status::failed_precondition(why)
        })?;
        let peer = hello.greeting.from;
        let key = (peer, hello.connection);
        let connection = lock(&self.opening)
            .entry(key)
            .or_insert_with(|| Arc::new(Connection::new(peer, hello.connection)))
            .clone();
        let outgoing = self
            .outgoing(&connection, hello.lane)
            .ok_or_else(|| Status::unavailable("starting"))?;
        self.receive(connection.clone(), frames);
        if connection.lane_opened() == Lane::ALL.len() {
            lock(&self.opening).remove(&key);
            self.open(&connection);
        }
        Ok(outgoing)
    }
}

async fn dial_for_ever(shared: Arc<Shared>, peer: NodeId, address: String) {
    let mut said = String::new();
    loop {
        let id = shared.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::new(peer, id));
        let dialled = tokio::time::timeout(DIAL_PATIENCE, dial(&shared, &connection, &address));
        match dialled.await.unwrap_or_else(|_| Err("no answer".into())) {
            Ok(()) => {
                said.clear();
                connection.closed().await;
            }
            Err(why) => {
                if why != said {
                    tracing::info!(%peer, address, why, "a peer can't be reached");
                    said = why;
                }
                shared.close(&connection);
            }
        }
        tokio::time::sleep(DIAL_AGAIN).await;
    }
}

async fn dial(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    address: &str,
) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| error.to_string())?
        .tcp_nodelay(true)
        .connect_timeout(DIAL_PATIENCE)
        .max_frame_size(HTTP_FRAME_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE)
        .keep_alive_while_idle(true);
    let channel = endpoint.connect().await.map_err(|error| chain(&error))?;
    let mut client = PeersClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    for lane in Lane::ALL {
        let outgoing = shared.outgoing(connection, lane).ok_or("stopping")?;
        let talk = client.talk(outgoing).await.map_err(|status| status.message().to_owned())?;
        let mut frames = talk.into_inner();
        let first = frames.message().await.map_err(|status| status.message().to_owned())?;
        let hello = first.and_then(frames::hello).ok_or("it doesn't greet")?;
        check(shared, connection.peer, &hello.greeting)?;
        shared.receive(connection.clone(), frames);
    }
    shared.open(connection);
    Ok(())
}

fn check(shared: &Shared, peer: NodeId, greeting: &Greeting) -> Result<(), String> {
    if greeting.from != peer {
        return Err(format!("node {} answers there, not node {peer}", greeting.from));
    }
    shared.party().ok_or("stopping")?.greeted(greeting)
}

/// An error with its causes: tonic's own text is only "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// What peers call.
struct Door(Arc<Shared>);

#[tonic::async_trait]
impl Peers for Door {
    type TalkStream = Pin<Box<dyn Stream<Item = Result<WireFrame, Status>> + Send>>;

    async fn talk(
        &self,
        request: Request<Streaming<WireFrame>>,
    ) -> Result<Response<Self::TalkStream>, Status> {
        let mut frames = request.into_inner();
        let first = tokio::time::timeout(DIAL_PATIENCE, frames.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no greeting"))??;
        let hello = first.and_then(frames::hello);
        let hello = hello.ok_or_else(|| Status::invalid_argument("the first frame must greet"))?;
        let outgoing = self.0.accept(&hello, frames)?;
        let outgoing = futures::StreamExt::map(outgoing, Ok);
        Ok(Response::new(Box::pin(outgoing)))
    }
}
