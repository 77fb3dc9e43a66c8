//! Ranges of 100 entries of a stream that is larger than what one answer takes.

use std::time::Duration;

use resp::Value;

use super::{Load, Measured, Plan, Side, Table, Turn};
use crate::client::Client;

const STREAM: &str = "weir-range";
const ENTRIES: usize = 10_000;
const COUNT: usize = 100;
/// A turn begins so many entries after the one before: all of the stream is read, in no order.
const STRIDE: usize = 3_571;

fn has_100(reply: &Value) -> bool {
    reply.as_items().is_some_and(|items| items.len() == COUNT)
}

/// The first id of a connection's turn.
fn first(connection: usize, turn: usize) -> usize {
    1 + (connection * 997 + turn * STRIDE) % (ENTRIES - COUNT)
}

fn request(command: &str, connection: usize, turn: usize) -> String {
    let first = first(connection, turn);
    match command {
        "XRANGE" => format!("XRANGE {STREAM} {first}-0 + COUNT {COUNT}"),
        "XREVRANGE" => format!("XREVRANGE {STREAM} {}-0 - COUNT {COUNT}", first + COUNT),
        _ => format!("XREAD COUNT {COUNT} STREAMS {STREAM} {first}-0"),
    }
}

fn measure(
    plan: &Plan<'_>,
    side: &Side,
    command: &str,
    connections: usize,
) -> anyhow::Result<Option<Measured>> {
    let check = if command == "XREAD" { |reply: &Value| !reply.is_null() } else { has_100 };
    let load = Load {
        connections,
        turns: usize::MAX,
        limit: plan.limit,
        whole: false,
        prepare: &|_| Vec::new(),
        turn: &|connection, turn| {
            vec![Turn::default().read(&request(command, connection, turn), check)]
        },
    };
    load.run(side).map(Some)
}

fn fill(side: &Side) -> anyhow::Result<()> {
    let mut client = Client::open(&side.addresses[0])?;
    client.call(&["DEL", STREAM])?;
    let payload = "x".repeat(100);
    let load = Load {
        connections: 1,
        turns: 1,
        limit: Duration::from_secs(60),
        whole: false,
        prepare: &|_| {
            (1..=ENTRIES).map(|id| format!("XADD {STREAM} {id}-0 data {payload}")).collect()
        },
        turn: &|_, _| Vec::new(),
    };
    load.run(side).map(drop)
}

/// Ranges by one connection and by many, side by side.
///
/// # Errors
/// A connection broke, or an answer was not what it should be.
pub fn run(plan: &Plan<'_>) -> anyhow::Result<Table> {
    for side in plan.sides {
        fill(side)?;
    }
    let title = format!(
        "{COUNT} entries of 100 B of a stream of {ENTRIES}: answers a second, medians of {} rounds",
        plan.rounds
    );
    let columns =
        ["command", "connections", "system", "answers/s", "p50 ms", "p99 ms", "CPU us", "ratio"];
    let mut table = Table::new(title, &columns);
    for command in ["XRANGE", "XREVRANGE", "XREAD"] {
        for connections in [1, plan.connections] {
            let what = format!("{command} of {COUNT}, {connections} connections");
            let names = [command, &connections.to_string()];
            plan.compare(&mut table, &what, &names, |side| {
                measure(plan, side, command, connections)
            })?;
        }
    }
    for side in plan.sides {
        Client::open(&side.addresses[0])?.call(&["DEL", STREAM])?;
    }
    Ok(table)
}
