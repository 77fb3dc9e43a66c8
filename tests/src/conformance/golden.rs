//! The recorded conversation, asked of a cluster through all of its nodes in turn.

use std::path::Path;

use resp::Value;

use super::alike::timeless;
use super::recording::{self, Step};
use crate::client::Client;
use crate::cluster::Cluster;

/// Requests that are answered otherwise, or not alike by what came before, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("SET str x", "other data types are not in Weir"),
    ("XADD str * a 1", "other data types are not in Weir: the key is a new stream"),
    ("XLEN str", "other data types are not in Weir: the key is a stream"),
    ("XREAD STREAMS str 0", "other data types are not in Weir: the key is a stream"),
    ("XGROUP CREATE str g2 0", "other data types are not in Weir: the key is a stream"),
    ("XDELEX s IDS 1 1-1", "a command of Redis 8.2, unknown to the recorded servers"),
    ("XNACK s g FAIL IDS 1 1-1", "a command of Redis 8.8, unknown to the recorded servers"),
];

/// How many replies were compared, and those that differ.
pub struct Verdict {
    pub compared: usize,
    pub complaints: Vec<String>,
}

/// Asks everything in RESP2 and again in RESP3.
///
/// # Errors
/// The recording cannot be read, or a node does not answer.
pub fn run(cluster: &Cluster) -> anyhow::Result<Verdict> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/golden.txt");
    let steps = recording::read(&path)?;
    for (request, _) in EXCEPTIONS {
        let is_there = steps.iter().any(|step| step.request == *request);
        anyhow::ensure!(is_there, "{request} is an exception to nothing");
    }
    super::ask_for_older_shapes(&cluster.nodes[0].resp())?;
    let mut verdict = Verdict { compared: 0, complaints: Vec::new() };
    for protocol in [2, 3] {
        let mut clients = Vec::new();
        for node in &cluster.nodes {
            let mut client = node.client()?;
            client.call(&["HELLO", &protocol.to_string()])?;
            clients.push(client);
        }
        clients[0].call(&["DEL", "s", "s2", "str"])?;
        for (at, step) in turns(&steps) {
            let at = at % clients.len();
            check(&mut clients[at], protocol, step, &mut verdict)?;
        }
    }
    Ok(verdict)
}

/// Each step with the number of its turn: a transaction stays on one connection.
fn turns(steps: &[Step]) -> Vec<(usize, &Step)> {
    let (mut turn, mut is_open) = (0, false);
    let mut turns = Vec::new();
    for step in steps {
        turn += usize::from(!is_open);
        turns.push((turn, step));
        is_open = (is_open || step.request == "MULTI") && step.request != "EXEC";
    }
    turns
}

fn check(
    client: &mut Client,
    protocol: usize,
    step: &Step,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let args: Vec<&str> = step.request.split(' ').collect();
    if EXCEPTIONS.iter().any(|(request, _)| *request == step.request) {
        client.call(&args)?;
        return Ok(());
    }
    let got = client.call(&args)?;
    let expected = &step.replies[protocol - 2];
    verdict.compared += 1;
    if !is_alike(expected, &got) {
        let request = &step.request;
        let complaint = format!("RESP{protocol}> {request}\n  Redis {expected}\n  Weir  {got}");
        verdict.complaints.push(complaint);
    }
    Ok(())
}

fn is_alike(expected: &Value, got: &Value) -> bool {
    timeless(expected) == timeless(got)
}
