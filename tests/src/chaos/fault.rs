//! Faults: a process killed, stopped for a while, or all killed at once.

use std::fmt;
use std::time::Duration;

use base::{Entropy, SeededEntropy};

use crate::cluster::Cluster;
use crate::wait;

/// A killed node stays away for up to this, so that elections happen without it.
const AWAY_MS_MAX: u64 = 3_000;
/// A stopped node is stopped for 1 to 5 s: longer and shorter than an election.
const STOPPED_MS: (u64, u64) = (1_000, 5_000);

/// What is done to which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Kill { node: usize, leads: bool, away: Duration },
    Freeze { node: usize, leads: bool, length: Duration },
    KillAll,
}

/// A fault that happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) fault: Fault,
    pub(super) at: Duration,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = |leads: &bool| if *leads { " (the leader of most shards)" } else { "" };
        match self {
            Self::Kill { node, leads, away } => {
                let away = away.as_secs_f64();
                write!(f, "kill -9 node {}{}, away {away:.1} s", node + 1, role(leads))
            }
            Self::Freeze { node, leads, length } => {
                let length = length.as_secs_f64();
                write!(f, "stop node {}{} for {length:.1} s", node + 1, role(leads))
            }
            Self::KillAll => f.write_str("kill -9 all nodes"),
        }
    }
}

/// One fault in ten hits all; the others kill or stop, half of them the leader of most shards.
pub(super) fn choose(cluster: &Cluster, entropy: &SeededEntropy) -> Fault {
    let kind = entropy.below(10);
    let random = usize::try_from(entropy.below(cluster.nodes.len() as u64)).expect("few nodes");
    let leader = cluster.leader_of_most();
    let node = leader.filter(|_| entropy.below(2) == 0).unwrap_or(random);
    let leads = leader == Some(node);
    match kind {
        0 => Fault::KillAll,
        1..=6 => {
            Fault::Kill { node, leads, away: Duration::from_millis(entropy.below(AWAY_MS_MAX)) }
        }
        _ => {
            let length = STOPPED_MS.0 + entropy.below(STOPPED_MS.1 - STOPPED_MS.0);
            Fault::Freeze { node, leads, length: Duration::from_millis(length) }
        }
    }
}

/// Does it and undoes it.
pub(super) fn inject(cluster: &mut Cluster, fault: &Fault) -> anyhow::Result<Done> {
    let at = wait::now();
    match *fault {
        Fault::Kill { node, away, .. } => {
            cluster.nodes[node].kill();
            wait::pause(away);
            cluster.nodes[node].start()?;
        }
        Fault::Freeze { node, length, .. } => {
            cluster.nodes[node].freeze();
            wait::pause(length);
            cluster.nodes[node].thaw();
        }
        Fault::KillAll => {
            cluster.nodes.iter_mut().for_each(|node| node.kill());
            for node in &mut cluster.nodes {
                node.start()?;
            }
        }
    }
    Ok(Done { fault: *fault, at })
}
