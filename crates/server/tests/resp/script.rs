//! Scripts: what a client says, and what it is told, as text.
//!
//! ```text
//! # A comment.
//! at 5             the wall clock stands 5 ms after the start
//! > XADD s * f 1   a request; what follows until the next one is its reply
//! '1700000000005-0'
//! ```
//!
//! `<n>` in a reply stands for any number; spaces at the end of a reply don't count. A reply that differs by protocol begins each form with its
//! version: `2 nil-array`, `3 nil`; one that differs by build with `debug` or `release`.

use std::fmt::Write;
use std::path::Path;

/// A request and its replies in RESP2 and RESP3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) at_ms: Option<u64>,
    pub(crate) request: String,
    pub(crate) replies: [String; 2],
}

pub(crate) fn read(path: &Path) -> Vec<Step> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    parse(&text)
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut at_ms = None;
    for (at, line) in text.lines().enumerate() {
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        if let Some(ms) = line.strip_prefix("at ") {
            at_ms = Some(ms.parse().expect("milliseconds"));
        } else if let Some(request) = line.strip_prefix("> ") {
            let (request, replies) = (request.to_owned(), [String::new(), String::new()]);
            steps.push(Step { line: at + 1, at_ms: at_ms.take(), request, replies });
        } else {
            let step = steps.last_mut().expect("a request before its reply");
            let (this, other) = match cfg!(debug_assertions) {
                true => ("debug ", "release "),
                false => ("release ", "debug "),
            };
            if line.starts_with(other) {
                continue;
            }
            let line = line.strip_prefix(this).unwrap_or(line);
            match (line.strip_prefix("2 "), line.strip_prefix("3 ")) {
                (Some(reply), _) => step.replies[0] = reply.to_owned(),
                (_, Some(reply)) => step.replies[1] = reply.to_owned(),
                _ => step.replies = [line.to_owned(), line.to_owned()],
            }
        }
    }
    steps
}

/// Whether a reply is what was expected, `<n>` being any number.
pub(crate) fn matches(expected: &str, got: &str) -> bool {
    let mut rest = got.trim_end();
    let mut parts = expected.split("<n>");
    let first = parts.next().unwrap_or_default();
    let Some(behind) = rest.strip_prefix(first) else { return false };
    rest = behind;
    for part in parts {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        if digits.len() == rest.len() {
            return false;
        }
        match digits.strip_prefix(part) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    rest.is_empty()
}

/// What went wrong, one paragraph a step.
pub(crate) fn complaint(out: &mut String, step: &Step, protocol: u8, expected: &str, got: &str) {
    let Step { line, request, .. } = step;
    write!(
        out,
        "line {line}, RESP{protocol}: {request}\n  expected {expected}\n  got      {got}\n"
    )
    .unwrap();
}

#[test]
fn a_placeholder_is_any_number() {
    assert!(matches("a:<n>, b", "a:123, b"));
    assert!(matches("<n>-<n>", "17-0"));
    assert!(!matches("a:<n>", "a:"));
    assert!(!matches("a:<n>", "a:1x"));
    assert!(!matches("a", "ab"));
}
