//! A few power cuts in every run of the tests, under journal and store alone and under whole clusters, and a few
//! failing syncs; `scripts/power-cut` alone makes many.

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// What the script says, which must be content.
fn power_cut(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(root.join("scripts/power-cut"))
        .args(arguments)
        .env("WEIR_POWER_CUT", env!("CARGO_BIN_EXE_power_cut"))
        .env("WEIR_TEST_BINARY", tests::cluster::weir().expect("weir is built"))
        .output()
        .expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    for line in text.lines().filter(|line| line.contains("SKIPPED")) {
        writeln!(std::io::stdout(), "{line}").expect("somebody reads what is skipped");
    }
    text
}

#[test]
fn nothing_acknowledged_is_lost_in_power_cuts() {
    let text = power_cut(&["--cuts", "5"]);
    assert!(text.contains("5 cuts") || text.contains("SKIPPED"));
}

#[test]
fn nothing_acknowledged_is_lost_in_power_cuts_of_whole_clusters() {
    let text = power_cut(&["--cluster", "--one", "2", "--all", "1"]);
    assert!(text.contains("lost or not opened") || text.contains("SKIPPED"));
}

#[test]
fn nothing_is_acknowledged_after_a_sync_that_failed() {
    let text = power_cut(&["--failing", "--last", "10"]);
    assert!(text.contains("went on, lost, or told nothing") || text.contains("SKIPPED"));
}
