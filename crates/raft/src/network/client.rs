//! openraft's network, one object for each follower and purpose, over the router. Every request has
//! a deadline.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base::{NodeId, ShardId};
use futures::Stream;
use openraft::OptionalSend;
use openraft::RaftNetworkFactory;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
};
use openraft::raft::{
    SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use crate::link::Lane;
use crate::network::append::{AppendStream, Target};
use crate::network::router::{CallError, Content, Method, Router};
use crate::network::transfer;
use crate::network::wire::{self, Append, Appended};
use crate::snapshot::{Snapshot, SnapshotData};
use crate::state::Replica;
use crate::types::{DecodeError, TypeConfig, Vote};

/// How long appends may go unanswered before their session is given up. Far above the longest sync
/// of a disk that still works: a session that is cut sends its window again.
const APPEND_PATIENCE: Duration = Duration::from_secs(5);

/// Between attempts to reach a peer: openraft asks for one after an error.
const RETRY: Duration = Duration::from_millis(100);

/// Makes the network of one shard.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) router: Arc<Router>,
    pub(crate) replica: Arc<Replica>,
}

/// To one peer.
pub(crate) struct Client {
    router: Arc<Router>,
    replica: Arc<Replica>,
    peer: NodeId,
    shard: ShardId,
    lane: Lane,
}

impl Network {
    fn client(&self, target: u64, lane: Lane) -> Client {
        let (router, replica) = (self.router.clone(), self.replica.clone());
        Client { router, shard: replica.shard(), replica, peer: NodeId(target), lane }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, _node: &()) -> Client {
        self.client(target, Lane::Log)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &()) -> Client {
        self.client(target, Lane::Urgent)
    }
}

impl Client {
    async fn call<T>(
        &self,
        method: Method,
        content: impl Into<Content>,
        deadline: Duration,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, RPCError<TypeConfig>> {
        let answer = self.router.call(self.peer, self.shard, method, content, deadline).await;
        let answer = answer.map_err(|error| match error {
            CallError::NotSent(_) => RPCError::Unreachable(Unreachable::new(&error)),
            _ => RPCError::Network(NetworkError::new(&error)),
        })?;
        decode(&answer.head).map_err(|error| RPCError::Network(NetworkError::new(&error)))
    }
}

impl NetBackoff<TypeConfig> for Client {
    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(RETRY)))
    }
}

impl NetStreamAppend<TypeConfig> for Client {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<Appended, RPCError<TypeConfig>>>, RPCError<TypeConfig>>,
    >
    where
        S: Stream<Item = Append> + OptionalSend + Unpin + 'static,
    {
        let target = Target {
            router: self.router.clone(),
            peer: self.peer,
            shard: self.shard,
            lane: self.lane,
            patience: APPEND_PATIENCE,
            replica: self.replica.clone(),
        };
        let stream: BoxStream<'s, _> = Box::pin(AppendStream::new(target, input));
        Box::pin(std::future::ready(Ok(stream)))
    }
}

impl NetVote<TypeConfig> for Client {
    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = wire::encode_vote_request(&request);
        self.call(Method::Vote, request, option.hard_ttl(), wire::decode_vote_response).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = wire::encode_vote_request(&request);
        self.call(Method::PreVote, request, option.hard_ttl(), wire::decode_vote_response).await
    }
}

impl NetTransferLeader<TypeConfig> for Client {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = wire::encode_transfer(&request);
        self.call(Method::Transfer, request, option.hard_ttl(), wire::decode_transferred).await
    }
}

impl NetSnapshot<TypeConfig> for Client {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let send = transfer::send(&self.router, self.peer, self.shard, &vote, snapshot);
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = send => sent.map(SnapshotResponse::new),
        }
    }
}
