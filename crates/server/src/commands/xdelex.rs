//! XDELEX and XACKDEL: deleting with a word on the groups that still refer to what goes.

use bytes::Bytes;
use streams::command::{Command, References};
use streams::id::EntryId;

use super::arguments::{Args, ids, is_word};
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static XDELEX: Doc = Doc {
    summary: "Deletes entries, and says of each whether it went; with ACKED only those that no \
              group has yet to read or to acknowledge.",
    group: Group::Stream,
    since: "8.2.0",
    complexity: "O(1) for each id, and O(N) in the groups with DELREF or ACKED",
};

pub(crate) static XACKDEL: Doc = Doc {
    summary: "Acknowledges entries for a group and deletes them, as one command.",
    group: Group::Stream,
    since: "8.2.0",
    complexity: "O(1) for each id, and O(N) in the groups with DELREF or ACKED",
};

pub(crate) fn delete(args: Args<'_>) -> Result<Command, SyntaxError> {
    let (references, ids) = options(&args[2..])?;
    Ok(Command::DeleteWith { key: args[1].clone(), ids, references })
}

pub(crate) fn ack_delete(args: Args<'_>) -> Result<Command, SyntaxError> {
    let (references, ids) = options(&args[3..])?;
    let (key, group) = (args[1].clone(), args[2].clone());
    Ok(Command::AckDelete { key, group, ids, references })
}

/// What KEEPREF, DELREF and ACKED stand for.
pub(super) fn references(arg: &[u8]) -> Option<References> {
    let named = [
        ("KEEPREF", References::Keep),
        ("DELREF", References::Delete),
        ("ACKED", References::Acked),
    ];
    named.into_iter().find(|(name, _)| is_word(arg, name)).map(|(_, references)| references)
}

/// `[KEEPREF|DELREF|ACKED] IDS numids id ...`
fn options(args: &[Bytes]) -> Result<(References, Vec<EntryId>), SyntaxError> {
    let (given, rest) = match args {
        [first, rest @ ..] => match references(first) {
            Some(given) => (given, rest),
            None => (References::Keep, args),
        },
        [] => (References::Keep, args),
    };
    match rest {
        [word, count, list @ ..] if is_word(word, "IDS") => Ok((given, counted(count, list)?)),
        _ => Err(SyntaxError::Syntax),
    }
}

fn counted(count: &[u8], list: &[Bytes]) -> Result<Vec<EntryId>, SyntaxError> {
    match resp::signed(count) {
        None | Some(..=0) => Err(SyntaxError::IdsCountNotPositive),
        Some(count) if usize::try_from(count) != Ok(list.len()) => Err(SyntaxError::IdsCountWrong),
        Some(_) => ids(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::args;

    #[test]
    fn ids_are_counted_and_references_stay_unless_said() {
        let list = vec![EntryId::new(5, 1), EntryId::new(6, 0)];
        let all = |references| {
            let (key, group, ids) = ("s".into(), "g".into(), list.clone());
            let deleted = Command::DeleteWith { key, ids: ids.clone(), references };
            (deleted, Command::AckDelete { key: "s".into(), group, ids, references })
        };
        let (deleted, acked) = all(References::Keep);
        assert_eq!(delete(&args("XDELEX s IDS 2 5-1 6")), Ok(deleted.clone()));
        assert_eq!(delete(&args("XDELEX s keepref ids 2 5-1 6")), Ok(deleted));
        assert_eq!(ack_delete(&args("XACKDEL s g IDS 2 5-1 6")), Ok(acked));
        let (deleted, acked) = all(References::Acked);
        assert_eq!(delete(&args("XDELEX s acked IDS 2 5-1 6")), Ok(deleted));
        assert_eq!(ack_delete(&args("XACKDEL s g ACKED IDS 2 5-1 6")), Ok(acked));
        let (deleted, acked) = all(References::Delete);
        assert_eq!(delete(&args("XDELEX s DELREF IDS 2 5-1 6")), Ok(deleted));
        assert_eq!(ack_delete(&args("XACKDEL s g DelRef IDS 2 5-1 6")), Ok(acked));
    }

    #[test]
    fn wrong_requests_are_refused_in_redis_order() {
        use SyntaxError as E;
        for (options, error) in [
            ("IDS 0 5-1", E::IdsCountNotPositive),
            ("IDS -1 5-1", E::IdsCountNotPositive),
            ("IDS x 5-1", E::IdsCountNotPositive),
            ("IDS 2 5-1", E::IdsCountWrong),
            ("IDS 1 5-1 6-1", E::IdsCountWrong),
            ("IDS 1 x", E::InvalidId),
            ("KEEPREF DELREF IDS 1 5-1", E::Syntax),
            ("ACKED ACKED IDS 1 5-1", E::Syntax),
            ("FOO IDS 1 5-1", E::Syntax),
            ("KEEPREF 1 5-1", E::Syntax),
        ] {
            let (deleted, acked) =
                (format!("XDELEX s {options}"), format!("XACKDEL s g {options}"));
            assert_eq!(delete(&args(&deleted)), Err(error.clone()), "{options}");
            assert_eq!(ack_delete(&args(&acked)), Err(error), "{options}");
        }
    }
}
