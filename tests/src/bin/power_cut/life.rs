//! The life of one cluster, from its forming on: rounds of writing with a power cut in each, and a look at everything
//! after it. Leaves no process, no mount and no image behind.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base::{Entropy, SeededEntropy};
use checker::history::{Op, Seen};
use tests::cluster::{Cluster, Options, edit};
use tests::mounted::{Mounted, ROOMY_BYTES, Skipped};
use tests::wait;
use tests::writers::{self, Plan, READ_WAIT, Writers};

use crate::cluster::{ClusterArguments, Cut, Moment, ensure_written};
use crate::met::{Met, is_installing};

const NODES: usize = 3;
const WRITERS: usize = 6;
const WRITER_PAUSE: Duration = Duration::from_millis(10);
/// Small, so that checkpoints are always being written, segments change all the time, and a node
/// that was away needs a snapshot.
const EXTRA: &str = "[checkpoint]\ndirty_bytes = \"64KiB\"\n[journal]\nsegment_bytes = \"1MiB\"\n\
                     ballast_bytes = \"16MiB\"\nkept_bytes = \"2MiB\"\n[limits]\n\
                     disk_free_min = \"64MiB\"\n";
/// After a cut every node is ready again within this, on a machine with much else to do.
const HEAL_WAIT: Duration = Duration::from_secs(300);
/// Appends before a cut, so that there is something to lose.
const SOME: u64 = 30;
/// Appends that a node misses, some 6 MiB of them: more than its peers keep.
const MISSED: u64 = 500;
/// How often a node is left behind until a cut meets it while it is sent a snapshot; these are short.
const MISSES_MAX: u64 = 5;

/// A stream's entries, for each stream of a round.
type Streams = Vec<Vec<Seen>>;

/// A cluster on file systems of its own.
pub(crate) struct Life {
    // Ended before its file systems are unmounted.
    cluster: Cluster,
    disks: Vec<Mounted>,
    bytes_max: u64,
    /// The round before, as it was when it was judged.
    kept: Option<(u64, Streams)>,
    removed: Option<u64>,
    /// Whether all nodes were ready once.
    formed: bool,
    /// Where the log of each node's last start begins, in bytes.
    started: [usize; NODES],
    /// What the last cuts met.
    met: Met,
}

impl Life {
    pub(crate) fn begin(arguments: &ClusterArguments, fs: &str) -> Result<Result<Self, Skipped>> {
        let options = Options { shards: 3, extra: EXTRA.to_owned(), ..Options::default() };
        let mut cluster = Cluster::prepare(&options)?;
        let mut disks = Vec::new();
        for node in &mut cluster.nodes {
            let dir = arguments.dir.join(format!("{fs}-{}", node.id));
            match Mounted::make(fs, ROOMY_BYTES, &dir.with_extension("image"), &dir)? {
                Ok(mounted) => disks.push(mounted),
                Err(skipped) => return Ok(Err(skipped)),
            }
            let (old, new) = (format!("\"node-{}\"", node.id), format!("{:?}", dir.join("data")));
            edit(&node.file, |text| text.replace(&old, &new))?;
            if arguments.control {
                let strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null"];
                let calls = ["-e", "trace=fdatasync,fsync", "-e"];
                let inject = ["inject=fdatasync,fsync:retval=0"];
                node.run_under(&[&strace[..], &calls, &inject].concat());
            }
        }
        let bytes_max = arguments.bytes_max;
        let (formed, started, met) = (false, [0; NODES], Met::default());
        Ok(Ok(Self { cluster, disks, bytes_max, kept: None, removed: None, formed, started, met }))
    }

    /// What the cuts of the last cycle met.
    pub(crate) fn take_met(&mut self) -> Met {
        std::mem::take(&mut self.met)
    }

    /// Snapshots that were installed so far, as the nodes' logs have them.
    pub(crate) fn snapshots(&self) -> u64 {
        let installed = |text: String| text.matches("a snapshot is installed").count() as u64;
        self.cluster.nodes.iter().map(|node| installed(node.log_text())).sum()
    }

