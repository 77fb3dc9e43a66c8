//! One node as a child process: started, asked to stop, killed, waited for.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use server::config::Config;
use tokio::process::{Child, Command};

use crate::failed::Failed;

/// A node's process. Dropping it kills it: nothing is left running.
pub(crate) struct Process {
    pub(crate) file: PathBuf,
    pub(crate) config: Config,
    log: PathBuf,
    child: Child,
    pid: u32,
}

impl Process {
    /// Starts a node; what it says goes to `node-N.log` beside its file.
    pub(crate) fn start(file: &Path, config: &Config) -> Result<Self, Failed> {
        let log = file.with_extension("log");
        let cannot = |what: &Path, error: std::io::Error| {
            Failed::machine(format!("{}: {error}", what.display()))
        };
        let opened = File::options().create(true).append(true).open(&log);
        let output = opened.map_err(|error| cannot(&log, error))?;
        let program = std::env::current_exe()
            .map_err(|error| Failed::machine(format!("cannot find this program: {error}")))?;
        let child = Command::new(&program)
            .arg("server")
            .arg("--config")
            .arg(file)
            .args(["--parent", &std::process::id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            // A Ctrl-C is for us; the nodes are then stopped in good order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot(&program, error))?;
        let pid = child.id().expect("it has just been started");
        Ok(Self { file: file.to_owned(), config: config.clone(), log, child, pid })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// SIGTERM: hands its leaderships over, drains, syncs, ends.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGKILL: as if the power of this process went away.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Waits until it has ended. May be given up and called again.
    pub(crate) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => how(status),
            Err(error) => error.to_string(),
        }
    }

    /// Its exit code, where it ended by itself.
    pub(crate) fn exit_code(&mut self) -> Option<u8> {
        let status = self.child.try_wait().ok()??;
        status.code().and_then(|code| u8::try_from(code).ok())
    }

    /// The last line of its log: why it ended.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(
            || format!("see {}", self.log.display()),
            |line| line.trim().trim_start_matches("weir: ").to_owned(),
        )
    }

    fn signal(&self, signal: Signal) {
        // Once it was waited for, the number may be another process's.
        if self.child.id().is_some()
            && let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process(pid, signal);
        }
    }
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    }
}
