//! Patterns and names of any bytes: the same answer as one that tries everything, for names so short
//! that it ends, and no panic. Never a long one: what is cut off has a test of its own.

use ::fuzz::{Random, Target};

use super::{Case, matches, one};

/// Between pattern and name in an input.
const BETWEEN: u8 = 0xff;
/// Stars that are tried in every way.
const STARS_MAX: usize = 4;
const NAME_BYTES_MAX: usize = 24;

/// Tries every length for every star.
fn covers(pattern: &[u8], name: &[u8], case: Case) -> bool {
    match (pattern, name) {
        ([], name) => name.is_empty(),
        ([b'*', rest @ ..], name) => (0..=name.len()).any(|at| covers(rest, &name[at..], case)),
        (_, []) => false,
        (pattern, [byte, behind @ ..]) => {
            let (covered, length) = one(pattern, *byte, case);
            covered && covers(pattern.get(length..).unwrap_or_default(), behind, case)
        }
    }
}

fn check(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == BETWEEN);
    let (pattern, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    for case in [Case::Counts, Case::Ignored] {
        let got = matches(pattern, name, case);
        let stars = pattern.iter().filter(|byte| **byte == b'*').count();
        if stars <= STARS_MAX && name.len() <= NAME_BYTES_MAX {
            assert_eq!(got, covers(pattern, name, case));
        }
    }
}

fn make(random: &mut Random) -> Vec<u8> {
    const PIECES: &[&str] = &[
        "*", "?", "a", "b", "A", "ab", "[ab]", "[^a]", "[a-c]", "[c-a]", "[", "]", "[^", "\\",
        "\\*", "[\\]", "-", "[a-", "**",
    ];
    let mut input = Vec::new();
    for _ in 0..random.below(8) {
        input.extend(random.pick(PIECES).bytes());
    }
    input.push(BETWEEN);
    for _ in 0..random.below(8) {
        input.extend(random.pick(&["a", "b", "c", "A", "ab", "*", "]", "-"]).bytes());
    }
    input
}

#[test]
fn fuzz_patterns() {
    let corpus = [&b"h[^e]llo*\xffhallo!"[..], b"*max*clients*\xffmaxclients", b"[a\xffa"];
    let corpus = corpus.iter().map(|input| input.to_vec()).collect();
    Target { name: "patterns", inputs_count: 100_000, corpus, make: &make }.run(|| check);
}
