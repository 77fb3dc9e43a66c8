//! The link between processes: one HTTP/2 connection a pair of nodes, a gRPC stream for each lane.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base::NodeId;
use tokio::net::TcpListener;

use crate::link::{Lane, Link, Message, Party, SendError};

/// Peers over gRPC.
pub struct GrpcLink {
    listener: TcpListener,
}

impl GrpcLink {
    /// Takes the port for peers; begins to accept with [`Link::start`].
    ///
    /// # Errors
    /// The port is in use, or the address is not one of this machine.
    pub async fn bind(listen: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(listen).await? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Link for GrpcLink {
    fn start(&self, _party: Arc<dyn Party>) {}

    fn send(&self, _to: NodeId, _lane: Lane, _message: Message) -> Result<(), SendError> {
        Err(SendError::Down)
    }

    fn cut(&self, _peer: NodeId) {}

    fn set_peers(&self, _peers: BTreeMap<NodeId, String>) {}

    fn stop(&self) {}
}
