//! Faults: what there is, which one is next, and how it is told.

use std::fmt;
use std::time::Duration;

use base::{Entropy, SeededEntropy};

/// A kind of fault, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Kind {
    /// kill -9 of a node, or of all at once.
    Kill,
    /// SIGSTOP for a while.
    Pause,
    /// A node, or a pair of nodes, without a way to each other.
    Partition,
    /// A node that hears nobody, or that nobody hears.
    OneWay,
    /// A link to a node with latency, or that carries little.
    Delay,
    /// Links to a node that break, or stay open and carry nothing.
    Cut,
    /// A wall clock that jumps by up to an hour, and back.
    Clock,
    /// A sync that fails, by an injected error or by a disk that has no blocks left below.
    Eio,
    /// A disk without room.
    Full,
    /// A disk whose syncs take long.
    Slow,
}

/// A killed node stays away for up to this, so that elections happen without it.
const AWAY_MS_MAX: u64 = 3_000;
/// Other faults last so long: longer and shorter than an election.
const LASTS_MS: (u64, u64) = (1_000, 5_000);
/// A clock jumps by up to this, either way.
const JUMP_S_MAX: u64 = 3_600;

/// In one fault of so many another node is killed, where that leaves a majority.
const OVERLAP_EVERY: u64 = 3;

/// What is done to which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) act: Act,
    pub(super) node: usize,
    /// Whether the node leads most shards.
    pub(super) leads: bool,
    /// How long it lasts, or how long a node stays away.
    pub(super) length: Duration,
    /// A node that is killed in the middle of it, and started when it is over.
    pub(super) killed: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Kill,
    KillAll,
    Pause,
    Isolate,
    Split { other: usize },
    Deafen,
    Mute,
    Delay { latency: Duration },
    Crawl,
    Shut,
    Tear,
    Hold,
    Jump { seconds: i64, all: bool },
    FailSync,
    SpoilDisk,
    FillDisk,
    SlowSyncs,
    ThrottleDisk,
}

/// A fault that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) fault: Fault,
    pub(super) at: Duration,
    /// When every node was ready again.
    pub(super) healed: Duration,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Kill,
        Self::Pause,
        Self::Partition,
        Self::OneWay,
        Self::Delay,
        Self::Cut,
        Self::Clock,
        Self::Eio,
        Self::Full,
        Self::Slow,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::OneWay => "one-way",
            Self::Delay => "delay",
            Self::Cut => "cut",
            Self::Clock => "clock",
            Self::Eio => "eio",
            Self::Full => "full",
            Self::Slow => "slow",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Act {
    /// How many nodes can't be counted on while it lasts, wherever they are; none where it does not last.
    fn takes(self) -> Option<usize> {
        match self {
            Self::Kill | Self::KillAll | Self::FailSync | Self::SpoilDisk | Self::FillDisk => None,
            Self::Delay { .. } | Self::Crawl | Self::SlowSyncs | Self::ThrottleDisk => Some(0),
            Self::Jump { .. } => Some(0),
            Self::Pause | Self::Isolate | Self::Deafen | Self::Mute | Self::Split { .. } => Some(1),
            Self::Shut | Self::Tear | Self::Hold => Some(1),
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Kill | Self::KillAll => Kind::Kill,
            Self::Pause => Kind::Pause,
            Self::Isolate | Self::Split { .. } => Kind::Partition,
            Self::Deafen | Self::Mute => Kind::OneWay,
            Self::Delay { .. } | Self::Crawl => Kind::Delay,
            Self::Shut | Self::Tear | Self::Hold => Kind::Cut,
            Self::Jump { .. } => Kind::Clock,
            Self::FailSync | Self::SpoilDisk => Kind::Eio,
            Self::FillDisk => Kind::Full,
            Self::SlowSyncs | Self::ThrottleDisk => Kind::Slow,
        }
    }
}

