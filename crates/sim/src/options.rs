//! What a seed means: how large the cluster is, who uses it and what goes wrong. Never drawn from
//! anything but the seed.

use std::fmt;
use std::time::Duration;

use base::Entropy;
use raft::Reads;

use crate::faults::Kind;

/// A life, described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    /// How long things go wrong, in simulated time.
    pub(crate) faults_for: Duration,
    pub(crate) nodes: u64,
    pub(crate) shards: u16,
    pub(crate) clients: usize,
    /// Streams; each is used in a way of its own.
    pub(crate) streams: usize,
    /// Between two calls of a client, at most.
    pub(crate) think_max: Duration,
    /// Bytes of an entry beside its value, at most.
    pub(crate) padding_max: u64,
    /// A message takes, at least and at most.
    pub(crate) delay: (Duration, Duration),
    /// A write and sync takes at most.
    pub(crate) disk: Duration,
    pub(crate) kept_bytes: u64,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) reads: Reads,
    /// Between two faults, at most.
    pub(crate) faults_every: Duration,
    /// What goes wrong.
    pub(crate) kinds: Vec<Kind>,
}

/// What may be chosen for all lives of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chosen {
    pub(crate) seconds: Option<u64>,
    pub(crate) reads: Option<Reads>,
    pub(crate) kinds: Option<Vec<Kind>>,
}

impl Options {
    /// The life of a seed. Its entropy goes on where this ends.
    pub(crate) fn draw(seed: u64, entropy: &dyn Entropy, chosen: &Chosen) -> Self {
        let one_of = |choices: &[u64]| choices[entropy.below(choices.len() as u64) as usize];
        let ms = Duration::from_millis;
        let clients = 8 + entropy.below(33);
        // So many calls a second together, however many ask.
        let calls = one_of(&[160, 300, 500]);
        let mut kinds: Vec<Kind> =
            Kind::ALL.iter().copied().filter(|_| entropy.below(3) > 0).collect();
        if kinds.is_empty() {
            kinds = Kind::ALL.to_vec();
        }
        Self {
            seed,
            nodes: one_of(&[3, 3, 3, 3, 4, 5, 5, 6, 7]),
            shards: one_of(&[1, 2, 2, 3]) as u16,
            clients: clients as usize,
            streams: 6 + entropy.below(5) as usize,
            think_max: ms(2_000 * clients / calls),
            padding_max: one_of(&[8, 100, 500, 2_000]),
            delay: (ms(0), ms(one_of(&[1, 3, 10]))),
            disk: ms(one_of(&[0, 1, 3, 10])),
            kept_bytes: one_of(&[32, 128, 1024]) << 10,
            checkpoint_bytes: one_of(&[4, 16, 64]) << 10,
            faults_every: ms(one_of(&[400, 800, 2_500])),
            faults_for: Duration::from_secs(chosen.seconds.unwrap_or(60)),
            reads: chosen.reads.unwrap_or_default(),
            kinds: chosen.kinds.clone().unwrap_or(kinds),
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
        write!(
            f,
            "seed {}: {} nodes, {} shards, {} clients on {} streams, each asking every {:?} or \
             sooner, entries to {} B; messages take {:?} to {:?}, syncs to {:?}; {} KiB of journal \
             kept, checkpoints at {} KiB; reads = {:?}; for {:?}, every {:?} or sooner: {}",
            self.seed,
            self.nodes,
            self.shards,
            self.clients,
            self.streams,
            self.think_max,
            self.padding_max,
            self.delay.0,
            self.delay.1,
            self.disk,
            self.kept_bytes >> 10,
            self.checkpoint_bytes >> 10,
            self.reads,
            self.faults_for,
            self.faults_every,
            kinds.join(", "),
        )
    }
}
