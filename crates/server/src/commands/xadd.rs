//! XADD.

use streams::command::{Add, AddId, Command};
use streams::id::EntryId;

use super::arguments::{Args, Sequence, id_parts, is_word};
use super::xtrim::TrimOptions;
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static DOC: Doc = Doc {
    summary: "Adds an entry to a stream, making the stream where there is none.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1), and O(N) in what is trimmed",
};

pub(crate) fn parse(args: Args<'_>) -> Result<Command, SyntaxError> {
    let (mut trim, mut must_exist, mut id) = (TrimOptions::default(), false, None);
    let mut at = 2;
    while at < args.len() && id.is_none() {
        if args[at][..] == *b"*" {
            id = Some(AddId::Auto);
            at += 1;
        } else if let Some(taken) = trim.take(&args[at..])? {
            at += taken;
        } else if is_word(&args[at], "NOMKSTREAM") {
            must_exist = true;
            at += 1;
        } else {
            id = Some(add_id(&args[at])?);
            at += 1;
        }
    }
    let trim = trim.finish(None)?;
    let fields = &args[at..];
    let Some(id) = id.filter(|_| !fields.is_empty() && fields.len().is_multiple_of(2)) else {
        return Err(SyntaxError::Arity("xadd".to_owned()));
    };
    if id == AddId::Exact(EntryId::MIN) {
        return Err(SyntaxError::AddZero);
    }
    let (key, fields) = (args[1].clone(), fields.to_vec());
    Ok(Command::Add(Add { key, id, fields, must_exist, trim }))
}

fn add_id(arg: &[u8]) -> Result<AddId, SyntaxError> {
    Ok(match id_parts(arg)? {
        (ms, Sequence::Given(seq)) => AddId::Exact(EntryId::new(ms, seq)),
        (ms, Sequence::Missing) => AddId::Exact(EntryId::new(ms, 0)),
        (ms, Sequence::Any) => AddId::Ms(ms),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use streams::command::{Keep, References, Trim};

    use super::*;
    use crate::commands::args;

    fn check(line: &str, expected: Result<(AddId, &str, bool, Option<Trim>), SyntaxError>) {
        let expected = expected.map(|(id, fields, must_exist, trim)| {
            Command::Add(Add { key: Bytes::from("s"), id, fields: args(fields), must_exist, trim })
        });
        assert_eq!(parse(&args(line)), expected, "{line}");
    }

    #[test]
    fn an_entry_has_an_id_and_fields() {
        check("XADD s * a 1", Ok((AddId::Auto, "a 1", false, None)));
        check("XADD s 5-1 a 1 b 2", Ok((AddId::Exact(EntryId::new(5, 1)), "a 1 b 2", false, None)));
        check("XADD s 6 c 3", Ok((AddId::Exact(EntryId::new(6, 0)), "c 3", false, None)));
        check("XADD s 0-* c 3", Ok((AddId::Ms(0), "c 3", false, None)));
        let (keep, limit, references) = (Keep::Newest(9), Some(5), References::Delete);
        let trim = Trim { keep, approximate: true, limit, references };
        check(
            "XADD s nomkstream LIMIT 5 delref MAXLEN ~ 9 * MAXLEN 5",
            Ok((AddId::Auto, "MAXLEN 5", true, Some(trim))),
        );
    }

    #[test]
    fn wrong_requests_are_refused_in_redis_order() {
        let arity = || Err(SyntaxError::Arity("xadd".to_owned()));
        check("XADD s * a", arity());
        check("XADD s 7-1 f v g", arity());
        check("XADD s NOMKSTREAM MAXLEN 5", arity());
        check("XADD s 0-0 a", arity());
        check("XADD s 0-0 a 1", Err(SyntaxError::AddZero));
        check("XADD s 0 a 1", Err(SyntaxError::AddZero));
        check("XADD s - a 1", Err(SyntaxError::InvalidId));
        check("XADD s ACKED KEEPREF * a 1", Err(SyntaxError::InvalidId));
        check("XADD s ACKED ACKED * a 1", Err(SyntaxError::InvalidId));
        check("XADD s LIMIT", Err(SyntaxError::InvalidId));
        check("XADD s LIMIT 5 * a", Err(SyntaxError::LimitWithoutTrim));
        check("XADD s LIMIT 0 * a 1", Err(SyntaxError::LimitWithoutTilde));
        check("XADD s MAXLEN 10 LIMIT 5 * a 1", Err(SyntaxError::LimitWithoutTilde));
        check("XADD s MAXLEN abc * a 1", Err(SyntaxError::NotInteger));
        check("XADD s MAXLEN 1 MINID 2 * a 1", Err(SyntaxError::TrimTwice));
    }
}
