//! Patterns with `*`, `?`, `[a-z]` and `\`, as Redis matches names. Never recursive, and the time is
//! bounded, whatever the pattern: the product of two long lengths would hold up everybody else.

use crate::limits::PATTERN_STEPS_MAX;

/// Whether capital letters are letters of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They are: keys, channels.
    Counts,
    /// They aren't: names of commands and settings.
    Ignored,
}

impl Case {
    fn of(self, byte: u8) -> u8 {
        match self {
            Self::Counts => byte,
            Self::Ignored => byte.to_ascii_lowercase(),
        }
    }
}

/// Whether the pattern covers the whole text, and that is seen in [`PATTERN_STEPS_MAX`] steps.
pub fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    let (mut at, mut text_at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut steps = 0;
    while steps < PATTERN_STEPS_MAX {
        let matched = match (pattern.get(at), text.get(text_at)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                star = Some((at + 1, text_at));
                (at, steps) = (at + 1, steps + 1);
                continue;
            }
            (Some(_), Some(byte)) => {
                let (matched, length) = one(&pattern[at..], *byte, case);
                steps += length;
                matched.then_some(length)
            }
            _ => {
                steps += 1;
                None
            }
        };
        match (matched, star) {
            (Some(length), _) => {
                at += length;
                text_at += 1;
            }
            (None, Some((behind, from))) if from < text.len() => {
                star = Some((behind, from + 1));
                (at, text_at) = (behind, from + 1);
            }
            (None, _) => return false,
        }
    }
    false
}

/// Whether the pattern's first element covers the byte, and its length.
fn one(pattern: &[u8], byte: u8, case: Case) -> (bool, usize) {
    let same = |literal: &u8| case.of(*literal) == case.of(byte);
    match pattern {
        [b'?', ..] => (true, 1),
        [b'[', rest @ ..] => {
            let (covers, length) = class(rest, byte, case);
            (covers, length + 1)
        }
        [b'\\', literal, ..] => (same(literal), 2),
        [literal, ..] => (same(literal), 1),
        [] => (false, 0),
    }
}

/// The same for what follows a `[`.
fn class(pattern: &[u8], byte: u8, case: Case) -> (bool, usize) {
    let byte = case.of(byte);
    let negated = pattern.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match &pattern[at.min(pattern.len())..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', literal, ..] => {
                found |= case.of(*literal) == byte;
                at += 2;
            }
            [low, b'-', high, ..] if *high != b']' => {
                let (low, high) = (case.of(*low), case.of(*high));
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= case.of(*literal) == byte;
                at += 1;
            }
        }
    }
    (found != negated, at)
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: bool) {
        let got = matches(pattern.as_bytes(), text.as_bytes(), Case::Ignored);
        assert_eq!(got, expected, "{pattern} {text}");
    }

    #[test]
    fn patterns_cover_names_as_in_redis() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "abc"),
            ("a*c", "abbc"),
            ("a?c", "abc"),
            ("A*", "abc"),
            ("", ""),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("a\\*", "a*"),
            ("*max*clients*", "maxclients"),
            ("**a", "a"),
            ("[a", "a"),
        ] {
            check(pattern, text, true);
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("a?c", "ac"),
            ("h[ae]llo", "hillo"),
            ("h[^a]llo", "hallo"),
            ("a\\*", "ab"),
            ("*b", "abc"),
            ("[", "a"),
        ] {
            check(pattern, text, false);
        }
    }

    #[test]
    fn capital_letters_count_where_they_do() {
        let exact =
            |pattern: &str, text: &str| matches(pattern.as_bytes(), text.as_bytes(), Case::Counts);
        assert!(exact("A[B-D]*", "ACe") && exact("\\A?c", "Abc"));
        assert!(!exact("A*", "abc") && !exact("[A-C]", "b") && !exact("\\A", "a"));
    }

    /// CVE-2022-36021, CVE-2024-31228: a pattern took exponential time, or the stack.
    #[test]
    fn no_pattern_takes_long() {
        let pattern = "*a".repeat(2000);
        check(&pattern, &"a".repeat(1999), false);
        check(&"*".repeat(100_000), "abc", true);
    }

    /// With a megabyte of each, one match took minutes, and its shard did nothing else.
    #[test]
    fn cve_2022_36021_what_takes_too_many_steps_is_not_covered() {
        let (short, long) = ("a".repeat(100), "a".repeat(100_000));
        let pattern = |middle: &str| format!("*{middle}b");
        check(&pattern(&short), &format!("{short}b"), true);
        check(&pattern(&short), &format!("{}b", "a".repeat(1_000)), true);
        check(&pattern(&long), &format!("{long}{long}b"), false);
        // A class is gone through for each byte.
        check(&format!("*[{long}]b"), &format!("{short}b"), false);
    }
}
