//! What is looked at each time, and the file of it.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::load::Shared;
use crate::cluster::Cluster;
use crate::figures::disk_bytes;

/// Of one node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    pub(super) resident: u64,
    pub(super) descriptors: u64,
    pub(super) disk: u64,
}

/// At one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Duration,
    /// So many by then.
    pub(super) faults: u64,
    pub(super) appends: u64,
    /// Since the sample before.
    pub(super) p99_ms: f64,
    pub(super) nodes: Vec<Taken>,
}

impl Sample {
    /// For whoever waits.
    pub(super) fn told(&self) -> String {
        let mib = |bytes: u64| bytes >> 20;
        let nodes = self.nodes.iter().map(|node| {
            let (resident, disk) = (mib(node.resident), mib(node.disk));
            format!("{resident} MiB, {} descriptors, {disk} MiB on disk", node.descriptors)
        });
        let (at, appends, p99) = (self.at.as_secs(), self.appends, self.p99_ms);
        let nodes: Vec<String> = nodes.collect();
        format!("{at:>6} s  {appends} appends, p99 {p99:.1} ms | {}", nodes.join(" | "))
    }
}

pub(super) fn take(
    cluster: &Cluster,
    at: Duration,
    shared: &Shared,
    faults: u64,
) -> anyhow::Result<Sample> {
    let mut nodes = Vec::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let pid = node.pid().map_or(String::new(), |pid| pid.to_string());
        let descriptors =
            std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |listed| listed.count() as u64);
        nodes.push(Taken {
            resident: node.resident_bytes().unwrap_or(0),
            descriptors,
            disk: disk_bytes(&cluster.data_dir(index)),
        });
    }
    let appends = shared.appends.load(Ordering::Relaxed);
    Ok(Sample { at, faults, appends, p99_ms: shared.p99_ms(), nodes })
}

/// A line for each sample.
pub(super) fn csv(samples: &[Sample]) -> String {
    let mut text = "seconds,faults,appends,p99_ms".to_owned();
    for node in 1..=samples.first().map_or(0, |sample| sample.nodes.len()) {
        let _ = write!(text, ",resident_{node},descriptors_{node},disk_{node}");
    }
    for Sample { at, faults, appends, p99_ms, nodes } in samples {
        let _ = write!(text, "\n{},{faults},{appends},{p99_ms:.2}", at.as_secs());
        for Taken { resident, descriptors, disk } in nodes {
            let _ = write!(text, ",{resident},{descriptors},{disk}");
        }
    }
    text + "\n"
}
