//! What happened, for whoever waits for it. The leader wakes readers with these; followers drop them.

use bytes::Bytes;

use crate::id::EntryId;

/// A change that somebody may be waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An entry was added.
    Added {
        key: Bytes,
        id: EntryId,
    },
    /// Entries were cut from the head.
    Trimmed {
        key: Bytes,
    },
    /// Entries were deleted by id.
    Deleted {
        key: Bytes,
    },
    /// XSETID.
    IdSet {
        key: Bytes,
    },
    /// A group was made, moved or destroyed.
    GroupCreated {
        key: Bytes,
        group: Bytes,
    },
    GroupMoved {
        key: Bytes,
        group: Bytes,
    },
    GroupDestroyed {
        key: Bytes,
        group: Bytes,
    },
    /// A consumer was made or removed.
    ConsumerCreated {
        key: Bytes,
        group: Bytes,
    },
    ConsumerDeleted {
        key: Bytes,
        group: Bytes,
    },
    /// Pending entries were given back.
    Released {
        key: Bytes,
        group: Bytes,
    },
    /// The key is gone.
    Removed {
        key: Bytes,
    },
    /// The key is gone because its time had passed.
    Expired {
        key: Bytes,
    },
    /// The key is gone with all others.
    Flushed {
        key: Bytes,
    },
    /// The key's contents moved away, and came to another key.
    RenamedFrom {
        key: Bytes,
    },
    RenamedTo {
        key: Bytes,
    },
    /// The key is a copy now.
    Copied {
        key: Bytes,
    },
    /// The key has a time now, or another one.
    ExpirySet {
        key: Bytes,
    },
    /// The key has no time any more.
    Persisted {
        key: Bytes,
    },
}

impl Event {
    /// The key that it is about.
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Added { key, .. }
            | Self::Trimmed { key }
            | Self::Deleted { key }
            | Self::IdSet { key }
            | Self::GroupCreated { key, .. }
            | Self::GroupMoved { key, .. }
            | Self::GroupDestroyed { key, .. }
            | Self::ConsumerCreated { key, .. }
            | Self::ConsumerDeleted { key, .. }
            | Self::Released { key, .. }
            | Self::Removed { key }
            | Self::Expired { key }
            | Self::Flushed { key }
            | Self::RenamedFrom { key }
            | Self::RenamedTo { key }
            | Self::Copied { key }
            | Self::ExpirySet { key }
            | Self::Persisted { key } => key,
        }
    }
}
