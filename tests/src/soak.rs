//! Mixed load on a cluster of real processes for hours, trimming on, with a fault each minute; what it takes
//! of memory, descriptors, disk and time is sampled, and must be flat after a while. Never looks for lost
//! entries: that is `chaos`.

mod faults;
mod load;
mod plot;
mod sample;
mod verdict;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;

pub use verdict::Verdict;

use crate::cluster::{Cluster, Options};
use crate::wait;
use load::Shared;
use sample::Sample;

/// A part of the memory, and files that are soon as many as they will be: what is looked for is growth.
const EXTRA: &str = "[limits]\nmemory = \"128MiB\"\n[journal]\nsegment_bytes = \"16MiB\"\n\
                     kept_bytes = \"32MiB\"\n";
/// Between two samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// Between two faults.
const FAULT_EVERY: Duration = Duration::from_secs(60);
/// After a fault, and at the end.
const HEAL_WAIT: Duration = Duration::from_secs(120);

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub length: Duration,
    /// From then on everything is flat.
    pub settled: Duration,
    /// Which node a fault meets.
    pub seed: u64,
    /// Appends a second of all clients.
    pub rate: u32,
    /// Where `soak.csv` and `soak.svg` are put.
    pub out: PathBuf,
}

/// Does it.
///
/// # Errors
/// The cluster did not come up, or back after a fault; a file can't be written.
pub fn run(plan: &Plan, tell: &dyn Fn(&str)) -> anyhow::Result<Verdict> {
    let options = Options { shards: 1, extra: EXTRA.to_owned(), ..Options::default() };
    let mut cluster = Cluster::start(&options)?;
    let addresses: Vec<String> = cluster.nodes.iter().map(|node| node.resp()).collect();
    let shared = Arc::new(Shared::default());
    let clients = load::start(&addresses, plan.rate, &shared)?;
    let sampled = watch(&mut cluster, plan, &shared, tell);
    shared.over.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
    }
    let samples = sampled?;
    cluster.wait_ready(HEAL_WAIT)?;
    cluster.wait_equal(HEAL_WAIT)?;
    std::fs::create_dir_all(&plan.out)?;
    std::fs::write(plan.out.join("soak.csv"), sample::csv(&samples))?;
    std::fs::write(plan.out.join("soak.svg"), plot::svg(&samples, plan.settled))?;
    let verdict = Verdict::of(&samples, plan, shared.calls.load(Ordering::SeqCst));
    cluster.stop()?;
    Ok(verdict)
}

/// Samples and faults, each when it is due.
fn watch(
    cluster: &mut Cluster,
    plan: &Plan,
    shared: &Shared,
    tell: &dyn Fn(&str),
) -> anyhow::Result<Vec<Sample>> {
    let (began, mut samples) = (wait::now(), Vec::new());
    let mut faults = faults::Faults::new(plan.seed);
    let (mut next_sample, mut next_fault) = (SAMPLE_EVERY, FAULT_EVERY);
    while next_sample <= plan.length {
        wait::pause((began + next_sample).saturating_sub(wait::now()));
        let at = wait::now() - began;
        next_sample += SAMPLE_EVERY;
        let sample = sample::take(cluster, at, shared, faults.count)?;
        if samples.len().is_multiple_of(6) {
            tell(&sample.told());
        }
        samples.push(sample);
        if at >= next_fault {
            next_fault += FAULT_EVERY;
            let fault = faults.inject(cluster)?;
            tell(&format!("{:>6} s  {fault}", at.as_secs()));
            let ready = || cluster.not_ready().map_or(Ok(()), Err);
            wait::until("every node to be ready", HEAL_WAIT, ready).context(fault)?;
        }
    }
    Ok(samples)
}
