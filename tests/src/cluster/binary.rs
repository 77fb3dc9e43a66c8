//! The program under test, built once a process where nobody named one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The path of `weir`: `WEIR_TEST_BINARY`, else what cargo builds from this tree with the profile
/// of the test.
///
/// # Errors
/// It cannot be built.
pub fn weir() -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| find().map_err(|error| error.to_string()))
        .clone()
        .map_err(anyhow::Error::msg)
}

/// What a command of it prints, and how it ends.
///
/// # Errors
/// It cannot be built or started.
pub fn run(args: &[&str]) -> anyhow::Result<Output> {
    Ok(Command::new(weir()?).args(args).output()?)
}

fn find() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("WEIR_TEST_BINARY") {
        return Ok(PathBuf::from(path));
    }
    let release = !cfg!(debug_assertions);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(root).args(["build", "--locked", "-q", "-p", "weir"]);
    build.args(["--message-format", "json-render-diagnostics"]);
    if release {
        build.arg("--release");
    }
    let output = build.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "weir cannot be built: {errors}");
    // The last artifact with an executable is the binary; its path holds whatever target directory
    // is in use.
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = lines.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    path.ok_or_else(|| anyhow::anyhow!("cargo named no executable"))
}
