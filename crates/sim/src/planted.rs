//! Which defect a life has, where any is planted. Never a defect itself: those stand where they
//! belong, as `base::planted` lists them.

use base::planted::{Bug, POSSIBLE};

/// A defect by its name.
pub(crate) fn bug(name: &str) -> Result<Bug, String> {
    if !POSSIBLE {
        return Err(
            "no defect can be planted in this build: add `--features planted` to it".to_owned()
        );
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

/// All of them.
pub(crate) fn list() -> String {
    let line = |bug: &Bug| format!("{:<26} {}\n", bug.name(), bug.what());
    Bug::ALL.iter().map(line).collect()
}

/// How a life says on its last breath what it found, in a line.
pub(crate) fn said(stderr: &str) -> String {
    const LENGTH_MAX: usize = 160;
    let Some((_, told)) = stderr.rsplit_once("panicked at ") else {
        return "it hangs".to_owned();
    };
    let words: Vec<&str> = told.split_whitespace().skip(1).collect();
    words.join(" ").chars().take(LENGTH_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_life_said_is_told_in_a_line() {
        let stderr = "a warning\n\nthread 'main' (7) panicked at src/x.rs:1:2:\nviolations: [\n    \
                      one,\n]\n";
        assert_eq!(said(stderr), "violations: [ one, ]");
        assert_eq!(said("killed\n"), "it hangs");
    }
}
