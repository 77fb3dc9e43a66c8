//! The whole way of an entry: XADD, XREADGROUP COUNT 10, XACK, each step sent when the one before
//! is answered.

use resp::Value;

use super::{Load, Measured, Plan, Side, Table, Turn};

const PAYLOAD_BYTES: usize = 100;
/// Connections, and entries that are added, read and acknowledged together.
const CASES: [(bool, usize); 3] = [(false, 1), (true, 1), (true, 10)];

fn stream_of(connection: usize) -> String {
    format!("weir-cycle:{connection}")
}

fn is_text(reply: &Value) -> bool {
    reply.as_text().is_some()
}

fn is_positive(reply: &Value) -> bool {
    reply.as_integer().is_some_and(|number| number > 0)
}

fn gives_some(reply: &Value) -> bool {
    reply.as_items().is_some_and(|streams| !streams.is_empty())
}

/// The steps of one cycle of `entries` entries.
fn steps(side: &Side, connection: usize, turn: usize, entries: usize) -> Vec<Turn> {
    let stream = stream_of(connection);
    let payload = "x".repeat(PAYLOAD_BYTES);
    let ids: Vec<String> =
        (0..entries).map(|at| format!("{}-0", turn * entries + at + 1)).collect();
    let add = |turn: Turn, id: &String| {
        turn.write(side, &format!("XADD {stream} {id} data {payload}"), is_text)
    };
    let read = format!("XREADGROUP GROUP g c COUNT 10 STREAMS {stream} >");
    let ack = format!("XACK {stream} g {}", ids.join(" "));
    vec![
        ids.iter().fold(Turn::default(), add),
        Turn::default().write(side, &read, gives_some),
        Turn::default().write(side, &ack, is_positive),
    ]
}

fn measure(
    plan: &Plan<'_>,
    side: &Side,
    connections: usize,
    entries: usize,
) -> anyhow::Result<Option<Measured>> {
    let prepare = |connection| {
        let stream = stream_of(connection);
        vec![format!("DEL {stream}"), format!("XGROUP CREATE {stream} g 0 MKSTREAM")]
    };
    let load = Load {
        connections,
        turns: usize::MAX,
        limit: plan.limit,
        whole: false,
        prepare: &prepare,
        turn: &|connection, turn| steps(side, connection, turn, entries),
    };
    let mut measured = load.run(side)?;
    // A turn is a cycle; what is shown is of one entry.
    measured.per_second *= entries as f64;
    measured.cpu_us /= entries as f64;
    let mut client = crate::client::Client::open(&side.addresses[0])?;
    for connection in 0..connections {
        client.call(&["DEL", &stream_of(connection)])?;
    }
    Ok(Some(measured))
}

/// Whole cycles, side by side.
///
/// # Errors
/// A connection broke, or an answer was not what it should be.
pub fn run(plan: &Plan<'_>) -> anyhow::Result<Table> {
    let title = format!(
        "Full cycle XADD, XREADGROUP COUNT 10, XACK: entries a second, {PAYLOAD_BYTES} B, medians of {} rounds",
        plan.rounds
    );
    let columns = [
        "connections x entries",
        "system",
        "entries/s",
        "cycle p50 ms",
        "p99 ms",
        "CPU us",
        "ratio",
    ];
    let mut table = Table::new(title, &columns);
    for (many, entries) in CASES {
        let connections = if many { plan.connections } else { 1 };
        let name = format!("{connections} x {entries}");
        plan.compare(&mut table, &format!("cycle {name}"), &[&name], |side| {
            measure(plan, side, connections, entries)
        })?;
    }
    Ok(table)
}
