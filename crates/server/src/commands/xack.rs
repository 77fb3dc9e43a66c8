//! XACK.

use streams::command::Command;

use super::arguments::{Args, ids};
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static DOC: Doc = Doc {
    summary: "Takes entries off a group's pending list: they are done.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1) for each id",
};

pub(crate) fn parse(args: Args<'_>) -> Result<Command, SyntaxError> {
    let (key, group) = (args[1].clone(), args[2].clone());
    Ok(Command::Ack { key, group, ids: ids(&args[3..])? })
}

#[cfg(test)]
mod tests {
    use streams::id::EntryId;

    use super::*;
    use crate::commands::args;

    #[test]
    fn one_wrong_id_refuses_all() {
        let (key, group) = ("s".into(), "g".into());
        let ids = vec![EntryId::new(5, 1), EntryId::new(9, 9)];
        assert_eq!(parse(&args("XACK s g 5-1 9-9")), Ok(Command::Ack { key, group, ids }));
        assert_eq!(parse(&args("XACK s g 5-1 abc")), Err(SyntaxError::InvalidId));
    }
}
