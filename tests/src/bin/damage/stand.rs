//! A cluster under the hammer: one node's files damaged before it starts against two whole peers, and those of all
//! three at once ("helix"). Everything is read back after each case. Never damages what a process has open.

mod helix;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base::{Entropy, SeededEntropy};
use checker::history::{Op, Seen};
use tempfile::TempDir;
use tests::cluster::{Cluster, Node, Options};
use tests::wait;
use tests::writers::{self, Plan, READ_WAIT, WRONG_BYTES, Writers};

use helix::Owed;

use crate::dump::{self, Found};
use crate::named;
use crate::say;
use crate::spoil::{self, DAMAGES, Damage, Spoilt};

const NODES: usize = 3;
/// The one that is damaged, where it is one.
const VICTIM: usize = 2;
/// Small, so that there are several segments and checkpoints, and copies are quick.
const EXTRA: &str = "[checkpoint]\ndirty_bytes = \"64KiB\"\n[journal]\nsegment_bytes = \"1MiB\"\n\
                     ballast_bytes = \"1MiB\"\nkept_bytes = \"2MiB\"\n[limits]\n\
                     disk_free_min = \"64MiB\"\n";
pub(crate) const BYTES_MAX: u64 = 20_000;
/// What is there from the beginning, and is never touched again.
const FIRST_ROUND: u64 = 1;
const FIRST_APPENDS: u64 = 600;
/// In each case, so that what a file was before is not what it is.
const CASE_APPENDS: u64 = 40;
/// A damaged node is ready or has ended within this; with all three damaged it may wait for ever.
const DECIDE_WAIT: Duration = Duration::from_secs(60);
const READY_WAIT: Duration = Duration::from_secs(300);
/// What a node that doesn't start says to whoever has to act.
const WAYS_OUT: [&str; 4] =
    ["weir node replace", "put the file back", "use the newer one", "start again"];
/// How often a node is started that says to start it again.
const STARTS_MAX: u32 = 3;
/// A node that met damage has ended so long after its clients were cut off.
const END_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at whether a node ended where all should become equal.
const EQUAL_LOOK: Duration = Duration::from_secs(1);
/// Said where an answer isn't what it was.
const LOST: &str = "lost";
/// What its log says of a repair.
const REPAIRS: [&str; 3] = ["set aside", "is refilled", "damaged"];

/// How a case went.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It was of no account.
    Harmless,
    /// It was noticed, and mended with the peers' help.
    Repaired,
    /// The node did not start, with this exit code.
    Refused(i32),
    /// It waits for what none of its peers can give.
    Waits,
    /// A promise was broken.
    Violated,
}

/// What a node answers, by stream.
type Entries = Vec<Vec<Seen>>;

pub(crate) type Tallies = BTreeMap<(String, Outcome), u64>;

/// A damaged file of a node, and what an opened copy of its directory is beside the whole one.
struct Case {
    spoilt: Spoilt,
    found: Found,
}

/// The cluster, and what is in it.
pub(crate) struct Stand {
    cluster: Cluster,
    place: TempDir,
    round: u64,
    first: Entries,
    /// Of all three damaged: what was owed, and how often.
    owed: BTreeMap<(String, Owed), u64>,
}

impl Stand {
    /// A cluster with enough in it, and an older copy of each node's directory.
    pub(crate) fn make() -> Result<Self> {
        let options = Options { shards: 3, extra: EXTRA.to_owned(), ..Options::default() };
        let cluster = Cluster::start(&options)?;
        // Copies stand in memory where there is such a place: nothing here is about what a disk does.
        let in_memory = Path::new("/dev/shm");
        let place = if in_memory.is_dir() { in_memory.to_owned() } else { std::env::temp_dir() };
        let place = tempfile::Builder::new().prefix("weir-damage-").tempdir_in(place)?;
        let owed = BTreeMap::new();
        let mut stand = Self { cluster, place, round: FIRST_ROUND, first: Vec::new(), owed };
        stand.first = stand.write(FIRST_APPENDS)?;
        stand.cluster.stop()?;
        for node in 0..NODES {
            spoil::copy_dir(&stand.cluster.data_dir(node), &stand.old(node))?;
        }
        stand.start_all()?;
        stand.write(FIRST_APPENDS)?;
        stand.cluster.stop()?;
        Ok(stand)
    }

    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    /// The directory of the victim, which does not run yet.
    pub(crate) fn victim(&self) -> PathBuf {
        self.cluster.data_dir(VICTIM)
    }

