//! Damage to a stopped node's directory, a case after the other: `weir verify` must find it, and what is then opened in
//! this process must be what was written, or refused. The bulk of the cases; no node is started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base::SeededEntropy;
use tests::cluster::weir;
use tests::wait;

use crate::dump::{self, Dump, Opened};
use crate::named;
use crate::say;
use crate::spoil::{self, Damage, Spoilt, Target};

/// A line of progress so often.
const TELL_EVERY: std::time::Duration = std::time::Duration::from_secs(15);

/// What damage of one kind came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cases: u64,
    found: u64,
    opened: BTreeMap<Opened, u64>,
    /// Harm that `weir verify` did not see, or words without the file or the shard.
    missed: u64,
}

pub(crate) type Tallies = BTreeMap<(String, Damage), Tally>;

/// A copy of a node's directory, what it was earlier, and what is in it.
pub(crate) struct Bench {
    dir: PathBuf,
    old: PathBuf,
    opened: PathBuf,
    whole: Dump,
}

impl Bench {
    /// Made of a stopped node's directory `from` and an older copy of it.
    pub(crate) fn new(from: &Path, old: &Path, place: &Path) -> Result<Self> {
        let (dir, opened) = (place.join("damaged"), place.join("opened"));
        spoil::copy_dir(from, &dir)?;
        spoil::copy_dir(from, &opened)?;
        let whole = dump::dump(&opened).context("the directory before any damage")?;
        let (code, said) = verify(&dir, place)?;
        ensure!(code == Some(0), "before any damage: {said}");
        Ok(Self { dir, old: old.to_owned(), opened, whole })
    }

    /// So many cases.
    pub(crate) fn run(
        &self,
        cases: u64,
        damage: Damage,
        entropy: &SeededEntropy,
        tallies: &mut Tallies,
    ) -> Result<()> {
        let mut files = spoil::files(&self.dir)?;
        // Many files are what they were: those are no cases.
        let differs = |target: &Target| {
            let within = target.path.strip_prefix(&self.dir).unwrap_or(&target.path);
            let old = std::fs::read(self.old.join(within));
            old.is_ok_and(|old| std::fs::read(&target.path).is_ok_and(|now| now != old))
        };
        files.retain(|target| damage != Damage::Old || differs(target));
        let mut told = wait::now();
        let mut done = 0;
        // Some draws change nothing: a bound, so that an end is certain.
        for _ in 0..cases * 20 {
            if done == cases {
                break;
            }
            let Some(target) = spoil::choose(&files, entropy) else { break };
            let within = target.path.strip_prefix(&self.dir).context("a file of the bench")?;
            let old = self.old.join(within);
            let Some(spoilt) = spoil::spoil(target, damage, Some(&old), entropy)? else {
                continue;
            };
            done += 1;
            let tally = tallies.entry((target.kind.clone(), damage)).or_default();
            self.judge(&spoilt, tally)?;
            spoilt.undo()?;
            if wait::now() - told >= TELL_EVERY {
                told = wait::now();
                say(&format!("{damage:?}: {done} of {cases} verified and opened"));
            }
        }
        Ok(())
    }

    fn judge(&self, spoilt: &Spoilt, tally: &mut Tally) -> Result<()> {
        let place = self.dir.parent().context("the bench's place")?;
        let (code, said) = verify(&self.dir, place)?;
        spoil::copy_dir(&self.dir, &self.opened)?;
        let found = dump::dump(&self.opened);
        let compared = dump::compare(&self.whole, &found);
        let opened = compared.opened;
        tally.cases += 1;
        tally.found += u64::from(code != Some(0));
        *tally.opened.entry(opened).or_default() += 1;
        // What is whole by all sums and references may still be an older file: that is `Shorter`
        // or `Older` with the witness old as well, and no single file's damage.
        let unseen = code == Some(0) && opened != Opened::Same;
        let unnamed = match code {
            Some(0) => None,
            _ => named::missing(&self.dir, &spoilt.target, &compared.hurt, &said),
        };
        if unseen || unnamed.is_some() || !matches!(code, Some(0..=2)) || opened == Opened::Wrong {
            tally.missed += u64::from(opened != Opened::Wrong);
            let error = found.err().map(|error| format!("{error:#}")).unwrap_or_default();
            let unnamed = unnamed.unwrap_or_default();
            say(&format!(
                "WRONG: {spoilt}: {opened:?} {error}; {unnamed}; verify: {code:?} {said}"
            ));
        }
        Ok(())
    }
}

impl Tally {
    /// Cases that broke a promise.
    pub(crate) fn violations(&self) -> u64 {
        self.missed + self.of(Opened::Wrong)
    }

    fn of(&self, opened: Opened) -> u64 {
        self.opened.get(&opened).copied().unwrap_or_default()
    }
}

fn verify(dir: &Path, scratch: &Path) -> Result<(Option<i32>, String)> {
    let mut command = Command::new(weir()?);
    let output = command.arg("verify").arg(dir).arg("--scratch").arg(scratch).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code(), text(&output.stdout) + &text(&output.stderr)))
}

/// The table.
pub(crate) fn report(tallies: &Tallies) {
    say(
        "\nat rest, `weir verify` and opened     cases   found refused  damaged   older shorter harmless   wrong unfound",
    );
    let line = |name: &str, tally: &Tally| {
        let of = |opened| tally.of(opened);
        say(&format!(
            "{name:<36}{:>7}{:>8}{:>8}{:>9}{:>8}{:>8}{:>9}{:>8}{:>8}",
            tally.cases,
            tally.found,
            of(Opened::Refused),
            of(Opened::ShardDamaged),
            of(Opened::Older),
            of(Opened::Shorter),
            of(Opened::Same),
            of(Opened::Wrong),
            tally.missed,
        ));
    };
    for ((kind, damage), tally) in tallies {
        line(&format!("{kind}, {damage:?}"), tally);
    }
}
