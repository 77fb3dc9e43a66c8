//! Power cuts, as far as software can make them: journal and store in one process under churn on a
//! loop-mounted file system, which is shut down without writing anything back, mounted again, and
//! compared with what was acknowledged. Never touches a file outside the directory it is given.
//!
//! ```text
//! parent (another file system)     child (the file system that is cut)
//!   spawns          ->               churns; tells each acknowledgement through a pipe
//!   cuts, kills, mounts again
//!   spawns          ->               recovers, compares, tells what there is
//!   and so on with the same data
//! ```

mod churn;
mod cluster;
mod expect;
mod failing;
mod life;
mod met;
mod model;
mod place;
mod recover;

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base::{Entropy, SeededEntropy};
use clap::Parser;
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::ensure_written;
use crate::expect::{Expectation, Line, take_lines};
use tests::mounted::{Mounted, ROOMY_BYTES, Skipped};
use tests::skips::NOTHING_DONE;

/// Cuts the power under journal and store, and compares what is left with what was acknowledged.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Parser)]
enum Role {
    /// Cuts: the parent.
    Run(RunArguments),
    /// Cuts whole clusters of real nodes.
    Cluster(cluster::ClusterArguments),
    /// Lets syncs of real nodes fail.
    Failing(failing::FailingArguments),
    /// Churns until it is killed; an error ends it with a code of its own.
    Churn {
        dir: PathBuf,
        seed: u64,
        #[arg(action = clap::ArgAction::Set)]
        control: bool,
    },
    /// Recovers, and compares with the expectation on its input.
    Recover { dir: PathBuf },
}

#[derive(clap::Args)]
struct RunArguments {
    /// Where images and mount points are made.
    dir: PathBuf,
    /// Power cuts on each file system.
    #[arg(long, default_value_t = 100)]
    cuts: u64,
    /// The file systems.
    #[arg(long, value_delimiter = ',', default_value = "ext4,xfs")]
    fs: Vec<String>,
    /// Repeats the same sequence of workloads (not of moments).
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Lets the journal's syncs do nothing, and wants to see losses: whether the test can fail.
    #[arg(long)]
    control: bool,
}

/// What happened on one file system.
#[derive(Debug, Default)]
struct Verdict {
    cuts: u64,
    entries: u64,
    checkpoints: u64,
    votes: u64,
    failures: Vec<String>,
}

