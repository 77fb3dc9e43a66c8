//! A few power cuts in every run of the tests, under journal and store alone and under whole clusters, and a few
//! failing syncs; `scripts/power-cut` alone makes many.

use std::path::Path;
use std::process::Command;

use tests::skips::{self, NOTHING_DONE};

/// What the script says, which must be content, and have done what it was asked or say why it could not.
fn power_cut(arguments: &[&str], done: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(root.join("scripts/power-cut"))
        .args(arguments)
        .env("WEIR_POWER_CUT", env!("CARGO_BIN_EXE_power_cut"))
        .env("WEIR_TEST_BINARY", tests::cluster::weir().expect("weir is built"))
        .output()
        .expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let some_skipped = skips::pass_on(&text);
    match output.status.code() {
        Some(0) => assert!(text.contains(done), "{text}{errors}"),
        code => {
            assert!(code == Some(NOTHING_DONE.into()) && some_skipped, "{code:?}: {text}{errors}")
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_in_power_cuts() {
    power_cut(&["--cuts", "5"], "5 cuts");
}

#[test]
fn nothing_acknowledged_is_lost_in_power_cuts_of_whole_clusters() {
    power_cut(&["--cluster", "--one", "2", "--all", "1"], "lost or not opened");
}

#[test]
fn nothing_is_acknowledged_after_a_sync_that_failed() {
    power_cut(&["--failing", "--last", "10"], "went on, lost, or told nothing");
}
