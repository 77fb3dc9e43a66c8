//! Appends a second and their latencies, by `weir bench`: streams shared by connections, and many
//! appends in flight on each.

use std::process::Command;

use anyhow::Context;

use super::table::{ms, rate, ratio};
use super::{Measured, Plan, Side, Table};
use crate::cluster::weir;

/// Connections, appends in flight on each, and the ratio that is required.
const CASES: [(usize, usize, f64); 3] = [(1, 1, 0.0), (50, 1, 1.0), (50, 16, 2.0)];

/// The table, and what fell below what is required.
///
/// # Errors
/// `weir bench` failed.
pub fn run(plan: &Plan<'_>, streams: usize) -> anyhow::Result<(Table, Vec<String>)> {
    let title = format!("Appends of 100 B, {streams} streams, medians of {} rounds", plan.rounds);
    let columns =
        ["connections x in flight", "system", "appends/s", "p50 ms", "p99 ms", "p99.9 ms", "ratio"];
    let (mut table, mut missed) = (Table::new(title, &columns), Vec::new());
    for (connections, pipeline, required) in CASES {
        let case = format!("{connections} x {pipeline}");
        let load = Appends { connections, pipeline, streams, seconds: plan.limit.as_secs() };
        let found = plan.medians(&case, |side| load.measure(side).map(Some))?;
        let base = found.first().copied().flatten().map(|it| it.per_second);
        for (at, (side, found)) in plan.sides.iter().zip(&found).enumerate() {
            let Some(found) = found else { continue };
            let against = if at > 0 { ratio(Some(found.per_second), base) } else { String::new() };
            if at > 0 && base.is_some_and(|base| found.per_second / base < required) {
                missed.push(format!("{case}: {against}, required {required:.1}"));
            }
            let times = [found.p50_ms, found.p99_ms, found.p999_ms].map(ms);
            let cells = [case.clone(), side.name.to_owned(), rate(Some(found.per_second))];
            table.rows.push(cells.into_iter().chain(times).chain([against]).collect());
        }
    }
    Ok((table, missed))
}

struct Appends {
    connections: usize,
    pipeline: usize,
    streams: usize,
    seconds: u64,
}

impl Appends {
    fn measure(&self, side: &Side) -> anyhow::Result<Measured> {
        let mut command = Command::new(weir()?);
        command.args(["bench", "--json", "--seconds", &self.seconds.to_string()]);
        command.args(["--streams", &self.streams.to_string()]);
        command.args(["--connections", &self.connections.to_string()]);
        command.args(["--pipeline", &self.pipeline.to_string()]);
        for address in &side.addresses {
            command.args(["--address", address]);
        }
        if side.wait {
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
            cpu_us: 0.0,
        })
    }
}
