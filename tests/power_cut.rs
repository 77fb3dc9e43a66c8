//! A few power cuts in every run of the tests; `scripts/power-cut` alone makes many.

use std::path::Path;
use std::process::Command;

#[test]
fn nothing_acknowledged_is_lost_in_power_cuts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(root.join("scripts/power-cut"))
        .args(["--cuts", "5"])
        .env("WEIR_POWER_CUT", env!("CARGO_BIN_EXE_power_cut"))
        .output()
        .expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    assert!(text.contains("5 cuts") || text.contains("SKIPPED"));
}
