//! Damage to files at rest, by kind of file and of damage: never a wrong byte is answered, `weir verify` finds what it
//! covers, a node with two whole peers repairs itself or says how it is replaced. Never touches a directory that it
//! did not make.

mod dump;
mod named;
mod offline;
mod spoil;
mod stand;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use base::SeededEntropy;
use checker::ledger::{Ledger, Line};
use clap::Parser;
use tests::wait;

use crate::offline::Bench;
use crate::spoil::Damage;
use crate::stand::{Outcome, Stand};

const CAMPAIGN: &str = "damage";
const TELL_EVERY: Duration = Duration::from_secs(15);

/// Damages files of nodes: a bit flipped, the end cut off, an older copy, no file.
#[derive(Parser)]
struct Arguments {
    /// Bits flipped at rest, each looked for by `weir verify` and then opened in this process.
    #[arg(long, default_value_t = 10_000)]
    flips: u64,
    /// As many truncated files, older copies, and files that are gone.
    #[arg(long, default_value_t = 500)]
    others: u64,
    /// Nodes started with one damaged file against two whole peers.
    #[arg(long, default_value_t = 200)]
    starts: u64,
    /// Clusters started with a damaged file on each node: of three kinds, three journals, three stores.
    #[arg(long, default_value_t = 30)]
    helix: u64,
    /// Repeats the same sequence of damage.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Goes on behind the last run in the ledger, and adds a line.
    #[arg(long, conflicts_with = "seed")]
    ledger: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(violations) => {
            say(&format!("{violations} promises were broken"));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("damage: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<u64> {
    let began = wait::now();
    let ledger = match arguments.ledger {
        true => Some(Ledger::find(&std::env::current_dir()?)?),
        false => None,
    };
    let first = ledger.as_ref().map_or(Ok(arguments.seed), |ledger| ledger.next(CAMPAIGN))?;
    let entropy = SeededEntropy::new(first);
    let mut stand = Stand::make().context("the cluster that is to be damaged")?;
    let at_rest = at_rest(arguments, &stand, &entropy)?;
    stand.start_all()?;
    let mut started = stand::Tallies::new();
    let mut told = wait::now();
    for number in 0..arguments.starts + arguments.helix {
        match number < arguments.starts {
            true => stand.one(&entropy, &mut started)?,
            false => stand.helix(number - arguments.starts, &entropy, &mut started)?,
        }
        if wait::now() - told >= TELL_EVERY {
            told = wait::now();
            say(&format!("{} of {} starts", number + 1, arguments.starts + arguments.helix));
        }
    }
    offline::report(&at_rest);
    stand::report(&stand, &started);
    let bad = |((_, outcome), count): (&(String, Outcome), &u64)| match outcome {
        Outcome::Violated => *count,
        _ => 0,
    };
    let violations = at_rest.values().map(offline::Tally::violations).sum::<u64>()
        + started.iter().map(bad).sum::<u64>();
    let cases =
        at_rest.values().map(|tally| tally.cases).sum::<u64>() + started.values().sum::<u64>();
    say(&format!("\n{cases} cases, {violations} promises broken"));
    if let Some(ledger) = ledger {
        let minutes = (wait::now() - began).as_secs_f64() / 60.0;
        let campaign = CAMPAIGN.to_owned();
        let (faults, operations) = (cases, cases);
        ledger.append(&Line { campaign, first, cases, faults, operations, violations, minutes })?;
    }
    Ok(violations)
}

fn at_rest(
    arguments: &Arguments,
    stand: &Stand,
    entropy: &SeededEntropy,
) -> Result<offline::Tallies> {
    let mut tallies = offline::Tallies::new();
    let bench = Bench::new(&stand.victim(), &stand.victims_old(), stand.place())?;
    bench.run(arguments.flips, Damage::Flip, entropy, &mut tallies)?;
    for damage in [Damage::Truncate, Damage::Old, Damage::Gone] {
        bench.run(arguments.others, damage, entropy, &mut tallies)?;
    }
    Ok(tallies)
}

fn say(text: &str) {
    // Nobody to tell is no reason to stop: the exit code says it, too.
    let _ = writeln!(std::io::stdout(), "{text}");
}
