//! Compares a cluster of real processes with Redis: the recorded conversation, and random commands
//! beside running servers. Exit code 0 only when nothing differs without a reason.

use std::io::Write;

use clap::Parser;
use tests::cluster::{Cluster, Options};
use tests::conformance::{Kind, Server, differential, golden};

/// Compare Weir with Redis and Valkey, reply for reply.
#[derive(Parser)]
struct Args {
    /// Random commands to compare.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    commands: usize,
    /// Which random commands.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut out = std::io::stdout();
    let mut cluster = Cluster::start(&Options::default())?;
    let verdict = golden::run(&cluster)?;
    let complaints = verdict.complaints.len();
    writeln!(out, "recorded replies: {} compared, {complaints} differ", verdict.compared)?;
    verdict.complaints.iter().try_for_each(|complaint| writeln!(out, "{complaint}"))?;

    let mut servers = Vec::new();
    for kind in [Kind::Redis, Kind::Valkey] {
        match kind.program() {
            Some(_) => servers.push(Server::start(kind)?),
            None => writeln!(out, "NOT COMPARED with {kind}: it is not installed here")?,
        }
    }
    let mut said = 0;
    let verdict = differential::run(&cluster, &servers, args.seed, args.commands, |done| {
        if done / 20_000 > said {
            said = done / 20_000;
            drop(writeln!(std::io::stderr(), "{done} commands"));
        }
    })?;
    let differences = verdict.differences.len();
    writeln!(out, "random commands: {} compared, {differences} differ", verdict.commands)?;
    verdict.differences.iter().try_for_each(|difference| writeln!(out, "{difference}"))?;
    writeln!(out, "differences with a reason:")?;
    differential::reasons().try_for_each(|reason| writeln!(out, "  {reason}"))?;
    cluster.stop()?;
    anyhow::ensure!(complaints + differences == 0, "replies differ (seed {})", args.seed);
    Ok(())
}
