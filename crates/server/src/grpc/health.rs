//! `grpc.health.v1`: serving while this node is ready. Asked without a password, since it tells
//! nothing else.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use raft::Shards;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::limits::HEALTH_INTERVAL;

/// What can be asked about: the node as a whole, and the services by name.
const NAMES: [&str; 3] = ["", "weir.v1.Streams", "weir.v1.Cluster"];

pub(super) fn service(
    shards: Arc<dyn Shards>,
    stopping: CancellationToken,
) -> HealthServer<impl Health> {
    HealthServer::new(Readiness { shards, stopping })
}

#[derive(Clone)]
struct Readiness {
    shards: Arc<dyn Shards>,
    stopping: CancellationToken,
}

impl Readiness {
    fn now(&self) -> ServingStatus {
        if !self.stopping.is_cancelled() && self.shards.outline().ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

type Statuses = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Health for Readiness {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !NAMES.contains(&request.get_ref().service.as_str()) {
            return Err(Status::not_found("no such service"));
        }
        Ok(Response::new(HealthCheckResponse { status: self.now().into() }))
    }

    type WatchStream = Statuses;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Statuses>, Status> {
        let known = NAMES.contains(&request.get_ref().service.as_str());
        let seen = (self.clone(), None);
        Ok(Response::new(Box::pin(futures::stream::unfold(seen, move |(of, last)| async move {
            let status = of.other_than(last, known).await?;
            Some((Ok(HealthCheckResponse { status: status.into() }), (of, Some(status))))
        }))))
    }
}

impl Readiness {
    /// The next status that isn't `last`; `None` when the node has stopped and said so.
    async fn other_than(&self, last: Option<ServingStatus>, known: bool) -> Option<ServingStatus> {
        loop {
            let now = if known { self.now() } else { ServingStatus::ServiceUnknown };
            if Some(now) != last {
                return Some(now);
            }
            tokio::select! {
                () = self.stopping.cancelled() => {
                    return Some(ServingStatus::NotServing).filter(|it| known && Some(*it) != last);
                }
                () = tokio::time::sleep(HEALTH_INTERVAL) => {}
            }
        }
    }
}
