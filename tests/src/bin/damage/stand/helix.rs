//! A file of each of three nodes damaged, then all are started ("helix"): each node's of another kind, or all three of
//! one kind at places that no two nodes have in common. Never excuses a wrong byte; what may be missing is only what
//! was damaged on a majority.

use std::fmt;
use std::time::Duration;

use ::tests::wait;
use ::tests::writers::{self, WRONG_BYTES};
use anyhow::{Context, Result, bail, ensure};
use base::{SeededEntropy, ShardId};
use checker::history::Seen;

use super::{
    BYTES_MAX, CASE_APPENDS, Case, Entries, FIRST_ROUND, LOST, NODES, Outcome, READY_WAIT, Stand,
    Tallies,
};
use crate::say;
use crate::spoil;

/// What all three have damaged, by the number of the case, and how that is called.
const MODES: [(&str, Option<&str>); 3] = [
    ("helix", None),
    ("three journals", Some("journal segment")),
    ("three stores", Some("store/db")),
];
/// With all three damaged a node may wait for ever.
const DECIDE_WAIT: Duration = Duration::from_secs(12);
/// Who says to start again is looked for so often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A node whose own file of these is damaged takes no part, whatever else it has.
const OWN: [&str; 3] = ["identity", "witness", "damaged"];

/// What the cluster owes its clients, by what is left of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owed {
    /// Everything, and soon: a majority runs with whole logs, and some of it has each shard's state.
    Everything,
    /// Nothing but silence, or everything: each log is whole on a majority, but not all of it runs.
    Nothing,
    /// What it answers may lack something: a log is not whole on a majority.
    Some,
}

impl fmt::Display for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Everything => "all was owed and answered",
            Self::Nothing => "silence was allowed",
            Self::Some => "a loss was allowed",
        })
    }
}

impl Owed {
    fn of(cases: &[Option<Case>]) -> Self {
        let is_log_whole =
            |case: &&Option<Case>| case.as_ref().is_none_or(|case| case.found.is_log_whole);
        let runs = |case: &&Option<Case>| {
            let kind = |case: &Case| case.spoilt.target.kind.clone();
            is_log_whole(case) && case.as_ref().is_none_or(|it| !OWN.contains(&kind(it).as_str()))
        };
        let has = |case: &Option<Case>, shard: ShardId| {
            case.as_ref().is_none_or(|case| !case.found.hurt.contains(&shard))
        };
        let is_majority = |count: usize| count > NODES / 2;
        let running: Vec<_> = cases.iter().filter(runs).collect();
        let mut hurt =
            running.iter().filter_map(|case| case.as_ref()).flat_map(|it| &it.found.hurt);
        let all_had = hurt.all(|shard| running.iter().any(|case| has(case, *shard)));
        match is_majority(running.len()) && all_had {
            true => Self::Everything,
            false if is_majority(cases.iter().filter(is_log_whole).count()) => Self::Nothing,
            false => Self::Some,
        }
    }
}

/// What was written first, and last.
struct Written<'a> {
    first: &'a Entries,
    last: (u64, &'a Entries),
}

impl Stand {
    /// The case of this number.
    pub(crate) fn helix(
        &mut self,
        number: u64,
        entropy: &SeededEntropy,
        tallies: &mut Tallies,
    ) -> Result<()> {
        let last = self.write(CASE_APPENDS)?;
        self.cluster.stop()?;
        let (mode, common) = MODES[usize::try_from(number % 3).expect("of three")];
        let cases = self.spoil_all(common, entropy)?;
        let owed = Owed::of(&cases);
        let (outcomes, judged) = self.play_all(&cases, owed, &last);
        let damage: Vec<_> = cases.iter().flatten().map(|case| case.spoilt.to_string()).collect();
        for (case, outcome) in cases.iter().zip(outcomes) {
            let outcome = outcome.unwrap_or_else(|error| {
                say(&format!("WRONG: {}: {error:#}", damage.join(", ")));
                Outcome::Violated
            });
            let Some(case) = case else { continue };
            *tallies.entry((format!("{mode}: {}", case.name()), outcome)).or_default() += 1;
        }
        match judged {
            Ok(()) => *self.owed.entry((mode.to_owned(), owed)).or_default() += 1,
            Err(error) => {
                say(&format!("WRONG ({owed:?} was owed): {}: {error:#}", damage.join(", ")));
                *tallies.entry((format!("{mode}: all nodes"), Outcome::Violated)).or_default() += 1;
            }
        }
        for node in 0..NODES {
            self.cluster.nodes[node].kill();
            spoil::copy_dir(&self.whole(node), &self.cluster.data_dir(node))?;
        }
        self.start_all().context("as they were before the damage")?;
        self.same(0, FIRST_ROUND, &self.first)?;
        self.same(0, self.round - 1, &last)
    }

    fn spoil_all(
        &self,
        common: Option<&str>,
        entropy: &SeededEntropy,
    ) -> Result<Vec<Option<Case>>> {
        let mut cases: Vec<Option<Case>> = Vec::new();
        for node in 0..NODES {
            spoil::copy_dir(&self.cluster.data_dir(node), &self.whole(node))?;
            let spoilt = if let Some(kind) = common {
                let files = spoil::files(&self.cluster.data_dir(node))?;
                spoil::flip_in_part(&files, kind, (node, NODES), entropy)?
            } else {
                let taken = cases.iter().flatten().map(|case| case.spoilt.target.kind.clone());
                self.spoil(node, &taken.collect::<Vec<_>>(), entropy)?
            };
            cases.push(spoilt.map(|spoilt| self.case(node, spoilt)).transpose()?);
        }
        Ok(cases)
    }

