//! Syncs that fail: a real node whose n-th sync of a thread gives EIO without being done, under load. It must end by
//! itself and acknowledge nothing after that; then the power is cut, and whatever it had acknowledged must be there.
//! A case in which no sync failed is none, and told as a failure. Which call fails is known afterwards only, since
//! every thread counts its own: the table tells of which kind they were, and a run without any that a client
//! counts on has judged nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base::Clock;
use checker::history::{Op, What};
use checker::ledger::{Ledger, Line};
use tests::cluster::{Cluster, Options, edit};
use tests::mounted::{Mounted, ROOMY_BYTES, Skipped};
use tests::skips::NOTHING_DONE;
use tests::wait;
use tests::writers::{self, Plan, READ_WAIT, Writers};

use crate::say;

const CAMPAIGN: &str = "failing-sync";
/// Small, so that the store is synced as well as the journal.
const EXTRA: &str = "[checkpoint]\ndirty_bytes = \"64KiB\"\n[journal]\nsegment_bytes = \"1MiB\"\n\
                     ballast_bytes = \"16MiB\"\nkept_bytes = \"1MiB\"\n[limits]\n\
                     disk_free_min = \"64MiB\"\n";
const WRITERS: usize = 4;
const WRITER_PAUSE: Duration = Duration::from_millis(2);
const BYTES_MAX: u64 = 50_000;
/// For the sync to come, and the node to end; for it to be back.
const END_WAIT: Duration = Duration::from_secs(240);
const READY_WAIT: Duration = Duration::from_secs(240);
/// What the two clocks that are compared may be apart.
const CLOCKS_APART: Duration = Duration::from_millis(2);
/// The exit code that says that the machine refuses.
const MACHINE: i32 = 3;
/// A line of progress so often.
const TELL_EVERY: u64 = 10;

#[derive(clap::Args)]
pub(crate) struct FailingArguments {
    /// Where images and mount points are made.
    dir: PathBuf,
    /// The first call that fails.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Each call from that one up to this one fails, in a node of its own.
    #[arg(long, default_value_t = 200)]
    last: u64,
    /// The file system.
    #[arg(long, default_value = "ext4")]
    fs: String,
    /// Adds a line to the ledger.
    #[arg(long)]
    ledger: bool,
}

/// What failing syncs of one kind of file came to.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    cases: u64,
    acknowledged: u64,
    /// Cases in which nothing may be acknowledged after the call: not those of the store.
    judged: u64,
    /// Appends of these that were sent after it.
    sent_after: u64,
    wrong: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.acknowledged += other.acknowledged;
        self.judged += other.judged;
        self.sent_after += other.sent_after;
        self.wrong += other.wrong;
    }
}

/// What became of a case.
struct Played {
    kind: String,
    acknowledged: u64,
    /// Appends sent after the call, where none of them may be acknowledged.
    sent_after: Option<u64>,
    verdict: Result<()>,
}

/// A sync that failed.
struct Failed {
    /// As [`wait::now`] has it.
    at: Duration,
    path: String,
}