    /// What a node's directory was some time ago.
    fn old(&self, node: usize) -> PathBuf {
        self.place.path().join(format!("old-{node}"))
    }

    pub(crate) fn victims_old(&self) -> PathBuf {
        self.old(VICTIM)
    }

    fn whole(&self, node: usize) -> PathBuf {
        self.place.path().join(format!("whole-{node}"))
    }

    /// Starts whoever is down, and again whoever says so, as whatever supervises it would: what an earlier
    /// case damaged may be met late.
    pub(crate) fn start_all(&mut self) -> Result<()> {
        let mut left = STARTS_MAX;
        loop {
            for node in &mut self.cluster.nodes {
                if !node.is_running() {
                    node.start()?;
                }
            }
            left -= 1;
            let ready = self.cluster.wait_ready(READY_WAIT).and_then(|()| {
                ensure!(self.all_run(), "a node ended: {}", self.cluster.describe());
                Ok(())
            });
            match ready {
                Err(error) if left > 0 && self.is_to_start_again(&error) => {}
                done => return done,
            }
        }
    }

    /// Whether an error is of a node that ended since and says to start it again. A wrong answer stays
    /// one, whoever ended after it.
    fn is_to_start_again(&mut self, error: &anyhow::Error) -> bool {
        let text = format!("{error:#}");
        if text.contains(WRONG_BYTES) || text.contains(LOST) {
            return false;
        }
        let ended = |node: &mut Node| !node.is_running() && node.own_line().contains("start again");
        let look = || match self.cluster.nodes.iter_mut().any(ended) {
            true => Ok(()),
            false => Err("none did".to_owned()),
        };
        wait::until("a node to end and say so", END_WAIT, look).is_ok()
    }

    /// A round of appends through all nodes, judged, and another one where a node ended in it and says to
    /// start it again; what is there of it.
    fn write(&mut self, appends: u64) -> Result<Entries> {
        let (ops, entries) = match self.try_write(appends) {
            Err(error) if self.is_to_start_again(&error) => {
                self.round += 1;
                self.start_all()?;
                self.try_write(appends)?
            }
            done => done?,
        };
        writers::check(&ops, entries.clone(), Vec::new())?;
        self.round += 1;
        entries.into_iter().next().context("a node's answers")
    }

    /// What was asked in a round of appends through all nodes, and what is there of it, by node.
    fn try_write(&mut self, appends: u64) -> Result<(Vec<Op>, Vec<Entries>)> {
        let addresses = self.cluster.nodes.iter().map(|node| node.resp()).collect();
        let pause = Duration::from_millis(5);
        let plan = Plan { addresses, round: self.round, writers: 4, bytes_max: BYTES_MAX, pause };
        let writers = Writers::start(&plan);
        writers.wait_more(appends, READY_WAIT)?;
        let ops = writers.finish()?;
        self.wait_equal()?;
        let read = |node: usize| self.read(node, self.round);
        let entries = (0..NODES).map(read).collect::<Result<Vec<_>>>()?;
        Ok((ops, entries))
    }

    /// Waits until the replicas are equal, as long as all nodes run.
    fn wait_equal(&mut self) -> Result<()> {
        let end = wait::now() + READY_WAIT;
        loop {
            match self.cluster.wait_equal(EQUAL_LOOK) {
                Err(_) if self.all_run() && wait::now() < end => {}
                done => return done.with_context(|| self.cluster.describe()),
            }
        }
    }

