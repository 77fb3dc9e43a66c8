//! A short form of `scripts/damage`: never a wrong byte, nothing lost, everything named.

use std::path::Path;
use std::process::Command;

#[test]
fn a_damaged_file_is_found_and_never_answers_wrong_bytes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(root.join("scripts/damage"))
        .args(["--flips", "120", "--others", "15", "--starts", "10", "--helix", "3"])
        .env("WEIR_DAMAGE", env!("CARGO_BIN_EXE_damage"))
        .env("WEIR_TEST_BINARY", tests::cluster::weir().expect("weir is built"))
        .output()
        .expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains(" 0 promises broken"), "{text}");
}
