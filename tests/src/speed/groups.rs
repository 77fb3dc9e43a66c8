//! Many groups on one stream: what they cost a producer, what reading and acknowledging for all of
//! them takes, and the memory of what is pending for them.

use std::time::Duration;

use resp::Value;

use super::table::{rate, ratio};
use super::{Load, Measured, Plan, Side, Table, Turn, tell};
use crate::client::Client;
use crate::figures::median;
use crate::wait;

const STREAM: &str = "weir-groups";
/// Entries that each group reads, at once.
const READ: usize = 100;
const PAYLOAD_BYTES: usize = 100;

fn is_text(reply: &Value) -> bool {
    reply.as_text().is_some()
}

fn gives_all(reply: &Value) -> bool {
    let entries = reply.as_items().and_then(|streams| streams.first()?.as_items()?.get(1));
    entries.and_then(Value::as_items).is_some_and(|entries| entries.len() == READ)
}

fn acks_all(reply: &Value) -> bool {
    reply.as_integer() == i64::try_from(READ).ok()
}

/// What was measured on one side.
#[derive(Clone, Debug, Default)]
struct Found {
    adds_alone: f64,
    creates: f64,
    adds: f64,
    reads: f64,
    acks: f64,
    /// Of memory, for each entry that is pending for a group.
    pending_bytes: Option<f64>,
    info_ms: f64,
}

/// One step: so many turns of each connection, each one request.
fn step(
    plan: &Plan<'_>,
    side: &Side,
    turns: usize,
    request: &dyn Fn(usize) -> String,
    check: fn(&Value) -> bool,
) -> anyhow::Result<Measured> {
    let load = Load {
        connections: plan.connections,
        turns,
        limit: Duration::from_secs(600),
        whole: true,
        prepare: &|_| Vec::new(),
        turn: &|connection, turn| {
            let words = request(turn * plan.connections + connection);
            vec![Turn::default().write(side, &words, check)]
        },
    };
    load.run(side)
}

fn measure(plan: &Plan<'_>, side: &Side) -> anyhow::Result<Found> {
    let mut client = Client::open(&side.addresses[0])?;
    client.call(&["DEL", STREAM])?;
    let turns = plan.groups.div_ceil(plan.connections);
    let add = |_| format!("XADD {STREAM} * data {}", "x".repeat(PAYLOAD_BYTES));
    let adds_turns = plan.turns.max(READ.div_ceil(plan.connections));
    let mut found = Found {
        adds_alone: step(plan, side, adds_turns, &add, is_text)?.per_second,
        ..Found::default()
    };
    let ids = ids(&client.call(&["XRANGE", STREAM, "-", "+", "COUNT", &READ.to_string()])?);
    let create = |group| format!("XGROUP CREATE {STREAM} g{group} 0");
    found.creates = step(plan, side, turns, &create, is_text)?.per_second;
    found.adds = step(plan, side, adds_turns, &add, is_text)?.per_second;
    let before = side.resident_bytes();
    let read = |group| format!("XREADGROUP GROUP g{group} c COUNT {READ} STREAMS {STREAM} >");
    found.reads = step(plan, side, turns, &read, gives_all)?.per_second * READ as f64;
    let pending = (turns * plan.connections * READ) as f64;
    found.pending_bytes = before
        .zip(side.resident_bytes())
        .map(|(before, after)| after.saturating_sub(before) as f64 / pending);
    let began = wait::now();
    let groups = client.call(&["XINFO", "GROUPS", STREAM])?;
    found.info_ms = (wait::now() - began).as_secs_f64() * 1000.0;
    let counted = groups.as_items().map_or(0, <[Value]>::len);
    anyhow::ensure!(counted == turns * plan.connections, "{counted} groups");
    let ack = |group| format!("XACK {STREAM} g{group} {}", ids.join(" "));
    found.acks = step(plan, side, turns, &ack, acks_all)?.per_second * READ as f64;
    client.call(&["DEL", STREAM])?;
    Ok(found)
}

fn ids(entries: &Value) -> Vec<String> {
    let id = |entry: &Value| entry.as_items()?.first()?.as_text().map(str::to_owned);
    entries.as_items().unwrap_or_default().iter().filter_map(id).collect()
}

/// Many groups, side by side.
///
/// # Errors
/// A connection broke, or an answer was not what it should be.
pub fn run(plan: &Plan<'_>) -> anyhow::Result<Table> {
    let mut all = vec![Vec::new(); plan.sides.len()];
    for round in 1..=plan.rounds {
        for (side, found) in plan.sides.iter().zip(&mut all) {
            let (groups, rounds) = (plan.groups, plan.rounds);
            tell(&format!("{groups} groups, round {round} of {rounds}: {}", side.name));
            found.push(measure(plan, side)?);
        }
    }
    let title = format!(
        "{} groups on one stream, {} connections, {PAYLOAD_BYTES} B, medians of {} rounds",
        plan.groups, plan.connections, plan.rounds
    );
    let columns = [
        "system",
        "XADD/s without groups",
        "with",
        "ratio",
        "XGROUP CREATE/s",
        "entries/s delivered",
        "entries/s acknowledged",
        "bytes each pending",
        "XINFO GROUPS ms",
    ];
    let mut table = Table::new(title, &columns);
    for (side, found) in plan.sides.iter().zip(&all) {
        table.rows.push(row(side, found));
    }
    Ok(table)
}

fn row(side: &Side, found: &[Found]) -> Vec<String> {
    let middle = |value: fn(&Found) -> f64| median(found.iter().map(value));
    let (alone, with) = (middle(|it| it.adds_alone), middle(|it| it.adds));
    // The first round only: a process gives nothing back that the next one could take anew.
    let pending = found.first().and_then(|it| it.pending_bytes);
    vec![
        side.name.to_owned(),
        rate(alone),
        rate(with),
        ratio(with, alone),
        rate(middle(|it| it.creates)),
        rate(middle(|it| it.reads)),
        rate(middle(|it| it.acks)),
        rate(pending),
        middle(|it| it.info_ms).map_or_else(String::new, super::table::ms),
    ]
}