    /// What each node comes to, and whether what is answered is what was owed.
    fn play_all(
        &mut self,
        cases: &[Option<Case>],
        owed: Owed,
        last: &Entries,
    ) -> (Vec<Result<Outcome>>, Result<()>) {
        let said: Vec<_> = self.cluster.nodes.iter().map(|node| node.log_text().len()).collect();
        if let Err(error) = self.cluster.nodes.iter_mut().try_for_each(|node| node.start()) {
            return (Vec::new(), Err(error));
        }
        let decided =
            |node: usize| self.decided(node, said[node], DECIDE_WAIT, cases[node].as_ref());
        let outcomes = (0..NODES).map(decided).collect();
        let first = self.first.clone();
        let written = Written { first: &first, last: (self.round - 1, last) };
        let judged = match owed {
            Owed::Everything => self.all_is_answered(&written),
            Owed::Nothing | Owed::Some => {
                (0..NODES).try_for_each(|node| self.judge(node, owed, &written).map(drop))
            }
        };
        (outcomes, judged)
    }

    /// Waits until a node answers everything; those that say to start them again are started again.
    fn all_is_answered(&mut self, written: &Written<'_>) -> Result<()> {
        let end = wait::now() + READY_WAIT;
        loop {
            for node in 0..NODES {
                if self.judge(node, Owed::Everything, written)? {
                    return Ok(());
                }
            }
            let ends: Vec<_> = self.cluster.nodes.iter().map(super::Node::log_end).collect();
            ensure!(wait::now() < end, "{LOST}: nobody answers all; {}", ends.join("; "));
            for node in &mut self.cluster.nodes {
                if !node.is_running() && node.own_line().contains("start again") {
                    node.start()?;
                }
            }
            wait::pause(LOOK_EVERY);
        }
    }

    /// Whether a node answers everything. Silence is no fault here, another answer is.
    fn judge(&self, node: usize, owed: Owed, written: &Written<'_>) -> Result<bool> {
        let address = self.cluster.nodes[node].resp();
        let mut all = true;
        for (round, expected) in [(FIRST_ROUND, written.first), written.last] {
            for (stream, expected) in expected.iter().enumerate() {
                match writers::read_stream(&address, round, stream, BYTES_MAX) {
                    Err(error) if format!("{error:#}").contains(WRONG_BYTES) => return Err(error),
                    Err(_) => all = false,
                    Ok(found) if found == *expected => {}
                    Ok(found) if owed == Owed::Some && is_within(&found, expected) => all = false,
                    Ok(_) => bail!("{LOST}: node {}: round {round}, stream {stream}", node + 1),
                }
            }
        }
        Ok(all)
    }
}

/// Whether nothing was found that was not written, or in another order.
fn is_within(found: &[Seen], expected: &[Seen]) -> bool {
    let mut rest = expected.iter();
    found.iter().all(|seen| rest.any(|it| it == seen))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::dump::{Found, Opened};
    use crate::spoil::Spoilt;

    fn case(kind: &str, is_log_whole: bool, hurt: &[u16]) -> Option<Case> {
        let hurt: BTreeSet<_> = hurt.iter().map(|shard| ShardId(*shard)).collect();
        let opened = Opened::ShardDamaged;
        let found = Found { opened, is_log_whole, damaged: hurt.clone(), hurt };
        Some(Case { spoilt: Spoilt::of_kind(kind), found })
    }

    #[test]
    fn everything_is_owed_where_a_majority_runs_and_some_of_it_has_each_state() {
        let store = |hurt: &[u16]| case("store/db", true, hurt);
        let segment = || case("journal segment", false, &[0, 1, 2]);
        let owed = |cases: [Option<Case>; 3]| Owed::of(&cases);
        assert_eq!(owed([store(&[0]), store(&[1]), store(&[2])]), Owed::Everything);
        assert_eq!(owed([store(&[0, 1]), store(&[0, 1]), store(&[2])]), Owed::Everything);
        assert_eq!(owed([store(&[0]), store(&[0]), store(&[0])]), Owed::Nothing);
        assert_eq!(owed([segment(), store(&[0]), None]), Owed::Everything);
        assert_eq!(owed([segment(), store(&[0]), store(&[0])]), Owed::Nothing);
        assert_eq!(owed([segment(), segment(), None]), Owed::Some);
        assert_eq!(owed([case("witness", true, &[]), segment(), None]), Owed::Nothing);
    }

    #[test]
    fn a_loss_leaves_what_was_written_in_its_order() {
        let seen = |values: &[u64]| values.iter().map(|it| ((*it, 0), *it)).collect::<Vec<Seen>>();
        let written = seen(&[1, 2, 3]);
        assert!(is_within(&seen(&[]), &written) && is_within(&seen(&[1, 3]), &written));
        assert!(!is_within(&seen(&[3, 1]), &written) && !is_within(&seen(&[1, 4]), &written));
    }
}
