//! What is known of a peer, and what a frame of it tells. Never says who is a member.

use std::time::Duration;

use crate::link::Envelope;

/// For how long the frame that was under way least tells a peer's clock: longer than a machine that
/// has too much to do delays every frame, shorter than a clock may be wrong unnoticed.
const OFFSET_KEPT: Duration = Duration::from_secs(5);

/// What is known of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) connected: bool,
    /// Its clock less ours, in milliseconds: of the frame that was under way least.
    pub(crate) clock_offset_ms: Option<i64>,
    /// When that frame arrived.
    clock_heard: Duration,
    pub(crate) disk_free: Option<u64>,
    /// It takes no entries until its checkpoints have caught up.
    pub(crate) pressed: bool,
    /// It is about to stop: it takes no leadership any more.
    pub(crate) leaving: bool,
}

impl Peer {
    /// Takes over what a frame says, which was heard at a time of this node's clocks.
    pub(super) fn note(&mut self, envelope: &Envelope, wall_ms: u64, heard: Duration) {
        let offset = i128::from(envelope.clock_ms) - i128::from(wall_ms);
        let offset = i64::try_from(offset).ok();
        // A frame that had to wait makes its sender's clock look slow, never fast.
        if offset > self.clock_offset_ms || heard.saturating_sub(self.clock_heard) > OFFSET_KEPT {
            (self.clock_offset_ms, self.clock_heard) = (offset, heard);
        }
        self.disk_free = Some(envelope.disk_free);
        self.pressed = envelope.pressed;
        self.leaving = envelope.leaving;
    }
}
