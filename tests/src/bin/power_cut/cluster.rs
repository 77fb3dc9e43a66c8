//! Power cuts of whole clusters: real processes, each with its data on a loop-mounted file system of its own, clients
//! that write all the time. A process is stopped, then its file system is shut down, then the process is killed: what
//! it said until then is what must be there. The table tells what the cuts met. Never judges what was told after a
//! cut.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ::tests::mounted::Skipped;
use ::tests::skips::NOTHING_DONE;
use ::tests::wait;
use anyhow::{Context, Result, ensure};
use base::{Entropy, SeededEntropy};
use checker::ledger::{Ledger, Line};

use crate::life::Life;
use crate::met::Met;
use crate::say;

/// Cuts in the life of one cluster; then another one is formed, since forming is cut, too.
const CUTS_OF_LIFE: u64 = 12;
/// A line of progress at least this often.
const TELL_EVERY: Duration = Duration::from_secs(20);

#[derive(clap::Args)]
pub(crate) struct ClusterArguments {
    /// Where images and mount points are made.
    pub(crate) dir: PathBuf,
    /// Power cuts of one node, on each file system.
    #[arg(long, default_value_t = 150)]
    one: u64,
    /// Power cuts of all nodes at once, on each file system.
    #[arg(long, default_value_t = 50)]
    all: u64,
    /// The file systems.
    #[arg(long, value_delimiter = ',', default_value = "ext4,xfs")]
    fs: Vec<String>,
    /// Repeats the same sequence of cuts (not of moments).
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The largest entry in bytes.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) bytes_max: u64,
    /// Cuts of one node are made at this moment alone (but the first, while the cluster is formed).
    #[arg(long)]
    moment: Option<Moment>,
    /// Lets the nodes' syncs do nothing (by strace), and wants to see losses: whether this can fail.
    #[arg(long)]
    pub(crate) control: bool,
    /// Goes on behind the last run in the ledger, and adds a line for each kind of cut.
    #[arg(long, conflicts_with_all = ["seed", "moment", "control"])]
    ledger: bool,
}

/// What stands in the ledger: cuts of one node, cuts of all.
const CAMPAIGNS: [(bool, &str); 2] = [(false, "power-cut-one-node"), (true, "power-cut-all-nodes")];

/// When the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Moment {
    /// While the cluster is formed.
    Forming,
    /// Under load, in the middle of checkpoints and changes of segments.
    Load,
    /// When only two nodes have the newest entries, one of which then stays away: the other one is
    /// cut and must have them.
    Alone,
    /// While a node that was away gets its peers' snapshots: it is among those that are cut, and one is under way.
    Installing,
    /// While a node starts after the cut before.
    Starting,
}

/// Who loses power, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cut {
    pub(crate) all: bool,
    pub(crate) moment: Moment,
}

/// What cuts of a kind came to.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    cuts: u64,
    acknowledged: u64,
    snapshots: u64,
    met: Met,
    failures: u64,
    time: Duration,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.cuts += other.cuts;
        self.acknowledged += other.acknowledged;
        self.snapshots += other.snapshots;
        self.met.add(&other.met);
        self.failures += other.failures;
        self.time += other.time;
    }
}

/// What is left to do on a file system.
struct Left {
    one: u64,
    all: u64,
    /// Of those of one node, where only one kind is wanted.
    moment: Option<Moment>,
}

impl Left {
    /// The next cut: those of all nodes are spread evenly among the others.
    fn next(&mut self, first: bool, entropy: &SeededEntropy) -> Option<Cut> {
        let all = entropy.below(self.one + self.all) < self.all;
        let left = if all { &mut self.all } else { &mut self.one };
        *left = left.checked_sub(1)?;
        let moment = match (first, all, self.moment, entropy.below(4)) {
            (true, ..) => Moment::Forming,
            (_, false, Some(moment), _) => moment,
            (.., 0) => Moment::Starting,
            (_, false, _, 1) => Moment::Alone,
            (.., 2) => Moment::Installing,
            _ => Moment::Load,
        };
        Some(Cut { all, moment })
    }
}

type Tallies = BTreeMap<(String, Cut), Tally>;

