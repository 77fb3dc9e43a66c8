//! The nodes that a client knows, and which one it talks to.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rpc::v1::cluster_client::ClusterClient;
use rpc::v1::streams_client::StreamsClient;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use crate::{Error, limits};

/// A client. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Inner>);

/// What is to be settled before a client is made.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    addresses: Vec<String>,
    password: Option<String>,
    timeout: Option<Duration>,
}

pub(crate) struct Inner {
    nodes: Mutex<Nodes>,
    authorization: Option<MetadataValue<Ascii>>,
    pub(crate) timeout: Duration,
    builder: Builder,
}

struct Nodes {
    known: Vec<Node>,
    current: usize,
}

#[derive(Clone)]
struct Node {
    address: String,
    channel: Channel,
}

/// The node that a call went to: whoever finds it gone moves the client on, unless another call
/// has done so already.
#[derive(Clone)]
pub(crate) struct Chosen {
    index: usize,
    channel: Channel,
}

impl Builder {
    /// The password of the nodes.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// How long a call may take, repeats included; [`limits::TIMEOUT`] if not given.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The client. Connections are made when they are needed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime: the one it is called in carries the connections.
    ///
    /// # Errors
    ///
    /// If there is no address, or one can't be an address, or the password has characters that a
    /// header can't hold.
    pub fn build(self) -> Result<Client, Error> {
        let known = self.addresses.iter().map(|it| Node::new(it)).collect::<Result<Vec<_>, _>>()?;
        if known.is_empty() {
            return Err(Error::Address(String::new()));
        }
        let authorization = self.password.as_ref().map(|it| bearer(it)).transpose()?;
        let timeout = self.timeout.unwrap_or(limits::TIMEOUT);
        let nodes = Mutex::new(Nodes { known, current: 0 });
        Ok(Client(Arc::new(Inner { nodes, authorization, timeout, builder: self })))
    }
}

fn bearer(password: &str) -> Result<MetadataValue<Ascii>, Error> {
    let invalid = |_| Error::Invalid(crate::Detail::new("a password of printable ASCII only"));
    let mut value: MetadataValue<Ascii> = format!("Bearer {password}").parse().map_err(invalid)?;
    value.set_sensitive(true);
    Ok(value)
}

impl Node {
    fn new(address: &str) -> Result<Self, Error> {
        let wrong = || Error::Address(address.to_owned());
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        port.ok_or_else(wrong)?;
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| wrong())?;
        let channel = endpoint
            .connect_timeout(limits::CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(limits::KEEPALIVE_INTERVAL)
            .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT)
            .initial_stream_window_size(limits::WINDOW_BYTES)
            .initial_connection_window_size(4 * limits::WINDOW_BYTES)
            .connect_lazy();
        Ok(Self { address: address.to_owned(), channel })
    }
}

impl Client {
    /// A client of the nodes at these gRPC addresses, `host:port`. See [`Client::builder`] for
    /// more.
    ///
    /// # Errors
    ///
    /// If there is none, or one can't be an address. Whether a node is there is not looked at.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime: the one it is called in carries the connections.
    pub fn connect<A: Into<String>>(addresses: impl IntoIterator<Item = A>) -> Result<Self, Error> {
        Self::builder(addresses).build()
    }

    /// A client of the nodes at these addresses, with more to be said.
    pub fn builder<A: Into<String>>(addresses: impl IntoIterator<Item = A>) -> Builder {
        Builder { addresses: addresses.into_iter().map(A::into).collect(), ..Builder::default() }
    }

    /// A client like this one of one other node alone.
    ///
    /// # Errors
    ///
    /// If the address can't be one.
    pub fn only(&self, address: impl Into<String>) -> Result<Self, Error> {
        Builder { addresses: vec![address.into()], ..self.0.builder.clone() }.build()
    }

    pub(crate) fn chosen(&self) -> Chosen {
        self.0.nodes(|nodes| Chosen {
            index: nodes.current,
            channel: nodes.known[nodes.current].channel.clone(),
        })
    }

    /// How many nodes there are to try.
    pub(crate) fn nodes_count(&self) -> usize {
        self.0.nodes(|nodes| nodes.known.len())
    }

    /// Leaves a node: for the one named, if it is known, or the next in turn.
    pub(crate) fn leave(&self, chosen: &Chosen, leader: Option<&str>) {
        self.0.nodes(|nodes| {
            if nodes.current != chosen.index {
                return;
            }
            let named = leader.and_then(|it| nodes.known.iter().position(|of| of.address == it));
            let next = (nodes.current + 1) % nodes.known.len();
            nodes.current = named.filter(|index| *index != chosen.index).unwrap_or(next);
        });
    }

    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(value) = &self.0.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }
}

impl Inner {
    fn nodes<T>(&self, look: impl FnOnce(&mut Nodes) -> T) -> T {
        look(&mut self.nodes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Chosen {
    pub(crate) fn streams(&self) -> StreamsClient<Channel> {
        StreamsClient::new(self.channel.clone())
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
    }

    pub(crate) fn cluster(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel.clone())
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("addresses", &self.0.builder.addresses).finish()
    }
}