    fn all_run(&mut self) -> bool {
        self.cluster.nodes.iter_mut().all(Node::is_running)
    }

    fn read(&self, node: usize, round: u64) -> Result<Entries> {
        writers::read_all(&self.cluster.nodes[node].resp(), round, BYTES_MAX, READ_WAIT)
    }

    /// One file of one node, two whole peers that run.
    pub(crate) fn one(&mut self, entropy: &SeededEntropy, tallies: &mut Tallies) -> Result<()> {
        let last = self.write(CASE_APPENDS)?;
        if entropy.below(2) == 0 {
            self.cluster.nodes[VICTIM].kill();
        } else {
            self.cluster.nodes[VICTIM].stop()?;
        }
        spoil::copy_dir(&self.victim(), &self.whole(VICTIM))?;
        let Some(spoilt) = self.spoil(VICTIM, &[], entropy)? else { return self.start_all() };
        let case = self.case(VICTIM, spoilt)?;
        let verdict = match self.play_one(&case, &last) {
            Err(error) if self.is_to_start_again(&error) => self.play_one(&case, &last),
            done => done,
        };
        let outcome = verdict.unwrap_or_else(|error| {
            say(&format!("WRONG: {}: {error:#}", case.spoilt));
            Outcome::Violated
        });
        let name = case.name();
        *tallies.entry((name, outcome.clone())).or_default() += 1;
        if !matches!(outcome, Outcome::Harmless | Outcome::Repaired) {
            self.cluster.nodes[VICTIM].kill();
            spoil::copy_dir(&self.whole(VICTIM), &self.victim())?;
        }
        self.start_all().context("as it was before the damage")?;
        let (whole, old) = (self.whole(VICTIM), self.old(VICTIM));
        std::fs::remove_dir_all(&old)?;
        Ok(std::fs::rename(whole, old)?)
    }

    /// Damages a file of a node, of a kind that is not among `taken`.
    fn spoil(
        &self,
        node: usize,
        taken: &[String],
        entropy: &SeededEntropy,
    ) -> Result<Option<Spoilt>> {
        let dir = self.cluster.data_dir(node);
        let files = spoil::files(&dir)?;
        for _ in 0..100 {
            let Some(target) = spoil::choose(&files, entropy) else { break };
            if taken.contains(&target.kind) {
                continue;
            }
            let draw = usize::try_from(entropy.below(8)).expect("few");
            let damage = DAMAGES.get(draw).copied().unwrap_or(Damage::Flip);
            let old = self.old(node).join(target.path.strip_prefix(&dir)?);
            if let Some(spoilt) = spoil::spoil(target, damage, Some(&old), entropy)? {
                return Ok(Some(spoilt));
            }
        }
        Ok(None)
    }

    /// Opens copies of a node's directory before and after it was damaged.
    fn case(&self, node: usize, spoilt: Spoilt) -> Result<Case> {
        let copy = self.place.path().join("copy");
        spoil::copy_dir(&self.whole(node), &copy)?;
        let whole = dump::dump(&copy).context("a directory before any damage")?;
        spoil::copy_dir(&self.cluster.data_dir(node), &copy)?;
        let found = dump::compare(&whole, &dump::dump(&copy));
        Ok(Case { spoilt, found })
    }

    /// Starts the victim and judges what it does; `last` is the newest round.
    fn play_one(&mut self, case: &Case, last: &[Vec<Seen>]) -> Result<Outcome> {
        let node = &mut self.cluster.nodes[VICTIM];
        let said = node.log_text().len();
        node.start()?;
        let outcome = self.decided(VICTIM, said, DECIDE_WAIT, Some(case))?;
        match outcome {
            Outcome::Harmless | Outcome::Repaired => {
                self.same(VICTIM, FIRST_ROUND, &self.first)?;
                self.same(VICTIM, self.round - 1, last)?;
                self.wait_equal()?;
            }
            Outcome::Waits => {
                bail!("neither ready nor ended: {}", self.cluster.nodes[VICTIM].log_end())
            }
            Outcome::Refused(_) | Outcome::Violated => {}
        }
        Ok(outcome)
    }

