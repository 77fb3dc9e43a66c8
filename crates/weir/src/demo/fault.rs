//! The fault: half way, the leader of the busiest shard is killed with -9, and brought back.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::sleep;

use super::Shared;
use super::history::History;
use crate::failed::Failed;
use crate::local::cluster::{self, Cluster};
use crate::local::http;
use crate::local::process::Process;
use crate::out;

/// How long the killed node stays away.
const AWAY: Duration = Duration::from_secs(4);
/// Between two looks at what is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The place in `nodes` of the node that leads the shard with the most entries.
pub(super) async fn busiest_leader(cluster: &Rc<Mutex<Cluster>>) -> Result<usize, Failed> {
    let cluster = cluster.lock().await;
    for node in &cluster.nodes {
        let address = node.config.node.listen.http.to_string();
        let Ok(answer) = http::get(&address, "/metrics").await else { continue };
        let Some((shard, leader)) = busiest(&answer.body) else { continue };
        let place = cluster.nodes.iter().position(|node| node.config.node.id.0 == leader);
        if let Some(place) = place {
            out::say(format!("the busiest shard is {shard}; node {leader} leads it"));
            return Ok(place);
        }
    }
    Err(Failed::machine("no node says who leads the busiest shard"))
}

/// Shard and leader with the most applied entries, from a page of metrics.
fn busiest(page: &str) -> Option<(String, u64)> {
    let values = |name: &str| -> Vec<(String, u64)> {
        let prefix = format!("{name}{{shard=\"");
        page.lines()
            .filter_map(|line| line.strip_prefix(&prefix)?.split_once("\"} "))
            .filter_map(|(shard, value)| Some((shard.to_owned(), value.parse().ok()?)))
            .collect()
    };
    let applied = values("weir_shard_applied_index");
    let data = applied.into_iter().filter(|(shard, _)| shard != "meta");
    let (shard, _) = data.max_by_key(|(_, applied)| *applied)?;
    let leaders = values("weir_shard_leader");
    leaders.into_iter().find(|(found, leader)| *found == shard && *leader > 0)
}

/// Waits until half is acknowledged, moves the producer away from the leader of the busiest shard,
/// kills that, and brings it back.
pub(super) async fn kill_half_way(
    cluster: &Rc<Mutex<Cluster>>,
    history: &History,
    shared: &Shared,
    place: &watch::Sender<usize>,
) -> Result<(), Failed> {
    let half = history.entries.len() as u64 / 2;
    while shared.borrow().acknowledged < half {
        sleep(LOOK_EVERY).await;
    }
    let victim = busiest_leader(cluster).await?;
    if *place.borrow() == victim {
        let nodes = cluster.lock().await.nodes.len();
        place.send_replace((victim + 1) % nodes);
        sleep(Duration::from_millis(500)).await;
    }
    let mut cluster = cluster.lock().await;
    let node = &mut cluster.nodes[victim];
    let id = node.config.node.id;
    node.kill();
    let how = node.ended().await;
    out::say(format!("killed node {id} with -9 ({how}); clients of the others go on"));
    sleep(AWAY).await;
    let again = Process::start(&node.file.clone(), &node.config.clone())?;
    out::say(format!("node {id} is started again (pid {})", again.pid()));
    cluster.nodes[victim] = again;
    while cluster::not_ready(&cluster.nodes[victim].config).await.is_some() {
        sleep(LOOK_EVERY).await;
    }
    out::say(format!("node {id} has caught up"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_shard_is_read_from_the_metrics() {
        let page = "weir_shard_applied_index{shard=\"0\"} 10\n\
                    weir_shard_applied_index{shard=\"5\"} 90\n\
                    weir_shard_applied_index{shard=\"meta\"} 900\n\
                    weir_shard_leader{shard=\"0\"} 1\nweir_shard_leader{shard=\"5\"} 3\n";
        assert_eq!(busiest(page), Some(("5".to_owned(), 3)));
        assert_eq!(busiest(""), None);
    }
}
