//! A soak of a cluster of real processes: `scripts/soak`. Exit code 0 only when everything stayed flat.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use checker::ledger::{Ledger, Line};
use clap::Parser;
use tests::soak::{Plan, run};

/// Mixed load with a fault each minute, for hours; memory, descriptors, disk and p99 must be flat after 15
/// minutes.
#[derive(Parser)]
struct Args {
    /// How long.
    #[arg(long, value_name = "HOURS", default_value_t = 2.0)]
    hours: f64,
    /// From which minute on it must be flat.
    #[arg(long, value_name = "MINUTES", default_value_t = 15.0)]
    settled: f64,
    /// Which nodes the faults meet.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Appends a second.
    #[arg(long, value_name = "RATE", default_value_t = 1_000)]
    rate: u32,
    /// Where soak.csv and soak.svg are put; tests/soak unless said.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Adds nothing to the ledger.
    #[arg(long)]
    no_ledger: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let plan = Plan {
        length: Duration::from_secs_f64(args.hours * 3600.0),
        settled: Duration::from_secs_f64(args.settled * 60.0),
        seed: args.seed,
        rate: args.rate.max(1),
        out: args.out.unwrap_or_else(|| here.join("soak")),
    };
    let ledger = (!args.no_ledger).then(|| Ledger::find(here)).transpose()?;
    let verdict = run(&plan, &|line| drop(writeln!(std::io::stderr(), "{line}")))?;
    writeln!(std::io::stdout(), "\n{verdict}")?;
    if let Some(ledger) = ledger {
        let minutes = plan.length.as_secs_f64() / 60.0;
        ledger.append(&Line {
            campaign: "soak".to_owned(),
            first: plan.seed,
            cases: 1,
            faults: verdict.faults,
            operations: verdict.calls,
            violations: verdict.violations(),
            minutes,
        })?;
    }
    anyhow::ensure!(verdict.is_good(), "not everything stayed flat");
    Ok(())
}
