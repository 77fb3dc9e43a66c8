//! XCFGSET.

use streams::command::Command;

use super::arguments::{Args, integer, is_word};
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static DOC: Doc = Doc {
    summary: "Sets how long, and how many ids of each producer, a stream remembers, so that nothing \
              is added twice. What it remembers stays, unlike in Redis.",
    group: Group::Stream,
    since: "8.6.0",
    complexity: "O(N) in the ids that there is no room for any more",
};

const DURATION_SECONDS_MAX: i64 = 86_400;
const IDS_MAX: i64 = 10_000;

pub(crate) fn parse(args: Args<'_>) -> Result<Command, SyntaxError> {
    let (mut duration_ms, mut ids_max) = (None, None);
    let mut rest = &args[2..];
    while let [option, value, behind @ ..] = rest {
        let (found, greatest, wrong) = if is_word(option, "IDMP-DURATION") {
            (&mut duration_ms, DURATION_SECONDS_MAX, SyntaxError::IdmpDuration)
        } else if is_word(option, "IDMP-MAXSIZE") {
            (&mut ids_max, IDS_MAX, SyntaxError::IdmpMaxSize)
        } else {
            return Err(SyntaxError::Syntax);
        };
        if found.is_some() {
            return Err(SyntaxError::SpecifiedTwice(match greatest {
                IDS_MAX => "IDMP-MAXSIZE",
                _ => "IDMP-DURATION",
            }));
        }
        *found = Some(within(value, greatest, wrong)?);
        rest = behind;
    }
    if !rest.is_empty() {
        return Err(SyntaxError::Syntax);
    }
    if duration_ms.is_none() && ids_max.is_none() {
        return Err(SyntaxError::ParameterMissing);
    }
    let duration_ms = duration_ms.map(|seconds| seconds * 1000);
    Ok(Command::Configure { key: args[1].clone(), duration_ms, ids_max })
}

fn within(value: &[u8], greatest: i64, wrong: SyntaxError) -> Result<u64, SyntaxError> {
    let value = Some(integer(value)?).filter(|value| (1..=greatest).contains(value));
    value.and_then(|value| u64::try_from(value).ok()).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::args;

    #[test]
    fn each_bound_comes_once_and_in_its_range() {
        use SyntaxError as E;
        let set =
            |duration_ms, ids_max| Ok(Command::Configure { key: "s".into(), duration_ms, ids_max });
        for (rest, expected) in [
            ("idmp-duration 86400", set(Some(86_400_000), None)),
            ("IDMP-MAXSIZE 10000", set(None, Some(10_000))),
            ("IDMP-MAXSIZE 1 IDMP-DURATION 1", set(Some(1000), Some(1))),
            ("", Err(E::ParameterMissing)),
            ("IDMP-DURATION", Err(E::Syntax)),
            ("FOO 1", Err(E::Syntax)),
            ("IDMP-DURATION 0", Err(E::IdmpDuration)),
            ("IDMP-DURATION 86401", Err(E::IdmpDuration)),
            ("IDMP-MAXSIZE 0", Err(E::IdmpMaxSize)),
            ("IDMP-MAXSIZE 10001", Err(E::IdmpMaxSize)),
            ("IDMP-MAXSIZE 000000000", Err(E::NotInteger)),
            ("IDMP-DURATION x", Err(E::NotInteger)),
            ("IDMP-DURATION 5 IDMP-DURATION 5", Err(E::SpecifiedTwice("IDMP-DURATION"))),
            ("IDMP-MAXSIZE 5 IDMP-MAXSIZE 5", Err(E::SpecifiedTwice("IDMP-MAXSIZE"))),
        ] {
            assert_eq!(parse(&args(&format!("XCFGSET s {rest}"))), expected, "{rest}");
        }
    }
}
