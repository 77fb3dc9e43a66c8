//! Ports that nobody else uses: a block for each cluster, held by a lock while it lives, so that
//! tests in several processes do not meet.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use base::{Access, Disk, DiskFile, RealDisk};

/// As `weir dev` lays them out.
const PORTS_OF_NODE: u16 = 10;
const PORTS_OF_CLUSTER: u16 = 60;
/// Below what kernels give to outgoing connections (32768 and up).
const FIRST: u16 = 12_000;
const LAST: u16 = 32_000;

/// A block of ports.
pub struct Ports {
    first: u16,
    _held: Arc<dyn DiskFile>,
}

impl Ports {
    /// A block for so many nodes.
    ///
    /// # Errors
    /// All blocks are in use.
    pub fn take(nodes: u64) -> anyhow::Result<Self> {
        let needed = u16::try_from(nodes)? * PORTS_OF_NODE;
        anyhow::ensure!(needed <= PORTS_OF_CLUSTER, "too many nodes for one block of ports");
        let dir = std::env::temp_dir().join("weir-test-ports");
        RealDisk.create_dir_all(&dir)?;
        for first in (FIRST..LAST).step_by(usize::from(PORTS_OF_CLUSTER)) {
            let held = RealDisk.open(&dir.join(first.to_string()), Access::Create)?;
            if held.try_lock()? && (first..first + needed).all(is_free) {
                return Ok(Self { first, _held: held });
            }
        }
        anyhow::bail!("no free ports from {FIRST} to {LAST}")
    }

    /// The first port of node `id`, from 1 on.
    pub fn first_of(&self, id: u64) -> u16 {
        self.first + PORTS_OF_NODE * (u16::try_from(id).expect("few nodes") - 1)
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_never_share_a_port() {
        let (one, two) = (Ports::take(3).unwrap(), Ports::take(3).unwrap());
        assert_ne!(one.first, two.first);
        let freed = one.first;
        drop(one);
        assert_eq!(Ports::take(3).unwrap().first, freed);
    }
}
