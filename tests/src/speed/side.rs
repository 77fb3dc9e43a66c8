//! Whom a load asks: Weir's nodes, or a Redis primary whose writes each have a WAIT behind them.

use crate::cluster::{Cluster, Node, resident_bytes};
use crate::redis::Redis;

/// One of those who are compared.
#[derive(Clone, Debug)]
pub struct Side {
    pub name: &'static str,
    /// Connection i goes to address i, in turn.
    pub addresses: Vec<String>,
    /// Of the node that leads, of the primary.
    pub leader: String,
    /// Each write is followed by its own `WAIT 1`, sent together with it.
    pub wait: bool,
    /// Whether it has what came with Redis 8.
    pub newest: bool,
    /// The process that keeps the data, for its memory: the leader, the primary.
    pub pid: Option<u32>,
    /// All of its processes, for their time.
    pub pids: Vec<u32>,
}

impl Side {
    /// Three nodes as they are.
    pub fn weir(cluster: &Cluster) -> Self {
        let leader = cluster.leader_of_most().and_then(|index| cluster.nodes.get(index));
        Self {
            name: "weir",
            addresses: cluster.nodes.iter().map(Node::resp).collect(),
            leader: leader.or(cluster.nodes.first()).map(Node::resp).unwrap_or_default(),
            wait: false,
            newest: true,
            pid: leader.and_then(Node::pid),
            pids: cluster.nodes.iter().filter_map(Node::pid).collect(),
        }
    }

    /// A primary, with a WAIT behind each write.
    pub fn redis(redis: &Redis) -> Self {
        Self {
            name: "redis",
            addresses: vec![redis.primary()],
            leader: redis.primary(),
            wait: true,
            newest: false,
            pid: redis.primary_pid(),
            pids: redis.pids(),
        }
    }

    /// What all of its processes have taken of the processors: says more than a rate on a machine
    /// that has other things to do.
    pub fn cpu_seconds(&self) -> f64 {
        self.pids.iter().filter_map(|pid| cpu_seconds(*pid)).sum()
    }

    /// Resident memory of the process that keeps the data.
    pub fn resident_bytes(&self) -> Option<u64> {
        resident_bytes(self.pid?)
    }
}

/// Of a second, in which Linux tells times of processes, whatever its own clock does.
const TICKS: f64 = 100.0;

/// User and system time of a process, as `proc_pid_stat(5)` has them behind its name.
fn cpu_seconds(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}
