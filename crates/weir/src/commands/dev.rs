//! `weir dev`: a whole cluster on this machine, until Ctrl-C.

use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::cli::Dev;
use crate::commands::block_on;
use crate::failed::Failed;
use crate::local::cluster::{self, Cluster};
use crate::local::files::{self, Plan};
use crate::local::process::Process;
use crate::out;

const NODES_DEFAULT: u16 = 3;
const BASE_PORT_DEFAULT: u16 = 6379;

/// A node that dies again before it lived this long is started again only after a pause.
const LIFE_SHORT: Duration = Duration::from_secs(5);
const RESTART_PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &Dev) -> Result<(), Failed> {
    let plan = plan(args)?;
    let taken = cluster::taken(&plan);
    if let Some(port) = taken.first() {
        return Err(port_taken(&plan, *port));
    }
    let nodes = cluster::nodes_of(&args.data_dir, &plan)?;
    block_on(async {
        let mut stop = Stop::listen()?;
        let mut cluster = Cluster::start(&nodes)?;
        let ended = tokio::select! {
            ended = serve(args, &mut cluster) => ended,
            () = stop.asked() => Ok(()),
        };
        if !args.json && ended.is_ok() {
            out::say("stopping");
        }
        cluster.stop().await;
        ended
    })
}

/// What is asked for, or what the directory has. The two must agree: a cluster that is made does
/// not move to other ports.
fn plan(args: &Dev) -> Result<Plan, Failed> {
    let found = files::read(&args.data_dir)?;
    let dir = args.data_dir.display();
    let Some((_, first)) = found.first() else {
        let plan = Plan {
            nodes: args.nodes.unwrap_or(NODES_DEFAULT),
            base_port: args.base_port.unwrap_or(BASE_PORT_DEFAULT),
            extra: String::new(),
        };
        return plan.check().map(|()| plan);
    };
    let count = u16::try_from(found.len()).unwrap_or(u16::MAX);
    let base_port = first.node.listen.resp.port();
    let other = |what: &str| {
        Err(Failed::wrong(format!(
            "{dir} has a cluster {what}: leave the option out, or name another --data-dir"
        )))
    };
    match (args.nodes, args.base_port) {
        (Some(nodes), _) if nodes != count => other(&format!("of {count} nodes")),
        (_, Some(port)) if port != base_port => other(&format!("on base port {base_port}")),
        _ => Ok(Plan { nodes: count, base_port, extra: String::new() }),
    }
}

fn port_taken(plan: &Plan, port: u16) -> Failed {
    let holder = server::ports::in_use(port);
    let hint = match cluster::free_base(plan) {
        Some(base) => format!("; try --base-port {base} --data-dir weir-data-{base}"),
        None => String::new(),
    };
    Failed::machine(format!("port {port} is {holder}{hint}"))
}

async fn serve(args: &Dev, cluster: &mut Cluster) -> Result<(), Failed> {
    cluster.ready(|why| out::note(why)).await?;
    show(args, cluster);
    let mut started = vec![Instant::now(); cluster.nodes.len()];
    loop {
        let (place, how) = cluster.next_end().await;
        let node = &cluster.nodes[place];
        let (id, file) = (node.config.node.id, node.file.clone());
        if !args.restart {
            let words = node.last_words();
            out::note(format!("node {id} ended ({how}): {words}"));
            out::note(format!("start it again with: weir server --config {}", file.display()));
            cluster.nodes.remove(place);
            started.remove(place);
            continue;
        }
        if started[place].elapsed() < LIFE_SHORT {
            tokio::time::sleep(RESTART_PAUSE).await;
        }
        let again = Process::start(&file, &node.config.clone())?;
        out::note(format!("node {id} ended ({how}); started again as pid {}", again.pid()));
        cluster.nodes[place] = again;
        started[place] = Instant::now();
    }
}

fn show(args: &Dev, cluster: &Cluster) {
    if args.json {
        out::say(json!({ "ready": true, "nodes": nodes_json(cluster) }));
        return;
    }
    let rows: Vec<Vec<String>> = cluster
        .nodes
        .iter()
        .map(|node| {
            let listen = &node.config.node.listen;
            let addresses =
                [listen.resp, listen.resp_cluster, listen.grpc, listen.peer, listen.http];
            let mut row = vec![node.config.node.id.to_string(), node.pid().to_string()];
            row.extend(addresses.iter().map(ToString::to_string));
            row
        })
        .collect();
    out::say(out::table(&["node", "pid", "resp", "resp-cluster", "grpc", "peer", "http"], &rows));
    let port = cluster.nodes.first().map_or(0, |node| node.config.node.listen.resp.port());
    out::say(format!(
        "\ntry: redis-cli -p {port} XADD orders '*' item 7   (any node; Ctrl-C stops)"
    ));
    out::say("ready");
}

fn nodes_json(cluster: &Cluster) -> Vec<serde_json::Value> {
    let node = |node: &Process| {
        let listen = &node.config.node.listen;
        json!({
            "id": node.config.node.id.0,
            "pid": node.pid(),
            "resp": listen.resp.to_string(),
            "resp_cluster": listen.resp_cluster.to_string(),
            "grpc": listen.grpc.to_string(),
            "peer": listen.peer.to_string(),
            "http": listen.http.to_string(),
        })
    };
    cluster.nodes.iter().map(node).collect()
}

/// Ctrl-C, or a polite kill.
pub(crate) struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    pub(crate) fn listen() -> Result<Self, Failed> {
        let on = |kind| {
            signal(kind).map_err(|error| Failed::machine(format!("cannot take signals: {error}")))
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
