//! The event log: a repository's history, as git tells it. Each commit and each changed file is an
//! entry with a number.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::failed::Failed;

/// More would only last longer.
const COMMITS_MAX: usize = 20_000;
/// A history with fewer commits is called short.
const COMMITS_FEW: usize = 20;
/// Opens the line of a commit: no path begins with it.
const MARK: char = '\u{1}';

/// A history, oldest first.
#[derive(Debug)]
pub(super) struct History {
    root: String,
    shallow: bool,
    /// In the order in which they are appended; the place is the entry's number.
    pub(super) entries: Vec<Event>,
    pub(super) commits: u64,
    /// Lines changed by directory: what git says.
    pub(super) lines: BTreeMap<String, u64>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Commit { id: String, author: String, subject: String },
    File { commit: String, path: String, directory: String, lines: u64 },
}

impl History {
    /// What it is, in a line.
    pub(super) fn describe(&self) -> String {
        let kind = match (self.shallow, usize::try_from(self.commits)) {
            (true, _) => " (a shallow clone: its history is used as it is)",
            (_, Ok(COMMITS_MAX)) => " (the newest 20,000 commits)",
            (_, Ok(commits)) if commits < COMMITS_FEW => " (a short history, used as it is)",
            _ => "",
        };
        format!(
            "event log: git history of {}: {} commits, {} changed files{kind}",
            self.root,
            self.commits,
            self.entries.len() as u64 - self.commits,
        )
    }
}

/// Reads the history of the repository around `dir`.
pub(super) fn read(dir: &Path) -> Result<History, Failed> {
    let root = git(dir, &["rev-parse", "--show-toplevel"])?.trim().to_owned();
    let shallow = git(dir, &["rev-parse", "--is-shallow-repository"])?.trim() == "true";
    let format = format!("--format={MARK}%h%x09%an%x09%s");
    let most = format!("--max-count={COMMITS_MAX}");
    let log = git(
        dir,
        &[
            "-c",
            "core.quotePath=false",
            "log",
            "--reverse",
            "--numstat",
            "--no-renames",
            &most,
            &format,
        ],
    )?;
    let history = parse(&log, root, shallow);
    if history.commits == 0 {
        return Err(Failed::wrong(format!("{}: no commits; name another --from", history.root)));
    }
    Ok(history)
}

fn git(dir: &Path, args: &[&str]) -> Result<String, Failed> {
    let ran = Command::new("git").arg("-C").arg(dir).args(args).output();
    let output =
        ran.map_err(|error| Failed::machine(format!("git cannot be run ({error}): install it")))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        let first = error.lines().next().unwrap_or("git failed");
        return Err(Failed::wrong(format!(
            "{}: {first}; name a git repository with --from DIR",
            dir.display()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(log: &str, root: String, shallow: bool) -> History {
    let mut history =
        History { root, shallow, entries: Vec::new(), commits: 0, lines: BTreeMap::new() };
    let mut commit = String::new();
    for line in log.lines() {
        if let Some(head) = line.strip_prefix(MARK) {
            let mut parts = head.splitn(3, '\t').map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            let (id, author, subject) = (part(), part(), part());
            commit.clone_from(&id);
            history.commits += 1;
            history.entries.push(Event::Commit { id, author, subject });
        } else if let Some((path, lines)) = changed(line) {
            let directory = directory_of(&path);
            *history.lines.entry(directory.clone()).or_default() += lines;
            history.entries.push(Event::File { commit: commit.clone(), path, directory, lines });
        }
    }
    history
}

/// `added TAB deleted TAB path`; both are `-` for what is not text.
fn changed(line: &str) -> Option<(String, u64)> {
    let mut parts = line.splitn(3, '\t');
    let number = |text: &str| if text == "-" { Some(0) } else { text.parse::<u64>().ok() };
    let added = number(parts.next()?)?;
    let deleted = number(parts.next()?)?;
    Some((parts.next()?.to_owned(), added + deleted))
}

/// The first one or two parts of a path: fine enough to tell, coarse enough to print.
fn directory_of(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    match parts.as_slice() {
        [] => ".".to_owned(),
        [one] => (*one).to_owned(),
        [one, two, ..] => format!("{one}/{two}"),
    }
}

#[cfg(test)]
pub(super) fn of_text(log: &str) -> History {
    parse(log, "/repo".into(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_becomes_entries_and_a_table() {
        let log = "\u{1}ab12\tAnn\tStart\twith a tab\n\n3\t1\tcrates/raft/src/lib.rs\n\
                   -\t-\tlogo.png\n\u{1}cd34\tBob\tMerge\n\u{1}ef56\tBob\tMore\n\n\
                   10\t0\tcrates/raft/a b.rs\n0\t2\tREADME.md\n";
        let history = parse(log, "/repo".into(), false);
        assert_eq!(history.commits, 3);
        assert_eq!(history.entries.len(), 7);
        let lines: Vec<(&str, u64)> =
            history.lines.iter().map(|(directory, lines)| (directory.as_str(), *lines)).collect();
        assert_eq!(lines, [(".", 2), ("crates/raft", 14)]);
        assert!(
            matches!(&history.entries[0], Event::Commit { subject, .. } if subject.contains("tab"))
        );
        assert!(
            history
                .describe()
                .ends_with("3 commits, 4 changed files (a short history, used as it is)")
        );
    }
}
