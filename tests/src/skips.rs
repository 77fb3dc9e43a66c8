//! What a machine doesn't allow to be tested: said where a test that passes is heard, too, and gathered, so that
//! `scripts/test` can count it at its end. Never a reason to fail.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Names the file in which it is gathered, a line each.
const GATHERED: &str = "WEIR_TEST_SKIPS";

/// The word in front of each.
const SKIPPED: &str = "SKIPPED: ";

/// What a program ends with that could do nothing of what it was to do.
pub const NOTHING_DONE: u8 = 77;

/// Tells that something is not tested here, and why.
pub fn skip(what: &str) {
    // The harness keeps `println!` and `eprintln!` of a test that passes to itself, but not this.
    let _ = writeln!(io::stderr(), "{SKIPPED}{what}");
    if let Some(path) = std::env::var_os(GATHERED)
        && let Err(error) = gather(Path::new(&path), what)
    {
        let _ = writeln!(io::stderr(), "{}: {error}", Path::new(&path).display());
    }
}

/// Tells what another program has said to be skipped, and whether that was anything.
pub fn pass_on(said: &str) -> bool {
    let lines = || said.lines().filter_map(|line| line.trim().strip_prefix(SKIPPED));
    lines().for_each(skip);
    lines().next().is_some()
}

fn gather(path: &Path, what: &str) -> io::Result<()> {
    // In one piece: tests run side by side.
    let line = what.replace('\n', " ") + "\n";
    File::options().create(true).append(true).open(path)?.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_are_gathered_a_line_each() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("skips");
        gather(&path, "clocks: no libfaketime").unwrap();
        gather(&path, "disks: mkfs.ext4:\nnot found").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "clocks: no libfaketime\ndisks: mkfs.ext4: not found\n");
    }
}