pub(crate) fn run(arguments: &FailingArguments) -> Result<ExitCode> {
    let began = wait::now();
    let mount = arguments.dir.join("failing");
    let mounted =
        Mounted::make(&arguments.fs, ROOMY_BYTES, &mount.with_extension("image"), &mount)?;
    let skipped = match (&mounted, std::process::Command::new("strace").arg("-V").output()) {
        (Err(Skipped(why)), _) => Some(why.clone()),
        (_, Err(error)) => Some(format!("strace: {error}")),
        _ => None,
    };
    let (Ok(mounted), None) = (mounted, &skipped) else {
        say(&format!("SKIPPED: failing syncs: {}", skipped.unwrap_or_default()));
        return Ok(ExitCode::from(NOTHING_DONE));
    };
    let ledger = match arguments.ledger {
        true => Some(Ledger::find(&std::env::current_dir()?)?),
        false => None,
    };
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for call in arguments.first..=arguments.last {
        let mut case = Case::prepare(&mounted, call)?;
        let Played { kind, acknowledged, sent_after, verdict } = case.play()?;
        tallies.entry(kind).or_default().add(&Tally {
            cases: 1,
            acknowledged,
            judged: sent_after.is_some().into(),
            sent_after: sent_after.unwrap_or(0),
            wrong: verdict.is_err().into(),
        });
        if let Err(error) = verdict {
            say(&format!("sync {call}: {error:#}"));
        }
        if call % TELL_EVERY == 0 {
            say(&format!("{call} of {} syncs", arguments.last));
        }
    }
    let sum = report(&tallies);
    if let Some(ledger) = ledger {
        ledger.append(&Line {
            campaign: CAMPAIGN.to_owned(),
            first: arguments.first,
            cases: sum.cases,
            faults: sum.cases,
            operations: sum.acknowledged,
            violations: sum.wrong,
            minutes: (wait::now() - began).as_secs_f64() / 60.0,
        })?;
    }
    ensure!(sum.judged > 0, "all calls that failed were of the store: nobody counts on these");
    Ok(if sum.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(tallies: &BTreeMap<String, Tally>) -> Tally {
    say("                                              of a sync that clients count on:");
    say(
        "the sync that failed      cases  acknowledged  judged  sent after  went on, lost, or told nothing",
    );
    let line = |name: &str, tally: &Tally| {
        let Tally { cases, acknowledged, judged, sent_after, wrong } = tally;
        let counted = format!("{judged:>8}{sent_after:>12}");
        say(&format!("{name:<24}{cases:>7}{acknowledged:>14}{counted}{wrong:>32}"));
    };
    let mut sum = Tally::default();
    for (kind, tally) in tallies {
        line(kind, tally);
        sum.add(tally);
    }
    line("all", &sum);
    say(&format!("of them syncs of the store, or none      {:>8}", sum.cases - sum.judged));
    sum
}

impl Failed {
    /// What the store syncs is in the journal, too, so that a sync there promises nothing to a client:
    /// it only has to end the node.
    fn is_counted_on(&self) -> bool {
        !self.path.contains("/store/")
    }

    fn sent_after<'a>(&self, ops: &'a [Op]) -> impl Iterator<Item = &'a Op> {
        let after = self.at + CLOCKS_APART;
        ops.iter().filter(move |op| op.call > after)
    }
}

/// One node, which is a whole cluster, and the call that fails.
struct Case<'a> {
    cluster: Cluster,
    mounted: &'a Mounted,
    data: PathBuf,
    call: u64,
}

impl<'a> Case<'a> {
    fn prepare(mounted: &'a Mounted, call: u64) -> Result<Self> {
        let extra = EXTRA.to_owned();
        let cluster = Cluster::prepare(&Options { nodes: 1, forming: 1, shards: 3, extra })?;
        let data = mounted.dir().join(format!("data-{call}"));
        let named = format!("{data:?}");
        edit(&cluster.nodes[0].file, |text| text.replace("\"node-1\"", &named))?;
        Ok(Self { cluster, mounted, data, call })
    }

    fn trace(&self) -> PathBuf {
        self.cluster.dir().join("trace")
    }

