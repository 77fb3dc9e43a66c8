//! Many lives, each in a process of its own, so that one that panics, hangs or fills the memory is
//! one life and its seed. Never a life itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use base::planted::Bug;
use base::{Clock, SystemClock};
use checker::ledger::{Ledger, Line};

use crate::Arguments;
use crate::life::Report;
use crate::planted;

/// Between two lines of progress.
const LINE_EACH: u64 = 100;

/// Lives after which a line goes into the ledger: what an interruption loses at most.
const RECORD_EACH: u64 = 200;

/// A life that takes longer hangs, in seconds of the machine; `timeout` ends it.
const LIFE_SECONDS_MAX: &str = "900";

/// Lines of a panic that are shown.
const LINES_SHOWN: usize = 40;

/// Clock ticks a second, as the kernel tells times of processes.
const TICKS: f64 = 100.0;

/// What a run came to.
#[derive(Default)]
struct Sum {
    lives: u64,
    broken: Vec<u64>,
    /// What each of these said on its last breath.
    said: BTreeMap<u64, String>,
    report: Report,
}

/// Lives them all.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let count = arguments.seeds.unwrap_or(1);
    let campaign = if arguments.lease { "simulation-lease" } else { "simulation" };
    let ledger = arguments.record.then(|| Ledger::find(&std::env::current_dir()?)).transpose()?;
    let behind = ledger.as_ref().map(|ledger| ledger.next(campaign)).transpose()?;
    let first = arguments.start.or(behind).unwrap_or(1);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let began = SystemClock.monotonic();
    let minutes = || (SystemClock.monotonic() - began).as_secs_f64() / 60.0;
    tell(&format!("{count} lives from seed {first} on, of {} s each", arguments.seconds));
    let jobs = arguments.jobs.unwrap_or(cores).max(1);
    let mut sum = Sum::default();
    let mut next = first;
    while next < first + count {
        let part = Part { first: next, count: RECORD_EACH.min(first + count - next) };
        let before = (sum.report.clone(), sum.broken.len(), minutes());
        all(arguments, &part, jobs, &minutes, &mut sum)?;
        if let Some(ledger) = &ledger {
            part.record(ledger, campaign, before, &sum, minutes())?;
        }
        if arguments.bug.is_some() && !sum.broken.is_empty() {
            break;
        }
        next += part.count;
    }
    if let Some(bug) = arguments.bug {
        return Ok(sum.found(bug));
    }
    tell(&table(&sum, minutes()));
    Ok(if sum.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lives that go into the ledger together.
struct Part {
    first: u64,
    count: u64,
}

impl Part {
    /// Adds what the last lives came to: a line of their own for answers that one order explains, and for appends
    /// that were asked again.
    fn record(
        &self,
        ledger: &Ledger,
        campaign: &str,
        (report, broken, minutes): (Report, usize, f64),
        sum: &Sum,
        now: f64,
    ) -> anyhow::Result<()> {
        let now = now - minutes;
        let figures = [
            (campaign.to_owned(), sum.report.operations - report.operations),
            (format!("{campaign}: one order"), sum.report.explained - report.explained),
            (format!("{campaign}: asked again"), sum.report.retried - report.retried),
        ];
        for (campaign, operations) in figures {
            ledger.append(&Line {
                campaign,
                first: self.first,
                cases: self.count,
                faults: sum.report.faults - report.faults,
                operations,
                violations: (sum.broken.len() - broken) as u64,
                minutes: now,
            })?;
        }
        Ok(())
    }
}

fn all(
    arguments: &Arguments,
    &Part { first, count }: &Part,
    jobs: usize,
    minutes: &dyn Fn() -> f64,
    sum: &mut Sum,
) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("the program's own path")?;
    let next = AtomicU64::new(first);
    thread::scope(|scope| {
        let (done, lives) = mpsc::channel();
        for _ in 0..jobs {
            let (done, next, program) = (done.clone(), &next, &program);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= first + count
                        || done.send((seed, live(program, seed, arguments))).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(done);
        for (seed, output) in lives {
            sum.add(seed, &output?);
            if arguments.bug.is_some() && !sum.broken.is_empty() {
                // Those that have begun are waited for: one of them may be an earlier seed.
                next.store(first + count, Ordering::SeqCst);
            }
            if sum.lives.is_multiple_of(LINE_EACH) {
                tell(&format!("{:>6.1} min  {}", minutes(), sum.line()));
            }
        }
        Ok(())
    })
}

/// One life, in a process.
fn live(program: &PathBuf, seed: u64, arguments: &Arguments) -> anyhow::Result<Output> {
    let mut command = Command::new("timeout");
    command.arg(LIFE_SECONDS_MAX).arg(program).args(again(seed, arguments)).arg("--brief");
    command.env("RUST_BACKTRACE", "0").stdin(Stdio::null()).output().context("a process for a life")
}

/// The arguments that repeat a life.
fn again(seed: u64, arguments: &Arguments) -> Vec<OsString> {
    let mut args = vec![seed.to_string(), "--seconds".into(), arguments.seconds.to_string()];
    if !arguments.faults.is_empty() {
        let names: Vec<&str> = arguments.faults.iter().map(|kind| kind.name()).collect();
        args.extend(["--faults".to_owned(), names.join(",")]);
    }
    if arguments.lease {
        args.push("--lease".to_owned());
    }
    if let Some(bug) = arguments.bug {
        args.extend(["--bug".to_owned(), bug.name().to_owned()]);
    }
    args.into_iter().map(OsString::from).collect()
}

impl Sum {
    /// Whether a defect was found, and by which seed.
    fn found(&self, bug: Bug) -> ExitCode {
        let (name, lives) = (bug.name(), self.lives);
        match self.said.first_key_value() {
            Some((seed, said)) => {
                tell(&format!("{name} is found by seed {seed}: {said}"));
                ExitCode::SUCCESS
            }
            None => {
                tell(&format!("{name} is not found in {lives} lives"));
                ExitCode::FAILURE
            }
        }
    }

    fn add(&mut self, seed: u64, output: &Output) {
        self.lives += 1;
        let report: Option<Report> = serde_json::from_slice(&output.stdout).ok();
        match report.filter(|_| output.status.success()) {
            Some(report) => self.report.add(&report),
            None => {
                self.broken.push(seed);
                let why = String::from_utf8_lossy(&output.stderr);
                self.said.insert(seed, planted::said(&why));
                let why: Vec<&str> = why.lines().take(LINES_SHOWN).collect();
                tell(&format!("seed {seed} ({}):\n{}", output.status, why.join("\n")));
            }
        }
    }

    fn line(&self) -> String {
        let Report { faults, operations, replaced, .. } = self.report;
        let broken = self.broken.len();
        format!(
            "{:>6} lives  {faults:>8} faults  {operations:>10} answers  {replaced:>5} replaced  \
             {broken} broken",
            self.lives
        )
    }
}

fn table(sum: &Sum, minutes: f64) -> String {
    let simulated = sum.report.simulated.as_secs_f64();
    let cpu = children_seconds().unwrap_or(0.0);
    let Report { faults, operations, explained, left_out, retried, compared, replaced, .. } =
        sum.report;
    let mut rows = vec![
        ("lives", sum.lives.to_string()),
        ("simulated", format!("{:.1} h in {minutes:.1} min", simulated / 3600.0)),
        ("simulated seconds a CPU second", format!("{:.1}", simulated / cpu.max(0.01))),
        ("faults", faults.to_string()),
        ("answers checked", operations.to_string()),
        ("explained by one order", format!("{explained} ({left_out} in windows too large)")),
        ("appends asked again", retried.to_string()),
        ("states of replicas compared", compared.to_string()),
        ("nodes replaced", replaced.to_string()),
        ("lives that broke a promise", sum.broken.len().to_string()),
    ];
    for seed in &sum.broken {
        rows.push(("  repeat it", format!("scripts/sim {seed}")));
    }
    rows.iter().map(|(name, value)| format!("{name:<32} {value}\n")).collect()
}

impl Report {
    fn add(&mut self, other: &Self) {
        self.simulated += other.simulated;
        self.faults += other.faults;
        self.operations += other.operations;
        self.explained += other.explained;
        self.left_out += other.left_out;
        self.retried += other.retried;
        self.compared += other.compared;
        self.replaced += other.replaced;
    }
}

/// CPU seconds of the processes that have ended.
fn children_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything: user and system time of children are 14 and 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some(Duration::from_secs_f64((ticks(13)? + ticks(14)?) / TICKS).as_secs_f64())
}

#[expect(clippy::print_stdout, reason = "what the lives came to is what the program gives")]
pub(crate) fn tell(text: &str) {
    println!("{text}");
}
