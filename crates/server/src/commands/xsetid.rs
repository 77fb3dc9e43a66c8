//! XSETID.

use streams::command::Command;

use super::arguments::{Args, id, integer, is_word};
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static DOC: Doc = Doc {
    summary: "Sets a stream's last id, and if asked its counters. For tools that copy streams.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
};

pub(crate) fn parse(args: Args<'_>) -> Result<Command, SyntaxError> {
    let last_id = id(&args[2])?;
    let (mut entries_added, mut max_deleted_id) = (None, None);
    let mut options = &args[3..];
    while let [option, value, rest @ ..] = options {
        if is_word(option, "ENTRIESADDED") {
            let added = u64::try_from(integer(value)?);
            entries_added = Some(added.map_err(|_| SyntaxError::EntriesAddedNegative)?);
        } else if is_word(option, "MAXDELETEDID") {
            let deleted = id(value)?;
            if last_id < deleted {
                return Err(SyntaxError::SetIdBelowGivenDeleted);
            }
            max_deleted_id = Some(deleted);
        } else {
            return Err(SyntaxError::Syntax);
        }
        options = rest;
    }
    match options {
        [] => {
            let key = args[1].clone();
            Ok(Command::SetId { key, last_id, entries_added, max_deleted_id })
        }
        _ => Err(SyntaxError::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use streams::id::EntryId;

    use super::*;
    use crate::commands::args;

    #[test]
    fn the_last_id_may_come_with_counters() {
        let set_id = |entries_added, max_deleted_id| Command::SetId {
            key: "s".into(),
            last_id: EntryId::new(9, 9),
            entries_added,
            max_deleted_id,
        };
        assert_eq!(parse(&args("XSETID s 9-9")), Ok(set_id(None, None)));
        let both = "XSETID s 9-9 maxdeletedid 5-1 ENTRIESADDED 9";
        assert_eq!(parse(&args(both)), Ok(set_id(Some(9), Some(EntryId::new(5, 1)))));
    }

    #[test]
    fn wrong_requests_are_refused_in_redis_order() {
        for (line, error) in [
            ("XSETID s x FOO", SyntaxError::InvalidId),
            ("XSETID s 9-9 FOO", SyntaxError::Syntax),
            ("XSETID s 9-9 ENTRIESADDED", SyntaxError::Syntax),
            ("XSETID s 9-9 ENTRIESADDED x", SyntaxError::NotInteger),
            ("XSETID s 9-9 ENTRIESADDED -1", SyntaxError::EntriesAddedNegative),
            ("XSETID s 9-9 MAXDELETEDID 10-0", SyntaxError::SetIdBelowGivenDeleted),
        ] {
            assert_eq!(parse(&args(line)), Err(error), "{line}");
        }
    }
}
