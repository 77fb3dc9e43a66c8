//! The list of a suite's tests: those that pass, and those left out, each group under its reason.
//! Never how a test is run.
//!
//! ```text
//! # A comment.
//! passes:
//!   name
//! left out: why
//!   name
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};

use super::{Outcome, Verdict};

/// Names, and why one is left out; none for those that pass.
pub(super) struct List(BTreeMap<String, Option<String>>);

impl List {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let (mut names, mut reason) = (BTreeMap::new(), None);
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix("  ") {
                let reason: &Option<String> = reason.as_ref().context("a name before a reason")?;
                let twice = names.insert(name.to_owned(), reason.clone());
                anyhow::ensure!(twice.is_none(), "{name} is listed twice");
            } else if line == "passes:" {
                reason = Some(None);
            } else if let Some(why) = line.strip_prefix("left out: ") {
                reason = Some(Some(why.to_owned()));
            } else {
                bail!("neither a name nor a reason: {line}");
            }
        }
        Ok(Self(names))
    }

    /// What must not be run where it would disturb other tests.
    pub(super) fn left_out(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, reason)| reason.is_some()).map(|(name, _)| &**name)
    }

    #[cfg(test)]
    pub(super) fn passes(&self) -> usize {
        self.0.len() - self.left_out().count()
    }

    /// Holds what happened against the list. A test that ran twice passed when both did.
    pub(super) fn compare(&self, outcomes: &[(Outcome, String)]) -> Verdict {
        let mut ended: BTreeMap<&str, Outcome> = BTreeMap::new();
        for (how, name) in outcomes {
            let before = ended.entry(name).or_insert(*how);
            if *before != Outcome::Failed {
                *before = *how;
            }
        }
        let mut verdict = Verdict { left_out: self.left_out().count(), ..Verdict::default() };
        for (name, reason) in &self.0 {
            match (reason, ended.get(&**name)) {
                (None, Some(Outcome::Passed)) => verdict.passed += 1,
                (None, Some(Outcome::Failed)) => verdict.complaints.push(format!("failed: {name}")),
                (None, _) => verdict.complaints.push(format!("was not run: {name}")),
                (Some(why), Some(Outcome::Passed)) => {
                    verdict.news.push(format!("passes, and is left out ({why}): {name}"));
                }
                (Some(_), _) => {}
            }
        }
        for (name, how) in ended.iter().filter(|(name, _)| !self.0.contains_key(**name)) {
            match how {
                Outcome::Passed => verdict.news.push(format!("passes, and is not listed: {name}")),
                how => verdict.complaints.push(format!("{how:?}, and is not listed: {name}")),
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_pass_that_fails_is_an_error_and_an_unlisted_pass_is_told() {
        let list = List::parse("# x\npasses:\n  a b\n  c\n  d\nleft out: y\n  e\n  f\n").unwrap();
        let outcome = |how, name: &str| (how, name.to_owned());
        let verdict = list.compare(&[
            outcome(Outcome::Passed, "a b"),
            outcome(Outcome::Failed, "c"),
            outcome(Outcome::Passed, "c"),
            outcome(Outcome::Passed, "e"),
            outcome(Outcome::Failed, "f"),
            outcome(Outcome::Passed, "g"),
            outcome(Outcome::Failed, "h"),
        ]);
        assert_eq!((verdict.passed, verdict.left_out), (1, 2));
        assert_eq!(
            verdict.complaints,
            ["failed: c", "was not run: d", "Failed, and is not listed: h"]
        );
        assert_eq!(verdict.news.len(), 2);
    }

    #[test]
    fn a_line_that_is_no_list_is_refused() {
        for text in ["  a", "passing:\n  a", "passes:\n  a\n  a"] {
            assert!(List::parse(text).is_err(), "{text}");
        }
    }
}
