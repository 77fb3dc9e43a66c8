//! The cluster, and around it what the faults need: namespaces, proxies, clocks, disks. What the
//! machine doesn't allow is told and left out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::{Act, Fault, Kind};
use crate::cluster::{Cluster, Options, READY_WAIT, Seat};
use crate::machine::clock::Clocks;
use crate::machine::disk::Disk;
use crate::machine::namespaces::Namespaces;
use crate::machine::proxy::{Proxy, Rule, Way};
use crate::machine::syscalls::{self, Injected};
use crate::wait;

/// A disk of its own has room for a run of an hour or so.
const DISK_BYTES: u64 = 2 << 30;
/// What a full disk has left: less than what appends are refused at.
const DISK_LEFT: u64 = 4 << 20;
/// Of nodes with such disks.
const SMALL: &str = "[limits]\ndisk_free_min = \"32MiB\"\n[journal]\nsegment_bytes = \"4MiB\"\n\
                     ballast_bytes = \"16MiB\"\nkept_bytes = \"16MiB\"\n";
/// A node whose sync failed ends within this.
const END_WAIT: Duration = Duration::from_secs(10);
/// A link that crawls carries 2 KiB each so often.
const CRAWL: Duration = Duration::from_millis(15);
/// Broken again and again: so often.
const TEAR_EVERY: Duration = Duration::from_millis(300);
const SLOW_SYNC: Duration = Duration::from_millis(300);
const SLOW_WRITES_PER_SECOND: u32 = 20;

/// Everything of a run that has to be undone at its end. Fields end in this order: nodes first.
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    disks: Vec<Disk>,
    proxies: Vec<Proxy>,
    clocks: Option<Clocks>,
    namespaces: Option<Namespaces>,
    /// What can be done here.
    pub(super) kinds: Vec<Kind>,
    /// What was asked for and can't be done here, and why.
    pub(super) skipped: BTreeMap<Kind, String>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.cluster.nodes.iter_mut().for_each(|node| node.kill());
        self.disks.clear();
    }
}

impl Stage {
    /// Starts a cluster on which as many of `kinds` as possible can be done.
    pub(super) fn set(options: &Options, kinds: &[Kind]) -> anyhow::Result<Self> {
        let mut skipped = BTreeMap::new();
        let wants = |some: &[Kind]| kinds.iter().any(|kind| some.contains(kind));
        let nodes = usize::try_from(options.nodes)?;
        let namespaces = wants(&[Kind::Partition, Kind::OneWay])
            .then(|| Namespaces::make(nodes))
            .and_then(|made| keep(made, &[Kind::Partition, Kind::OneWay], &mut skipped));
        let clocks = wants(&[Kind::Clock])
            .then(Clocks::find)
            .and_then(|found| keep(found, &[Kind::Clock], &mut skipped));
        let mut proxies = Vec::new();
        let gated = wants(&[Kind::Delay, Kind::Cut]);
        let mut options = options.clone();
        if namespaces.is_some() {
            options.extra += "[security]\ninsecure = true\n";
        }
        if wants(&[Kind::Full, Kind::Eio, Kind::Slow]) {
            options.extra += SMALL;
        }
        let cluster = Cluster::prepare_seated(&options, |index, port| {
            let mut seat = Seat::default();
            if let Some(namespaces) = &namespaces {
                seat.host = namespaces.host(index);
                seat.before = namespaces.before(index);
            }
            if let Some(clocks) = &clocks {
                seat.variables = clocks.variables(index).map_err(anyhow::Error::msg)?;
            }
            if gated {
                let gate = namespaces.as_ref().map_or("127.0.0.1".into(), |it| it.gate(index));
                let proxy = Proxy::start(&gate, format!("{}:{port}", seat.host))?;
                seat.dialled = Some(proxy.address());
                proxies.push(proxy);
            }
            Ok(seat)
        })?;
        let disks = Vec::new();
        let mut stage =
            Self { cluster, disks, proxies, clocks, namespaces, kinds: Vec::new(), skipped };
        stage.add_disks(kinds);
        stage.kinds = kinds.iter().copied().filter(|it| !stage.skipped.contains_key(it)).collect();
        anyhow::ensure!(!stage.kinds.is_empty(), "none of these faults can be done here");
        stage.cluster.nodes.iter_mut().try_for_each(|node| node.start())?;
        stage.cluster.wait_ready(READY_WAIT)?;
        Ok(stage)
    }

