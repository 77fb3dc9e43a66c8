//! Overloads a cluster of real processes and says what held: `scripts/overload`. Exit code 0 only when all
//! did.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::overload::{Plan, run};

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
    let table = run(&plan, &|line| drop(writeln!(std::io::stderr(), "{line}")))?;
    writeln!(std::io::stdout(), "\n{table}")?;
    anyhow::ensure!(table.is_good(), "something did not hold");
    Ok(())
}