    /// Writes, cuts, heals, compares. Gives how many appends were acknowledged.
    pub(crate) fn cycle(&mut self, cut: Cut, round: u64, entropy: &SeededEntropy) -> Result<u64> {
        let addresses = self.cluster.nodes.iter().map(|node| node.resp()).collect();
        let plan = Plan {
            addresses,
            round,
            writers: WRITERS,
            bytes_max: self.bytes_max,
            pause: WRITER_PAUSE,
        };
        let writers = Writers::start(&plan);
        if cut.moment == Moment::Alone {
            return self.alone(writers, round, entropy);
        }
        let targets = self.targets(cut.all, entropy);
        match cut.moment {
            Moment::Forming => self.start(&[0, 1, 2])?,
            Moment::Installing => self.freeze_installing(&targets, &writers, entropy)?,
            _ => writers.wait_more(SOME, HEAL_WAIT)?,
        }
        if cut.moment != Moment::Installing {
            wait::pause(Duration::from_millis(entropy.below(1_500)));
        }
        self.cut(&targets)?;
        if !cut.all {
            wait::pause(Duration::from_millis(entropy.below(1_000)));
        }
        self.start(&targets)?;
        if cut.moment == Moment::Starting {
            wait::pause(Duration::from_millis(entropy.below(1_000)));
            self.cut(&targets)?;
            self.start(&targets)?;
        }
        writers.wait_more(SOME, HEAL_WAIT)?;
        let ops = writers.finish()?;
        self.cluster.wait_ready(HEAL_WAIT).with_context(|| self.cluster.describe())?;
        self.formed = true;
        self.judge(&ops, round)
    }

    /// Node `behind` gets nothing more, the leader and the one that is cut go on; then the leader
    /// stays away, and the two others must have everything.
    fn alone(&mut self, writers: Writers, round: u64, entropy: &SeededEntropy) -> Result<u64> {
        writers.wait_more(SOME, HEAL_WAIT)?;
        let place = usize::try_from(entropy.below(NODES as u64)).expect("few nodes");
        let (behind, cut, away) = (place, (place + 1) % NODES, (place + 2) % NODES);
        self.cluster.nodes[behind].freeze();
        wait::pause(Duration::from_millis(200 + entropy.below(1_500)));
        self.cluster.nodes[away].kill();
        self.cut(&[cut])?;
        self.start(&[cut])?;
        self.cluster.nodes[behind].thaw();
        for node in [behind, cut] {
            self.cluster.nodes[node].wait_ready(HEAL_WAIT)?;
        }
        writers.wait_more(SOME, HEAL_WAIT)?;
        let ops = writers.finish()?;
        let entries = [behind, cut].into_iter().map(|node| self.read(node, round));
        writers::check(&ops, entries.collect::<Result<_>>()?, Vec::new())
            .context("with the third node away")?;
        self.start(&[away])?;
        self.cluster.wait_ready(HEAL_WAIT)?;
        self.judge(&ops, round)
    }

    /// Kills a node, lets the others write more than they keep, starts it.
    fn miss(&mut self, node: usize, writers: &Writers) -> Result<()> {
        self.cluster.nodes[node].kill();
        writers.wait_more(MISSED, HEAL_WAIT)?;
        self.start(&[node])
    }

    /// Leaves one of the nodes behind, and stops all of them while it is sent a snapshot.
    fn freeze_installing(
        &mut self,
        targets: &[usize],
        writers: &Writers,
        entropy: &SeededEntropy,
    ) -> Result<()> {
        let place = usize::try_from(entropy.below(targets.len() as u64)).expect("few nodes");
        let behind = targets[place];
        for _ in 0..MISSES_MAX {
            self.miss(behind, writers)?;
            while self.wait_installing(behind)? {
                wait::pause(Duration::from_millis(entropy.below(100)));
                targets.iter().for_each(|node| self.cluster.nodes[*node].freeze());
                if is_installing(&self.said(behind)) {
                    return Ok(());
                }
                targets.iter().for_each(|node| self.cluster.nodes[*node].thaw());
            }
        }
        bail!("node {} was sent no snapshot long enough to be cut", self.cluster.nodes[behind].id)
    }

