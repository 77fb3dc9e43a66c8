//! Why a node does not run: by who must act. Each has its exit code, scripts rely on them.

/// A node that cannot start, or cannot go on. Shown as one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A configuration that is wrong: correct the file.
    #[error("{0}")]
    Config(String),
    /// The node's data cannot be trusted or is gone: replace the node.
    #[error("{0}")]
    Data(String),
    /// The machine refuses (port, lock, permission, disk full, failed sync): repair it, then start
    /// again.
    #[error("{0}")]
    Machine(String),
}

impl Failure {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 1,
            Self::Data(_) => 2,
            Self::Machine(_) => 3,
        }
    }
}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}
