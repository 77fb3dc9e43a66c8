//! XADD.

use bytes::Bytes;
use streams::command::{Add, AddId, Command, Producer};
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
    let mut producer = None;
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
        } else if let Some(given) = ProducerOption::at(&args[at..])? {
            if producer.is_some() {
                return Err(SyntaxError::IdmpTwice);
            }
            at += given.args_count();
            producer = Some(given);
        } else {
            id = Some(add_id(&args[at])?);
            at += 1;
        }
    }
    let trim = trim.finish(None)?;
    if producer.is_some() && id.is_some_and(|id| id != AddId::Auto) {
        return Err(SyntaxError::IdmpNeedsAutoId);
    }
    let fields = &args[at..];
    let Some(id) = id.filter(|_| !fields.is_empty() && fields.len().is_multiple_of(2)) else {
        return Err(SyntaxError::Arity("xadd".to_owned()));
    };
    if id == AddId::Exact(EntryId::MIN) {
        return Err(SyntaxError::AddZero);
    }
    let (key, fields) = (args[1].clone(), fields.to_vec());
    let once = producer.map(|producer| producer.of(&fields));
    Ok(Command::Add(Add { key, id, fields, must_exist, trim, once }))
}

/// IDMP and IDMPAUTO.
enum ProducerOption {
    Given(Producer),
    /// The id is made of the fields.
    Auto(Bytes),
}

impl ProducerOption {
    /// The one that `args` begins with.
    fn at(args: &[Bytes]) -> Result<Option<Self>, SyntaxError> {
        match args {
            [option, name, id, ..] if is_word(option, "IDMP") => {
                if name.is_empty() {
                    return Err(SyntaxError::IdmpProducerEmpty("IDMP"));
                }
                if id.is_empty() {
                    return Err(SyntaxError::IdmpIdEmpty);
                }
                Ok(Some(Self::Given(Producer { name: name.clone(), id: id.clone() })))
            }
            [option, name, ..] if is_word(option, "IDMPAUTO") => {
                if name.is_empty() {
                    return Err(SyntaxError::IdmpProducerEmpty("IDMPAUTO"));
                }
                Ok(Some(Self::Auto(name.clone())))
            }
            _ => Ok(None),
        }
    }

    fn args_count(&self) -> usize {
        match self {
            Self::Given(_) => 3,
            Self::Auto(_) => 2,
        }
    }

    fn of(self, fields: &[Bytes]) -> Producer {
        match self {
            Self::Given(producer) => producer,
            Self::Auto(name) => Producer { name, id: streams::id_of_fields(fields) },
        }
    }
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
    use streams::command::{Keep, References, Trim};

    use super::*;
    use crate::commands::args;

    fn check(line: &str, expected: Result<(AddId, &str, bool, Option<Trim>), SyntaxError>) {
        let expected = expected.map(|(id, fields, must_exist, trim)| {
            let (key, fields) = (Bytes::from("s"), args(fields));
            Command::Add(Add { key, id, fields, must_exist, trim, once: None })
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
    fn a_producer_gives_an_id_or_has_it_made_of_the_fields() {
        let once = |line: &str| match parse(&args(line)) {
            Ok(Command::Add(add)) => add.once,
            other => panic!("{other:?}"),
        };
        let given = Producer { name: "p".into(), id: "7".into() };
        assert_eq!(once("XADD s idmp p 7 * a 1"), Some(given));
        let made = Producer { name: "p".into(), id: streams::id_of_fields(&args("a 1 b 2")) };
        assert_eq!(once("XADD s MAXLEN 5 IDMPAUTO p * b 2 a 1"), Some(made));
        assert_eq!(once("XADD s * IDMP p"), None);
        let refused = |list: &[&'static str]| {
            let list: Vec<Bytes> =
                list.iter().map(|arg| Bytes::from_static(arg.as_bytes())).collect();
            parse(&list)
        };
        use SyntaxError as E;
        for (line, error) in [
            ("XADD s IDMP p 7 5-1 a", E::IdmpNeedsAutoId),
            ("XADD s IDMP p 7 5-* a 1", E::IdmpNeedsAutoId),
            ("XADD s IDMP p 7 IDMP p 8 * a 1", E::IdmpTwice),
            ("XADD s IDMPAUTO p IDMP p 8 * a 1", E::IdmpTwice),
            ("XADD s IDMP p1 * f v", E::InvalidId),
            ("XADD s IDMP p 7 * a", E::Arity("xadd".to_owned())),
        ] {
            assert_eq!(parse(&args(line)), Err(error), "{line}");
        }
        let empty = refused(&["XADD", "s", "IDMP", "", "7", "*", "a", "1"]);
        assert_eq!(empty, Err(E::IdmpProducerEmpty("IDMP")));
        assert_eq!(refused(&["XADD", "s", "IDMP", "p", "", "*", "a", "1"]), Err(E::IdmpIdEmpty));
        let empty = refused(&["XADD", "s", "IDMPAUTO", "", "*", "a", "1"]);
        assert_eq!(empty, Err(E::IdmpProducerEmpty("IDMPAUTO")));
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
