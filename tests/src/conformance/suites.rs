//! The streams tests that clients and servers publish, run from their own packages against a node,
//! and compared with the lists of what passes and what is left out, beside `install` in
//! `tests/conformance/suites`. Never a copy of their tests.

mod list;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cluster::Cluster;
use crate::wait;
use list::List;

/// The longest takes three minutes.
const END_WAIT: Duration = Duration::from_secs(1_200);
/// Units of the suites that servers have.
const UNITS: [&str; 2] = ["unit/type/stream", "unit/type/stream-cgroups"];
/// What is asked of a server that they start themselves.
const TAGS: &str = "-needs:debug -needs:repl";

/// One suite. `tests/conformance/suites/NAME.txt` lists its tests.
pub struct Suite {
    /// As `install` has it.
    pub name: &'static str,
    kind: Kind,
    /// The protocols that it can be asked to speak.
    pub protocols: &'static [u8],
}

#[derive(Clone, Copy)]
enum Kind {
    Pytest,
    Libtest,
    Tcl,
}

/// Every suite.
#[rustfmt::skip]
pub const SUITES: &[Suite] = &[
    Suite { name: "redis-py", kind: Kind::Pytest, protocols: &[2, 3] },
    Suite { name: "redis-rs", kind: Kind::Libtest, protocols: &[2, 3] },
    Suite { name: "redis-7.2", kind: Kind::Tcl, protocols: &[2] },
    Suite { name: "valkey", kind: Kind::Tcl, protocols: &[2] },
];

/// How a suite went, beside its list.
#[derive(Default)]
pub struct Verdict {
    pub passed: usize,
    pub left_out: usize,
    /// What is listed to pass and did not, and what failed unlisted.
    pub complaints: Vec<String>,
    /// What passed and is not listed so.
    pub news: Vec<String>,
}

/// How a test ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Passed,
    Failed,
    NotRun,
}

impl Suite {
    /// Whether it is installed below `dir`.
    pub fn is_installed(&self, dir: &Path) -> bool {
        dir.join("installed").join(self.name).exists()
    }

    fn list(&self) -> PathBuf {
        here().join(format!("{}.txt", self.name))
    }

    /// Runs it against the first node, and leaves what it said in a file.
    ///
    /// # Errors
    /// It cannot be run, does not end, or says nothing of any test.
    pub fn run(&self, cluster: &Cluster, dir: &Path, protocol: u8) -> anyhow::Result<Verdict> {
        let list = List::read(&self.list())?;
        let address = cluster.nodes[0].resp();
        if matches!(self.kind, Kind::Tcl) {
            super::ask_for_older_shapes(&address)?;
        }
        let log = dir.join(format!("{}-resp{protocol}.log", self.name));
        let file = File::create(&log)?;
        let mut command = self.command(&dir.join(self.name), &address, protocol, &list);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut child = command.spawn()?;
        let ended = wait::until(self.name, END_WAIT, || match child.try_wait() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        if ended.is_err() {
            child.kill()?;
        }
        ended?;
        let said = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
        let outcomes: Vec<(Outcome, String)> =
            said.lines().filter_map(|line| self.kind.outcome(line)).collect();
        anyhow::ensure!(!outcomes.is_empty(), "no test was run: see {}", log.display());
        Ok(list.compare(&outcomes))
    }

    fn command(&self, dir: &Path, address: &str, protocol: u8, list: &List) -> Command {
        match self.kind {
            Kind::Pytest => pytest(dir, address, protocol),
            Kind::Libtest => libtest(dir, address, protocol),
            Kind::Tcl => tcl(dir, address, list),
        }
    }
}

/// Where the lists are, and what the suites are run with.
fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/suites")
}

