//! One node's process: started, killed, stopped in its tracks, waited for.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::binary::weir;
use super::{PEER, READY_WAIT, Seat};
use crate::client::{Client, http_get};
use crate::wait;

/// A node, running or not.
pub struct Node {
    pub id: u64,
    pub file: PathBuf,
    port: u16,
    seat: Seat,
    child: Option<Child>,
    /// A program that runs it, with its arguments; none where it runs by itself.
    under: Vec<String>,
}

impl Node {
    pub(super) fn new(id: u64, file: PathBuf, port: u16, seat: Seat) -> Self {
        Self { id, file, port, seat, child: None, under: Vec::new() }
    }

    /// Takes another id and an empty directory, on the same ports: a node that is to replace this
    /// one.
    ///
    /// # Errors
    /// Its file cannot be written.
    pub fn become_node(&mut self, id: u64) -> std::io::Result<()> {
        let old = self.id;
        let text = std::fs::read_to_string(&self.file)?
            .replace(&format!("id = {old}\n"), &format!("id = {id}\n"))
            .replace(&format!("\"node-{old}\""), &format!("\"node-{id}\""));
        self.id = id;
        self.file.set_file_name(format!("node-{id}.toml"));
        std::fs::write(&self.file, text)
    }

    /// From its next start on it is run by another program, such as one that lets calls to the
    /// system fail.
    pub fn run_under(&mut self, program: &[&str]) {
        self.under = program.iter().map(|&word| word.to_owned()).collect();
    }

    /// Starts the process; what it says goes to a file.
    ///
    /// # Errors
    /// The program cannot be built or started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = match self.under.split_first() {
            None => self.seat.command(&weir()?),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                // Both get a group of their own, so that signals reach the node, too.
                command.process_group(0).args(arguments).arg(weir()?);
                command
            }
        };
        let child = command
            .args(["server", "--config"])
            .arg(&self.file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// `HOST:PORT` for RESP.
    pub fn resp(&self) -> String {
        self.address(0)
    }

    /// `HOST:PORT` for cluster-aware clients of RESP.
    pub fn resp_cluster(&self) -> String {
        self.address(1)
    }

    /// `HOST:PORT` for gRPC.
    pub fn grpc(&self) -> String {
        self.address(2)
    }

    /// `HOST:PORT` for HTTP.
    pub fn http(&self) -> String {
        self.address(4)
    }

    /// `HOST:PORT` where other nodes dial it.
    pub(super) fn peer(&self) -> String {
        self.seat.dialled.clone().unwrap_or_else(|| self.address(PEER))
    }

    /// A connection to it.
    ///
    /// # Errors
    /// It does not listen.
    pub fn client(&self) -> std::io::Result<Client> {
        Client::open(&self.resp())
    }

    /// Whether it is ready, or why not.
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&mut self) -> Result<(), String> {
        if !self.is_running() {
            return Err("it has ended".to_owned());
        }
        match http_get(&self.http(), "/readyz") {
            Ok((200, _)) => Ok(()),
            Ok((_, body)) => Err(body.trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// It has ended, or is not ready in time; with the end of its log.
    pub fn wait_ready(&mut self, limit: Duration) -> anyhow::Result<()> {
        let what = format!("node {} to be ready", self.id);
        let waited = wait::until(&what, limit, || match self.ready() {
            Err(_) if !self.is_running() => Ok(false),
            Err(why) => Err(why),
            Ok(()) => Ok(true),
        });
        match waited {
            Ok(true) => Ok(()),
            Ok(false) => anyhow::bail!("node {} has ended; {}", self.id, self.log_end()),
            Err(error) => Err(error.context(self.log_end())),
        }
    }

    /// Whether its process lives (a stopped one does).
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// The process's number.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// kill -9, and its end.
    pub fn kill(&mut self) {
        if !self.under.is_empty() && self.is_running() {
            self.signal(Signal::KILL);
        }
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// kill -9 after a while, by another thread; its end is for [`Node::kill`] to see, which must follow.
    pub fn kill_later(&self, after: Duration) -> JoinHandle<()> {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        std::thread::spawn(move || {
            wait::pause(after);
            if let Some(pid) = pid {
                // One that has ended by itself is nobody else until it is waited for.
                let _ = kill_process(pid, Signal::KILL);
            }
        })
    }

    /// SIGSTOP: it lives and does nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits for its end; the exit code, none where a signal ended it.
    ///
    /// # Errors
    /// It still runs.
    pub fn wait_end(&mut self, limit: Duration) -> anyhow::Result<Option<i32>> {
        let id = self.id;
        let child = self.child.as_mut().ok_or_else(|| anyhow::anyhow!("node {id} never ran"))?;
        let status = wait::until(&format!("node {id} to end"), limit, || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        })?;
        self.child = None;
        Ok(status.code())
    }

    /// Waits for its end, in good order: exit code 0.
    ///
    /// # Errors
    /// It still runs, or ended otherwise.
    pub fn wait_stopped(&mut self) -> anyhow::Result<()> {
        let code = self.wait_end(READY_WAIT)?;
        anyhow::ensure!(code == Some(0), "node {}: {code:?}; {}", self.id, self.log_end());
        Ok(())
    }

    /// SIGTERM, and waits.
    ///
    /// # Errors
    /// As [`Node::wait_stopped`].
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.terminate();
        self.wait_stopped()
    }

    /// Everything it said.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The last thing it said, in one line.
    pub fn last_line(&self) -> String {
        let text = self.log_text();
        text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
    }

    /// The last line that is the program's own and not its log's, in which others may follow it.
    pub fn own_line(&self) -> String {
        let text = self.log_text();
        let own = text.lines().rev().find(|line| line.starts_with("weir: "));
        own.unwrap_or_default().to_owned()
    }

    /// The last lines that it said.
    pub fn log_end(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(15)..].join("\n");
        format!("log of node {}:\n{end}", self.id)
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> Option<u64> {
        resident_bytes(self.pid()?)
    }

    /// The most resident memory that it had since its start, in bytes.
    pub fn resident_peak_bytes(&self) -> Option<u64> {
        memory_bytes(self.pid()?, "VmHWM:")
    }

    /// Each thread of the process: its name, its state, where in the kernel it waits.
    pub fn threads(&self) -> String {
        self.pid().map(|pid| base::threads_of(&pid.to_string())).unwrap_or_default()
    }

    fn address(&self, place: u16) -> String {
        format!("{}:{}", self.seat.host, self.port + place)
    }

    fn log(&self) -> PathBuf {
        self.file.with_extension("log")
    }

    fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else { return };
        let _ = match self.under.as_slice() {
            [] => kill_process(pid, signal),
            _ => kill_process_group(pid, signal),
        };
    }
}

/// Resident memory of a process in bytes.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    memory_bytes(pid, "VmRSS:")
}

fn memory_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
