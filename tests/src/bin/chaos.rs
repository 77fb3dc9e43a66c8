//! Chaos for so many minutes on a cluster of real processes; a table at the end. Exit code 0 only
//! when nothing was lost, doubled, reordered or brought back.

use std::io::Write;
use std::time::Duration;

use clap::Parser;
use tests::chaos::{Plan, run};
use tests::cluster::Options;

/// Kill, stop and restart nodes under load, then check everything that clients saw.
#[derive(Parser)]
struct Args {
    /// How long.
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0)]
    minutes: f64,
    /// Which faults, in which order.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Appends a second that each of the 8 clients offers at most.
    #[arg(long, value_name = "RATE", default_value_t = 500)]
    rate: u32,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let plan = Plan {
        length: Duration::from_secs_f64(args.minutes * 60.0),
        seed: args.seed,
        options: Options::default(),
        rate: args.rate,
    };
    let verdict = run(&plan, |line| drop(writeln!(std::io::stderr(), "{line}")))?;
    writeln!(std::io::stdout(), "\n{verdict}")?;
    anyhow::ensure!(verdict.is_good(), "rules were broken (seed {})", args.seed);
    Ok(())
}
