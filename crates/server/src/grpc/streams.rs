//! `weir.v1.Streams`: which call becomes what. Never waits for one answer before it hands in what
//! came after it.

use std::pin::Pin;
use std::sync::Arc;

use base::ShardId;
use bytes::Bytes;
use futures::Stream;
use raft::{Outcome, Pending, Shards};
use rpc::v1;
use rpc::v1::streams_server::Streams;
use streams::query::Query;
use streams::reply::{GroupInfo, Reply};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};

use super::error::{Effect, Failure, failed, refused};
use super::{Options, append_many, convert, range};

/// Answers from a stream.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service: behind a transport, or called by who is in the same process.
#[derive(Clone)]
pub struct Door {
    pub(super) shards: Arc<dyn Shards>,
    pub(super) stopping: CancellationToken,
    pub(super) entry_bytes_max: usize,
}

impl Door {
    /// On these shards, until `stopping`.
    pub fn new(shards: Arc<dyn Shards>, options: &Options, stopping: CancellationToken) -> Self {
        Self { shards, stopping, entry_bytes_max: options.entry_bytes_max }
    }

    /// Hands an append in, at once.
    pub(super) fn append_begun(
        &self,
        request: v1::AppendRequest,
    ) -> Result<(ShardId, Pending), Failure> {
        let shard = self.shards.shard_of(&request.stream);
        let command = convert::append(request, self.entry_bytes_max)?;
        Ok((shard, self.shards.write(shard, command)))
    }

    /// What became of it.
    pub(super) fn appended(
        &self,
        shard: ShardId,
        outcome: Outcome,
    ) -> Result<v1::AppendResponse, Failure> {
        match outcome {
            Ok(Reply::Added(id)) => Ok(v1::AppendResponse { id: Some(convert::id_message(id)) }),
            Ok(Reply::Nil) => {
                let message = "there is no such stream, and it must exist";
                Err(Failure::new(Code::NotFound, "STREAM_NOT_FOUND", message))
            }
            Ok(Reply::Refused(refusal)) => Err(refused(&refusal)),
            Ok(_) => Err(Failure::unexpected("an append")),
            Err(error) => Err(failed(&error, Effect::Write, &*self.shards, shard)),
        }
    }

    /// Asks a query of the shard that owns its stream.
    pub(super) async fn ask(
        &self,
        shard: ShardId,
        query: Query,
    ) -> Result<Reply<streams::reply::Entry>, Failure> {
        match self.shards.read(shard, query).await {
            Ok(Reply::Refused(refusal)) => Err(refused(&refusal)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(failed(&error, Effect::Read, &*self.shards, shard)),
        }
    }

    async fn described(&self, key: Bytes) -> Result<v1::DescribeResponse, Failure> {
        let key = convert::stream_key(key)?;
        let shard = self.shards.shard_of(&key);
        let info = self.ask(shard, Query::Stream { key: key.clone() }).await?;
        let Reply::Stream(info) = info else { return Err(Failure::unexpected("a description")) };
        let groups = self.ask(shard, Query::Groups { key }).await?;
        let Reply::Groups(groups) = groups else {
            return Err(Failure::unexpected("a description of groups"));
        };
        let summary = info.summary;
        let first = (summary.length > 0).then(|| convert::id_message(summary.first_id));
        Ok(v1::DescribeResponse {
            length: summary.length,
            entries_added: summary.entries_added,
            first_id: first,
            last_id: Some(convert::id_message(summary.last_id)),
            max_deleted_id: Some(convert::id_message(summary.max_deleted_id)),
            groups: groups.into_iter().map(group_message).collect(),
            shard: u32::from(shard.0),
        })
    }
}

fn group_message(group: GroupInfo) -> v1::GroupDescription {
    v1::GroupDescription {
        name: group.name,
        consumers_count: group.consumers_count,
        pending_count: group.pending_count,
        last_delivered_id: Some(convert::id_message(group.last_delivered_id)),
        entries_read: group.entries_read,
        lag: group.lag.or(group.unread),
    }
}

#[tonic::async_trait]
impl Streams for Door {
    async fn append(
        &self,
        request: Request<v1::AppendRequest>,
    ) -> Result<Response<v1::AppendResponse>, Status> {
        let (shard, pending) = self.append_begun(request.into_inner())?;
        Ok(Response::new(self.appended(shard, pending.await)?))
    }

    type AppendManyStream = Answers<v1::AppendManyResponse>;

    async fn append_many(
        &self,
        requests: Request<Streaming<v1::AppendManyRequest>>,
    ) -> Result<Response<Self::AppendManyStream>, Status> {
        Ok(Response::new(Box::pin(append_many::answers(self.clone(), requests.into_inner()))))
    }

    type RangeStream = Answers<v1::RangeResponse>;

    async fn range(
        &self,
        request: Request<v1::RangeRequest>,
    ) -> Result<Response<Self::RangeStream>, Status> {
        let cursor = range::Cursor::new(request.into_inner())?;
        Ok(Response::new(Box::pin(range::pages(self.clone(), cursor))))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        Ok(Response::new(self.described(request.into_inner().stream).await?))
    }
}