    /// Waits until a node is sent a snapshot; false where it is ready without another one.
    fn wait_installing(&mut self, node: usize) -> Result<bool> {
        wait::until("a snapshot", HEAL_WAIT, || {
            let comes = is_installing(&self.said(node));
            if comes { Ok(true) } else { self.cluster.nodes[node].ready().map(|()| false) }
        })
    }

    /// What a node said since its last start.
    fn said(&self, node: usize) -> String {
        self.cluster.nodes[node].log_text().split_off(self.started[node])
    }

    /// All nodes, or one: half the time the one that leads most.
    fn targets(&self, all: bool, entropy: &SeededEntropy) -> Vec<usize> {
        if all {
            return (0..NODES).collect();
        }
        let random = usize::try_from(entropy.below(NODES as u64)).expect("few nodes");
        let leader = self.cluster.leader_of_most().filter(|_| entropy.below(2) == 0);
        vec![leader.unwrap_or(random)]
    }

    fn start(&mut self, nodes: &[usize]) -> Result<()> {
        nodes.iter().try_for_each(|&node| {
            self.started[node] = self.cluster.nodes[node].log_text().len();
            self.cluster.nodes[node].start()
        })
    }

    /// The power goes for processors and disks alike, and comes back.
    fn cut(&mut self, nodes: &[usize]) -> Result<()> {
        let forming = !self.formed && self.cluster.not_ready().is_some();
        nodes.iter().for_each(|node| self.cluster.nodes[*node].freeze());
        self.met = self.met.or(Met { forming: forming.into(), ..Met::default() });
        for &node in nodes {
            let met = Met::look(&self.disks[node].dir().join("data"), &self.said(node));
            self.met = self.met.or(met);
        }
        nodes.iter().try_for_each(|node| self.disks[*node].cut())?;
        nodes.iter().for_each(|node| self.cluster.nodes[*node].kill());
        nodes.iter().try_for_each(|node| self.disks[*node].mount_again())
    }

    /// Everything acknowledged is there, once, in order, the same on all nodes; the round before is
    /// as it was; what was removed stays so.
    fn judge(&mut self, ops: &[Op], round: u64) -> Result<u64> {
        self.cluster.wait_equal(HEAL_WAIT).with_context(|| self.cluster.describe())?;
        let entries = (0..NODES).map(|node| self.read(node, round)).collect::<Result<Vec<_>>>()?;
        let hashes =
            wait::until("the replicas to be level", HEAL_WAIT, || self.cluster.state_hashes())?;
        writers::check(ops, entries.clone(), hashes)?;
        if let Some(removed) = self.removed {
            let back: usize = self.read(0, removed)?.iter().map(Vec::len).sum();
            ensure!(back == 0, "{back} entries of round {removed} came back");
        }
        if let Some((before, streams)) = self.kept.take() {
            ensure!(self.read(1, before)? == streams, "round {before} is not as it was");
            writers::remove(&self.cluster.nodes[2].resp(), before)?;
            self.removed = Some(before);
        }
        self.kept = entries.into_iter().next().map(|streams| (round, streams));
        ensure_written(writers::acknowledged(ops))
    }

    fn read(&self, node: usize, round: u64) -> Result<Streams> {
        let node = &self.cluster.nodes[node];
        let streams = writers::read_all(&node.resp(), round, self.bytes_max, READ_WAIT);
        streams.with_context(|| format!("node {}", node.id))
    }

    /// Ends the processes, unmounts and removes the images.
    pub(crate) fn end(mut self) -> Result<()> {
        self.cluster.nodes.iter_mut().for_each(|node| node.kill());
        let images: Vec<_> = self.disks.iter().map(|it| it.dir().with_extension("image")).collect();
        drop(self);
        images.iter().try_for_each(|image| Ok(std::fs::remove_file(image)?))
    }
}
