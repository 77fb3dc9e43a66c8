//! Weir beside Redis on this machine, in interleaved rounds of one run. Redis: one primary and two
//! replicas, `appendfsync always`, each write followed by its own `WAIT 1`, sent together with it.
//! Weir: three nodes, as they are.

use std::io::Write;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tests::cluster::{Cluster, Options};
use tests::redis::Redis;
use tests::speed::{Plan, Side, Table, appends, commands, cycle, groups, range, wake};

/// Compare Weir with Redis: appends, whole cycles, waking of readers, ranges, many groups, and every
/// command by itself.
///
/// Progress goes to stderr, tables to stdout. Exit code 1 where appends are below what is required
/// of them.
#[derive(Parser)]
struct Args {
    /// What is measured; several with commas between [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<What>,
    /// Of the commands, those that begin so, as XINFO; several with commas between.
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    command: Vec<String>,
    /// Rounds; each measures both, one after the other. The medians are shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement, at most.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections where there are many at a time.
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// Requests of each connection, where each takes something away; wakes of a reader a round.
    #[arg(long, default_value_t = 500)]
    turns: usize,
    /// Groups of the stream that has many.
    #[arg(long, default_value_t = 1_000)]
    groups: usize,
    /// Streams that the connections are spread over, for appends.
    #[arg(long, default_value_t = 8)]
    streams: usize,
    /// Shards of the Weir cluster; the default is Weir's own.
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// Leave Redis out.
    #[arg(long)]
    alone: bool,
    /// One line of JSON for each table.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// XADD, one and many in flight.
    Appends,
    /// XADD, XREADGROUP COUNT 10, XACK.
    Cycle,
    /// How long a blocked reader takes to have an entry.
    Wake,
    /// Ranges of 100 entries.
    Range,
    /// Many groups on one stream.
    Groups,
    /// Every stream command, with a mark for those below 10,000 a second.
    Commands,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let redis = if args.alone { None } else { Some(Redis::start()?) };
    let cluster = Cluster::start(&Options { shards: args.shards, ..Options::default() })?;
    let mut sides: Vec<Side> = redis.iter().map(Side::redis).collect();
    sides.push(Side::weir(&cluster));
    let plan = Plan {
        sides: &sides,
        rounds: args.rounds.max(1),
        turns: args.turns.max(1),
        limit: Duration::from_secs(args.seconds.max(1)),
        connections: args.connections.max(1),
        groups: args.groups.max(1),
    };
    let mut missed = Vec::new();
    for what in What::value_variants() {
        if !args.only.is_empty() && !args.only.contains(what) {
            continue;
        }
        let table = match what {
            What::Appends => {
                let (table, below) = appends::run(&plan, args.streams)?;
                missed.extend(below);
                table
            }
            What::Cycle => cycle::run(&plan)?,
            What::Wake => wake::run(&plan)?,
            What::Range => range::run(&plan)?,
            What::Groups => groups::run(&plan)?,
            What::Commands => commands::run(&plan, &args.command)?,
        };
        show(&table, args.json)?;
    }
    anyhow::ensure!(missed.is_empty(), "below what is required: {}", missed.join("; "));
    Ok(())
}

fn show(table: &Table, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    match json {
        true => writeln!(out, "{}", table.json()),
        false => writeln!(out, "\n{}", table.text()),
    }
}
