//! WAIT and WAITAOF: until replicas hold what this connection wrote. Every acknowledged write is on
//! disk on a majority already, so both ask how many more hold it.

use super::arguments::{Args, integer};
use super::xread::{Block, block};
use crate::resp::{Doc, Group, Nothing, SyntaxError};

pub(crate) static WAIT: Doc = Doc {
    summary: "Waits until so many other replicas hold on disk what this connection wrote, and tells \
              how many do.",
    group: Group::Connection,
    since: "3.0.0",
    complexity: "O(N) in the shards that it wrote to",
};

pub(crate) static WAITAOF: Doc = Doc {
    summary: "Does the same as WAIT, and tells that the leader's disk holds it, too.",
    group: Group::Connection,
    since: "7.2.0",
    complexity: "O(N) in the shards that it wrote to",
};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Beside the leader.
    pub(crate) replicas: usize,
    pub(crate) block: Block,
    pub(crate) shape: Nothing,
}

pub(crate) fn wait(args: Args<'_>) -> Result<Wanted, SyntaxError> {
    // As in Redis, fewer than none are none.
    let replicas = usize::try_from(integer(&args[1])?).unwrap_or(0);
    Ok(Wanted { replicas, block: block(&args[2])?, shape: Nothing::Array })
}

pub(crate) fn wait_aof(args: Args<'_>) -> Result<Wanted, SyntaxError> {
    let number = |arg, max| {
        let fitting = integer(arg)?;
        let fitting = u32::try_from(fitting).ok().filter(|number| *number <= max);
        fitting.ok_or(SyntaxError::OutOfRange { max })
    };
    number(&args[1], 1)?;
    let replicas = number(&args[2], i32::MAX.unsigned_abs())? as usize;
    Ok(Wanted { replicas, block: block(&args[3])?, shape: Nothing::BehindLeader })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::args;

    #[test]
    fn numbers_are_as_strict_as_in_redis() {
        let replicas = |line: &str| wait(&args(line)).map(|wanted| wanted.replicas);
        assert_eq!(replicas("WAIT 2 100"), Ok(2));
        assert_eq!(replicas("WAIT -1 100"), Ok(0));
        assert_eq!(replicas("WAIT x 100"), Err(SyntaxError::NotInteger));
        assert_eq!(replicas("WAIT 1 -1"), Err(SyntaxError::TimeoutNegative));
        assert_eq!(replicas("WAIT 1 x"), Err(SyntaxError::TimeoutNotInteger));
        let aof = |line: &str| wait_aof(&args(line)).map(|wanted| wanted.replicas);
        assert_eq!(aof("WAITAOF 1 2 0"), Ok(2));
        assert_eq!(aof("WAITAOF 2 2 0"), Err(SyntaxError::OutOfRange { max: 1 }));
        let max = i32::MAX.unsigned_abs();
        assert_eq!(aof("WAITAOF 0 -1 0"), Err(SyntaxError::OutOfRange { max }));
    }
}
