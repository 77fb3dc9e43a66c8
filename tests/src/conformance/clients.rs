//! The programs of real client libraries, against every node, and while the leader is killed under
//! them. What they are and do stands in `tests/clients`.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cluster::{Cluster, Node, READY_WAIT};
use crate::wait;

/// A program gives up by itself before this.
const END_WAIT: Duration = Duration::from_secs(120);
/// How long one works: against each node, and through a kill.
const SECONDS: (&str, &str) = ("1", "5");
/// Of the latter, before the leader is killed, and until it is started again.
const BEFORE_KILL: Duration = Duration::from_millis(1_500);
const AWAY: Duration = Duration::from_secs(2);

/// One program, and the environment that it needs.
pub struct Program {
    pub name: &'static str,
    /// As `tests/clients/install` names it.
    environment: &'static str,
    /// Below `tests/clients`; of the Rust ones, the name of the binary.
    file: &'static str,
}

/// Every program.
#[rustfmt::skip]
pub const PROGRAMS: &[Program] = &[
    program("redis-py", "redis-py", "python/redis_sync.py"),
    program("redis-py asyncio", "redis-py", "python/redis_asyncio.py"),
    program("coredis", "coredis", "python/coredis_app.py"),
    program("walrus", "walrus", "python/walrus_app.py"),
    program("FastStream", "faststream", "python/faststream_app.py"),
    program("taskiq-redis", "taskiq", "python/taskiq_app.py"),
    program("node-redis", "node", "node/node_redis.cjs"),
    program("ioredis", "node", "node/ioredis.cjs"),
    program("socket.io redis-streams-adapter", "node", "node/socketio.cjs"),
    program("redis-rs", "rust", "redis_rs"),
    program("fred", "rust", "fred"),
    program("redis-rb", "ruby", "ruby/redis_rb.rb"),
];

/// Those of cluster-aware clients, for the ports made for them.
#[rustfmt::skip]
pub const CLUSTER_PROGRAMS: &[Program] = &[
    program("redis-py cluster", "redis-py", "redis_py_cluster.py"),
    program("node-redis cluster", "node", "node/node_redis_cluster.cjs"),
    program("ioredis cluster", "node", "node/ioredis_cluster.cjs"),
    program("redis-rs cluster", "rust", "redis_rs_cluster"),
];

const fn program(name: &'static str, environment: &'static str, file: &'static str) -> Program {
    Program { name, environment, file }
}

impl Program {
    /// Whether its library is installed below `dir`.
    pub fn is_installed(&self, dir: &Path) -> bool {
        dir.join("installed").join(self.environment).exists()
    }

