//! What keeps a node from serving data that isn't its own, or isn't all there: who it is
//! (`data/identity`), what it has promised (`data/witness`), that it is alone (`data/lock`), and
//! room to act when the disk is full (`data/ballast`). Never repairs anything.
//!
//! Identity, witness and the notes of damage are replaced as a whole: a temporary file is written
//! and synced, renamed over the old one, and the directory is synced. A crash leaves the old file
//! or the new one.

mod ballast;
mod damaged;
pub(crate) mod identity;
mod lock;
pub(crate) mod sealed;
pub(crate) mod witness;

use std::path::{Path, PathBuf};

use base::{Disk, NodeId};

use crate::error::{Damage, Refused};
use crate::marks::Marks;

pub use ballast::Ballast;
pub use damaged::{DamagedPart, damaged_parts, forget_damaged, note_damaged};
pub use identity::{Forming, Identity};
pub use lock::DataLock;
pub use witness::{load_witness, save_witness};

/// The journal's directory in a node's data directory.
pub const JOURNAL_DIR: &str = "journal";
/// The store's directory in a node's data directory.
pub const STORE_DIR: &str = "store";

/// Why a node doesn't start from its data directory. One line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The file isn't what was written.
    #[error("{0}; bring this node back under a new id with `weir node replace`")]
    Damaged(#[from] Damage),
    #[error("{} has format version {version}, newer than this program: use the newer one", file.display())]
    Newer { file: PathBuf, version: u32 },
    #[error(
        "{} is of node {found}, but this is node {configured}: give each node its own data \
         directory",
        file.display()
    )]
    OtherNode { file: PathBuf, found: NodeId, configured: NodeId },
    #[error(
        "{} is missing although {} holds data: put the file back, or bring this node back under a \
         new id with `weir node replace`",
        file.display(),
        dir.display()
    )]
    Missing { file: PathBuf, dir: PathBuf },
    #[error(
        "{} is empty, but {peer} knows node {node} as a member: what it had promised is lost, so \
         replace it: `weir node replace {node}`",
        dir.display()
    )]
    Emptied { dir: PathBuf, node: NodeId, peer: String },
    #[error("{} is locked: another process uses this data directory, stop it first", file.display())]
    Locked { file: PathBuf },
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl GuardError {
    /// What the process ends with: 2 where the data can't be trusted, 3 where the machine refuses.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged(_)
            | Self::Newer { .. }
            | Self::OtherNode { .. }
            | Self::Missing { .. }
            | Self::Emptied { .. } => 2,
            Self::Locked { .. } | Self::Refused(_) => 3,
        }
    }

    /// A node with an empty directory found that a formed `peer` knows it.
    pub fn emptied(dir: &Path, node: NodeId, peer: impl ToString) -> Self {
        Self::Emptied { dir: dir.to_owned(), node, peer: peer.to_string() }
    }
}

/// What a data directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the node is new, or was emptied, which only its peers can tell.
    Nothing,
    /// A node's data.
    Data { identity: Identity, marks: Marks },
}

/// Looks at the data directory of node `configured` before anything in it is opened. A new node
/// saves its identity before it makes journal and store, so that data without one is a fault.
///
/// # Errors
/// Each case in which the node must not start.
pub fn inspect(disk: &dyn Disk, dir: &Path, configured: NodeId) -> Result<Found, GuardError> {
    let marks = load_witness(disk, dir)?;
    let has_journal = disk.exists(&dir.join(JOURNAL_DIR));
    let Some(identity) = Identity::load(disk, dir)? else {
        // A joining node saves a witness that promises nothing before its identity.
        let promised = marks.is_some_and(|marks| marks != Marks::default());
        if promised || has_journal || disk.exists(&dir.join(STORE_DIR)) {
            let file = dir.join(identity::FILE);
            return Err(GuardError::Missing { file, dir: dir.to_owned() });
        }
        return Ok(Found::Nothing);
    };
    if identity.node != configured {
        let file = dir.join(identity::FILE);
        return Err(GuardError::OtherNode { file, found: identity.node, configured });
    }
    match marks {
        Some(marks) => Ok(Found::Data { identity, marks }),
        // A node that is still forming may have stopped before its first witness.
        None if identity.forming == Forming::Forming => {
            Ok(Found::Data { identity, marks: Marks::default() })
        }
        None => Err(GuardError::Missing { file: dir.join(witness::FILE), dir: dir.to_owned() }),
    }
}

/// Whole files for the test of golden bytes, which stands with the other formats.
#[cfg(test)]
pub(crate) mod golden {
    use base::{ClusterId, Incarnation, NodeId, ShardId};

    use super::{Forming, Identity, identity, sealed, witness};
    use crate::marks::Marks;
    use crate::types::{LogId, Position};

    pub(crate) fn identity() -> Vec<u8> {
        let identity = Identity {
            cluster: ClusterId(0x0102_0304),
            node: NodeId(2),
            incarnation: Incarnation { count: 3, random: 0xfeed },
            forming: Forming::Formed,
        };
        sealed::seal(&identity::KIND, &identity.encode())
    }

    pub(crate) fn witness() -> Vec<u8> {
        let synced = Some(Position { segment: 7, offset: 4096 });
        let mut marks = Marks { synced, ..Marks::default() };
        marks.votes.insert(ShardId(1), "vote".into());
        marks.votes.insert(ShardId::META, "".into());
        marks.checkpoints.insert(ShardId(1), LogId { term: 3, index: 40 });
        sealed::seal(&witness::KIND, &witness::encode(&marks))
    }
}
