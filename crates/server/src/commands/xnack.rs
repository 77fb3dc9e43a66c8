//! XNACK.

use bytes::Bytes;
use streams::command::{Command, Nack, NackMode};
use streams::id::EntryId;

use super::arguments::{Args, ids, is_word};
use crate::resp::{Doc, Echo, Group, SyntaxError};

pub(crate) static DOC: Doc = Doc {
    summary: "Gives pending entries back to their group: they are nobody's, and the first that a \
              reader with CLAIM is given.",
    group: Group::Stream,
    since: "8.8.0",
    complexity: "O(1) for each id",
};

pub(crate) fn parse(args: Args<'_>) -> Result<Command, SyntaxError> {
    let mode = mode(&args[3])?;
    let (mut ids, mut deliveries, mut force) = (None, None, false);
    let mut rest = &args[4..];
    while let [option, behind @ ..] = rest {
        rest = match behind {
            [count, list @ ..] if is_word(option, "IDS") => {
                let (found, rest) = counted(count, list)?;
                ids = Some(found);
                rest
            }
            [count, rest @ ..] if is_word(option, "RETRYCOUNT") => {
                deliveries = Some(retry_count(count)?);
                rest
            }
            rest if is_word(option, "FORCE") => {
                force = true;
                rest
            }
            _ => return Err(SyntaxError::NackUnknownOption(Echo::new(option))),
        };
    }
    let ids = ids.ok_or(SyntaxError::NackIdsMissing)?;
    let (key, group) = (args[1].clone(), args[2].clone());
    Ok(Command::Nack(Nack { key, group, mode, ids, deliveries, force }))
}

fn mode(arg: &[u8]) -> Result<NackMode, SyntaxError> {
    let named =
        [("SILENT", NackMode::Silent), ("FAIL", NackMode::Fail), ("FATAL", NackMode::Fatal)];
    let found = named.into_iter().find(|(name, _)| is_word(arg, name));
    found.map(|(_, mode)| mode).ok_or(SyntaxError::NackMode)
}

fn retry_count(arg: &[u8]) -> Result<u64, SyntaxError> {
    let count = resp::signed(arg).and_then(|count| u64::try_from(count).ok());
    count.ok_or(SyntaxError::NackRetryCount)
}

/// The ids that a number announces, and what follows them.
fn counted<'a>(
    count: &[u8],
    list: &'a [Bytes],
) -> Result<(Vec<EntryId>, &'a [Bytes]), SyntaxError> {
    let count = resp::signed(count).filter(|count| *count > 0);
    let count = count.ok_or(SyntaxError::NotPositive("numids"))?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let (found, rest) = list.split_at_checked(count).ok_or(SyntaxError::NackIdsCount)?;
    Ok((ids(found)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::args;

    fn nack(mode: NackMode, deliveries: Option<u64>, force: bool) -> Result<Command, SyntaxError> {
        let ids = vec![EntryId::new(5, 1), EntryId::new(6, 0)];
        let (key, group) = ("s".into(), "g".into());
        Ok(Command::Nack(Nack { key, group, mode, ids, deliveries, force }))
    }

    #[test]
    fn options_come_before_or_after_the_ids() {
        let parsed = |line| parse(&args(line));
        assert_eq!(parsed("XNACK s g silent IDS 2 5-1 6"), nack(NackMode::Silent, None, false));
        assert_eq!(parsed("XNACK s g FAIL ids 2 5-1 6 FORCE"), nack(NackMode::Fail, None, true));
        let counted = nack(NackMode::Fatal, Some(3), true);
        assert_eq!(parsed("XNACK s g FATAL RETRYCOUNT 3 FORCE IDS 2 5-1 6"), counted);
        assert_eq!(parsed("XNACK s g FATAL force IDS 2 5-1 6 retrycount 3"), counted);
    }

    #[test]
    fn wrong_requests_are_refused_in_redis_words() {
        use SyntaxError as E;
        for (rest, error) in [
            ("FOO IDS 1 5-1", E::NackMode),
            ("FAIL 1 5-1 x", E::NackUnknownOption(Echo::new(b"1"))),
            ("FAIL FORCE RETRYCOUNT 3", E::NackIdsMissing),
            ("FAIL IDS 0 5-1", E::NotPositive("numids")),
            ("FAIL IDS x 5-1", E::NotPositive("numids")),
            ("FAIL IDS 2 5-1", E::NackIdsCount),
            ("FAIL IDS 1 5-1 6-1", E::NackUnknownOption(Echo::new(b"6-1"))),
            ("FAIL IDS 1 x", E::InvalidId),
            ("FAIL IDS 1 5-1 RETRYCOUNT -1", E::NackRetryCount),
            ("FAIL IDS 1 5-1 RETRYCOUNT x", E::NackRetryCount),
            ("FAIL IDS 1 5-1 RETRYCOUNT", E::NackUnknownOption(Echo::new(b"RETRYCOUNT"))),
        ] {
            assert_eq!(parse(&args(&format!("XNACK s g {rest}"))), Err(error), "{rest}");
        }
    }
}
