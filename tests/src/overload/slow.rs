//! A follower that gets a fifth of the time: what the other two do without it and with it, in turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use super::flood::Flood;
use super::{Plan, Table, alone};
use crate::cluster::Cluster;
use crate::figures::median;
use crate::wait;

/// Stopped for so long, then going for so long.
const STOPPED: Duration = Duration::from_millis(80);
const GOING: Duration = Duration::from_millis(20);
const CONNECTIONS: usize = 50;
/// Between two rounds the follower catches up.
const CATCH_UP: Duration = Duration::from_secs(60);
const COST_MAX: f64 = 0.1;

pub(super) fn measure(
    cluster: &mut Cluster,
    plan: &Plan,
    tell: &dyn Fn(&str),
    table: &mut Table,
) -> anyhow::Result<()> {
    // Of the one shard that takes the load; the other one is of the cluster's own.
    let leader = cluster.leaders().first().copied().context("nobody leads")?;
    let leader = cluster.nodes.iter().position(|node| node.id == leader).context("a leader")?;
    let slow = (leader + 1) % cluster.nodes.len();
    let others = cluster.nodes.iter().enumerate().filter(|(index, _)| *index != slow);
    let flood = Flood {
        addresses: others.map(|(_, node)| node.resp()).collect(),
        connections: CONNECTIONS,
        rate: f64::INFINITY,
        length: plan.measure,
        entry_bytes: 100,
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        tell(&format!("a slow follower, round {round} of {}", plan.rounds));
        let told = alone(flood.clone())?;
        table.answers += told.answers();
        without.push(told.per_second());
        let pid = cluster.nodes[slow].pid().context("a node that runs")?;
        let slowness = Slowness::begin(pid)?;
        let told = alone(flood.clone())?;
        table.answers += told.answers();
        with.push(told.per_second());
        slowness.end();
        cluster.wait_equal(CATCH_UP).context("the slow follower")?;
    }
    let (without, with) = (median(without), median(with));
    let (without, with) = without.zip(with).context("no round")?;
    let cost = 1.0 - with / without;
    table.note("appends a second, all followers well", format!("{without:.0}"));
    table.note("one stopped for 80 of each 100 ms", format!("{with:.0}"));
    let shown = format!("{:.0} %", (cost * 100.0).max(0.0));
    table.add("cost of a slow follower", "at most 10 %", shown, cost <= COST_MAX);
    Ok(())
}

/// A process that is stopped most of the time.
struct Slowness {
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Slowness {
    fn begin(pid: u32) -> anyhow::Result<Self> {
        let pid = Pid::from_raw(i32::try_from(pid)?).context("a process")?;
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                for (signal, length) in [(Signal::STOP, STOPPED), (Signal::CONT, GOING)] {
                    let _ = kill_process(pid, signal);
                    wait::pause(length);
                }
            }
        });
        Ok(Self { over, thread })
    }

    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.thread.join());
    }
}