impl Fault {
    /// How many processes of so many nodes it kills.
    pub(super) fn kills(&self, nodes: usize) -> usize {
        let beside = usize::from(self.killed.is_some());
        beside
            + match self.act {
                Act::Kill => 1,
                Act::KillAll => nodes,
                _ => 0,
            }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell(f)?;
        let killed = self.killed.map(|node| format!(", and kill -9 node {} meanwhile", node + 1));
        f.write_str(&killed.unwrap_or_default())
    }
}

impl Fault {
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.leads { " (the leader of most shards)" } else { "" };
        let node = format!("node {}{role}", self.node + 1);
        let length = self.length.as_secs_f64();
        match self.act {
            Act::Kill => write!(f, "kill -9 {node}, away {length:.1} s"),
            Act::KillAll => f.write_str("kill -9 all nodes"),
            Act::Pause => write!(f, "stop {node} for {length:.1} s"),
            Act::Isolate => write!(f, "cut {node} off from the others for {length:.1} s"),
            Act::Split { other } => {
                write!(f, "cut the way between {node} and node {} for {length:.1} s", other + 1)
            }
            Act::Deafen => write!(f, "{node} hears nobody for {length:.1} s"),
            Act::Mute => write!(f, "nobody hears {node} for {length:.1} s"),
            Act::Delay { latency } => {
                let latency = latency.as_millis();
                write!(f, "{latency} ms each way on links to {node} for {length:.1} s")
            }
            Act::Crawl => write!(f, "links to {node} crawl for {length:.1} s"),
            Act::Shut => write!(f, "links to {node} break for {length:.1} s"),
            Act::Tear => write!(f, "links to {node} break again and again for {length:.1} s"),
            Act::Hold => write!(f, "links to {node} carry nothing for {length:.1} s"),
            Act::Jump { seconds, all } => {
                let whose = if all { "all nodes".to_owned() } else { node };
                write!(f, "the clock of {whose} jumps by {seconds} s for {length:.1} s")
            }
            Act::FailSync => write!(f, "the next sync of {node} fails"),
            Act::SpoilDisk => write!(f, "the disk of {node} returns EIO"),
            Act::FillDisk => write!(f, "the disk of {node} is full for {length:.1} s"),
            Act::SlowSyncs => write!(f, "syncs of {node} take long for {length:.1} s"),
            Act::ThrottleDisk => write!(f, "the disk of {node} is slow for {length:.1} s"),
        }
    }
}

/// What the next fault may be.
pub(super) struct Choice<'a> {
    pub(super) kinds: &'a [Kind],
    pub(super) nodes: usize,
    /// Who leads most shards.
    pub(super) leader: Option<usize>,
    /// Whether nodes have disks of their own.
    pub(super) disks: bool,
}

