//! What a machine can be made to do to a node: cut its network, slow its links and its disk, fail
//! its calls, move its clock. Each part says why where the machine doesn't allow it; none knows what
//! a cluster is.

pub mod clock;
pub mod disk;
pub mod namespaces;
pub mod proxy;
pub mod syscalls;

use std::process::Command;

/// Runs a program to its end.
///
/// # Errors
/// It can't be started, or failed: its words.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}", args.join(" "), error.trim()))
}

/// Whether this process may do what only root may.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
