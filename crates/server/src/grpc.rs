//! The gRPC API: what `proto/weir/v1` describes, on top of [`Shards`]. With `grpc.health.v1` and
//! reflection.
//!
//! Never RESP, never a decision about streams: a request becomes a `Command` or `Query`, an answer
//! becomes a message or a status.

mod accept;
mod append_many;
mod auth;
mod cluster;
mod convert;
mod error;
mod health;
pub mod limits;
mod members;
mod plain;
mod range;
mod streams;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use raft::Shards;
use rpc::v1;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;

pub use members::{Members, NodeMembers, Progress, ReplaceError, Roster};
pub use streams::Door as StreamsDoor;

/// What the gRPC door has to be told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names and values of one entry, in bytes: as the other door counts them.
    pub entry_bytes_max: usize,
    /// Connections at one time; one more is closed at once.
    pub connections_max: usize,
    /// `authorization: Bearer <password>` is asked of every call but health, if set.
    pub password: Option<String>,
}

/// Why the door could not be opened, or fell shut.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The descriptors in the binary don't decode.
    #[error("gRPC reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener failed.
    #[error("gRPC: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves until `stopping`; then takes no more calls, answers those that were taken, and returns
/// when that is done or [`limits::DRAIN`] has passed.
///
/// # Errors
///
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    shards: Arc<dyn Shards>,
    members: Arc<dyn Members>,
    options: Options,
    stopping: CancellationToken,
) -> Result<(), Error> {
    let incoming = accept::incoming(listener, options.connections_max);
    let router = router(shards, members, &options, stopping.clone())?;
    let overdue = async {
        stopping.cancelled().await;
        tokio::time::sleep(limits::DRAIN).await;
    };
    tokio::select! {
        served = router.serve_with_incoming_shutdown(incoming, stopping.cancelled()) => Ok(served?),
        () = overdue => Ok(()),
    }
}

fn router(
    shards: Arc<dyn Shards>,
    members: Arc<dyn Members>,
    options: &Options,
    stopping: CancellationToken,
) -> Result<tonic::transport::server::Router, Error> {
    let message_bytes_max = options.entry_bytes_max + limits::MESSAGE_ROOM_BYTES;
    let door = streams::Door::new(Arc::clone(&shards), options, stopping.clone());
    let streams = v1::streams_server::StreamsServer::new(door)
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(usize::MAX);
    let cluster = cluster::Door::new(Arc::clone(&shards), members, stopping.clone());
    let cluster = v1::cluster_server::ClusterServer::new(cluster)
        .max_decoding_message_size(message_bytes_max);
    let health = health::service(shards, stopping);
    let auth = auth::Auth::new(options.password.as_deref());
    Ok(limits::apply(Server::builder())
        .add_service(InterceptedService::new(plain::Plain(streams), auth.clone()))
        .add_service(InterceptedService::new(plain::Plain(cluster), auth.clone()))
        .add_service(InterceptedService::new(reflection()?.build_v1()?, auth.clone()))
        .add_service(InterceptedService::new(reflection()?.build_v1alpha()?, auth))
        .add_service(health))
}

fn reflection() -> Result<tonic_reflection::server::Builder<'static>, Error> {
    Ok(tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET))
}
