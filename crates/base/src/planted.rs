//! Defects on purpose, to see that the simulation finds them. Without the feature `planted` none
//! can be there: [`is`] is `false` at compile time, and no release is built with it.

macro_rules! bugs {
    ($($bug:ident $name:literal $what:literal)*) => {
        /// A defect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug { $(#[doc = $what] $bug),* }

        impl Bug {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$bug),*];

            /// As people choose it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$bug => $name),* }
            }

            /// What is wrong, in a line.
            pub fn what(self) -> &'static str {
                match self { $(Self::$bug => $what),* }
            }
        }
    };
}

bugs! {
    AckBeforeSync "ack-before-sync" "a follower acknowledges entries that are not synced"
    VoteNotSynced "vote-not-synced" "a vote is answered before it is synced"
    RetryAppliedTwice "retry-applied-twice" "a command that was asked again is applied again"
    LeaseWithoutLease "lease-without-lease" "a leader reads without a round and without a lease"
    CheckpointWithoutPending "checkpoint-without-pending" "a checkpoint leaves out what is pending"
    IdFromLocalClock "id-from-local-clock" "every replica takes ids from its own clock"
    TrimBeforeCommit "trim-before-commit" "entries are trimmed before the command is committed"
    TruncationForgotten "truncation-forgotten" "a truncation is not written down: the next start has what was taken away"
    NodeIdReused "node-id-reused" "a node that takes a lost one's place gets its id"
    RetryWithoutNumber "retry-without-number" "a command that is forwarded again has a new number"
    LeaderCountsUnsynced "leader-counts-unsynced" "a leader counts itself before its own sync"
    ClaimDropped "claim-dropped" "a claim is answered and does not happen"
    DamageServed "damage-served" "a part of the store whose checksum is wrong is served"
    CheckpointAhead "checkpoint-ahead" "a checkpoint is switched to before the journal has synced what it holds"
    UnsyncedBelieved "unsynced-believed" "a start takes what it can read for synced"
    QuietVote "quiet-vote" "a group that starts quietly answers votes"
    IncarnationReused "incarnation-reused" "a process that starts again says that it is the one before"
    ChunkEncodedLate "chunk-encoded-late" "a snapshot is sent from a later state than it says"
}

#[cfg(feature = "planted")]
mod chosen {
    use std::sync::OnceLock;

    use super::Bug;

    static CHOSEN: OnceLock<Bug> = OnceLock::new();

    /// Plants a defect, for the rest of the process.
    ///
    /// # Panics
    /// When there is one already.
    pub fn plant(bug: Bug) {
        CHOSEN.set(bug).expect("one defect at a time");
    }

    /// Whether this defect is planted.
    pub fn is(bug: Bug) -> bool {
        CHOSEN.get() == Some(&bug)
    }
}

#[cfg(feature = "planted")]
pub use chosen::{is, plant};

/// Whether this defect is planted: never.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is(_: Bug) -> bool {
    false
}

/// Whether defects can be planted in this build.
pub const POSSIBLE: bool = cfg!(feature = "planted");
