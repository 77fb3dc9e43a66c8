//! Where a node of a cluster sits, and how its program is started there. Never what it does.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// A node's place: its address, the way of the others to it, and what stands around its process.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Where it listens.
    pub host: String,
    /// `HOST:PORT` where the other nodes dial it; none: where it listens.
    pub dialled: Option<String>,
    /// A program that starts it, with its arguments; it must become the node, not its parent.
    pub before: Vec<String>,
    /// Variables of its environment.
    pub variables: Vec<(String, String)>,
}

impl Default for Seat {
    fn default() -> Self {
        let host = "127.0.0.1".to_owned();
        Self { host, dialled: None, before: Vec::new(), variables: Vec::new() }
    }
}

impl Seat {
    /// The program, to be given its arguments.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut words = self.before.iter().map(OsStr::new).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).envs(self.variables.clone());
        command
    }
}
