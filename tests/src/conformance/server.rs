//! A reference server beside the cluster: one process, nothing kept. Dropping it ends it.

use std::fmt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use crate::client::Client;
use crate::cluster::Ports;
use crate::wait;

const READY_WAIT: Duration = Duration::from_secs(30);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Debian's, 7.0.15.
    Redis,
    /// 9.1.2; `WEIR_TEST_VALKEY` names its program.
    Valkey,
}

impl Kind {
    /// Where its program is; none where this machine has none.
    pub fn program(self) -> Option<PathBuf> {
        match self {
            Self::Redis => Some("redis-server".into()),
            Self::Valkey => std::env::var_os("WEIR_TEST_VALKEY").map(PathBuf::from),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis => "Redis 7.0.15",
            Self::Valkey => "Valkey 9.1.2",
        })
    }
}

/// A running server.
pub struct Server {
    pub kind: Kind,
    child: Child,
    ports: Ports,
    _dir: TempDir,
}

impl Server {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// It is not installed, or does not come up.
    pub fn start(kind: Kind) -> anyhow::Result<Self> {
        let program = kind.program().with_context(|| format!("no program for {kind}"))?;
        let dir = tempfile::Builder::new().prefix("weir-reference-").tempdir()?;
        let ports = Ports::take(1)?;
        let child = Command::new(&program)
            .args(["--port", &ports.first_of(1).to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| {
                format!("{} cannot be started: scripts/test tools", program.display())
            })?;
        let server = Self { kind, child, ports, _dir: dir };
        wait::until(&kind.to_string(), READY_WAIT, || {
            let mut client = Client::open(&server.address()).map_err(|error| error.to_string())?;
            client.call(&["PING"]).map_err(|error| error.to_string())
        })?;
        Ok(server)
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.first_of(1))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
