//! Disks that don't keep what they were given: a flipped bit, an old file in place of a newer one,
//! an empty directory. Never on so many nodes that a majority's data isn't whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Disk, Entropy, NodeId, ShardId};

use super::{End, Faults, Kind};
use crate::cluster::Cluster;

/// Where a node keeps its data.
const DATA_DIR: &str = "/data";

/// What is to be done to a disk once the machine is off. Bytes that are older than the witness: a
/// flipped bit in the very last batch can't be told from a torn one.
pub(super) enum Plan {
    Flip {
        path: PathBuf,
        offset: usize,
        byte: u8,
    },
    Restore {
        path: PathBuf,
        bytes: Vec<u8>,
    },
    Wipe,
    Shard(ShardId),
    /// One part of the store, chosen by a number.
    Part(ShardId, u64),
    Store,
}

impl Faults {
    /// Chooses what is to be damaged, and when.
    pub(super) fn damage(&mut self, cluster: &mut Cluster, kind: Kind, one: NodeId) {
        // Whoever takes a lost node's place is no member yet in whose place another could come.
        if self.is_coming(one) {
            return;
        }
        let may = (cluster.all().len() - 1) / 2;
        let (again, busy) = (self.hurt.contains(&one), self.hurt.len() >= may);
        if kind == Kind::Replace {
            // One that was hurt and is still there comes first.
            let one = self
                .hurt
                .iter()
                .copied()
                .find(|id| !self.is_down(*id) && !self.is_coming(*id))
                .unwrap_or(one);
            if busy && !self.hurt.contains(&one) {
                return;
            }
            cluster.trace.fault(format!("{one} is lost for good"));
            cluster.crash(one);
            return self.lose(one);
        }
        if again || busy {
            return;
        }
        let Some((plan, what)) = plan(cluster, kind, one) else { return };
        cluster.trace.fault(format!("{one} is to be hurt: {what}"));
        self.hurt.push(one);
        self.plans.push((one, plan));
        self.later(Duration::from_millis(500) + cluster.below(4_000), End::Hurt(one));
    }

    /// Does what was planned, with the machine off.
    pub(super) async fn hurt(&mut self, cluster: &mut Cluster, one: NodeId) {
        let Some(at) = self.plans.iter().position(|(of, _)| *of == one) else { return };
        let (_, plan) = self.plans.remove(at);
        cluster.crash(one);
        let Some(machine) = cluster.machines.get_mut(&one) else { return };
        match plan {
            Plan::Flip { path, offset, byte } => {
                let flip = |bytes: &mut Vec<u8>| {
                    if let Some(here) = bytes.get_mut(offset).filter(|here| **here == byte) {
                        *here ^= 1 << (offset % 8);
                    }
                };
                // A segment that was recycled meanwhile has another name.
                drop(machine.disk.tamper(&path, flip));
            }
            Plan::Restore { path, bytes } => {
                drop(machine.disk.tamper(&path, |now| *now = bytes));
            }
            Plan::Wipe => {
                machine.empty(cluster.entropy.next_u64());
                self.emptied.push(one);
            }
            Plan::Shard(shard) => machine.store.damage_shard(shard),
            Plan::Part(shard, at) => machine.store.damage_some(shard, at),
            Plan::Store => machine.store.make_unreadable(),
        }
        self.start(cluster, one).await;
    }
}

fn plan(cluster: &Cluster, kind: Kind, one: NodeId) -> Option<(Plan, String)> {
    if kind == Kind::Wipe {
        return Some((Plan::Wipe, "its disk is emptied".to_owned()));
    }
    let shards = u64::from(cluster.options.shards);
    match cluster.entropy.below(8) {
        0 if kind == Kind::Flip => {
            let shard = ShardId(u16::try_from(cluster.entropy.below(shards)).ok()?);
            return Some((Plan::Shard(shard), format!("shard {shard} of its store is damaged")));
        }
        1 | 2 if kind == Kind::Flip => {
            let shard = ShardId(u16::try_from(cluster.entropy.below(shards)).ok()?);
            let what = format!("a part of shard {shard} of its store is damaged");
            return Some((Plan::Part(shard, cluster.entropy.next_u64()), what));
        }
        3 if kind == Kind::Flip => {
            return Some((Plan::Store, "its store can't be read".to_owned()));
        }
        _ => {}
    }
    let disk = &cluster.machines.get(&one)?.disk;
    let files = files(disk);
    let path = files.get(cluster.entropy.below(files.len() as u64) as usize)?.clone();
    let bytes = disk.bytes(&path).ok()?;
    if kind == Kind::OldFile {
        let what = format!("{} is put back as it is now", path.display());
        return Some((Plan::Restore { path, bytes }, what));
    }
    // Zeros are room that nothing was written to yet, mostly.
    let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let offset = cluster.one_of(&written)?;
    let what = format!("a bit of {} at {offset}", path.display());
    Some((Plan::Flip { path, offset, byte: bytes[offset] }, what))
}

/// Every file of a node, but those of its store, which has damage of its own.
fn files(disk: &impl Disk) -> Vec<PathBuf> {
    let mut dirs = vec![PathBuf::from(DATA_DIR)];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for name in disk.list(&dir).unwrap_or_default() {
            let path = Path::new(&dir).join(name);
            match disk.list(&path) {
                Ok(_) => dirs.push(path),
                Err(_) => files.push(path),
            }
        }
    }
    files
}
