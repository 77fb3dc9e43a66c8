//! XCLAIM.

use streams::command::{Claim, Command, Delivered};

use super::arguments::{Args, id, is_word};
use crate::resp::{Doc, Echo, Group, SyntaxError};

pub(crate) static DOC: Doc = Doc {
    summary: "Hands pending entries, named by id, to another consumer of the group.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(log N) for each id",
};

pub(crate) fn parse(args: Args<'_>) -> Result<Command, SyntaxError> {
    let min_idle = resp::signed(&args[4]).ok_or(SyntaxError::MinIdle("XCLAIM"))?;
    let mut claim = Claim {
        key: args[1].clone(),
        group: args[2].clone(),
        consumer: args[3].clone(),
        min_idle_ms: u64::try_from(min_idle).unwrap_or(0),
        // What isn't an id is an option, and so is all that follows.
        ids: args[5..].iter().map_while(|arg| id(arg).ok()).collect(),
        delivered: None,
        deliveries: None,
        force: false,
        just_id: false,
        last_id: None,
    };
    let mut options = &args[5 + claim.ids.len()..];
    while let [option, behind @ ..] = options {
        options = &behind[take(&mut claim, option, behind)?..];
    }
    Ok(Command::Claim(claim))
}

/// Takes one option, and says how many arguments behind its name belong to it.
fn take(claim: &mut Claim, option: &[u8], behind: Args<'_>) -> Result<usize, SyntaxError> {
    if is_word(option, "FORCE") {
        claim.force = true;
        return Ok(0);
    }
    if is_word(option, "JUSTID") {
        claim.just_id = true;
        return Ok(0);
    }
    let Some(value) = behind.first() else { return Err(unknown(option)) };
    let number = |name| resp::signed(value).ok_or(SyntaxError::ClaimOption(name));
    if is_word(option, "IDLE") {
        claim.delivered = u64::try_from(number("IDLE")?).ok().map(Delivered::IdleMs);
    } else if is_word(option, "TIME") {
        claim.delivered = u64::try_from(number("TIME")?).ok().map(Delivered::AtMs);
    } else if is_word(option, "RETRYCOUNT") {
        claim.deliveries = u64::try_from(number("RETRYCOUNT")?).ok();
    } else if is_word(option, "LASTID") {
        claim.last_id = Some(id(value)?);
    } else {
        return Err(unknown(option));
    }
    Ok(1)
}

fn unknown(option: &[u8]) -> SyntaxError {
    SyntaxError::ClaimUnknownOption(Echo::new(option))
}

#[cfg(test)]
mod tests {
    use streams::id::EntryId;

    use super::*;
    use crate::commands::args;

    fn claim(change: impl Fn(&mut Claim)) -> Result<Command, SyntaxError> {
        let mut claim = Claim {
            key: "s".into(),
            group: "g".into(),
            consumer: "c".into(),
            min_idle_ms: 0,
            ids: vec![EntryId::new(5, 2)],
            delivered: None,
            deliveries: None,
            force: false,
            just_id: false,
            last_id: None,
        };
        change(&mut claim);
        Ok(Command::Claim(claim))
    }

    fn check(line: &str, expected: &Result<Command, SyntaxError>) {
        assert_eq!(&parse(&args(line)), expected, "{line}");
    }

    #[test]
    fn entries_are_claimed_with_options_behind_the_ids() {
        check("XCLAIM s g c -5 5-2", &claim(|_| {}));
        check(
            "XCLAIM s g c 7 5-2 6 force",
            &claim(|claim| {
                claim.min_idle_ms = 7;
                claim.ids.push(EntryId::new(6, 0));
                claim.force = true;
            }),
        );
        check(
            "XCLAIM s g c 0 5-2 JUSTID IDLE 9 RETRYCOUNT 3 LASTID 8",
            &claim(|claim| {
                claim.just_id = true;
                claim.delivered = Some(Delivered::IdleMs(9));
                claim.deliveries = Some(3);
                claim.last_id = Some(EntryId::new(8, 0));
            }),
        );
        check(
            "XCLAIM s g c 0 5-2 TIME 9",
            &claim(|claim| {
                claim.delivered = Some(Delivered::AtMs(9));
            }),
        );
        check("XCLAIM s g c 0 5-2 IDLE 9 TIME -1 RETRYCOUNT -7", &claim(|_| {}));
        check(
            "XCLAIM s g c 0 FORCE",
            &claim(|claim| {
                claim.ids.clear();
                claim.force = true;
            }),
        );
    }

    #[test]
    fn wrong_requests_are_refused_in_redis_order() {
        let refused = |option: &str| Err(unknown(option.as_bytes()));
        check("XCLAIM s g c x abc", &Err(SyntaxError::MinIdle("XCLAIM")));
        check("XCLAIM s g c 0 5-2 BADOPT", &refused("BADOPT"));
        check("XCLAIM s g c 0 abc", &refused("abc"));
        check("XCLAIM s g c 0 5-2 FORCE 6-0", &refused("6-0"));
        check("XCLAIM s g c 0 5-2 IDLE", &refused("IDLE"));
        check("XCLAIM s g c 0 5-2 IDLE x", &Err(SyntaxError::ClaimOption("IDLE")));
        check("XCLAIM s g c 0 5-2 TIME x", &Err(SyntaxError::ClaimOption("TIME")));
        check("XCLAIM s g c 0 5-2 RETRYCOUNT x", &Err(SyntaxError::ClaimOption("RETRYCOUNT")));
        check("XCLAIM s g c 0 5-2 LASTID x", &Err(SyntaxError::InvalidId));
    }
}
