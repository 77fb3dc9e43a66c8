//! Which defect a life has, where any is planted, and the seeds that are known to find each. Never a
//! defect itself: those stand where they belong, as `base::planted` lists them.

use base::planted::{Bug, POSSIBLE};

/// A line for each defect: its name, a seed that finds it (`-` where none is known), and the options
/// that this takes.
const KNOWN: &str = include_str!("planted.txt");

/// A defect by its name.
pub(crate) fn bug(name: &str) -> Result<Bug, String> {
    if !POSSIBLE {
        return Err("no defect can be planted in this build: use scripts/planted".to_owned());
    }
    let found = Bug::ALL.iter().copied().find(|bug| bug.name() == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        format!("choose among {}", names.join(", "))
    })
}

/// Has this process live with a defect.
pub(crate) fn plant(bug: Bug) {
    #[cfg(feature = "planted")]
    base::planted::plant(bug);
    #[cfg(not(feature = "planted"))]
    unreachable!("{} was not taken as an option", bug.name());
}

/// All of them, each with what is known to find it.
pub(crate) fn list() -> String {
    let known = |bug: &Bug| KNOWN.lines().find_map(|line| line.strip_prefix(bug.name()));
    let line = |bug: &Bug| {
        format!("{:<26} seed{:<12} {}\n", bug.name(), known(bug).unwrap_or_default(), bug.what())
    };
    Bug::ALL.iter().map(line).collect()
}

/// How a life says on its last breath what it found, in a line.
pub(crate) fn said(stderr: &str) -> String {
    const LENGTH_MAX: usize = 160;
    let Some((_, told)) = stderr.rsplit_once("panicked at ") else {
        return "it hangs".to_owned();
    };
    let told = told.split_once("\nnote: ").map_or(told, |(told, _)| told);
    let words: Vec<&str> = told.split_whitespace().skip(1).collect();
    words.join(" ").chars().take(LENGTH_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_defect_has_a_seed_that_is_known_to_find_it() {
        let known: Vec<&str> = KNOWN.lines().filter_map(|line| line.split(' ').next()).collect();
        let names: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        assert_eq!(known, names);
        for line in KNOWN.lines() {
            let seed = line.split(' ').nth(1).unwrap_or_default();
            assert!(seed == "-" || seed.parse::<u64>().is_ok(), "neither seed nor `-`: {line}");
        }
    }

    #[test]
    fn what_a_life_said_is_told_in_a_line() {
        let stderr = "a warning\n\nthread 'main' (7) panicked at src/x.rs:1:2:\nviolations: [\n    \
                      one,\n]\nnote: how to see more\n";
        assert_eq!(said(stderr), "violations: [ one, ]");
        assert_eq!(said("killed\n"), "it hangs");
    }
}
