//! A fault each time it is asked for: kill -9, or a stop of some seconds. The first node is only stopped, so
//! that one process lives through all of it and shows what grows.

use std::time::Duration;

use base::{Entropy, SeededEntropy};

use crate::cluster::Cluster;
use crate::wait;

/// A stop is longer or shorter than an election; a killed node is away for as long.
const LENGTH_MS: (u64, u64) = (500, 4_000);

pub(super) struct Faults {
    entropy: SeededEntropy,
    pub(super) count: u64,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self { entropy: SeededEntropy::new(seed), count: 0 }
    }

    /// Does one and undoes it; says what it was.
    pub(super) fn inject(&mut self, cluster: &mut Cluster) -> anyhow::Result<String> {
        self.count += 1;
        let node = usize::try_from(self.entropy.below(cluster.nodes.len() as u64))?;
        let length = LENGTH_MS.0 + self.entropy.below(LENGTH_MS.1 - LENGTH_MS.0);
        let length = Duration::from_millis(length);
        let kills = node > 0 && self.entropy.below(2) == 0;
        if kills {
            cluster.nodes[node].kill();
            wait::pause(length);
            cluster.nodes[node].start()?;
        } else {
            cluster.nodes[node].freeze();
            wait::pause(length);
            cluster.nodes[node].thaw();
        }
        let what = if kills { "kill -9" } else { "stop" };
        Ok(format!("{what} node {}, {:.1} s", node + 1, length.as_secs_f64()))
    }
}