fn pytest(dir: &Path, address: &str, protocol: u8) -> Command {
    let mut command = Command::new(dir.join("venv/bin/python"));
    command.current_dir(dir.join("redis-8.1.0")).env("PYTHONPATH", here());
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    // The package's own configuration asks for plugins that no test of streams needs.
    command.args(["-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", ".", "-p", "redis_py"]);
    command.args(["-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "-o", "timeout=60"]);
    command.args(["--redis-url", &format!("redis://{address}/0")]);
    command.args(["--protocol", &protocol.to_string(), "-k", "test_x or stream"]);
    command.args(["tests/test_commands.py", "tests/test_asyncio/test_commands.py"]);
    command
}

fn libtest(dir: &Path, address: &str, protocol: u8) -> Command {
    let own = here().join("bin");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("cargo");
    command.current_dir(dir).env("CARGO_TARGET_DIR", dir.join("target"));
    command.env("PATH", format!("{}:{path}", own.display())).env("WEIR_TEST_ADDRESS", address);
    command.env("PROTOCOL", format!("RESP{protocol}"));
    command.args(["test", "--locked", "--test", "test_streams", "--", "--test-threads", "1"]);
    command
}

fn tcl(dir: &Path, address: &str, list: &List) -> Command {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let mut command = Command::new("tclsh");
    command.current_dir(dir).args(["tests/test_helper.tcl", "--host", host, "--port", port]);
    command.args(["--singledb", "--ignore-encoding", "--ignore-digest", "--clients", "1"]);
    command.args(["--durable", "--dont-clean", "--tags", TAGS]);
    for unit in UNITS {
        command.args(["--single", unit]);
    }
    // One that fails leaves behind it what the next ones trip over.
    for name in list.left_out() {
        command.args(["--skiptest", name]);
    }
    command
}

impl Kind {
    /// What a line says of a test.
    fn outcome(self, line: &str) -> Option<(Outcome, String)> {
        match self {
            Self::Pytest => marked(line, "[passed] ", "[failed] ", "[skipped] "),
            Self::Libtest => {
                let (name, how) = line.strip_prefix("test ")?.split_once(" ... ")?;
                let how = match how {
                    "ok" => Outcome::Passed,
                    "FAILED" => Outcome::Failed,
                    _ => Outcome::NotRun,
                };
                Some((how, name.to_owned()))
            }
            Self::Tcl => {
                let line = line.replace("\x1b[0m", "");
                let (before, after) = line.split_once(']')?;
                let mark = before.rsplit_once('m').map_or(before, |(_, mark)| mark);
                let line = format!("[{}]{after}", mark.trim_start_matches('['));
                let (how, name) = marked(&line, "[ok]: ", "[err]: ", "[skip]: ")?;
                let end = if how == Outcome::Passed { " (" } else { " in tests/" };
                Some((how, name.rsplit_once(end).map_or(&*name, |(name, _)| name).to_owned()))
            }
        }
    }
}

fn marked(line: &str, passed: &str, failed: &str, not_run: &str) -> Option<(Outcome, String)> {
    let marks = [(Outcome::Passed, passed), (Outcome::Failed, failed), (Outcome::NotRun, not_run)];
    marks.into_iter().find_map(|(how, mark)| Some((how, line.strip_prefix(mark)?.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_from_what_each_kind_of_suite_says() {
        let check = |kind: Kind, line: &str, how, name: &str| {
            assert_eq!(kind.outcome(line), Some((how, name.to_owned())), "{line}");
        };
        check(
            Kind::Pytest,
            "[failed] tests/a.py::A::test_x[one]",
            Outcome::Failed,
            "tests/a.py::A::test_x[one]",
        );
        check(Kind::Libtest, "test a::b ... ok", Outcome::Passed, "a::b");
        check(Kind::Libtest, "test a::b ... FAILED", Outcome::Failed, "a::b");
        check(
            Kind::Tcl,
            "[\x1b[0;32mok\x1b[0m]: XADD (not XDEL) (12 ms)",
            Outcome::Passed,
            "XADD (not XDEL)",
        );
        check(Kind::Tcl, "[err]: XADD in tests/unit/type/stream.tcl", Outcome::Failed, "XADD");
        check(Kind::Tcl, "[skip]: XADD (not XDEL)", Outcome::NotRun, "XADD (not XDEL)");
        assert_eq!(Kind::Tcl.outcome("*** [err]: XADD in tests/unit/type/stream.tcl"), None);
    }

    #[test]
    fn every_suite_is_installed_by_the_script_and_has_its_list() {
        let script = std::fs::read_to_string(here().join("install")).unwrap();
        for suite in SUITES {
            assert!(script.contains(suite.name), "{}", suite.name);
            let list = List::read(&suite.list()).unwrap();
            assert!(list.passes() > 40, "{}: {}", suite.name, list.passes());
        }
    }
}
