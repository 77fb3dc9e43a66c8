//! Chaos for so many minutes on a cluster of real processes; a table at the end. Exit code 0 only
//! when nothing was lost, doubled, reordered or brought back.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use checker::ledger::{Ledger, Line};
use clap::Parser;
use tests::chaos::{Kind, Plan, Verdict, run};
use tests::cluster::Options;
use tests::wait;

/// Do to a cluster what machines and networks do, under load, and check everything that clients saw.
///
/// It starts a cluster of three nodes of its own, as `weir dev` does, with ports and a directory of
/// its own: one that runs already, `weir dev` or not, is never touched. Eight clients append, some of it
/// again under the same ids, read, read for groups, take over and acknowledge through all nodes, while one
/// fault after the other happens, two seconds after the last one has healed; half of them hit the leader.
/// Now and then another node is killed in the middle of one, where a majority is left. Then everything is read
/// through every node and compared with what was acknowledged.
///
/// Partitions need root and iptables, clocks libfaketime, failing and slow disks root or strace, full
/// disks root. What can't be done is skipped, told, and counted in the table.
#[derive(Parser)]
#[command(name = "scripts/chaos")]
struct Args {
    /// Which faults, joined by commas; all of them where none is named.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    faults: Vec<Kind>,
    /// How long.
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0)]
    minutes: f64,
    /// Longer, until so many processes were killed.
    #[arg(long, value_name = "KILLS", default_value_t = 0)]
    kills: usize,
    /// Which faults, in which order, and what the clients ask.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Appends a second that each of the 8 clients offers at most.
    #[arg(long, value_name = "RATE", default_value_t = 300)]
    rate: u32,
    /// Nodes of the cluster. With five, a node is also killed while another is cut off or stopped.
    #[arg(long, value_name = "NODES", default_value_t = 3)]
    nodes: u64,
    /// Shards of the cluster.
    #[arg(long, value_name = "SHARDS", default_value_t = 8)]
    shards: u16,
    /// Go on behind the last run of this name in tests/ledger.csv, with another seed, and add a line.
    #[arg(long, value_name = "CAMPAIGN", conflicts_with = "seed")]
    campaign: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let kinds = if args.faults.is_empty() { Kind::ALL.to_vec() } else { args.faults.clone() };
    let ledger = Ledger::find(Path::new(env!("CARGO_MANIFEST_DIR")));
    let seed = match &args.campaign {
        Some(campaign) => ledger.as_ref().map_err(|error| anyhow!("{error}"))?.next(campaign)?,
        None => args.seed,
    };
    let plan = Plan {
        length: Duration::from_secs_f64(args.minutes * 60.0),
        kills: args.kills,
        kinds,
        seed,
        options: Options {
            nodes: args.nodes,
            forming: args.nodes,
            shards: args.shards,
            extra: String::new(),
        },
        rate: args.rate,
    };
    let began = wait::now();
    let verdict = run(&plan, |line| drop(writeln!(std::io::stderr(), "{line}")))?;
    writeln!(std::io::stdout(), "\n{verdict}")?;
    if let Some(campaign) = &args.campaign {
        let minutes = (wait::now() - began).as_secs_f64() / 60.0;
        ledger?.append(&line(campaign, seed, &verdict, minutes))?;
    }
    anyhow::ensure!(verdict.is_good(), "rules were broken (seed {seed})");
    Ok(())
}

/// Cases are kills where nothing else was done, and faults otherwise.
fn line(campaign: &str, first: u64, verdict: &Verdict, minutes: f64) -> Line {
    let only_kills = verdict.kinds.keys().all(|kind| *kind == Kind::Kill);
    // Failovers that take too long are a promise that was broken, like the others.
    let slow = u64::from(verdict.is_quick() == Some(false));
    Line {
        campaign: campaign.to_owned(),
        first,
        cases: if only_kills { verdict.kills } else { verdict.faults() } as u64,
        faults: verdict.faults() as u64,
        operations: verdict.operations as u64,
        violations: verdict.violations_count() as u64 + slow,
        minutes,
    }
}
