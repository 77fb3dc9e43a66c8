//! A cluster of real processes on free ports in a directory of its own. Dropping it leaves nothing
//! behind, neither processes nor files.

mod binary;
mod node;
mod ports;
mod seat;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

pub use binary::{run, weir};
pub use node::{Node, resident_bytes};
pub use ports::Ports;
pub use seat::Seat;

use crate::client::http_get;
use crate::wait;

/// A whole cluster is up, or back up, in this time on a slow machine with a debug build.
pub const READY_WAIT: Duration = Duration::from_secs(60);

/// Of a node's ports the one for peers.
const PEER: u16 = 3;

/// A refusal comes within this.
const REFUSAL_WAIT: Duration = Duration::from_secs(20);

/// What a cluster is made with.
#[derive(Clone, Debug)]
pub struct Options {
    pub nodes: u64,
    /// Of these, the first so many form the cluster; the others are prepared and not started.
    pub forming: u64,
    pub shards: u16,
    /// More lines for every node's file, sections and all.
    pub extra: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 3, forming: 3, shards: 8, extra: String::new() }
    }
}

/// Nodes with their files.
pub struct Cluster {
    pub nodes: Vec<Node>,
    dir: TempDir,
    _ports: Ports,
}

impl Cluster {
    /// Writes the files, starts every node, waits until all are ready.
    ///
    /// # Errors
    /// What did not happen in time, with the end of the logs.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let mut cluster = Self::prepare(options)?;
        let forming = usize::try_from(options.forming)?;
        for node in cluster.nodes.iter_mut().take(forming) {
            node.start()?;
        }
        cluster.wait_ready(READY_WAIT)?;
        Ok(cluster)
    }

    /// Writes the files and starts nothing.
    ///
    /// # Errors
    /// The machine has no room or no ports.
    pub fn prepare(options: &Options) -> anyhow::Result<Self> {
        Self::prepare_seated(options, |_, _| Ok(Seat::default()))
    }

    /// As [`Cluster::prepare`]; `seat` says where each node sits, by its index and the port for
    /// peers.
    ///
    /// # Errors
    /// As [`Cluster::prepare`], and those of `seat`.
    pub fn prepare_seated(
        options: &Options,
        mut seat: impl FnMut(usize, u16) -> anyhow::Result<Seat>,
    ) -> anyhow::Result<Self> {
        let ports = Ports::take(options.nodes)?;
        let dir = tempfile::Builder::new().prefix("weir-test-").tempdir()?;
        let mut nodes = Vec::new();
        for id in 1..=options.nodes {
            let port = ports.first_of(id);
            let seat = seat(nodes.len(), port + PEER)?;
            let file = dir.path().join(format!("node-{id}.toml"));
            std::fs::write(&file, node_toml(options, &seat, port, id))?;
            nodes.push(Node::new(id, file, port, seat));
        }
        std::fs::write(dir.path().join("cluster.toml"), cluster_toml(options, &nodes))?;
        Ok(Self { nodes, dir, _ports: ports })
    }

    /// Where the files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where a node keeps its data.
    pub fn data_dir(&self, index: usize) -> PathBuf {
        self.dir.path().join(format!("node-{}", self.nodes[index].id))
    }

    /// Waits until every node that runs is ready.
    ///
    /// # Errors
    /// Which node is not, why, and the end of its log.
    pub fn wait_ready(&mut self, limit: Duration) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            if node.is_running() {
                node.wait_ready(limit)?;
            }
        }
        Ok(())
    }

    /// The first node that runs and is not ready, and why.
    pub fn not_ready(&mut self) -> Option<String> {
        self.nodes.iter_mut().filter(|node| node.pid().is_some()).find_map(|node| {
            let why = node.ready().err()?;
            Some(format!("node {}: {why}", node.id))
        })
    }

    /// The index of the node that leads most shards, as the first node that answers sees it.
    pub fn leader_of_most(&self) -> Option<usize> {
        let mut counts = vec![0usize; self.nodes.len()];
        for leader in self.leaders() {
            if let Some(index) = self.nodes.iter().position(|node| node.id == leader) {
                counts[index] += 1;
            }
        }
        let most = counts.iter().copied().max().filter(|most| *most > 0)?;
        counts.iter().position(|count| *count == most)
    }

    /// The leader of each shard, 0 where none is known, as the first node that answers sees it.
    pub fn leaders(&self) -> Vec<u64> {
        let page = self.nodes.iter().find_map(|node| {
            http_get(&node.http(), "/metrics").ok().filter(|(status, _)| *status == 200)
        });
        let Some((_, page)) = page else { return Vec::new() };
        let lines = page.lines().filter_map(|line| line.strip_prefix("weir_shard_leader{"));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect()
    }

    /// `weir status --json`.
    ///
    /// # Errors
    /// It failed, or printed something else.
    pub fn status(&self) -> anyhow::Result<serde_json::Value> {
        let mut command = std::process::Command::new(weir()?);
        command.args(["status", "--json"]);
        for node in &self.nodes {
            command.args(["--node", &node.grpc()]);
        }
        let output = command.output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "weir status: {error}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The hash of every replica, by shard, once all replicas of each have applied as much.
    ///
    /// # Errors
    /// A node doesn't answer, or some are behind.
    pub fn state_hashes(&self) -> Result<Vec<(String, Vec<String>)>, String> {
        let status = self.status().map_err(|error| error.to_string())?;
        let shards = status["shards"].as_array().ok_or("no shards in the status")?;
        let mut all = Vec::new();
        for shard in shards {
            let name = shard["shard"].to_string();
            let replicas = shard["replicas"].as_array().ok_or("no replicas in the status")?;
            if replicas.len() < self.nodes.len() {
                return Err(format!("shard {name}: {} replicas answer", replicas.len()));
            }
            let applied: Vec<String> =
                replicas.iter().map(|it| it["applied"].to_string()).collect();
            if applied.iter().any(|one| *one != applied[0]) {
                return Err(format!("shard {name}: applied {applied:?}"));
            }
            all.push((name, replicas.iter().map(|it| it["state_hash"].to_string()).collect()));
        }
        Ok(all)
    }

    /// Waits until every shard's state is the same on all nodes.
    ///
    /// # Errors
    /// They don't become so in time.
    pub fn wait_equal(&self, limit: Duration) -> anyhow::Result<()> {
        wait::until("the replicas to be equal", limit, || {
            let hashes = self.state_hashes()?;
            let differs =
                |(_, hashes): &&(String, Vec<String>)| hashes.iter().any(|it| *it != hashes[0]);
            hashes.iter().find(differs).map_or(Ok(()), |shard| Err(format!("{shard:?}")))
        })
    }

    /// What every node said last, and where its shards are: for whoever has waited in vain.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for node in &self.nodes {
            text += &format!("{}\nthreads: {}", node.log_end(), node.threads());
            let page = http_get(&node.http(), "/metrics").map(|(_, page)| page);
            let page = page.unwrap_or_else(|error| error.to_string());
            let told = |line: &&str| !line.starts_with('#') && line.contains("shard=");
            page.lines().filter(told).for_each(|line| text += &format!("\n{line}"));
            text.push('\n');
        }
        text
    }

    /// The files of a node's journal, oldest first.
    ///
    /// # Errors
    /// There are none.
    pub fn segments(&self, index: usize) -> std::io::Result<Vec<PathBuf>> {
        let files = std::fs::read_dir(self.data_dir(index).join("journal"))?;
        let mut files: Vec<_> =
            files.map(|file| Ok(file?.path())).collect::<std::io::Result<_>>()?;
        files.sort();
        Ok(files)
    }

    /// Starts a node as it is configured: it must end with this exit code, and its last line, one
    /// of the program's own, must have these words.
    ///
    /// # Errors
    /// It goes on, or ends otherwise.
    pub fn refuses(&mut self, index: usize, code: i32, words: &[&str]) -> anyhow::Result<()> {
        let node = &mut self.nodes[index];
        node.start()?;
        let ended = node.wait_end(REFUSAL_WAIT)?;
        let line = node.last_line();
        anyhow::ensure!(ended == Some(code), "{ended:?}, not {code}: {line}");
        anyhow::ensure!(line.starts_with("weir: "), "not the program's own line: {line}");
        for word in words {
            anyhow::ensure!(line.contains(word), "`{word}` is not in: {line}");
        }
        Ok(())
    }

    /// Stops a node in good order, starts it again, and waits until all are ready.
    ///
    /// # Errors
    /// It ended otherwise, or something did not happen in time.
    pub fn restart(&mut self, index: usize) -> anyhow::Result<()> {
        self.nodes[index].stop()?;
        self.nodes[index].start()?;
        self.wait_ready(READY_WAIT)
    }

    /// SIGTERM to all, and waits: exit code 0 from each.
    ///
    /// # Errors
    /// A node ended otherwise, or not in time.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        for node in &self.nodes {
            node.terminate();
        }
        for node in &mut self.nodes {
            if node.is_running() {
                node.wait_stopped()?;
            }
        }
        Ok(())
    }
}