    fn command(&self, dir: &Path) -> Command {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(self.file);
        let run = |interpreter: PathBuf| {
            let mut command = Command::new(interpreter);
            command.arg(&file);
            command
        };
        match self.environment {
            "rust" => Command::new(dir.join("rust/debug").join(self.file)),
            "ruby" => run("ruby".into()),
            "node" => {
                let mut command = run("node".into());
                command.env("NODE_PATH", dir.join("node/node_modules"));
                command
            }
            python => {
                let mut command = run(dir.join(python).join("bin/python"));
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
        }
    }

    fn start(&self, dir: &Path, address: &str, seconds: &str) -> anyhow::Result<Child> {
        let port = address.rsplit(':').next().unwrap_or_default();
        let stream = format!("{}:{port}:{seconds}", self.name.replace(' ', "-"));
        let mut command = self.command(dir);
        command.args([port, &stream, seconds]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command.spawn()?)
    }

    /// Runs it against every node at once.
    ///
    /// # Errors
    /// What one of them said.
    pub fn against_every_node(&self, cluster: &Cluster, dir: &Path) -> anyhow::Result<String> {
        let start = |node: &Node| self.start(dir, &node.resp(), SECONDS.0);
        let children: Vec<Child> = cluster.nodes.iter().map(start).collect::<Result<_, _>>()?;
        let said: Vec<_> = children.into_iter().map(finish).collect();
        let mut last = String::new();
        for said in said {
            last = said?;
        }
        Ok(last)
    }

    /// Runs it against a node that lives while the leader is killed, and started again.
    ///
    /// # Errors
    /// What it said.
    pub fn through_a_kill(&self, cluster: &mut Cluster, dir: &Path) -> anyhow::Result<String> {
        let leader = cluster.leader_of_most().unwrap_or_default();
        let other = (leader + 1) % cluster.nodes.len();
        let child = self.start(dir, &cluster.nodes[other].resp(), SECONDS.1)?;
        wait::pause(BEFORE_KILL);
        cluster.nodes[leader].kill();
        wait::pause(AWAY);
        cluster.nodes[leader].start()?;
        let said = finish(child);
        cluster.wait_ready(READY_WAIT)?;
        said
    }

    /// Runs one for clusters on the ports for them; kills the leader when it says that it produces,
    /// and starts it again.
    ///
    /// # Errors
    /// What it said.
    pub fn learns_a_new_leader(&self, cluster: &mut Cluster, dir: &Path) -> anyhow::Result<String> {
        let mut command = self.command(dir);
        command.arg(self.name.replace(' ', "-")).args(cluster.nodes.iter().map(cluster_port));
        let (said, ended) = through_a_death(cluster, command)?;
        cluster.wait_ready(READY_WAIT)?;
        anyhow::ensure!(ended, "{said}");
        Ok(said.trim_end().lines().last().unwrap_or_default().to_owned())
    }
}

/// Where cluster-aware clients reach a node.
pub fn cluster_port(node: &Node) -> String {
    node.resp_cluster().rsplit(':').next().unwrap_or_default().to_owned()
}

/// Runs a program through the death of the leader of most shards, which comes when the program says
/// `producing`, and its return. Gives what it said, and whether it ended well.
///
/// # Errors
/// It could not be started, or the node not started again.
pub fn through_a_death(
    cluster: &mut Cluster,
    mut command: Command,
) -> anyhow::Result<(String, bool)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut output = BufReader::new(child.stdout.take().expect("it was piped"));
    let mut said = String::new();
    output.read_line(&mut said)?;
    if said.trim() == "producing" {
        let leader = cluster.leader_of_most().unwrap_or_default();
        cluster.nodes[leader].kill();
        let dead = cluster.nodes[leader].id;
        // Under load an election takes its time; and whoever comes back may lead again.
        wait::until("others to lead", READY_WAIT, || match cluster.leaders() {
            leaders if leaders.iter().any(|it| *it == dead || *it == 0) => {
                Err(format!("{leaders:?}"))
            }
            _ => Ok(()),
        })?;
        wait::pause(AWAY);
        cluster.nodes[leader].start()?;
    }
    // The program gives up by itself.
    output.read_to_string(&mut said)?;
    let output = child.wait_with_output()?;
    let is_good = output.status.success() && said.trim_end().ends_with("as expected");
    said += &String::from_utf8_lossy(&output.stderr);
    Ok((said, is_good))
}

/// Its last line, if it ended well.
fn finish(mut child: Child) -> anyhow::Result<String> {
    let ended = wait::until("the program to end", END_WAIT, || match child.try_wait() {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("it runs".to_owned()),
        Err(error) => Err(error.to_string()),
    });
    if ended.is_err() {
        child.kill()?;
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let is_good = output.status.success() && said.trim_end().ends_with("as expected");
    anyhow::ensure!(is_good, "{said}{errors}");
    ended?;
    Ok(said.trim_end().lines().last().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_there_and_every_environment_is_installed_by_the_script() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let script = std::fs::read_to_string(dir.join("install")).unwrap();
        for program in PROGRAMS.iter().chain(CLUSTER_PROGRAMS) {
            let file = match program.environment {
                "rust" => dir.join(format!("rust/src/bin/{}.rs", program.file)),
                _ => dir.join(program.file),
            };
            assert!(file.exists(), "{}", file.display());
            let line = format!("installed {} ", program.environment);
            assert!(script.contains(&line), "{}", program.environment);
        }
    }
}
