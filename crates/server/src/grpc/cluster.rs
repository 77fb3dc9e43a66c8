//! `weir.v1.Cluster`: what a node knows, as a message; and changes of its members, handed on.
//! Never decides about members.

use std::sync::Arc;

use base::NodeId;
use futures::{Stream, StreamExt};
use raft::{PeerStatus, ShardStatus, Shards};
use rpc::v1;
use rpc::v1::cluster_server::Cluster;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::error::Failure;
use super::members::{Members, Progress, ReplaceError};
use super::streams::Answers;

/// The service.
pub(super) struct Door {
    shards: Arc<dyn Shards>,
    members: Arc<dyn Members>,
    stopping: CancellationToken,
}

impl Door {
    pub(super) fn new(
        shards: Arc<dyn Shards>,
        members: Arc<dyn Members>,
        stopping: CancellationToken,
    ) -> Self {
        Self { shards, members, stopping }
    }
}

#[tonic::async_trait]
impl Cluster for Door {
    async fn status(
        &self,
        _: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let status = self.shards.status();
        Ok(Response::new(v1::StatusResponse {
            cluster_id: status.cluster.to_string(),
            node_id: status.node.0,
            ready: status.ready && !self.stopping.is_cancelled(),
            nodes: status.peers.into_iter().map(node_message).collect(),
            shards: status.shards.into_iter().map(shard_message).collect(),
            node_id_next: status.node_id_next,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }

    type ReplaceNodeStream = Answers<v1::ReplaceNodeProgress>;

    async fn replace_node(
        &self,
        request: Request<v1::ReplaceNodeRequest>,
    ) -> Result<Response<Self::ReplaceNodeStream>, Status> {
        let request = request.into_inner();
        let new = request.new_node.unwrap_or_default();
        if request.old_node_id == 0 || new.id == 0 || new.peer.is_empty() {
            let message = "name the old node, the new one's id, and its address for peers";
            return Err(Failure::invalid("INCOMPLETE", message).into());
        }
        let id = NodeId(new.id);
        let new = raft::Member {
            resp: new.resp,
            resp_cluster: new.resp_cluster,
            grpc: new.grpc,
            peer: new.peer,
        };
        let stopping = self.stopping.clone();
        let steps = self.members.replace(NodeId(request.old_node_id), id, new);
        let steps = steps.map(|step| match step {
            Ok(step) => Ok(progress_message(step)),
            Err(error) => Err(refused(&error).into()),
        });
        Ok(Response::new(Box::pin(unless_stopped(steps, stopping))))
    }
}

/// The same steps; when the node stops before the last, that is said, for the rest goes on.
fn unless_stopped<S>(
    steps: S,
    stopping: CancellationToken,
) -> impl Stream<Item = Result<v1::ReplaceNodeProgress, Status>>
where
    S: Stream<Item = Result<v1::ReplaceNodeProgress, Status>> + Unpin,
{
    futures::stream::unfold(Some((steps, stopping)), |state| async move {
        let (mut steps, stopping) = state?;
        tokio::select! {
            step = steps.next() => step.map(|step| (step, Some((steps, stopping)))),
            () = stopping.cancelled() => {
                let message = "the node is stopping; run the same command again at another one";
                let failure = Failure::new(Code::Unavailable, "STOPPING", message);
                Some((Err(failure.with("outcome", "UNKNOWN").into()), None))
            }
        }
    })
}

fn refused(error: &ReplaceError) -> Failure {
    let (code, reason) = match error {
        ReplaceError::NotAMember(_) => (Code::NotFound, "NOT_A_MEMBER"),
        ReplaceError::WrongId { .. } => (Code::InvalidArgument, "WRONG_NODE_ID"),
        ReplaceError::Refused(_) => (Code::FailedPrecondition, "REFUSED"),
    };
    Failure::new(code, reason, error.to_string())
}

fn node_message(peer: PeerStatus) -> v1::Node {
    v1::Node {
        id: peer.node.0,
        resp: peer.resp,
        resp_cluster: peer.resp_cluster,
        grpc: peer.grpc,
        peer: peer.peer,
        connected: peer.connected,
        clock_offset_ms: peer.clock_offset_ms,
    }
}

fn shard_message(shard: ShardStatus) -> v1::Shard {
    let lags = shard.lag.into_iter();
    v1::Shard {
        id: u32::from(shard.shard.0),
        meta: shard.shard.is_meta(),
        leader: shard.leader.map(|node| node.0),
        term: shard.term,
        last_index: shard.last_index,
        committed_index: shard.committed_index,
        applied_index: shard.applied_index,
        synced_index: shard.synced_index,
        checkpoint_index: shard.checkpoint_index,
        voters: shard.voters.into_iter().map(|node| node.0).collect(),
        lags: lags.map(|(node, entries)| v1::Lag { node_id: node.0, entries }).collect(),
        state_hash: shard.state_hash,
    }
}

fn progress_message(step: Progress) -> v1::ReplaceNodeProgress {
    let count = |shards: usize| u32::try_from(shards).unwrap_or(u32::MAX);
    v1::ReplaceNodeProgress {
        shards_done: count(step.shards_done),
        shards_total: count(step.shards_count),
        message: step.message,
    }
}
