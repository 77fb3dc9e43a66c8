//! Weir beside Redis on this machine, in interleaved rounds of one run. Redis: one primary and two
//! replicas, `appendfsync always`, each XADD followed by its own `WAIT 1`, sent together with it.
//! Weir: three nodes, as they are.

use std::io::Write;
use std::process::Command;

use anyhow::Context;
use clap::Parser;
use tests::cluster::{Cluster, Options, weir};
use tests::redis::Redis;

/// Compare appends a second and latencies with Redis.
#[derive(Parser)]
struct Args {
    /// Rounds; each measures both, one after the other. The medians are shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Streams that the connections are spread over, for both.
    #[arg(long, default_value_t = 8)]
    streams: usize,
    /// Shards of the Weir cluster; the default is Weir's own.
    #[arg(long, default_value_t = 1)]
    shards: u16,
}

/// Connections, appends in flight on each, and the ratio that is required.
const CASES: [(usize, usize, f64); 3] = [(1, 1, 0.0), (50, 1, 1.0), (50, 16, 2.0)];

#[derive(Clone, Copy, Default)]
struct Measured {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let redis = Redis::start()?;
    let options = Options { shards: args.shards, ..Options::default() };
    let cluster = Cluster::start(&options)?;
    let nodes: Vec<String> = cluster.nodes.iter().map(|node| node.resp()).collect();
    let mut lines = Vec::new();
    let mut missed = Vec::new();
    for (connections, pipeline, required) in CASES {
        let (mut of_redis, mut of_weir) = (Vec::new(), Vec::new());
        for round in 1..=args.rounds {
            let load = [("--connections", connections), ("--pipeline", pipeline)];
            tell(&format!("{connections} x {pipeline}, round {round}: redis"));
            of_redis.push(bench(&args, &[redis.primary()], &load, true)?);
            tell(&format!("{connections} x {pipeline}, round {round}: weir"));
            of_weir.push(bench(&args, &nodes, &load, false)?);
        }
        let (redis, weir) = (median(&of_redis), median(&of_weir));
        let ratio = weir.per_second / redis.per_second;
        if ratio < required {
            missed.push(format!("{connections} x {pipeline}: {ratio:.2}, required {required:.1}"));
        }
        lines.push(row(&format!("{connections} x {pipeline}"), "redis", redis, String::new()));
        lines.push(row("", "weir", weir, format!("{ratio:.2}")));
    }
    let mut out = std::io::stdout();
    writeln!(out, "\n100 B, {} streams, medians of {} rounds", args.streams, args.rounds)?;
    writeln!(out, "conns x in flight   system   appends/s      p50      p99    p99.9   ratio")?;
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    anyhow::ensure!(missed.is_empty(), "below what is required: {}", missed.join("; "));
    Ok(())
}

fn row(case: &str, system: &str, measured: Measured, ratio: String) -> String {
    let Measured { per_second, p50_ms, p99_ms, p999_ms } = measured;
    format!(
        "{case:<19} {system:<8} {per_second:>9.0} {p50_ms:>8.2} {p99_ms:>8.2} {p999_ms:>8.2} {ratio:>7}"
    )
}

fn bench(
    args: &Args,
    addresses: &[String],
    load: &[(&str, usize)],
    wait: bool,
) -> anyhow::Result<Measured> {
    let mut command = Command::new(weir()?);
    command.args(["bench", "--json", "--seconds", &args.seconds.to_string()]);
    command.args(["--streams", &args.streams.to_string()]);
    for (name, value) in load {
        command.args([*name, &value.to_string()]);
    }
    for address in addresses {
        command.args(["--address", address]);
    }
    if wait {
        command.args(["--wait", "1"]);
    }
    let output = command.output()?;
    let (out, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success(), "weir bench: {}: {out}", error.trim());
    let json: serde_json::Value = serde_json::from_str(&out).context("weir bench --json")?;
    let number = |name: &str| json[name].as_f64().unwrap_or(0.0);
    Ok(Measured {
        per_second: number("per_second"),
        p50_ms: number("p50_ms"),
        p99_ms: number("p99_ms"),
        p999_ms: number("p999_ms"),
    })
}

fn median(of: &[Measured]) -> Measured {
    let middle = |value: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = of.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    Measured {
        per_second: middle(|it| it.per_second),
        p50_ms: middle(|it| it.p50_ms),
        p99_ms: middle(|it| it.p99_ms),
        p999_ms: middle(|it| it.p999_ms),
    }
}

fn tell(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
