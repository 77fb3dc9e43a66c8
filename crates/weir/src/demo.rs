//! The demonstration: a real event log goes through three nodes, the leader of the busiest shard is
//! killed on the way, and what two workers counted is compared with what git says.
//!
//! Nothing here is staged: it talks to its nodes as any client would, and only what their answers
//! say is counted.

mod fault;
mod history;
mod producer;
mod verdict;
mod worker;

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use crate::commands::dev::Stop;
use crate::failed::Failed;
use crate::local::cluster::{self, Cluster};
use crate::local::files::Plan;
use crate::out;
use history::History;
use producer::Producer;
use worker::Worker;

/// The streams: one entry a commit, one entry a changed file.
const COMMITS: &str = "demo:commits";
const FILES: &str = "demo:files";
/// The group that the two workers are in.
const GROUP: &str = "counters";
const WORKERS: [&str; 2] = ["ann", "bob"];

/// It lasts at least this long, however short the history is: there must be something to watch.
const LASTS: Duration = Duration::from_secs(20);
/// After the last append, the workers have this long to finish.
const FINISH_WAIT: Duration = Duration::from_secs(60);
/// Between two lines about how it goes.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// What was seen so far, by everybody.
#[derive(Debug, Default)]
struct Progress {
    appended: u64,
    acknowledged: u64,
    delivered: u64,
    redelivered: u64,
    /// By number of the entry: how often it was counted.
    counted: std::collections::BTreeMap<u64, u32>,
    commits: u64,
    lines: std::collections::BTreeMap<String, u64>,
    last_answer: Option<Instant>,
    longest_pause: Duration,
    done: bool,
}

type Shared = Rc<RefCell<Progress>>;

/// Runs the demonstration to its end; an error where what was counted is not what git says.
pub(crate) async fn run(from: &Path, base_port: u16) -> Result<(), Failed> {
    let mut stop = Stop::listen()?;
    let history = history::read(from)?;
    let plan = free_plan(base_port)?;
    let dir = tempfile::Builder::new()
        .prefix("weir-demo-")
        .tempdir()
        .map_err(|error| Failed::machine(format!("no temporary directory: {error}")))?;
    out::say(format!("starting three nodes on 127.0.0.1 (data in {})", dir.path().display()));
    let nodes = cluster::nodes_of(dir.path(), &plan)?;
    let cluster = Rc::new(tokio::sync::Mutex::new(Cluster::start(&nodes)?));
    let tasks = LocalSet::new();
    let ended = tokio::select! {
        ended = tasks.run_until(show(&history, &cluster)) => ended,
        () = stop.asked() => Err(Failed::with_code(130, "interrupted; everything is stopped")),
    };
    // Whatever still held it has ended with the line above.
    cluster.lock().await.stop().await;
    if ended.is_ok() {
        verdict::say_how_to_go_on();
    }
    ended
}

/// A plan whose ports are free: the wanted one, or another, saying so.
fn free_plan(base_port: u16) -> Result<Plan, Failed> {
    let extra = "\n[journal]\nsegment_bytes = \"16MiB\"\nballast_bytes = \"16MiB\"\n".to_owned();
    let plan = Plan { nodes: 3, base_port, extra };
    plan.check()?;
    let taken = cluster::taken(&plan);
    let Some(port) = taken.first() else { return Ok(plan) };
    let holder = server::ports::in_use(*port);
    let Some(base_port) = cluster::free_base(&plan) else {
        return Err(Failed::machine(format!("port {port} is {holder}; try --base-port 20000")));
    };
    out::say(format!("port {port} is {holder}: using {base_port} and up instead"));
    Ok(Plan { base_port, ..plan })
}

async fn show(history: &History, cluster: &Rc<tokio::sync::Mutex<Cluster>>) -> Result<(), Failed> {
    let addresses = {
        let mut cluster = cluster.lock().await;
        cluster.ready(|why| out::say(why)).await?;
        let resp = |node: &crate::local::process::Process| node.config.node.listen.resp.to_string();
        cluster.nodes.iter().map(resp).collect::<Vec<_>>()
    };
    out::say(format!("ready: {}", addresses.join(", ")));
    out::say(history.describe());
    worker::make_groups(&addresses[0]).await?;

    let shared = Shared::default();
    let (place, placed) = watch::channel(0usize);
    let producer = Producer::new(history, &addresses, Rc::clone(&shared), placed);
    let pace = producer.pace();
    out::say(format!("appending over {:.0} s; two workers count", pace.as_secs_f64()));
    let produced = producer.run();
    let rest = async {
        // A second of appends shows which shard is the busiest.
        sleep(Duration::from_secs(1)).await;
        let leader = fault::busiest_leader(cluster).await?;
        place.send_replace((leader + 1) % addresses.len());
        for (index, name) in WORKERS.into_iter().enumerate() {
            let worker = Worker::new(name, &addresses, leader + 2 * index, Rc::clone(&shared));
            tokio::task::spawn_local(worker.run());
        }
        fault::kill_half_way(cluster, history, &shared, &place).await?;
        wait_for_workers(history, &shared).await
    };
    let work = async { tokio::try_join!(produced, rest).map(|_| ()) };
    tokio::select! {
        ended = work => ended?,
        () = tell(history, &shared) => {}
    }
    shared.borrow_mut().done = true;
    verdict::judge(history, &addresses, &shared).await
}

/// Waits until every entry was counted, or gives up: then the table shows what is missing.
async fn wait_for_workers(history: &History, shared: &Shared) -> Result<(), Failed> {
    let all = history.entries.len();
    let appended = || shared.borrow().acknowledged as usize >= all;
    while !appended() {
        sleep(Duration::from_millis(50)).await;
    }
    let counted = || shared.borrow().counted.len() >= all;
    let wait = async {
        while !counted() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    drop(timeout(FINISH_WAIT, wait).await);
    Ok(())
}

/// A line now and then, for ever.
async fn tell(history: &History, shared: &Shared) {
    let began = Instant::now();
    loop {
        sleep(TELL_EVERY).await;
        let progress = shared.borrow();
        out::say(format!(
            "{:>4} s  {} of {} appended, {} acknowledged, {} counted",
            began.elapsed().as_secs(),
            progress.appended,
            history.entries.len(),
            progress.acknowledged,
            progress.counted.len(),
        ));
    }
}