/// Cuts on each file system; a table at the end.
pub(crate) fn run(arguments: &ClusterArguments) -> Result<ExitCode> {
    let ledger = match arguments.ledger {
        true => Some(Ledger::find(&std::env::current_dir()?)?),
        false => None,
    };
    let firsts = CAMPAIGNS.map(|(all, name)| {
        let next = ledger.as_ref().map_or(Ok(arguments.seed), |ledger| ledger.next(name));
        next.map(|first| (all, name, first))
    });
    let firsts = firsts.into_iter().collect::<Result<Vec<_>, _>>()?;
    let seed = firsts.iter().map(|(.., first)| first).sum();
    let mut tallies = Tallies::new();
    let mut skipped = 0;
    for fs in &arguments.fs {
        if let Err(Skipped(why)) = cut_often(arguments, fs, seed, &mut tallies)? {
            skipped += 1;
            say(&format!("SKIPPED: power cuts of clusters on {fs}: {why}"));
        }
    }
    let sums = report(&tallies, skipped);
    for (all, name, first) in firsts {
        let Some((ledger, sum)) = ledger.as_ref().zip(sums.get(&all)) else { continue };
        ledger.append(&Line {
            campaign: name.to_owned(),
            first,
            cases: sum.cuts,
            faults: sum.cuts,
            operations: sum.acknowledged,
            violations: sum.failures,
            minutes: sum.time.as_secs_f64() / 60.0,
        })?;
    }
    let failures: u64 = sums.values().map(|sum| sum.failures).sum();
    Ok(match (failures == 0) != arguments.control {
        _ if tallies.is_empty() => ExitCode::from(NOTHING_DONE),
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn cut_often(
    arguments: &ClusterArguments,
    fs: &str,
    seed: u64,
    tallies: &mut Tallies,
) -> Result<Result<(), Skipped>> {
    let entropy = SeededEntropy::new(seed);
    let mut left = Left { one: arguments.one, all: arguments.all, moment: arguments.moment };
    let mut told = wait::now();
    loop {
        let mut life = match Life::begin(arguments, fs)? {
            Ok(life) => life,
            Err(skipped) => return Ok(Err(skipped)),
        };
        for round in 0..CUTS_OF_LIFE {
            let Some(cut) = left.next(round == 0, &entropy) else { return Ok(Ok(())) };
            let tally = tallies.entry((fs.to_owned(), cut)).or_default();
            tally.cuts += 1;
            let (snapshots, began) = (life.snapshots(), wait::now());
            let cycle = life.cycle(cut, round, &entropy);
            tally.snapshots += life.snapshots() - snapshots;
            tally.met.add(&life.take_met());
            tally.time += wait::now() - began;
            match cycle {
                Ok(acknowledged) => tally.acknowledged += acknowledged,
                Err(error) => {
                    tally.failures += 1;
                    say(&format!("{fs}: {cut:?}, round {round}: {error:#}"));
                    break;
                }
            }
            if wait::now() - told >= TELL_EVERY {
                told = wait::now();
                say(&format!("{fs}: {} of one, {} of all to go", left.one, left.all));
            }
        }
        life.end().context("the end of a cluster's life")?;
    }
}

/// Shows what there was; the sums of cuts of one node, and of all.
fn report(tallies: &Tallies, skipped: u64) -> BTreeMap<bool, Tally> {
    say(
        "                                                                 of them in the middle of:",
    );
    say(
        "power cuts of clusters               cuts  acknowledged  snapshots  forming  checkpoint  segment  install  lost or not opened",
    );
    let mut sums: BTreeMap<bool, Tally> = BTreeMap::new();
    let line = |name: String, tally: &Tally| {
        let Tally { cuts, acknowledged, snapshots, met, failures, .. } = tally;
        let Met { forming, checkpoints, segments, installs } = met;
        let met = format!("{forming:>9}{checkpoints:>12}{segments:>9}{installs:>9}");
        say(&format!("{name:<36}{cuts:>5}{acknowledged:>14}{snapshots:>11}{met}{failures:>20}"));
    };
    let who = |all: bool| if all { "all nodes" } else { "one node" };
    for ((fs, cut), tally) in tallies {
        line(format!("{fs}, {}, {:?}", who(cut.all), cut.moment), tally);
        sums.entry(cut.all).or_default().add(tally);
    }
    sums.iter().for_each(|(all, sum)| line(who(*all).to_owned(), sum));
    say(&format!("file systems skipped                {skipped:>5}"));
    sums
}

/// Fails where there is nothing to judge by.
pub(crate) fn ensure_written(acknowledged: u64) -> Result<u64> {
    ensure!(acknowledged > 0, "nothing was acknowledged, so that nothing was tested");
    Ok(acknowledged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_of_one_node_and_of_all_come_at_every_moment_that_they_have() {
        let entropy = SeededEntropy::new(1);
        let mut left = Left { one: 200, all: 200, moment: None };
        let mut counts: BTreeMap<Cut, u64> = BTreeMap::new();
        while let Some(cut) = left.next(false, &entropy) {
            *counts.entry(cut).or_default() += 1;
        }
        for (all, moments) in [
            (false, [Moment::Load, Moment::Alone, Moment::Installing, Moment::Starting].as_slice()),
            (true, &[Moment::Load, Moment::Installing, Moment::Starting]),
        ] {
            for &moment in moments {
                let count = counts.get(&Cut { all, moment }).copied().unwrap_or(0);
                assert!(count > 20, "all {all}, {moment:?}: {count} of {counts:?}");
            }
        }
    }
}
