//! Ids as types, so that one can't be passed for another. Never arithmetic on them.

use std::fmt;

/// A node of the cluster. Allotted once, never used again after the node is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// One Raft group: the owner of a range of slots. [`ShardId::META`] keeps the cluster itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The group that keeps nodes and shard map.
    pub const META: ShardId = ShardId(u16::MAX);

    /// Whether this is the meta group.
    pub fn is_meta(self) -> bool {
        self == Self::META
    }
}

/// A cluster, by random bits drawn when it was formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

/// One life of a node's process. Ordered by the counter; the random bits tell two lives apart
/// whose counter is equal because a file was copied back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    pub count: u64,
    pub random: u64,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_meta() { f.write_str("meta") } else { write!(f, "{}", self.0) }
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
