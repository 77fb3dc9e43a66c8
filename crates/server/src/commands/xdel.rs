//! XDEL.

use streams::command::Command;

use super::arguments::{Args, ids};
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static DOC: Doc = Doc {
    summary: "Deletes entries of a stream by their ids.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1) for each id",
};

pub(crate) fn parse(args: Args<'_>) -> Result<Command, SyntaxError> {
    Ok(Command::Delete { key: args[1].clone(), ids: ids(&args[2..])? })
}

#[cfg(test)]
mod tests {
    use streams::id::EntryId;

    use super::*;
    use crate::commands::args;

    #[test]
    fn one_wrong_id_refuses_all() {
        let ids = vec![EntryId::new(5, 1), EntryId::new(6, 0)];
        assert_eq!(parse(&args("XDEL s 5-1 6")), Ok(Command::Delete { key: "s".into(), ids }));
        assert_eq!(parse(&args("XDEL s 5-1 abc")), Err(SyntaxError::InvalidId));
    }
}