impl Choice<'_> {
    /// One of the kinds, half of the time to the leader of most shards.
    pub(super) fn choose(&self, entropy: &SeededEntropy) -> Fault {
        let below = |bound: usize| {
            usize::try_from(entropy.below(bound.max(1) as u64)).expect("small bounds")
        };
        let kind = self.kinds[below(self.kinds.len())];
        let random = below(self.nodes);
        let node = self.leader.filter(|_| entropy.below(2) == 0).unwrap_or(random);
        let other = (node + 1 + below(self.nodes - 1)) % self.nodes;
        let lasts = LASTS_MS.0 + entropy.below(LASTS_MS.1 - LASTS_MS.0);
        let away = entropy.below(AWAY_MS_MAX);
        let act = self.act(kind, other, entropy);
        let length = Duration::from_millis(if act == Act::Kill { away } else { lasts });
        let overlaps = entropy.below(OVERLAP_EVERY) == 0;
        let killed = overlaps.then(|| self.killed_beside(act, node, below(self.nodes))).flatten();
        Fault { act, node, leads: self.leader == Some(node), length, killed }
    }

    /// A node that can be killed while something else is done to `node`, so that a majority is left: `random`, where
    /// it can be that one.
    fn killed_beside(&self, act: Act, node: usize, random: usize) -> Option<usize> {
        if !self.kinds.contains(&Kind::Kill) {
            return None;
        }
        // Without one of the two that don't reach each other all others do.
        let (killed, lost) = match act {
            Act::Split { other } => (other, 1),
            _ => ((node + 1 + random % (self.nodes - 1)) % self.nodes, act.takes()? + 1),
        };
        (2 * lost < self.nodes).then_some(killed)
    }

    fn act(&self, kind: Kind, other: usize, entropy: &SeededEntropy) -> Act {
        let dice = entropy.below(10);
        match kind {
            Kind::Kill if dice == 0 => Act::KillAll,
            Kind::Kill => Act::Kill,
            Kind::Pause => Act::Pause,
            Kind::Partition if dice < 7 => Act::Isolate,
            Kind::Partition => Act::Split { other },
            Kind::OneWay if dice < 5 => Act::Deafen,
            Kind::OneWay => Act::Mute,
            Kind::Delay if dice < 6 => {
                Act::Delay { latency: Duration::from_millis(5 + entropy.below(200)) }
            }
            Kind::Delay => Act::Crawl,
            Kind::Cut if dice < 4 => Act::Shut,
            Kind::Cut if dice < 7 => Act::Tear,
            Kind::Cut => Act::Hold,
            Kind::Clock => {
                let by = i64::try_from(1 + entropy.below(JUMP_S_MAX)).expect("an hour");
                let seconds = if entropy.below(2) == 0 { by } else { -by };
                Act::Jump { seconds, all: dice < 3 }
            }
            Kind::Eio if dice < 5 && self.disks => Act::SpoilDisk,
            Kind::Eio => Act::FailSync,
            Kind::Full => Act::FillDisk,
            Kind::Slow if dice < 5 && self.disks => Act::ThrottleDisk,
            Kind::Slow => Act::SlowSyncs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_and_comes_as_what_it_is() {
        for disks in [true, false] {
            let choice = Choice { kinds: &Kind::ALL, nodes: 3, leader: Some(1), disks };
            let entropy = SeededEntropy::new(5);
            let faults: Vec<Fault> = (0..1_000).map(|_| choice.choose(&entropy)).collect();
            for kind in Kind::ALL {
                assert!(faults.iter().any(|fault| fault.act.kind() == kind), "{kind}");
            }
            let led = faults.iter().filter(|fault| fault.leads).count();
            assert!((500..800).contains(&led), "{led} of 1000 hit the leader");
            assert!(faults.iter().all(|fault| fault.act != Act::Split { other: fault.node }));
        }
    }

    #[test]
    fn a_kill_falls_into_another_fault_where_a_majority_is_left() {
        let faults = |nodes: usize, kinds: &[Kind]| {
            let choice = Choice { kinds, nodes, leader: Some(1), disks: true };
            let entropy = SeededEntropy::new(5);
            let faults: Vec<Fault> = (0..1_000).map(|_| choice.choose(&entropy)).collect();
            faults.into_iter().filter(|fault| fault.killed.is_some()).collect::<Vec<_>>()
        };
        let (three, five) = (faults(3, &Kind::ALL), faults(5, &Kind::ALL));
        let kinds = |some: &[Fault]| {
            let kinds = some.iter().map(|fault| fault.act.kind());
            kinds.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        assert_eq!(kinds(&three), [Kind::Partition, Kind::Delay, Kind::Clock, Kind::Slow]);
        assert!(kinds(&five).contains(&Kind::Pause) && kinds(&five).contains(&Kind::OneWay));
        let cuts_off = |fault: &Fault| fault.act == Act::Isolate || fault.act == Act::Pause;
        assert!(!three.iter().any(cuts_off) && five.iter().any(cuts_off));
        let others = [&three[..], &five[..]].concat();
        assert!(others.iter().all(|fault| fault.killed != Some(fault.node)));
        assert_eq!(five[0].kills(5), 1);
        assert!(faults(5, &[Kind::Pause, Kind::Partition]).is_empty(), "nobody asked for kills");
    }
}
