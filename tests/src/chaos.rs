//! Load and faults at once on a cluster of real processes, and the verdict of the checker.

mod fault;
mod finish;
mod load;
mod stage;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use base::SeededEntropy;

pub use fault::Kind;
pub use verdict::{Verdict, Waits};

use crate::cluster::{Cluster, Options};
use crate::wait;
use checker::history::Op;
use fault::{Choice, Done};
use stage::Stage;

/// Clients that append, read, read for a group and acknowledge.
const CLIENTS: usize = 8;
/// Streams; they fall on different shards.
const STREAMS: usize = 8;
/// After a fault every shard has a leader again within this, or the run fails.
const HEAL_WAIT: Duration = Duration::from_secs(120);
/// Healing that takes longer than this is told about.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// A new fault comes only so long after every shard has a leader again.
const CALM: Duration = Duration::from_secs(2);

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Faults come for so long,
    pub length: Duration,
    /// and until so many processes were killed.
    pub kills: usize,
    pub kinds: Vec<Kind>,
    pub seed: u64,
    pub options: Options,
    /// Appends a second that each client offers at most.
    pub rate: u32,
}

/// Runs load and faults for so long, heals everything, reads everything, checks everything.
///
/// # Errors
/// The cluster did not come up, or did not come back after a fault.
pub fn run(plan: &Plan, tell: impl Fn(&str)) -> anyhow::Result<Verdict> {
    let mut stage = Stage::set(&plan.options, &plan.kinds)?;
    for (kind, why) in &stage.skipped {
        tell(&format!("SKIPPED: {kind}: {why}"));
    }
    let addresses: Vec<String> = stage.cluster.nodes.iter().map(|node| node.resp()).collect();
    wait::until("groups to be made", HEAL_WAIT, || {
        load::make_groups(&addresses[0]).map_err(|error| format!("{error:#}"))
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|index| {
            let (rate, stop) = (plan.rate, Arc::clone(&stop));
            let client = load::Load::new(index, plan.seed, &addresses, rate, stop);
            std::thread::spawn(move || client.run())
        })
        .collect();
    let entropy = SeededEntropy::new(plan.seed);
    let faults = inject(&mut stage, plan, &entropy, &tell);
    stop.store(true, Ordering::SeqCst);
    let mut ops: Vec<Op> = Vec::new();
    for client in clients {
        ops.extend(client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?);
    }
    let faults = faults?;
    tell("faults are over; reading everything back");
    stage.cluster.wait_ready(HEAL_WAIT)?;
    let end = finish::read_all(&stage.cluster, &addresses, &mut ops)?;
    ops.sort_by_key(|op| op.call);
    let mut verdict = Verdict::new(&ops, &end, &faults, checker::check(&ops, &end));
    verdict.skipped = stage.skipped.clone();
    if let Err(error) = stage.cluster.stop() {
        tell(&format!("stopping: {error:#}"));
    }
    Ok(verdict)
}

fn inject(
    stage: &mut Stage,
    plan: &Plan,
    entropy: &SeededEntropy,
    tell: &impl Fn(&str),
) -> anyhow::Result<Vec<Done>> {
    let began = wait::now();
    let mut faults: Vec<Done> = Vec::new();
    let mut kills = 0;
    loop {
        wait::pause(CALM);
        if wait::now() - began >= plan.length && kills >= plan.kills {
            return Ok(faults);
        }
        let choice = Choice {
            kinds: &stage.kinds,
            nodes: stage.cluster.nodes.len(),
            leader: stage.cluster.leader_of_most(),
            disks: stage.has_disks(),
        };
        let fault = choice.choose(entropy);
        tell(&format!("{:>5} s  {fault}", (wait::now() - began).as_secs()));
        let at = wait::now();
        stage.inject(&fault).with_context(|| fault.to_string())?;
        heal(&mut stage.cluster, tell).with_context(|| format!("after: {fault}"))?;
        faults.push(Done { fault, at, healed: wait::now() });
        kills += fault.kills(stage.cluster.nodes.len());
    }
}

/// Waits until every node is ready; tells why not, where that takes long.
fn heal(cluster: &mut Cluster, tell: &impl Fn(&str)) -> anyhow::Result<()> {
    let mut told = wait::now();
    wait::until("every node to be ready", HEAL_WAIT, || {
        let Some(why) = cluster.not_ready() else { return Ok(()) };
        if wait::now() - told >= TELL_EVERY {
            told = wait::now();
            tell(&format!("         still healing: {why}"));
        }
        Err(why)
    })
    .with_context(|| {
        let logs: Vec<String> = cluster.nodes.iter().map(|node| node.log_end()).collect();
        logs.join("\n")
    })
}
