//! The processes of a local cluster together: started, waited for, stopped.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use server::config::Config;
use tokio::time::{Instant, sleep, timeout};

use super::files::{self, Plan};
use super::http;
use super::process::Process;
use crate::failed::Failed;

/// Between two looks at a node that is not ready yet.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A node that does not answer in this time is looked at again.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// After SIGTERM a node has this long before it is killed: its request deadline and a sync.
const STOP_WAIT: Duration = Duration::from_secs(30);

/// Running nodes.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Process>,
}

impl Cluster {
    /// Starts a process for each node.
    pub(crate) fn start(nodes: &[(PathBuf, Config)]) -> Result<Self, Failed> {
        let nodes: Result<Vec<Process>, Failed> =
            nodes.iter().map(|(file, config)| Process::start(file, config)).collect();
        Ok(Self { nodes: nodes? })
    }

    /// Waits until every node is ready. A node that ends meanwhile is an error; `slow` is told every
    /// few seconds what is still missing.
    pub(crate) async fn ready(&mut self, mut slow: impl FnMut(&str)) -> Result<(), Failed> {
        let mut told = Instant::now();
        for node in &mut self.nodes {
            loop {
                let why = match not_ready(&node.config).await {
                    None => break,
                    Some(why) => why,
                };
                if let Ok(how) = timeout(LOOK_EVERY, node.ended()).await {
                    let id = node.config.node.id;
                    let code = node.exit_code().unwrap_or(3);
                    let words = node.last_words();
                    return Err(Failed::with_code(code, format!("node {id}: {words} ({how})")));
                }
                if told.elapsed() > Duration::from_secs(5) {
                    told = Instant::now();
                    slow(&format!("waiting for node {}: {why}", node.config.node.id));
                }
            }
        }
        Ok(())
    }

    /// Waits for the next node that ends: its place in `nodes`, and how it ended. For ever where
    /// none runs.
    pub(crate) async fn next_end(&mut self) -> (usize, String) {
        let ends = self.nodes.iter_mut().enumerate().map(|(place, node)| {
            Box::pin(async move {
                let how = node.ended().await;
                (place, how)
            })
        });
        let ends: Vec<_> = ends.collect();
        if ends.is_empty() {
            return std::future::pending().await;
        }
        futures::future::select_all(ends).await.0
    }

    /// Stops every node in good order, all at once.
    pub(crate) async fn stop(&mut self) {
        for node in &self.nodes {
            node.terminate();
        }
        let deadline = Instant::now() + STOP_WAIT;
        for node in &mut self.nodes {
            if tokio::time::timeout_at(deadline, node.ended()).await.is_err() {
                node.kill();
                node.ended().await;
            }
        }
    }
}

/// Why a node is not ready; none where it is.
pub(crate) async fn not_ready(config: &Config) -> Option<String> {
    let address = config.node.listen.http.to_string();
    match timeout(ANSWER_WAIT, http::get(&address, "/readyz")).await {
        Ok(Ok(answer)) if answer.status == 200 => None,
        Ok(Ok(answer)) => Some(answer.body.trim().to_owned()),
        Ok(Err(_)) => {
            sleep(LOOK_EVERY).await;
            Some("it does not listen yet".to_owned())
        }
        Err(_) => Some("it does not answer".to_owned()),
    }
}

/// Every port of a plan that is taken.
pub(crate) fn taken(plan: &Plan) -> Vec<u16> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    plan.ports().filter(|port| !free(port)).collect()
}

/// A base port near the plan's with nothing on any of its ports.
pub(crate) fn free_base(plan: &Plan) -> Option<u16> {
    (1..50u16)
        .filter_map(|step| plan.base_port.checked_add(step * 1000))
        .map(|base_port| Plan { base_port, ..plan.clone() })
        .find(|plan| plan.check().is_ok() && taken(plan).is_empty())
        .map(|plan| plan.base_port)
}

/// The nodes of `dir`, written there first where there are none.
pub(crate) fn nodes_of(dir: &Path, plan: &Plan) -> Result<Vec<(PathBuf, Config)>, Failed> {
    let nodes = files::read(dir)?;
    if !nodes.is_empty() {
        return Ok(nodes);
    }
    files::write(dir, plan)?;
    files::read(dir)
}
