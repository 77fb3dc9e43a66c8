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

/// The file.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
}

impl Ledger {
    /// The one of the repository that `inside` lies in.
    ///
    /// # Errors
    /// When there is none above `inside`.
    pub fn find(inside: &Path) -> io::Result<Self> {
        let found = inside.ancestors().map(|above| above.join(PATH)).find(|path| path.exists());
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("there is no {PATH}"));
        found.map(|path| Self { path }).ok_or_else(missing)
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

    /// Adds a line, with the commit that is checked out; `+` behind it where files differ from it.
    ///
    /// # Errors
    /// When git can't tell the commit, or the file can't be written.
    pub fn append(&self, line: &Line) -> io::Result<()> {
        let Line { campaign, first, cases, faults, operations, violations, minutes } = line;
        let commit = self.commit()?;
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        if file.metadata()?.len() == 0 {
            writeln!(file, "{HEAD}")?;
        }
        writeln!(
            file,
            "{commit},{campaign},{first},{cases},{faults},{operations},{violations},{minutes:.1}"
        )
    }

    fn commit(&self) -> io::Result<String> {
        let commit = self.git(&["rev-parse", "--short=7", "HEAD"])?;
        // A campaign that adds its line is no change of what was run.
        let changes = self.git(&["status", "--porcelain", "--", ":/", ":!/tests/ledger.csv"])?;
        Ok(if changes.is_empty() { commit } else { format!("{commit}+") })
    }

    fn git(&self, args: &[&str]) -> io::Result<String> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let output = Command::new("git").args(args).current_dir(dir).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
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

    #[test]
    fn a_campaign_goes_on_behind_its_last_case() {
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let done = Command::new("git").args(args).current_dir(dir.path()).output().unwrap();
            assert!(done.status.success(), "{done:?}");
        };
        fs::create_dir(dir.path().join("tests")).unwrap();
        fs::write(dir.path().join(PATH), "").unwrap();
        git(&["init", "-q"]);
        git(&["add", "."]);
        let who = ["-c", "user.name=n", "-c", "user.email=n@n"];
        git(&[&who[..], &["commit", "-q", "-m", "m"]].concat());

        let ledger = Ledger::find(&dir.path().join("tests")).unwrap();
        assert_eq!(ledger.next("kills").unwrap(), 1);
        ledger.append(&line("kills", 1, 300)).unwrap();
        ledger.append(&line("flips", 1, 7)).unwrap();
        ledger.append(&line("kills", 301, 20)).unwrap();
        assert_eq!((ledger.next("kills").unwrap(), ledger.next("flips").unwrap()), (321, 8));

        fs::write(dir.path().join("changed"), "").unwrap();
        ledger.append(&line("flips", 8, 1)).unwrap();
        let text = fs::read_to_string(dir.path().join(PATH)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (5, HEAD));
        assert!(lines[1].ends_with(",kills,1,300,0,0,0,1.2"), "{text}");
        assert!(!lines[1].contains('+') && lines[4].contains("+,flips,8,1"), "{text}");
    }
}
