//! Runs every fuzz target, or those named, with so many inputs each: numbers that no run before has had,
//! by the ledger. A table at the end; exit code 0 only when every input held, within its bounds of time and
//! memory. The address sanitizer watches where the environment names a toolchain that has it. Never decides
//! what an input may do: the targets do.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use checker::ledger::{Ledger, Line};
use clap::Parser;
use tests::wait;

/// What is fed, and the crate in which its `fuzz.rs` stands.
const TARGETS: &[(&str, &str)] = &[
    ("requests", "resp"),
    ("replies", "resp"),
    ("patterns", "streams"),
    ("encodings", "streams"),
    ("checkpoints", "streams"),
    ("journal", "journal"),
    ("layout", "store"),
    ("peers", "raft"),
    ("frames", "raft"),
    ("snapshots", "raft"),
    ("arguments", "server"),
    ("grpc", "server"),
    ("config", "server"),
];
/// Names a toolchain with the address sanitizer, and the host it is for.
const TOOLCHAIN: &str = "WEIR_FUZZ_SANITIZER";
const FLAGS: &str = "-Zsanitizer=address -Cdebug-assertions=on -Coverflow-checks=on";

/// What the sanitizer looks at takes so many times as long.
const SLOWER: u32 = 5;

/// Feed parsers and decoders with made-up bytes.
#[derive(Parser)]
struct Args {
    /// requests, replies, patterns, encodings, checkpoints, journal, layout, peers, frames, snapshots,
    /// arguments, grpc, config; all of them unless some are named.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Of each target.
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    inputs: u64,
    /// Adds nothing to the ledger.
    #[arg(long)]
    no_ledger: bool,
}

/// What became of a target.
struct Row {
    name: &'static str,
    /// The target's own last line, where it came to it.
    held: Option<String>,
    took: Duration,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    for name in &args.targets {
        anyhow::ensure!(
            TARGETS.iter().any(|(known, _)| known == name),
            "no target is called {name}"
        );
    }
    let sanitizer = std::env::var(TOOLCHAIN).ok().filter(|text| !text.is_empty());
    if sanitizer.is_none() {
        say(
            "SKIPPED: the address sanitizer (it needs a nightly toolchain): only what Rust checks is seen",
        );
    }
    let mut rows = Vec::new();
    for (name, package) in TARGETS {
        if !args.targets.is_empty() && !args.targets.iter().any(|wanted| wanted == name) {
            continue;
        }
        let campaign = format!("fuzz-{name}");
        // Each is built of what is checked out by then.
        let ledger = Ledger::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
        let first = ledger.next(&campaign)?;
        let mut command = command(package, sanitizer.as_deref());
        build(&mut command)?;
        let began = wait::now();
        let held = run(command, name, first, args.inputs)?;
        let took = wait::now() - began;
        if !args.no_ledger {
            let (cases, violations) = (args.inputs, u64::from(held.is_none()));
            let minutes = took.as_secs_f64() / 60.0;
            let line =
                Line { campaign, first, cases, operations: cases, violations, minutes, faults: 0 };
            ledger.append(&line)?;
        }
        rows.push(Row { name, held, took });
    }
    table(&rows, sanitizer.is_some());
    anyhow::ensure!(rows.iter().all(|row| row.held.is_some()), "inputs failed");
    Ok(())
}

fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// The tests of a crate, built for speed with every check that Rust has.
fn command(package: &str, sanitizer: Option<&str>) -> Command {
    let mut command = match sanitizer.and_then(|text| text.split_once(' ')) {
        Some((toolchain, host)) => {
            let mut command = Command::new("rustup");
            command.args(["run", toolchain, "cargo", "test", "--target", host]);
            command.env("RUSTFLAGS", FLAGS);
            command.env("WEIR_TEST_TIME_FACTOR", SLOWER.to_string());
            command.env("ASAN_OPTIONS", "detect_leaks=0:quarantine_size_mb=16");
            command
        }
        None => {
            let mut command = Command::new("cargo");
            command.arg("test");
            command.env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true");
            command.env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true");
            command
        }
    };
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env_remove("CARGO");
    command.args(["--locked", "--release", "-q", "-p", package, "--lib"]);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    command
}

fn build(command: &mut Command) -> anyhow::Result<()> {
    let mut build = Command::new(command.get_program());
    build.args(command.get_args()).arg("--no-run");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => build.env(name, value),
            None => build.env_remove(name),
        };
    }
    build.current_dir(command.get_current_dir().expect("it was set"));
    anyhow::ensure!(build.status().context("cargo")?.success(), "the tests can't be built");
    Ok(())
}

/// Runs a target and passes on its progress; its last line, unless it failed.
fn run(
    mut command: Command,
    name: &str,
    first: u64,
    inputs: u64,
) -> anyhow::Result<Option<String>> {
    command.arg(format!("fuzz_{name}")).args(["--", "--nocapture"]);
    command.env("WEIR_TEST_FIRST", first.to_string());
    command.env("WEIR_TEST_INPUTS", inputs.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let (mut last, begins) = (None, format!("{name}: "));
    for line in BufReader::new(child.stdout.take().context("it is piped")?).lines() {
        let line = line?;
        if let Some(told) = line.strip_prefix(&begins) {
            say(&line);
            last = told.strip_prefix(&format!("all {inputs} inputs, ")).map(str::to_owned);
        }
    }
    Ok(last.filter(|_| child.wait().is_ok_and(|status| status.success())))
}

fn table(rows: &[Row], sanitizer: bool) {
    let mut out = std::io::stdout();
    let with = if sanitizer { "with" } else { "WITHOUT" };
    drop(writeln!(
        out,
        "\nat most 50 ms ({SLOWER} x with the sanitizer) and 256 MiB an input, {with} it"
    ));
    for Row { name, held, took } in rows {
        let verdict = if held.is_some() { "ok" } else { "FAILED" };
        let held = held.as_deref().unwrap_or("see above");
        let minutes = took.as_secs_f64() / 60.0;
        drop(writeln!(out, "{name:<12} {verdict:<7} {held:<36} {minutes:>6.1} min"));
    }
}