fn main() -> ExitCode {
    match Arguments::parse().role.play() {
        Ok(code) => code,
        Err(error) => {
            say(&format!("power-cut: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

impl Role {
    fn play(self) -> Result<ExitCode> {
        match self {
            Role::Run(arguments) => run(&arguments),
            Role::Failing(arguments) => failing::run(&arguments),
            Role::Cluster(arguments) => cluster::run(&arguments),
            Role::Churn { dir, seed, control } => {
                let Err(error) = churn::churn(&dir, seed, control);
                let _ = writeln!(std::io::stderr(), "churn: {error:#}");
                Ok(ExitCode::from(churn::FAILED))
            }
            Role::Recover { dir } => {
                let mut expected = String::new();
                std::io::stdin().read_to_string(&mut expected)?;
                let lines = recover::recover(&dir, &Expectation::parse(&expected)?)?;
                let mut out = std::io::stdout().lock();
                lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn run(arguments: &RunArguments) -> Result<ExitCode> {
    let (mut good, mut skipped) = (true, 0);
    for fs in &arguments.fs {
        let image = arguments.dir.join(format!("{fs}.image"));
        let mounted = match Mounted::make(fs, ROOMY_BYTES, &image, &arguments.dir.join(fs))? {
            Ok(mounted) => mounted,
            Err(Skipped(why)) => {
                say(&format!("SKIPPED: power cuts on {fs}: {why}"));
                skipped += 1;
                continue;
            }
        };
        let verdict = cut_often(arguments, &mounted)?;
        good &= report(fs, &verdict, arguments.control);
        drop(mounted);
        std::fs::remove_file(&image)?;
    }
    say(&format!("file systems skipped: {skipped}"));
    Ok(match good {
        true if skipped == arguments.fs.len() => ExitCode::from(NOTHING_DONE),
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn report(fs: &str, verdict: &Verdict, control: bool) -> bool {
    let Verdict { cuts, entries, checkpoints, votes, failures } = verdict;
    say(&format!(
        "{fs}: {cuts} cuts, acknowledged: {entries} entries, {checkpoints} checkpoints, \
         {votes} votes; {} times something was lost or did not open",
        failures.len()
    ));
    failures.iter().for_each(|failure| say(&format!("  {failure}")));
    let written =
        [*entries, *checkpoints].into_iter().try_for_each(|told| ensure_written(told).map(drop));
    if let Err(error) = &written {
        say(&format!("  {error}"));
    }
    written.is_ok() && failures.is_empty() != control
}

/// One file system, one data directory, many cuts.
fn cut_often(arguments: &RunArguments, mounted: &Mounted) -> Result<Verdict> {
    let entropy = SeededEntropy::new(arguments.seed);
    let mut verdict = Verdict::default();
    let mut expected = Expectation::default();
    for number in 0..arguments.cuts {
        let data = mounted.dir().join(format!("data-{}", verdict.failures.len()));
        let told = churn_and_cut(arguments, mounted, &data, &entropy, expected)?;
        verdict.cuts += 1;
        verdict.entries += told.entries;
        verdict.checkpoints += told.checkpoints;
        verdict.votes += told.votes;
        expected = match recovered(&data, &told.expectation) {
            Ok(expected) => expected,
            Err(error) => {
                verdict.failures.push(format!("cut {number}: {error:#}"));
                Expectation::default()
            }
        };
        if (number + 1) % 10 == 0 {
            let (done, all) = (number + 1, arguments.cuts);
            let name = mounted.dir().file_name().unwrap_or_default().display();
            say(&format!("{name}: {done} of {all} cuts"));
        }
    }
    Ok(verdict)
}

/// What a child told until it was cut off.
#[derive(Default)]
struct Told {
    expectation: Expectation,
    ready: bool,
    entries: u64,
    checkpoints: u64,
    votes: u64,
}

impl Told {
    fn take(&mut self, line: Line) {
        match line {
            Line::Ready => self.ready = true,
            Line::Entry { .. } => self.entries += 1,
            Line::Checkpoint { .. } => self.checkpoints += 1,
            Line::Vote { .. } => self.votes += 1,
            Line::Cancelled { .. } | Line::Truncated { .. } => {}
        }
        self.expectation.take(line);
    }
}

fn churn_and_cut(
    arguments: &RunArguments,
    mounted: &Mounted,
    data: &Path,
    entropy: &SeededEntropy,
    expectation: Expectation,
) -> Result<Told> {
    let seed = entropy.next_u64().to_string();
    let control = arguments.control.to_string();
    let said = arguments.dir.join("churn.stderr");
    let mut child = role("churn", data, &[&seed, &control])
        .stdout(Stdio::piped())
        .stderr(File::create(&said)?)
        .spawn()?;
    let told = Arc::new(Mutex::new(Told { expectation, ..Told::default() }));
    let out = child.stdout.take().context("the child's pipe")?;
    let reader = listen(BufReader::new(out), Arc::clone(&told));
    // One cut of six comes while journal and store are being made or opened.
    let (ready, wait_ms) = match entropy.below(6) {
        0 => (Ok(()), entropy.below(400)),
        _ => (wait_until_ready(&mut child, &told), 100 + entropy.below(2_400)),
    };
    let cut = ready.and_then(|()| {
        std::thread::sleep(Duration::from_millis(wait_ms));
        // A child that met an error has ended by now; one that meets it later has met the cut, which takes a
        // moment to stop all of its threads.
        ensure!(child.try_wait()?.is_none(), "the child ended before the cut: {}", text(&said));
        // The power goes for the processor and the disk alike. A child that went on for a moment would
        // tell of syncs that the file system says were done while it was being shut down.
        stop(&child)?;
        mounted.cut()
    });
    // A stopped child ends by this alone; then the pipe ends, and all that it told is known.
    child.kill()?;
    child.wait()?;
    let listened = reader.join().expect("the reader doesn't panic");
    cut?;
    listened?;
    mounted.mount_again()?;
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *told))
}

fn stop(child: &Child) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok(kill_process(pid.context("the child's id")?, Signal::STOP)?)
}

fn text(said: &Path) -> String {
    std::fs::read_to_string(said).unwrap_or_default().trim().to_owned()
}

fn listen(
    pipe: BufReader<ChildStdout>,
    told: Arc<Mutex<Told>>,
) -> std::thread::JoinHandle<Result<()>> {
    std::thread::spawn(move || {
        take_lines(pipe, |line| told.lock().unwrap_or_else(PoisonError::into_inner).take(line))
    })
}

fn wait_until_ready(child: &mut Child, told: &Mutex<Told>) -> Result<()> {
    for _ in 0..6_000 {
        if told.lock().unwrap_or_else(PoisonError::into_inner).ready {
            return Ok(());
        }
        if child.try_wait()?.is_some() {
            bail!("the child was never ready");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("the child was not ready within a minute");
}

/// What there is after the cut, if it is what was expected.
fn recovered(data: &Path, expected: &Expectation) -> Result<Expectation> {
    let mut child = role("recover", data, &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("the child's input")?;
    input.write_all(expected.to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {} {}", output.status, text.trim(), errors.trim());
    }
    Expectation::parse(&text)
}

fn role(name: &str, data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg(name).arg(data).args(arguments);
    command
}

fn say(text: &str) {
    // Nobody to tell is no reason to stop: the exit code says it, too.
    let _ = writeln!(std::io::stdout(), "{text}");
}
