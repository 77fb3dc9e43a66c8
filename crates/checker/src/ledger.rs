//! What campaigns came to: a line each in `tests/ledger.csv`, of which all quoted figures are sums.
//! Never rewrites a line.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

const HEAD: &str = "commit,campaign,first,cases,faults,operations,violations,minutes";

/// Of the working directory of a repository; one below it will do.
const PATH: &str = "tests/ledger.csv";

/// What one run of a campaign came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Lower case, words joined by `-`.
    pub campaign: String,
    /// The number (the seed, where there are seeds) of its first case.
    pub first: u64,
    /// How many: seeds, kills, cuts, flips, inputs, as the campaign counts.
    pub cases: u64,
    pub faults: u64,
    /// Answers that were checked.
    pub operations: u64,
    pub violations: u64,
    pub minutes: f64,
}

/// The file, and the commit that its lines are of.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
    commit: String,
}

impl Ledger {
    /// The one of the repository that `inside` lies in. Asked for before a campaign runs: it keeps the
    /// commit that is checked out now (`+` behind it where files differ from it), since what is
    /// committed or changed meanwhile is not what runs.
    ///
    /// # Errors
    /// When there is none above `inside`, or git can't tell the commit.
    pub fn find(inside: &Path) -> io::Result<Self> {
        let found = inside.ancestors().map(|above| above.join(PATH)).find(|path| path.exists());
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("there is no {PATH}"));
        let path = found.ok_or_else(missing)?;
        let commit = commit(path.parent().unwrap_or(Path::new(".")))?;
        Ok(Self { path, commit })
    }

    /// The number of the first case that no run of the campaign has had.
    ///
    /// # Errors
    /// When the file can't be read, or a line of the campaign isn't one.
    pub fn next(&self, campaign: &str) -> io::Result<u64> {
        let mut next = 1;
        for line in fs::read_to_string(&self.path)?.lines().skip(1) {
            let parts: Vec<&str> = line.split(',').collect();
            if parts.get(1) == Some(&campaign) {
                next = next.max(number(&parts, 2)? + number(&parts, 3)?);
            }
        }
        Ok(next)
    }

    /// Adds a line, with the commit that was checked out when the ledger was found.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn append(&self, line: &Line) -> io::Result<()> {
        let Line { campaign, first, cases, faults, operations, violations, minutes } = line;
        let commit = &self.commit;
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        if file.metadata()?.len() == 0 {
            writeln!(file, "{HEAD}")?;
        }
        writeln!(
            file,
            "{commit},{campaign},{first},{cases},{faults},{operations},{violations},{minutes:.1}"
        )
    }
}

fn commit(dir: &Path) -> io::Result<String> {
    let commit = git(dir, &["rev-parse", "--short=7", "HEAD"])?;
    // A campaign that adds its line is no change of what is run.
    let changes = git(dir, &["status", "--porcelain", "--", ":/", ":!/tests/ledger.csv"])?;
    Ok(if changes.is_empty() { commit } else { format!("{commit}+") })
}

fn git(dir: &Path, args: &[&str]) -> io::Result<String> {
    let output = Command::new("git").args(args).current_dir(dir).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn number(parts: &[&str], at: usize) -> io::Result<u64> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("no number in {parts:?}"));
    parts.get(at).and_then(|text| text.parse().ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(campaign: &str, first: u64, cases: u64) -> Line {
        Line { campaign: campaign.into(), first, cases, minutes: 1.25, ..Line::default() }
    }

    /// A repository with an empty ledger.
    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tests")).unwrap();
        fs::write(dir.path().join(PATH), "").unwrap();
        git(dir.path(), &["init", "-q"]).unwrap();
        commit_all(dir.path());
        dir
    }

    fn commit_all(dir: &Path) {
        git(dir, &["add", "."]).unwrap();
        let who = ["-c", "user.name=n", "-c", "user.email=n@n"];
        git(dir, &[&who[..], &["commit", "-q", "-m", "m"]].concat()).unwrap();
    }

    #[test]
    fn a_campaign_goes_on_behind_its_last_case() {
        let dir = repository();
        let ledger = Ledger::find(&dir.path().join("tests")).unwrap();
        assert_eq!(ledger.next("kills").unwrap(), 1);
        ledger.append(&line("kills", 1, 300)).unwrap();
        ledger.append(&line("flips", 1, 7)).unwrap();
        ledger.append(&line("kills", 301, 20)).unwrap();
        assert_eq!((ledger.next("kills").unwrap(), ledger.next("flips").unwrap()), (321, 8));

        fs::write(dir.path().join("changed"), "").unwrap();
        let ledger = Ledger::find(dir.path()).unwrap();
        ledger.append(&line("flips", 8, 1)).unwrap();
        let text = fs::read_to_string(dir.path().join(PATH)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (5, HEAD));
        assert!(lines[1].ends_with(",kills,1,300,0,0,0,1.2"), "{text}");
        assert!(!lines[1].contains('+') && lines[4].contains("+,flips,8,1"), "{text}");
    }

    #[test]
    fn a_commit_that_is_made_while_a_campaign_runs_does_not_get_its_figures() {
        let dir = repository();
        let ledger = Ledger::find(dir.path()).unwrap();
        let ran = git(dir.path(), &["rev-parse", "--short=7", "HEAD"]).unwrap();
        fs::write(dir.path().join("changed"), "").unwrap();
        commit_all(dir.path());
        fs::write(dir.path().join("changed"), "again").unwrap();
        ledger.append(&line("kills", 1, 300)).unwrap();
        let text = fs::read_to_string(dir.path().join(PATH)).unwrap();
        assert!(text.contains(&format!("\n{ran},kills,1,300,")), "not of {ran}: {text}");
    }
}
