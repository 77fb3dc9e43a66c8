//! Calls of a running process that fail or take long, by strace. Never which calls it makes.

use std::io::Read;
use std::path::Path;
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
    /// Fails the next sync of each thread of a process, once, with EIO. A process that has ended by
    /// then may have met it.
    ///
    /// # Errors
    /// It can't be traced.
    pub fn fail_sync(pid: u32) -> Result<Self, String> {
        Self::attach(pid, &format!("{SYNCS}:error=EIO:when=1"), true)
    }

    /// Delays every sync of a process.
    ///
    /// # Errors
    /// It can't be traced.
    pub fn delay_syncs(pid: u32, delay: Duration) -> Result<Self, String> {
        Self::attach(pid, &format!("{SYNCS}:delay_enter={}", delay.as_micros()), false)
    }

    fn attach(pid: u32, inject: &str, may_end: bool) -> Result<Self, String> {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qqq", "-o", "/dev/null", "-p", &pid.to_string()]);
        strace.args(["-e", &format!("trace={SYNCS}"), "-e", &format!("inject={inject}")]);
        strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = strace.spawn().map_err(|error| format!("strace: {error}"))?;
        let mut injected = Self(child);
        let traced = wait::until("a process to be traced", ATTACH_WAIT, || {
            // Asked first: where the process's end was strace's, too, it is gone by the next look.
            let ended = !matches!(injected.0.try_wait(), Ok(None));
            match (ended, is_gone(pid)) {
                (_, true) => Ok(may_end.then_some(()).ok_or_else(|| format!("{pid} has ended"))),
                (true, false) => Ok(Err(format!("strace ended: {}", injected.said()))),
                (false, false) if is_traced(pid, injected.0.id()) => Ok(Ok(())),
                (false, false) => Err("it is not".to_owned()),
            }
        });
        traced.map_err(|error| error.to_string())??;
        Ok(injected)
    }

    /// What strace complained of, once it has ended.
    fn said(&mut self) -> String {
        let mut said = String::new();
        let read = self.0.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
        drop(read);
        said.trim().to_owned()
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

/// Whether a process has all threads of another one.
fn is_traced(pid: u32, by: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let traced = |path: &Path| field(path, "TracerPid:") == Some(by.to_string());
    tasks.flatten().all(|task| traced(&task.path().join("status")))
}

/// Whether a process has ended, even where nobody has asked for how.
fn is_gone(pid: u32) -> bool {
    let state = field(Path::new(&format!("/proc/{pid}/status")), "State:");
    state.is_none_or(|state| state.starts_with(['Z', 'X']))
}

fn field(status: &Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(status).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(1);

    #[test]
    fn a_strace_that_can_not_attach_is_no_fault_that_was_injected() {
        if let Err(why) = check() {
            println!("SKIPPED: {why}: calls of a process can't be reached");
            return;
        }
        let mut process = Command::new("sleep").arg("600").spawn().unwrap();
        let first = Injected::delay_syncs(process.id(), DELAY).unwrap();
        // One process has one tracer.
        let second = Injected::delay_syncs(process.id(), DELAY).map(drop).unwrap_err();
        assert!(second.contains("strace ended"), "{second}");
        drop(first);

        process.kill().unwrap();
        process.wait().unwrap();
        let ended = Injected::delay_syncs(process.id(), DELAY).map(drop).unwrap_err();
        assert!(ended.contains("has ended"), "{ended}");
        // It may be the failed sync that ended it.
        drop(Injected::fail_sync(process.id()).unwrap());
    }
}