    /// Whether nodes have disks of their own.
    pub(super) fn has_disks(&self) -> bool {
        !self.disks.is_empty()
    }

    /// Failing and slow syncs can be had in two ways, full disks in one.
    fn add_disks(&mut self, kinds: &[Kind]) {
        if !kinds.iter().any(|kind| [Kind::Full, Kind::Eio, Kind::Slow].contains(kind)) {
            return;
        }
        let made: Result<Vec<Disk>, String> = (0..self.cluster.nodes.len())
            .map(|index| {
                let below = self.cluster.dir().join(format!("disk-{}", index + 1));
                Disk::make(&below, &self.cluster.data_dir(index), DISK_BYTES)
            })
            .collect();
        let traced = syscalls::check();
        for kind in kinds {
            let why = match (kind, &made, &traced) {
                (Kind::Full, Err(why), _) => why.clone(),
                (Kind::Eio | Kind::Slow, Err(why), Err(and)) => format!("{why}; {and}"),
                _ => continue,
            };
            self.skipped.insert(*kind, why);
        }
        self.disks = made.unwrap_or_default();
    }

    /// Does it and undoes it. Another node that is killed meanwhile is so after a third of it, that it comes to bear.
    pub(super) fn inject(&mut self, fault: &Fault) -> anyhow::Result<()> {
        let nodes = &self.cluster.nodes;
        let killer = fault.killed.map(|node| (node, nodes[node].kill_later(fault.length / 3)));
        let done = self.inject_one(fault);
        if let Some((node, killer)) = killer {
            killer.join().map_err(|_| anyhow::anyhow!("whoever kills panicked"))?;
            self.cluster.nodes[node].kill();
            self.cluster.nodes[node].start()?;
        }
        done
    }

    fn inject_one(&mut self, fault: &Fault) -> anyhow::Result<()> {
        let index = fault.node;
        match fault.act {
            Act::Kill => {
                self.cluster.nodes[index].kill();
                wait::pause(fault.length);
                self.cluster.nodes[index].start()?;
            }
            Act::KillAll => {
                self.cluster.nodes.iter_mut().for_each(|node| node.kill());
                self.cluster.nodes.iter_mut().try_for_each(|node| node.start())?;
            }
            Act::Pause => {
                self.cluster.nodes[index].freeze();
                wait::pause(fault.length);
                self.cluster.nodes[index].thaw();
            }
            Act::Jump { seconds, all } => self.jump(fault, seconds, all)?,
            Act::Isolate | Act::Split { .. } | Act::Deafen | Act::Mute => self.partition(fault)?,
            Act::Delay { .. } | Act::Crawl | Act::Shut | Act::Tear | Act::Hold => {
                self.hamper(fault);
            }
            Act::FailSync | Act::SpoilDisk => self.fail_disk(fault)?,
            Act::FillDisk | Act::SlowSyncs | Act::ThrottleDisk => self.burden_disk(fault)?,
        }
        Ok(())
    }

    fn jump(&self, fault: &Fault, seconds: i64, all: bool) -> anyhow::Result<()> {
        let Some(clocks) = &self.clocks else { return Ok(()) };
        let whose = if all { 0..self.cluster.nodes.len() } else { fault.node..fault.node + 1 };
        let set = |to| whose.clone().try_for_each(|index| clocks.set(index, to));
        set(seconds).map_err(anyhow::Error::msg)?;
        wait::pause(fault.length);
        set(0).map_err(anyhow::Error::msg)
    }

