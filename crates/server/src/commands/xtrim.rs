//! XTRIM, and the trimming options that XADD shares with it.

use bytes::Bytes;
use streams::command::{Command, Keep, References, Trim};

use super::arguments::{Args, id, integer, is_word};
use super::xdelex::references;
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static DOC: Doc = Doc {
    summary: "Cuts a stream from its head, to a length or up to an id.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) in what is cut; by whole blocks with ~",
};

pub(crate) fn parse(args: Args<'_>) -> Result<Command, SyntaxError> {
    let mut options = TrimOptions::default();
    let mut at = 2;
    while at < args.len() {
        at += options.take(&args[at..])?.ok_or(SyntaxError::Syntax)?;
    }
    let trim = options.finish(Some(SyntaxError::TrimMissing))?.ok_or(SyntaxError::TrimMissing)?;
    Ok(Command::Trim { key: args[1].clone(), trim })
}

/// MAXLEN, MINID, LIMIT, KEEPREF, DELREF and ACKED as they come in; of the last three one, once.
#[derive(Debug, Default)]
pub(super) struct TrimOptions {
    keep: Option<Keep>,
    approximate: bool,
    limit: Option<u64>,
    references: Option<References>,
}

impl TrimOptions {
    /// Takes the option that `args` begins with, and says how many arguments that were; `None`
    /// where it is none of these.
    pub(super) fn take(&mut self, args: &[Bytes]) -> Result<Option<usize>, SyntaxError> {
        if let [option, ..] = args
            && self.references.is_none()
            && let Some(references) = references(option)
        {
            self.references = Some(references);
            return Ok(Some(1));
        }
        let [option, value, ..] = args else { return Ok(None) };
        if is_word(option, "MAXLEN") || is_word(option, "MINID") {
            if self.keep.is_some() {
                return Err(SyntaxError::TrimTwice);
            }
            let marked = args.len() > 2 && matches!(&value[..], b"~" | b"=");
            self.approximate = marked && value[..] == *b"~";
            let value = &args[if marked { 2 } else { 1 }];
            self.keep = Some(keep(is_word(option, "MAXLEN"), value)?);
            Ok(Some(if marked { 3 } else { 2 }))
        } else if is_word(option, "LIMIT") {
            let limit = integer(value)?;
            self.limit = Some(u64::try_from(limit).map_err(|_| SyntaxError::LimitNegative)?);
            Ok(Some(2))
        } else {
            Ok(None)
        }
    }

    /// The trim that the options make; `missing` where there must be one.
    pub(super) fn finish(self, missing: Option<SyntaxError>) -> Result<Option<Trim>, SyntaxError> {
        let Self { keep, approximate, limit, references } = self;
        let references = references.unwrap_or_default();
        match (keep, limit) {
            (None, Some(1..)) => Err(SyntaxError::LimitWithoutTrim),
            (None, limit) => match (missing, limit) {
                (Some(missing), _) => Err(missing),
                (None, Some(_)) => Err(SyntaxError::LimitWithoutTilde),
                (None, None) => Ok(None),
            },
            (Some(_), Some(_)) if !approximate => Err(SyntaxError::LimitWithoutTilde),
            (Some(keep), limit) => Ok(Some(Trim { keep, approximate, limit, references })),
        }
    }
}

fn keep(by_length: bool, value: &[u8]) -> Result<Keep, SyntaxError> {
    if by_length {
        let length = u64::try_from(integer(value)?).map_err(|_| SyntaxError::MaxLenNegative)?;
        Ok(Keep::Newest(length))
    } else {
        id(value).map(Keep::From)
    }
}

#[cfg(test)]
mod tests {
    use streams::id::EntryId;

    use super::*;
    use crate::commands::args;

    fn check(line: &str, expected: Result<Trim, SyntaxError>) {
        let expected = expected.map(|trim| Command::Trim { key: "s".into(), trim });
        assert_eq!(parse(&args(line)), expected, "{line}");
    }

    #[test]
    fn a_stream_is_cut_to_a_length_or_an_id() {
        let newest = |length, approximate, limit| {
            let references = References::Keep;
            Ok(Trim { keep: Keep::Newest(length), approximate, limit, references })
        };
        check("XTRIM s MAXLEN 1", newest(1, false, None));
        check("XTRIM s maxlen = 0", newest(0, false, None));
        check("XTRIM s MAXLEN ~ 10 LIMIT 5", newest(10, true, Some(5)));
        check("XTRIM s LIMIT 0 MAXLEN ~ 10", newest(10, true, Some(0)));
        let from = Keep::From(EntryId::new(6, 0));
        let references = References::Keep;
        let trim = Trim { keep: from, approximate: false, limit: None, references };
        check("XTRIM s MINID 6", Ok(trim));
        check("XTRIM s KEEPREF MINID 6", Ok(trim));
        let acked = Trim { references: References::Acked, ..trim };
        check("XTRIM s MINID 6 acked", Ok(acked));
        let gone = Trim { references: References::Delete, ..trim };
        check("XTRIM s DELREF MINID = 6", Ok(gone));
    }

    #[test]
    fn wrong_options_are_refused_in_redis_order() {
        check("XTRIM s FOO 1", Err(SyntaxError::Syntax));
        check("XTRIM s MAXLEN 1 ACKED DELREF", Err(SyntaxError::Syntax));
        check("XTRIM s KEEPREF KEEPREF MAXLEN 1", Err(SyntaxError::Syntax));
        check("XTRIM s KEEPREF ACKED", Err(SyntaxError::Syntax));
        check("XTRIM s MAXLEN 1 MINID 1", Err(SyntaxError::TrimTwice));
        check("XTRIM s MAXLEN 1 MAXLEN 1", Err(SyntaxError::TrimTwice));
        check("XTRIM s MAXLEN -1", Err(SyntaxError::MaxLenNegative));
        check("XTRIM s MAXLEN x", Err(SyntaxError::NotInteger));
        check("XTRIM s MAXLEN ~ x", Err(SyntaxError::NotInteger));
        check("XTRIM s MAXLEN ~", Err(SyntaxError::NotInteger));
        check("XTRIM s MINID -", Err(SyntaxError::InvalidId));
        check("XTRIM s MAXLEN 1 LIMIT", Err(SyntaxError::Syntax));
        check("XTRIM s MAXLEN 1 LIMIT 5", Err(SyntaxError::LimitWithoutTilde));
        check("XTRIM s MAXLEN ~ 1 LIMIT -5", Err(SyntaxError::LimitNegative));
        check("XTRIM s LIMIT 5", Err(SyntaxError::LimitWithoutTrim));
        check("XTRIM s LIMIT 0", Err(SyntaxError::TrimMissing));
    }
}
