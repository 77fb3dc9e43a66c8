//! Why a command ends without success: one line that says what to do, and an exit code.

use server::failure::Failure;

/// A command that did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failed {
    code: u8,
    text: String,
}

/// The request or a configuration is wrong, or the answer is no.
const WRONG: u8 = 1;
/// Data that cannot be trusted.
const DATA: u8 = 2;
/// The machine or the network refuses.
const MACHINE: u8 = 3;

impl Failed {
    /// The request is wrong, or the answer is no.
    pub(crate) fn wrong(text: impl Into<String>) -> Self {
        Self { code: WRONG, text: text.into() }
    }

    /// Data cannot be trusted.
    pub(crate) fn data(text: impl Into<String>) -> Self {
        Self { code: DATA, text: text.into() }
    }

    /// The machine or the network refuses.
    pub(crate) fn machine(text: impl Into<String>) -> Self {
        Self { code: MACHINE, text: text.into() }
    }

    /// What another process ended with is what this one ends with.
    pub(crate) fn with_code(code: u8, text: impl Into<String>) -> Self {
        Self { code: code.max(WRONG), text: text.into() }
    }

    /// The same, with the place or circumstance in front.
    pub(crate) fn before(mut self, what: &str) -> Self {
        self.text = format!("{what}: {}", self.text);
        self
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.code
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { code: failure.exit_code(), text: failure.to_string() }
    }
}
