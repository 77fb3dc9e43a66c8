//! Compares a cluster of real processes with Redis: the recorded conversation, and random commands
//! beside running servers; or runs the programs of real clients against it, or published tests. Exit
//! code 0 only when nothing differs without a reason, and no program and no listed test failed.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Parser;
use tests::cluster::{Cluster, Options};
use tests::conformance::{Kind, Server, clients, differential, golden, suites};

/// Compare Weir with Redis and Valkey, reply for reply.
#[derive(Parser)]
struct Args {
    /// Random commands to compare.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    commands: usize,
    /// Which random commands.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Run the programs of real clients instead, whose libraries are installed in DIR.
    #[arg(long, value_name = "DIR")]
    clients: Option<PathBuf>,
    /// Run published tests of streams instead, which are installed in DIR.
    #[arg(long, value_name = "DIR", conflicts_with = "clients")]
    suites: Option<PathBuf>,
    /// Of these, only those whose names have this in them.
    #[arg(long, value_name = "WORD", default_value = "")]
    only: String,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(dir) = &args.suites {
        let wrong = run_suites(dir)?;
        anyhow::ensure!(wrong == 0, "{wrong} tests are not as listed");
        return Ok(());
    }
    let mut cluster = Cluster::start(&Options::default())?;
    let wrong = match &args.clients {
        Some(dir) => run_clients(&mut cluster, dir, &args.only)?,
        None => compare(&cluster, &args)?,
    };
    cluster.stop()?;
    anyhow::ensure!(wrong == 0, "{wrong} are not as they should be");
    Ok(())
}

/// How many replies differ without a reason.
fn compare(cluster: &Cluster, args: &Args) -> anyhow::Result<usize> {
    let mut out = std::io::stdout();
    let verdict = golden::run(cluster)?;
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
    let verdict = differential::run(cluster, &servers, args.seed, args.commands, |done| {
        if done / 20_000 > said {
            said = done / 20_000;
            drop(writeln!(std::io::stderr(), "{done} commands"));
        }
    })?;
    let differences = verdict.differences.len();
    let (commands, seed, retries) = (verdict.commands, args.seed, verdict.retries.len());
    writeln!(
        out,
        "random commands (seed {seed}): {commands} compared, {differences} differ, {retries} sequences asked again"
    )?;
    verdict.retries.iter().try_for_each(|said| writeln!(out, "  {said}"))?;
    verdict.differences.iter().try_for_each(|difference| writeln!(out, "{difference}"))?;
    writeln!(out, "differences with a reason:")?;
    differential::reasons().try_for_each(|reason| writeln!(out, "  {reason}"))?;
    Ok(complaints + verdict.wrong())
}

/// How many programs failed; what isn't installed is named.
fn run_clients(cluster: &mut Cluster, dir: &Path, only: &str) -> anyhow::Result<usize> {
    let mut failed = 0;
    let all = clients::PROGRAMS.iter().chain(clients::CLUSTER_PROGRAMS);
    for program in all.filter(|program| program.name.contains(only)) {
        let name = program.name;
        if !program.is_installed(dir) {
            writeln!(std::io::stdout(), "NOT RUN: {name} is not installed here")?;
        } else if clients::CLUSTER_PROGRAMS.iter().any(|it| it.name == name) {
            let ended = program.learns_a_new_leader(cluster, dir);
            failed += tell(name, "a new leader learnt", ended)?;
        } else {
            failed += tell(name, "every node", program.against_every_node(cluster, dir))?;
            failed += tell(name, "a leader killed", program.through_a_kill(cluster, dir))?;
        }
    }
    Ok(failed)
}

/// How many tests are not as listed; each suite has a cluster of its own.
fn run_suites(dir: &Path) -> anyhow::Result<usize> {
    let mut out = std::io::stdout();
    let mut wrong = 0;
    for suite in suites::SUITES {
        let name = suite.name;
        if !suite.is_installed(dir) {
            writeln!(out, "NOT RUN: the suite of {name} is not installed here")?;
            continue;
        }
        for protocol in suite.protocols {
            let mut cluster = Cluster::start(&Options::default())?;
            let verdict = suite.run(&cluster, dir, *protocol)?;
            cluster.stop()?;
            let (passed, left_out) = (verdict.passed, verdict.left_out);
            writeln!(out, "{name}, RESP{protocol}: {passed} pass as listed, {left_out} left out")?;
            verdict.news.iter().try_for_each(|it| writeln!(out, "  {it}"))?;
            verdict.complaints.iter().try_for_each(|it| writeln!(out, "  NOT AS LISTED: {it}"))?;
            wrong += verdict.complaints.len();
        }
    }
    Ok(wrong)
}

/// Says how a program ended; gives how many failed.
fn tell(name: &str, how: &str, ended: anyhow::Result<String>) -> anyhow::Result<usize> {
    let mut out = std::io::stdout();
    match ended {
        Ok(said) => writeln!(out, "{name}, {how}: {said}")?,
        Err(error) => {
            writeln!(out, "FAILED: {name}, {how}: {error}")?;
            return Ok(1);
        }
    }
    Ok(0)
}
