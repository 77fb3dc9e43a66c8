//! What can be wrong with a journal, by who must act.

use std::io;
use std::path::{Path, PathBuf};

use base::ShardId;

/// Bytes that should be there and aren't, or aren't what was written. The node's data can't be
/// trusted: nothing is served, no vote is given (exit code 2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at byte {offset}: {what}", file.display())]
pub struct Damage {
    pub file: PathBuf,
    /// Bytes from the start of the file.
    pub offset: u64,
    pub what: String,
}

impl Damage {
    pub(crate) fn new(file: &Path, offset: u64, what: impl ToString) -> Self {
        Self { file: file.to_owned(), offset, what: what.to_string() }
    }
}

/// The machine refused (exit code 3).
#[derive(Debug, thiserror::Error)]
#[error("{} {}: {source}", doing, path.display())]
pub struct Refused {
    pub doing: &'static str,
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

/// What a failed sync was called. It is told apart because it is never tried again.
const SYNCING: &str = "syncing";

impl Refused {
    /// The disk was full before anything was lost: the same may be tried again when there is room.
    /// A sync that failed is never that, whatever its error: what it was to make durable may be
    /// gone, and the next one would say nothing.
    pub(crate) fn is_full(&self) -> bool {
        self.source.kind() == io::ErrorKind::StorageFull && self.doing != SYNCING
    }
}

/// Why a journal wasn't opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Exit code 2; the node comes back under a new id and is refilled by its peers.
    #[error(
        "{0}; this node's votes and acknowledgements can't be trusted: bring it back under a new \
         id with `weir node replace`"
    )]
    Damaged(#[from] Damage),
    /// Written by a newer program. Exit code 2.
    #[error("{} has format version {version}, newer than this program: use the newer one", file.display())]
    Newer { file: PathBuf, version: u32 },
    /// Exit code 3.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl OpenError {
    /// What the process ends with: 2 where the data can't be trusted, 3 where the machine refuses.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged(_) | Self::Newer { .. } => 2,
            Self::Refused(_) => 3,
        }
    }
}

/// Why entries weren't read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// They were purged, or truncated, while they were being read.
    #[error("entry {index} of shard {shard} is gone")]
    Gone { shard: ShardId, index: u64 },
    /// A fault: the process ends.
    #[error("entry {index} of shard {shard}: {damage}")]
    Damaged { shard: ShardId, index: u64, damage: Damage },
    /// A fault: the process ends.
    #[error("entry {index} of shard {shard}: {refused}")]
    Refused { shard: ShardId, index: u64, refused: Refused },
}

/// Names what was being done when the machine refused.
pub(crate) trait Doing<T>: Sized {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, Refused>;

    /// For every sync, and nothing else.
    fn syncing(self, path: &Path) -> Result<T, Refused> {
        self.doing(SYNCING, path)
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, Refused> {
        self.map_err(|source| Refused { doing, path: path.to_owned(), source })
    }
}
