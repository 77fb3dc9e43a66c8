//! Calls of a running process that fail or take long, by strace. Never which calls it makes.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::run;
use crate::wait;

/// A process is traced within this, or not at all.
const ATTACH_WAIT: Duration = Duration::from_secs(5);

/// What makes data durable.
const SYNCS: &str = "fsync,fdatasync";

/// What is done to calls of a process, for as long as the value lives.
pub struct Injected(Child);

/// Whether calls can be reached here.
///
/// # Errors
/// Why not.
pub fn check() -> Result<(), String> {
    run("strace", &["-o", "/dev/null", "-e", "trace=none", "true"]).map(drop)
}

impl Injected {
    /// Fails the next sync of each thread of a process, once, with EIO.
    ///
    /// # Errors
    /// It can't be traced.
    pub fn fail_sync(pid: u32) -> Result<Self, String> {
        Self::attach(pid, &format!("{SYNCS}:error=EIO:when=1"))
    }

    /// Delays every sync of a process.
    ///
    /// # Errors
    /// It can't be traced.
    pub fn delay_syncs(pid: u32, delay: Duration) -> Result<Self, String> {
        Self::attach(pid, &format!("{SYNCS}:delay_enter={}", delay.as_micros()))
    }

    fn attach(pid: u32, inject: &str) -> Result<Self, String> {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qqq", "-o", "/dev/null", "-p", &pid.to_string()]);
        strace.args(["-e", &format!("trace={SYNCS}"), "-e", &format!("inject={inject}")]);
        strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = strace.spawn().map_err(|error| format!("strace: {error}"))?;
        let mut injected = Self(child);
        let traced = wait::until("a process to be traced", ATTACH_WAIT, || {
            let ended = !matches!(injected.0.try_wait(), Ok(None));
            if ended || is_traced(pid) { Ok(()) } else { Err("it is not".to_owned()) }
        });
        traced.map_err(|error| error.to_string())?;
        Ok(injected)
    }
}

impl Drop for Injected {
    /// SIGTERM has strace let go of the process; killed, it would leave threads stopped.
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        if let (Some(pid), Ok(None)) = (pid, self.0.try_wait()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        drop(self.0.wait());
    }
}

fn is_traced(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}