    /// Lets the call fail under load, and looks at what is there after it.
    fn play(&mut self) -> Result<Played> {
        let inject = format!("inject=fdatasync,fsync:error=EIO:when={}", self.call);
        let trace = self.trace().display().to_string();
        let strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-ttt", "-y", "-o", &trace];
        let calls = ["-e", "trace=fdatasync,fsync", "-e", &inject];
        let node = &mut self.cluster.nodes[0];
        node.run_under(&[&strace[..], &calls].concat());
        let plan = Plan {
            addresses: vec![node.resp()],
            round: self.call,
            writers: WRITERS,
            bytes_max: BYTES_MAX,
            pause: WRITER_PAUSE,
        };
        node.start()?;
        let writers = Writers::start(&plan);
        let ended = node.wait_end(END_WAIT);
        let said = node.own_line();
        node.kill();
        self.mounted.cut()?;
        let ops = writers.finish()?;
        self.mounted.mount_again()?;
        let failed = first_failed(&self.trace())?;
        let path = failed.as_ref().map_or("", |failed| failed.path.as_str());
        let kind = self.kind(path);
        let counted_on = failed.as_ref().filter(|failed| failed.is_counted_on());
        let sent_after = counted_on.map(|failed| failed.sent_after(&ops).count() as u64);
        let verdict = self.judge(&ops, failed.as_ref(), ended, &said);
        let verdict = verdict.with_context(|| format!("{path} (the node said: {said})"));
        self.cluster.nodes[0].kill();
        match std::fs::remove_dir_all(&self.data) {
            // The very first sync is of its name.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.context("the data of a case")?,
        }
        Ok(Played { kind, acknowledged: writers::acknowledged(&ops), sent_after, verdict })
    }

    /// The first two names below the data directory say what a file is for.
    fn kind(&self, path: &str) -> String {
        let within = path.strip_prefix(&*self.data.to_string_lossy());
        let parts = within.map(|within| within.split('/').skip(1).collect::<Vec<_>>());
        match parts.as_deref() {
            None => "directory above".to_owned(),
            Some([]) => "data directory".to_owned(),
            Some([file]) => (*file).to_owned(),
            Some(["journal", ..]) => "journal/*".to_owned(),
            Some(["store", file, ..]) if file.starts_with("snap.") => "store/snap.*".to_owned(),
            Some([dir, file, ..]) => format!("{dir}/{file}"),
        }
    }

    fn judge(
        &mut self,
        ops: &[Op],
        failed: Option<&Failed>,
        ended: Result<Option<i32>>,
        said: &str,
    ) -> Result<()> {
        let failed = failed.context("no sync failed")?;
        let code = ended.context("it went on")?;
        ensure!(code == Some(MACHINE), "exit code {code:?}, not {MACHINE}");
        ensure!(said.contains("sync"), "it doesn't say what failed");
        if failed.is_counted_on() {
            let done =
                |op: &&Op| matches!(&op.what, What::Add { outcome, .. } if outcome.is_done());
            let late = failed.sent_after(ops).filter(done).count();
            ensure!(late == 0, "{late} appends that were sent after it were acknowledged");
        }
        let node = &mut self.cluster.nodes[0];
        node.run_under(&[]);
        node.start()?;
        node.wait_ready(READY_WAIT)?;
        let entries = writers::read_all(&node.resp(), self.call, BYTES_MAX, READ_WAIT)?;
        writers::check(ops, vec![entries], Vec::new())
    }
}

/// The first call that strace let fail.
fn first_failed(trace: &Path) -> Result<Option<Failed>> {
    let text = std::fs::read_to_string(trace).context("strace's file")?;
    let lines: Vec<&str> = text.lines().collect();
    let Some(place) = lines.iter().position(|line| line.contains("(INJECTED)")) else {
        return Ok(None);
    };
    let mut line = lines[place];
    if line.contains("resumed>") {
        // What another thread did stands between its two halves.
        let thread = line.split(' ').next().unwrap_or_default();
        let begun = lines[..place].iter().rev().find(|line| line.starts_with(thread));
        line = begun.context("a call that begins")?;
    }
    let time = line.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok());
    let path = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    let (Some(time), Some((path, _))) = (time, path) else { bail!("strace says: {line}") };
    let since = Duration::from_millis(base::SystemClock.wall_ms());
    let at = wait::now().saturating_sub(since.saturating_sub(Duration::from_secs_f64(time)));
    Ok(Some(Failed { at, path: path.to_owned() }))
}