    /// What a node that was started comes to; it said so many bytes before. What it says of damage must name it.
    fn decided(
        &mut self,
        index: usize,
        said: usize,
        limit: Duration,
        case: Option<&Case>,
    ) -> Result<Outcome> {
        let dir = self.cluster.data_dir(index);
        let node = &mut self.cluster.nodes[index];
        let looked = wait::until("a decision", limit, || match node.ready() {
            Ok(()) => Ok(true),
            Err(_) if !node.is_running() => Ok(false),
            Err(why) => Err(why),
        });
        let text = node.log_text();
        let news = text.get(said..).unwrap_or_default();
        match looked {
            Err(_) => Ok(Outcome::Waits),
            Ok(true) if REPAIRS.iter().any(|word| news.contains(word)) => {
                case.map_or(Ok(()), |case| case.is_named_where_repaired(&dir, news))?;
                Ok(Outcome::Repaired)
            }
            Ok(true) => Ok(Outcome::Harmless),
            Ok(false) => {
                let code = node.wait_end(READY_WAIT)?;
                let line = node.own_line();
                ensure!(matches!(code, Some(2 | 3)), "exit code {code:?}: {line}");
                ensure!(line.contains(&dir.display().to_string()), "it names no place: {line}");
                // Whatever of a store is met first: an earlier case may have left it.
                let met = line.contains("start again");
                let case = case.filter(|case| !met || case.is_of_store());
                case.map_or(Ok(()), |case| case.is_named_where_refused(&dir, &line))?;
                let helps = WAYS_OUT.iter().any(|words| line.contains(words));
                ensure!(helps, "it doesn't say what to do: {line}");
                Ok(Outcome::Refused(code.unwrap_or_default()))
            }
        }
    }

    fn same(&self, node: usize, round: u64, expected: &[Vec<Seen>]) -> Result<()> {
        let found = self.read(node, round)?;
        ensure!(found == expected, "{LOST}: round {round} is not as it was");
        Ok(())
    }
}

impl Case {
    /// As the verdict names it.
    fn name(&self) -> String {
        format!("{}, {:?}", self.spoilt.target.kind, self.spoilt.damage)
    }

    fn is_of_store(&self) -> bool {
        self.spoilt.target.kind.starts_with("store/")
    }

    /// A node ends over the first that it meets, so that not every shard is told.
    fn is_named_where_refused(&self, dir: &Path, line: &str) -> Result<()> {
        let unnamed = named::missing(dir, &self.spoilt.target, &BTreeSet::new(), line);
        unnamed.map_or(Ok(()), |why| bail!("{why}: {line}"))
    }

    /// An older checkpoint of which the log goes on is nothing to repair. A repair of another file's damage is of
    /// an earlier case.
    fn is_named_where_repaired(&self, dir: &Path, news: &str) -> Result<()> {
        if !self.is_of_store() {
            return Ok(());
        }
        let unnamed = named::missing(dir, &self.spoilt.target, &self.found.damaged, news);
        unnamed.map_or(Ok(()), |why| bail!("{why}: {news}"))
    }
}

/// The table.
pub(crate) fn report(stand: &Stand, tallies: &Tallies) {
    say("\na node started, two whole peers; or all three damaged (helix)              cases");
    for ((name, outcome), count) in tallies {
        let outcome = match outcome {
            Outcome::Refused(code) => format!("refused, exit code {code}"),
            other => format!("{other:?}").to_lowercase(),
        };
        say(&format!("{name:<48}{outcome:<26}{count:>6}"));
    }
    for ((mode, owed), count) in &stand.owed {
        say(&format!("{mode:<48}{:<26}{count:>6}", owed.to_string()));
    }
}
