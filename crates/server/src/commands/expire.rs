//! EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, PERSIST, TTL, PTTL, EXPIRETIME, PEXPIRETIME. A time is
//! compared with the shard's clock, never with that of the node which is asked.

use bytes::Bytes;
use streams::command::{Command, ExpireOnly, When};
use streams::query::Query;

use super::arguments::{Args, integer, is_word};
use crate::resp::{Doc, Echo, Group, SyntaxError};

/// From here to the end of time no clock comes: a time from now on must leave room for it.
const CLOCK_MS_MAX: i64 = 1 << 43;

pub(crate) static EXPIRE: Doc = Doc {
    summary: "Lets a key expire so many seconds from now.",
    group: Group::Generic,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static PEXPIRE: Doc = Doc {
    summary: "Lets a key expire so many milliseconds from now.",
    group: Group::Generic,
    since: "2.6.0",
    complexity: "O(1)",
};

pub(crate) static EXPIREAT: Doc = Doc {
    summary: "Lets a key expire at a Unix time in seconds.",
    group: Group::Generic,
    since: "1.2.0",
    complexity: "O(1)",
};

pub(crate) static PEXPIREAT: Doc = Doc {
    summary: "Lets a key expire at a Unix time in milliseconds.",
    group: Group::Generic,
    since: "2.6.0",
    complexity: "O(1)",
};

pub(crate) static PERSIST: Doc = Doc {
    summary: "Keeps a key from expiring.",
    group: Group::Generic,
    since: "2.2.0",
    complexity: "O(1)",
};

pub(crate) static TTL: Doc = Doc {
    summary: "Tells in how many seconds a key expires: -1 never, -2 there is no such key.",
    group: Group::Generic,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static PTTL: Doc = Doc {
    summary: "Tells in how many milliseconds a key expires: -1 never, -2 there is no such key.",
    group: Group::Generic,
    since: "2.6.0",
    complexity: "O(1)",
};

pub(crate) static EXPIRETIME: Doc = Doc {
    summary: "Tells the Unix time in seconds at which a key expires: -1 never, -2 no such key.",
    group: Group::Generic,
    since: "7.0.0",
    complexity: "O(1)",
};

pub(crate) static PEXPIRETIME: Doc = Doc {
    summary: "Tells the Unix time in milliseconds at which a key expires: -1 never, -2 no such key.",
    group: Group::Generic,
    since: "7.0.0",
    complexity: "O(1)",
};

pub(crate) fn expire(args: Args<'_>) -> Result<Command, SyntaxError> {
    set(args, |time| from_now(time.checked_mul(1000)?), "expire")
}

pub(crate) fn expire_ms(args: Args<'_>) -> Result<Command, SyntaxError> {
    set(args, from_now, "pexpire")
}

pub(crate) fn expire_at(args: Args<'_>) -> Result<Command, SyntaxError> {
    set(args, |time| time.checked_mul(1000).map(When::AtMs), "expireat")
}

pub(crate) fn expire_at_ms(args: Args<'_>) -> Result<Command, SyntaxError> {
    set(args, |time| Some(When::AtMs(time)), "pexpireat")
}

fn from_now(ms: i64) -> Option<When> {
    (ms <= i64::MAX - CLOCK_MS_MAX).then_some(When::InMs(ms))
}

fn set(
    args: Args<'_>,
    when: impl Fn(i64) -> Option<When>,
    name: &'static str,
) -> Result<Command, SyntaxError> {
    let only = only(&args[3..])?;
    let when = when(integer(&args[2])?).ok_or(SyntaxError::ExpireTime(name))?;
    Ok(Command::Expire { key: args[1].clone(), when, only })
}

fn only(options: &[Bytes]) -> Result<ExpireOnly, SyntaxError> {
    let (mut without, mut with, mut later, mut earlier) = (false, false, false, false);
    for option in options {
        let place = match option {
            option if is_word(option, "NX") => &mut without,
            option if is_word(option, "XX") => &mut with,
            option if is_word(option, "GT") => &mut later,
            option if is_word(option, "LT") => &mut earlier,
            option => return Err(SyntaxError::ExpireOption(Echo::new(option))),
        };
        *place = true;
    }
    match (without, with, later, earlier) {
        (true, true, _, _) | (true, _, true, _) | (true, _, _, true) => Err(SyntaxError::ExpireNx),
        (_, _, true, true) => Err(SyntaxError::ExpireGtLt),
        (true, ..) => Ok(ExpireOnly::WithoutTime),
        (_, _, true, _) => Ok(ExpireOnly::Later),
        (_, true, _, true) => Ok(ExpireOnly::WithTimeEarlier),
        (_, _, _, true) => Ok(ExpireOnly::Earlier),
        (_, true, ..) => Ok(ExpireOnly::WithTime),
        (false, false, false, false) => Ok(ExpireOnly::Always),
    }
}

pub(crate) fn persist(args: Args<'_>) -> Result<Command, SyntaxError> {
    Ok(Command::Persist { key: args[1].clone() })
}

pub(crate) fn ttl(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(lifetime(args, false, false))
}

pub(crate) fn ttl_ms(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(lifetime(args, false, true))
}

pub(crate) fn time(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(lifetime(args, true, false))
}

pub(crate) fn time_ms(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(lifetime(args, true, true))
}

fn lifetime(args: Args<'_>, absolute: bool, in_ms: bool) -> Query {
    Query::Lifetime { key: args[1].clone(), absolute, in_ms }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::args;

    #[test]
    fn times_are_in_milliseconds_from_now_or_from_the_beginning() {
        let set = |when, only| Ok(Command::Expire { key: "k".into(), when, only });
        assert_eq!(expire(&args("EXPIRE k 10")), set(When::InMs(10_000), ExpireOnly::Always));
        let earlier = set(When::InMs(-10), ExpireOnly::WithTimeEarlier);
        assert_eq!(expire_ms(&args("PEXPIRE k -10 lt xx")), earlier);
        let later = set(When::AtMs(5000), ExpireOnly::Later);
        assert_eq!(expire_at(&args("EXPIREAT k 5 GT XX")), later);
        let always = set(When::AtMs(i64::MAX), ExpireOnly::Always);
        assert_eq!(expire_at_ms(&args("PEXPIREAT k 9223372036854775807")), always);
        let query = |absolute, in_ms| Ok(Query::Lifetime { key: "k".into(), absolute, in_ms });
        assert_eq!(ttl(&args("TTL k")), query(false, false));
        assert_eq!(ttl_ms(&args("PTTL k")), query(false, true));
        assert_eq!(time(&args("EXPIRETIME k")), query(true, false));
        assert_eq!(time_ms(&args("PEXPIRETIME k")), query(true, true));
        assert_eq!(persist(&args("PERSIST k")), Ok(Command::Persist { key: "k".into() }));
    }

    #[test]
    fn conditions_that_exclude_each_other_are_refused() {
        let only_of = |line: &str| only(&args(line));
        for (line, expected) in [
            ("", Ok(ExpireOnly::Always)),
            ("nx nx", Ok(ExpireOnly::WithoutTime)),
            ("XX", Ok(ExpireOnly::WithTime)),
            ("GT", Ok(ExpireOnly::Later)),
            ("LT", Ok(ExpireOnly::Earlier)),
            ("NX XX", Err(SyntaxError::ExpireNx)),
            ("GT NX", Err(SyntaxError::ExpireNx)),
            ("GT LT", Err(SyntaxError::ExpireGtLt)),
            ("FOO", Err(SyntaxError::ExpireOption(Echo::new(b"FOO")))),
        ] {
            assert_eq!(only_of(line), expected, "{line}");
        }
    }

    #[test]
    fn a_time_that_no_clock_reaches_is_refused() {
        let refused = |name| Err(SyntaxError::ExpireTime(name));
        assert_eq!(expire(&args("EXPIRE k 9223372036854776")), refused("expire"));
        assert_eq!(expire(&args("EXPIRE k -9223372036854776")), refused("expire"));
        assert_eq!(expire_ms(&args("PEXPIRE k 9223372036854775807")), refused("pexpire"));
        assert_eq!(expire_at(&args("EXPIREAT k 9223372036854776")), refused("expireat"));
        assert_eq!(expire(&args("EXPIRE k x")), Err(SyntaxError::NotInteger));
    }
}