/// Changes a text file.
///
/// # Errors
/// It cannot be read or written.
pub fn edit(path: &Path, change: impl Fn(&str) -> String) -> std::io::Result<()> {
    let text = std::fs::read_to_string(path)?;
    std::fs::write(path, change(&text))
}

fn cluster_toml(options: &Options, nodes: &[Node]) -> String {
    let mut text = format!("[cluster]\nname = \"test\"\nshards = {}\n", options.shards);
    for node in nodes.iter().filter(|node| node.id <= options.forming) {
        text += &format!(
            "[[node]]\nid = {}\npeer = \"{}\"\nresp = \"{}\"\n\
             resp_cluster = \"{}\"\ngrpc = \"{}\"\n",
            node.id,
            node.peer(),
            node.resp(),
            node.resp_cluster(),
            node.grpc(),
        );
    }
    text
}

fn node_toml(options: &Options, seat: &Seat, port: u16, id: u64) -> String {
    let host = &seat.host;
    format!(
        "[node]\nid = {id}\ncluster = \"cluster.toml\"\ndata_dir = \"node-{id}\"\n[listen]\n\
         resp = \"{host}:{port}\"\nresp_cluster = \"{host}:{}\"\ngrpc = \"{host}:{}\"\n\
         peer = \"{host}:{}\"\nhttp = \"{host}:{}\"\n{}",
        port + 1,
        port + 2,
        port + PEER,
        port + 4,
        options.extra,
    )
}
