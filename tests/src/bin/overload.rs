//! Overloads a cluster of real processes and says what held: `scripts/overload`. Exit code 0 only when all
//! did.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use checker::ledger::{Ledger, Line};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::overload::{Plan, run};
use tests::wait;

/// What stands in the ledger: each run is one case, its violations what did not hold.
const CAMPAIGN: &str = "overload";

/// Four times the load that a cluster can take, with readers that do not read; then a slow follower.
#[derive(Parser)]
struct Args {
    /// How long the overload lasts.
    #[arg(long, value_name = "MINUTES", default_value_t = 5.0)]
    minutes: f64,
    /// Readers that do not read.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    readers: usize,
    /// Of each measure before and after.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    measure: u64,
    /// What every node is told to keep to, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 128)]
    memory: u64,
    /// Rounds with and without a slow follower.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Adds a line to the ledger.
    #[arg(long)]
    ledger: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // Here, and in the nodes, which inherit it.
    let needed = args.readers as u64 + 2_000;
    let maximum = getrlimit(Resource::Nofile).maximum.map(|most| most.max(needed));
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })
        .context("so many connections are not allowed here")?;
    let plan = Plan {
        length: Duration::from_secs_f64(args.minutes * 60.0),
        measure: Duration::from_secs(args.measure),
        readers: args.readers,
        memory_bytes: args.memory << 20,
        rounds: args.rounds,
    };
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ledger = args.ledger.then(|| Ledger::find(here)).transpose()?;
    let began = wait::now();
    let table = run(&plan, &|line| drop(writeln!(std::io::stderr(), "{line}")))?;
    writeln!(std::io::stdout(), "\n{table}")?;
    if let Some(ledger) = ledger {
        ledger.append(&Line {
            campaign: CAMPAIGN.to_owned(),
            first: ledger.next(CAMPAIGN)?,
            cases: 1,
            faults: 0,
            operations: table.answers,
            violations: table.violations(),
            minutes: (wait::now() - began).as_secs_f64() / 60.0,
        })?;
    }
    anyhow::ensure!(table.is_good(), "something did not hold");
    Ok(())
}
