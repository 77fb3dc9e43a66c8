//! The doors for clients: opened together on the same shards, closed together.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{ClientListeners, World};
use crate::config::Config;
use crate::failure::Failure;
use crate::grpc::{self, NodeMembers};
use crate::http::Pages;
use crate::resp::{self, Port};

/// Open doors.
pub(super) struct Doors {
    stopping: CancellationToken,
    tasks: Vec<JoinHandle<Result<(), Failure>>>,
    resp: resp::Handle,
}

impl Doors {
    /// Opens every door on the node's shards. Must be called inside the runtime.
    pub(super) fn open(
        config: &Config,
        world: &World,
        node: &Arc<raft::Node>,
        pages: &Pages,
        listeners: ClientListeners,
    ) -> Result<Self, Failure> {
        let stopping = CancellationToken::new();
        let shards = pages.shards().expect("they were just opened");
        let cannot = |error: std::io::Error| Failure::Machine(format!("cannot listen: {error}"));
        let listener = TcpListener::from_std(listeners.grpc).map_err(cannot)?;
        let members = Arc::new(NodeMembers(Arc::clone(node)));
        let serving =
            grpc::serve(listener, shards, members, grpc_options(config), stopping.clone());
        let grpc = tokio::spawn(async move {
            serving.await.map_err(|error| Failure::Machine(format!("gRPC ended: {error}")))
        });
        let (shards, clock) = (pages.shards().expect("as before"), Arc::clone(&world.clock));
        let options = resp_options(config, Port::Any);
        let any = resp::Service::new(listeners.resp, options, shards, clock).map_err(cannot)?;
        let (resp, options) = (any.handle(), resp_options(config, Port::Cluster));
        let cluster = resp::Service::beside(&resp, listeners.resp_cluster, options);
        let cluster = cluster.map_err(cannot)?;
        let mut tasks = vec![grpc];
        for service in [any, cluster] {
            let running = service.run(stopping.clone());
            tasks.push(tokio::spawn(async move {
                running.await;
                Ok(())
            }));
        }
        Ok(Self { stopping, tasks, resp })
    }

    /// Ends when a client wants the node to stop; with a failure when a door has ended though nobody closed it: a node
    /// that can't be reached is of no use.
    pub(super) async fn ended(&mut self) -> Option<Failure> {
        let (ended, ..) = tokio::select! {
            () = self.resp.shutdown_wanted() => return None,
            ended = futures::future::select_all(&mut self.tasks) => ended,
        };
        Some(match ended {
            Ok(Ok(())) => Failure::Machine("a port for clients was closed; start again".to_owned()),
            Ok(Err(failure)) => failure,
            Err(panic) => Failure::Machine(format!("a port for clients: {panic}; start again")),
        })
    }

    /// Takes nothing new, and waits (so long at most) until what was taken is answered.
    pub(super) async fn close(self, limit: Duration) {
        self.stopping.cancel();
        let drained = futures::future::join_all(self.tasks);
        if tokio::time::timeout(limit, drained).await.is_err() {
            tracing::warn!("some requests were not answered before the end");
        }
    }
}

fn resp_options(config: &Config, port: Port) -> resp::Options {
    let limits = &config.node.limits;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    resp::Options {
        port,
        node: config.node.id,
        password: config.node.security.password.clone(),
        entry_bytes_max: size(limits.entry_bytes_max),
        connections_max: limits.connections_max,
        memory_bytes: limits.memory,
        output_bytes_max: size(limits.output_bytes_max),
    }
}

fn grpc_options(config: &Config) -> grpc::Options {
    let limits = &config.node.limits;
    let password = config.node.security.password.as_ref();
    grpc::Options {
        entry_bytes_max: usize::try_from(limits.entry_bytes_max).unwrap_or(usize::MAX),
        connections_max: limits.connections_max,
        password: password.map(|it| String::from_utf8_lossy(it.bytes()).into_owned()),
    }
}