    fn partition(&self, fault: &Fault) -> anyhow::Result<()> {
        let Some(namespaces) = &self.namespaces else { return Ok(()) };
        let node = fault.node;
        let others = (0..self.cluster.nodes.len()).filter(|other| *other != node);
        let ways: Vec<(usize, usize)> = match fault.act {
            Act::Split { other } => vec![(node, other), (other, node)],
            Act::Deafen => others.map(|other| (other, node)).collect(),
            Act::Mute => others.map(|other| (node, other)).collect(),
            _ => others.flat_map(|other| [(node, other), (other, node)]).collect(),
        };
        let gated = !self.proxies.is_empty();
        let blocked = ways.iter().try_for_each(|(from, to)| namespaces.block(*from, *to, gated));
        wait::pause(fault.length);
        namespaces.heal().and(blocked).map_err(anyhow::Error::msg)
    }

    /// A link goes through the proxy of its lower node. The last node's links go through those of
    /// all others, which are all links there are.
    fn hamper(&self, fault: &Fault) {
        let is_last = fault.node + 1 == self.proxies.len();
        let whose = if is_last { 0..fault.node } else { fault.node..fault.node + 1 };
        let Some(proxies) = self.proxies.get(whose) else { return };
        let rule = match fault.act {
            Act::Delay { latency } => Rule { latency, ..Rule::default() },
            Act::Crawl => Rule { pause: CRAWL, ..Rule::default() },
            Act::Shut => Rule { shut: true, ..Rule::default() },
            Act::Hold => Rule { hold: Some(Way::Both), ..Rule::default() },
            _ => Rule::default(),
        };
        proxies.iter().for_each(|proxy| proxy.set(rule));
        let end = wait::now() + fault.length;
        while fault.act == Act::Tear && wait::now() < end {
            proxies.iter().for_each(Proxy::cut);
            wait::pause(TEAR_EVERY);
        }
        wait::pause(end.saturating_sub(wait::now()));
        proxies.iter().for_each(|proxy| proxy.set(Rule::default()));
    }

    /// The node must end by itself, as a failure; then it is started again.
    fn fail_disk(&mut self, fault: &Fault) -> anyhow::Result<()> {
        let node = &mut self.cluster.nodes[fault.node];
        let pid = node.pid().unwrap_or_default();
        let code = if fault.act == Act::FailSync {
            let injected = Injected::fail_sync(pid).map_err(anyhow::Error::msg)?;
            let code = node.wait_end(END_WAIT);
            drop(injected);
            code?
        } else {
            let disk = &self.disks[fault.node];
            disk.spoil().map_err(anyhow::Error::msg)?;
            // Where everything written has its place already nothing fails: then it is killed.
            let code = node.wait_end(END_WAIT).unwrap_or_else(|_| {
                node.kill();
                None
            });
            disk.mend().map_err(anyhow::Error::msg)?;
            code
        };
        let line = node.last_line();
        anyhow::ensure!(code != Some(0), "node {} went on after a failed sync: {line}", node.id);
        node.start()
    }

    fn burden_disk(&self, fault: &Fault) -> anyhow::Result<()> {
        let node = &self.cluster.nodes[fault.node];
        let done = match (fault.act, self.disks.get(fault.node)) {
            (Act::FillDisk, Some(disk)) => disk.fill(DISK_LEFT).and_then(|()| {
                wait::pause(fault.length);
                disk.empty()
            }),
            (Act::ThrottleDisk, Some(disk)) => {
                let set = disk.throttle(Some(SLOW_WRITES_PER_SECOND));
                wait::pause(fault.length);
                set.and(disk.throttle(None))
            }
            _ => Injected::delay_syncs(node.pid().unwrap_or_default(), SLOW_SYNC).map(|injected| {
                wait::pause(fault.length);
                drop(injected);
            }),
        };
        done.map_err(anyhow::Error::msg)
    }
}

/// What was made, or a word why some kinds are left out.
fn keep<T>(
    made: Result<T, String>,
    kinds: &[Kind],
    skipped: &mut BTreeMap<Kind, String>,
) -> Option<T> {
    made.map_err(|why| skipped.extend(kinds.iter().map(|kind| (*kind, why.clone())))).ok()
}
