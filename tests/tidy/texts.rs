//! Headers, exceptions, and words that don't belong into an open-source project.

use std::path::Path;
use std::process::Command;

use super::source::{self, File};

const SCRIPT_LINES_MAX: usize = 50;

/// What a Rust file lacks, in words.
pub(crate) fn broken(file: &File) -> Vec<String> {
    let mut broken = Vec::new();
    if !file.text.starts_with("//!") {
        broken.push(format!("{}: opens without `//!`", file.path));
    }
    for (number, line) in file.text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if code.contains(concat!("#[", "allow(")) || code.contains(concat!("#![", "allow(")) {
            let path = &file.path;
            broken.push(format!("{path}:{}: say #[expect(.., reason = \"..\")]", number + 1));
        }
    }
    broken
}

/// Scripts that are too long to be read at a glance.
pub(crate) fn broken_scripts(root: &Path) -> Vec<String> {
    let scripts = std::fs::read_dir(root.join("scripts")).expect("scripts/ is there");
    let mut broken = Vec::new();
    for script in scripts {
        let path = script.expect("a readable folder").path();
        let lines = std::fs::read_to_string(&path).expect("a text").lines().count();
        if lines >= SCRIPT_LINES_MAX {
            broken.push(format!("{}: {lines} lines", source::relative(&path, root)));
        }
    }
    broken
}

/// Figures of RELIABILITY.md that aren't the sums of the ledger.
pub(crate) fn broken_figures(root: &Path) -> Vec<String> {
    let sums = Command::new(root.join("scripts/ledger")).output().expect("scripts/ledger runs");
    let sums = String::from_utf8(sums.stdout).expect("a table is text");
    let told = std::fs::read_to_string(root.join("RELIABILITY.md")).expect("a text");
    let wanted = format!("<!-- ledger -->\n{sums}<!-- end of ledger -->");
    let why = "RELIABILITY.md: not the sums of tests/ledger.csv; run `scripts/ledger --write`";
    if told.contains(&wanted) { Vec::new() } else { vec![why.to_owned()] }
}

/// Where defects could be planted that don't stand behind a call of `base::planted`: only `base`
/// and `sim` know of a feature for it, and nobody but a script builds with it.
pub(crate) fn broken_planted(root: &Path) -> Vec<String> {
    let may = ["crates/base/", "crates/sim/", "scripts/planted", "tests/tidy"];
    let words = ["\"planted\"", "base/planted", "sim/planted", "features planted"];
    let mut broken = Vec::new();
    for path in source::files(root, "").into_iter().chain([root.join("Cargo.toml")]) {
        let at = source::relative(&path, root);
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if !may.iter().any(|may| at.starts_with(may)) && words.iter().any(|it| text.contains(it)) {
            broken.push(format!("{at}: knows of planted defects"));
        }
    }
    broken
}

/// Paths of one machine and addresses of package registries.
pub(crate) fn broken_words(root: &Path) -> Vec<String> {
    const WORDS: &[&str] = &[
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
        concat!("crates", ".io/"),
        concat!("static.crates", ".io"),
        concat!("index.crates", ".io"),
        concat!("py", "pi.org"),
        concat!("registry.np", "mjs.org"),
        concat!("deb.deb", "ian.org"),
    ];
    let mut files = source::files(root, "");
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "Cargo.toml"] {
        files.push(root.join(name));
    }
    let mut broken = Vec::new();
    for path in files {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for word in WORDS.iter().filter(|word| text.contains(**word)) {
            broken.push(format!("{}: says {word}", source::relative(&path, root)));
        }
    }
    broken
}
