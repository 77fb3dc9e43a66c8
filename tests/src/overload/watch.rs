//! The most memory that each node had, looked at while other things go on. Never a figure of the nodes' own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use crate::cluster::{Cluster, resident_bytes};
use crate::wait;

const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Watch {
    over: Arc<AtomicBool>,
    peaks: Arc<Vec<AtomicU64>>,
    thread: JoinHandle<()>,
}

impl Watch {
    pub(super) fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let pids = cluster.nodes.iter().map(|node| node.pid().context("a node that runs"));
        let pids = pids.collect::<anyhow::Result<Vec<u32>>>()?;
        let over = Arc::new(AtomicBool::new(false));
        let peaks: Arc<Vec<AtomicU64>> = Arc::new(pids.iter().map(|_| AtomicU64::new(0)).collect());
        let (looked, most) = (Arc::clone(&over), Arc::clone(&peaks));
        let thread = std::thread::spawn(move || {
            while !looked.load(Ordering::Relaxed) {
                for (pid, peak) in pids.iter().zip(most.iter()) {
                    peak.fetch_max(resident_bytes(*pid).unwrap_or(0), Ordering::Relaxed);
                }
                wait::pause(LOOK_EVERY);
            }
        });
        Ok(Self { over, peaks, thread })
    }

    /// The most of each node.
    pub(super) fn end(self) -> Vec<u64> {
        self.over.store(true, Ordering::Relaxed);
        drop(self.thread.join());
        self.peaks.iter().map(|peak| peak.load(Ordering::Relaxed)).collect()
    }
}
