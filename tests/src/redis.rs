//! Redis as the comparison: one primary and two replicas, every write synced.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use crate::client::Client;
use crate::cluster::Ports;
use crate::wait;

const READY_WAIT: Duration = Duration::from_secs(30);

/// Three processes; dropping it ends them.
pub struct Redis {
    children: Vec<Child>,
    ports: Ports,
    dir: TempDir,
}

impl Redis {
    /// Starts Debian's `redis-server` three times and waits until both replicas follow.
    ///
    /// # Errors
    /// It is not installed, or does not come up.
    pub fn start() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("weir-redis-").tempdir()?;
        let ports = Ports::take(3)?;
        let mut redis = Self { children: Vec::new(), ports, dir };
        for id in 1..=3 {
            let child = redis.spawn(id)?;
            redis.children.push(child);
        }
        wait::until("the replicas to follow", READY_WAIT, || redis.replicas_follow())?;
        Ok(redis)
    }

    /// `HOST:PORT` of the primary.
    pub fn primary(&self) -> String {
        format!("127.0.0.1:{}", self.ports.first_of(1))
    }

    /// The process of the primary.
    pub fn primary_pid(&self) -> Option<u32> {
        self.children.first().map(Child::id)
    }

    /// All three processes.
    pub fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }

    fn spawn(&self, id: u64) -> anyhow::Result<Child> {
        let data = self.dir.path().join(id.to_string());
        std::fs::create_dir_all(&data)?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.ports.first_of(id).to_string(), "--bind", "127.0.0.1"]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
        command.arg("--dir").arg(Path::new(&data));
        if id > 1 {
            let primary = self.ports.first_of(1).to_string();
            command.args(["--replicaof", "127.0.0.1", &primary]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().context("redis-server cannot be started: apt-get install redis-server")
    }

    fn replicas_follow(&self) -> Result<(), String> {
        let mut client = Client::open(&self.primary()).map_err(|error| error.to_string())?;
        client.call(&["SET", "follow", "1"]).map_err(|error| error.to_string())?;
        let reply = client.call(&["WAIT", "2", "200"]).map_err(|error| error.to_string())?;
        match reply.as_integer() {
            Some(2) => Ok(()),
            other => Err(format!("{other:?} replicas")),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
