//! The HTTP listener: `/healthz`, `/readyz`, `/metrics`. Never data of a stream, never a change.
//!
//! It is the first to listen and answers while the node still opens its data, so that whoever
//! watches can tell a long replay from a dead process.

use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base::Clock;
use raft::{NodeStatus, Shards};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::metrics::{self, Groups, Watched};

/// How often groups are asked for their lag: a scrape shows what is at most this old.
const GROUPS_EVERY: Duration = Duration::from_secs(5);

/// What the pages show.
#[derive(Clone)]
pub(crate) struct Pages {
    /// Set when the shards are open.
    shards: Arc<OnceLock<Arc<dyn Shards>>>,
    groups: Arc<Groups>,
    clock: Arc<dyn Clock>,
}

impl Pages {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { shards: Arc::default(), groups: Arc::default(), clock }
    }

    /// The shards are open: from now on there is something to show.
    pub(crate) fn open(&self, shards: Arc<dyn Shards>) {
        let watched = Watched::new(shards, Arc::clone(&self.groups));
        drop(self.shards.set(Arc::new(watched)));
    }

    /// The shards, observed, once they are open.
    pub(crate) fn shards(&self) -> Option<Arc<dyn Shards>> {
        self.shards.get().cloned()
    }

    fn status(&self) -> Option<NodeStatus> {
        self.shards.get().map(|shards| shards.outline())
    }
}

/// The listener's thread. It has its own, so that it answers whatever the others do.
pub(crate) struct Server {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Server {
    /// Starts to serve.
    pub(crate) fn start(listener: std::net::TcpListener, pages: Pages) -> Result<Self, Failure> {
        let cannot =
            |error: std::io::Error| Failure::Machine(format!("cannot serve HTTP: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            if let Err(error) = runtime.block_on(serve(listener, pages, stopped)) {
                tracing::error!(%error, "HTTP ended");
            }
        };
        let thread =
            std::thread::Builder::new().name("http".to_owned()).spawn(serve).map_err(cannot)?;
        Ok(Self { thread, stop })
    }

    /// Answers what was asked, then ends.
    pub(crate) fn stop(self) {
        drop(self.stop);
        drop(self.thread.join());
    }
}

async fn serve(
    listener: std::net::TcpListener,
    pages: Pages,
    stopped: oneshot::Receiver<()>,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let served = axum::serve(listener, router(pages.clone())).into_future();
    tokio::select! {
        served = served => served,
        () = watch_groups(pages) => Ok(()),
        _ = stopped => Ok(()),
    }
}

fn router(pages: Pages) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(show_metrics))
        .fallback(|| async {
            (StatusCode::NOT_FOUND, "try /healthz, /readyz or /metrics\n").into_response()
        })
        .with_state(pages)
}

async fn ready(State(pages): State<Pages>) -> Response {
    match pages.status() {
        None => (StatusCode::SERVICE_UNAVAILABLE, "opening its data\n").into_response(),
        Some(status) if status.ready && hears_majority(&status) => "ready\n".into_response(),
        Some(status) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", why_not(&status))).into_response()
        }
    }
}

/// Whether enough nodes are reached, itself counted: without them, what it knows of leaders is old.
pub(crate) fn hears_majority(status: &NodeStatus) -> bool {
    let connected = status.peers.iter().filter(|peer| peer.connected).count();
    connected * 2 > status.peers.len()
}

/// What is still missing, in one line.
fn why_not(status: &NodeStatus) -> String {
    let listed = |keep: fn(&raft::ShardStatus) -> bool| -> Vec<String> {
        status.shards.iter().filter(|shard| keep(shard)).map(|s| s.shard.to_string()).collect()
    };
    let leaderless = listed(|shard| shard.leader.is_none());
    let behind = listed(|shard| shard.applied_index < shard.committed_index);
    match (leaderless.is_empty(), behind.is_empty()) {
        (false, _) => format!("no leader: shard {}", leaderless.join(", ")),
        (true, false) => format!("catching up: shard {}", behind.join(", ")),
        (true, true) if !status.shards.is_empty() && !hears_majority(status) => {
            "no majority of the nodes can be reached".to_owned()
        }
        (true, true) => "the cluster is forming".to_owned(),
    }
}

async fn show_metrics(State(pages): State<Pages>) -> Response {
    let text = metrics::render(pages.status().as_ref(), &pages.groups);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn watch_groups(pages: Pages) {
    loop {
        tokio::time::sleep(GROUPS_EVERY).await;
        if let Some(shards) = pages.shards.get() {
            pages.groups.refresh(&**shards, pages.clock.wall_ms()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::ShardId;
    use raft::ShardStatus;

    #[test]
    fn not_ready_says_what_is_missing() {
        let shard = |id, leader: Option<u64>, applied| ShardStatus {
            shard: ShardId(id),
            leader: leader.map(base::NodeId),
            committed_index: 9,
            applied_index: applied,
            ..Default::default()
        };
        let of = |shards| why_not(&NodeStatus { shards, ..Default::default() });
        assert_eq!(of(vec![]), "the cluster is forming");
        assert_eq!(of(vec![shard(0, Some(1), 9), shard(3, None, 9)]), "no leader: shard 3");
        assert_eq!(of(vec![shard(2, Some(1), 4)]), "catching up: shard 2");
    }

    #[test]
    fn a_node_that_reaches_no_majority_is_not_ready() {
        let peer = |connected| raft::PeerStatus { connected, ..Default::default() };
        let of = |connected: [bool; 3]| NodeStatus {
            shards: vec![ShardStatus { leader: Some(base::NodeId(1)), ..Default::default() }],
            peers: connected.map(peer).to_vec(),
            ..Default::default()
        };
        assert!(hears_majority(&of([true, true, false])));
        let alone = of([true, false, false]);
        assert!(!hears_majority(&alone));
        assert_eq!(why_not(&alone), "no majority of the nodes can be reached");
    }
}
