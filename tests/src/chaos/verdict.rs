//! What a run came to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::fault::{Done, Kind};
use checker::Violation;
use checker::history::{Final, Once, Op, Outcome, Stream, What};

/// Failovers that are shown one by one.
const LONGEST_SHOWN: usize = 5;
/// Where nothing but kills was done, 99 of 100 failovers are over before this.
const FAILOVER_P99_LIMIT: Duration = Duration::from_secs(4);

/// How long a stream waited for an acknowledgement, at most, from each fault of one kind until all
/// was healed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waits {
    pub faults: usize,
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

/// The figures of a run. Shown as a table.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Processes killed.
    pub kills: usize,
    pub kinds: BTreeMap<Kind, Waits>,
    /// Faults whose failover has no time: no stream was acknowledged anything behind them.
    pub unmeasured: usize,
    /// What the machine doesn't allow, and why.
    pub skipped: BTreeMap<Kind, String>,
    /// Calls of clients.
    pub operations: usize,
    pub acknowledged: usize,
    pub unknown: usize,
    pub refused: usize,
    pub delivered: usize,
    pub acknowledged_deliveries: usize,
    /// Appends that were asked again under their ids.
    pub asked_again: usize,
    /// Pending entries that a consumer took over.
    pub taken_over: usize,
    /// Entries that were trimmed or deleted.
    pub removed: usize,
    pub lost: usize,
    pub doubled: usize,
    /// Longest time in which a stream that was appended to acknowledged nothing.
    pub longest_pause: Duration,
    /// After faults of every kind.
    pub failover: Waits,
    /// The longest ones, and what was done.
    pub failovers_longest: Vec<(Duration, String)>,
    pub shards_equal: bool,
    /// Calls of which a library found an order that explains them all, and those that were too many.
    pub windows: checker::Windows,
    /// The first of each check.
    pub violations: Vec<Violation>,
    /// How many there are of each check.
    pub counts: BTreeMap<u8, usize>,
}

impl Verdict {
    pub(super) fn new(ops: &[Op], end: &Final, faults: &[Done], checked: checker::Verdict) -> Self {
        let checker::Verdict { violations, counts, windows } = checked;
        let mut verdict = Self { windows, operations: ops.len(), ..Self::default() };
        let nodes = end.entries.len();
        verdict.kills = faults.iter().map(|done| done.fault.kills(nodes)).sum();
        ops.iter().for_each(|op| verdict.count(op));
        verdict.asked_again = asked_again(ops);
        verdict.counts = counts;
        (verdict.lost, verdict.doubled) = (verdict.count_of(3), verdict.count_of(5));
        let answers = answers(ops);
        verdict.longest_pause = longest_pause(&answers);
        let failovers = failovers(&answers, faults);
        verdict.failover = Waits::of(&failovers, |_| true);
        verdict.unmeasured = faults.len() - failovers.len();
        for kind in Kind::ALL {
            let waits = Waits::of(&failovers, |done| done.fault.act.kind() == kind);
            if waits.faults > 0 {
                verdict.kinds.insert(kind, waits);
            }
        }
        let longest = failovers.iter().rev().take(LONGEST_SHOWN);
        verdict.failovers_longest =
            longest.map(|(time, done)| (*time, done.fault.to_string())).collect();
        verdict.shards_equal = verdict.count_of(1) == 0;
        verdict.violations = violations;
        verdict
    }

    /// Violations of a check.
    fn count_of(&self, check: u8) -> usize {
        self.counts.get(&check).copied().unwrap_or(0)
    }

    /// Violations of all checks.
    pub fn violations_count(&self) -> usize {
        self.counts.values().sum()
    }

    fn count(&mut self, op: &Op) {
        match &op.what {
            What::Add { outcome: Outcome::Ok(_), .. } => self.acknowledged += 1,
            What::Add { outcome: Outcome::Unknown, .. } => self.unknown += 1,
            What::Add { outcome: Outcome::Fail, .. } => self.refused += 1,
            What::Deliver { entries, .. } => self.delivered += entries.len(),
            What::Ack { outcome: Outcome::Ok(count), .. } => {
                self.acknowledged_deliveries += usize::try_from(*count).unwrap_or(0);
            }
            What::Trim { outcome: Outcome::Ok(count), .. }
            | What::Delete { outcome: Outcome::Ok(count), .. } => {
                self.removed += usize::try_from(*count).unwrap_or(0);
            }
            What::Claim { ids, outcome: Outcome::Ok(()), .. } => self.taken_over += ids.len(),
            _ => {}
        }
    }

    /// Faults of every kind.
    pub fn faults(&self) -> usize {
        self.failover.faults
    }

    /// Whether nothing is wrong, something was done, and kills alone were got over in time.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.acknowledged > 0 && self.is_quick() != Some(false)
    }

    /// Whether the failovers were short enough; none where more than kills was done: then their lengths say as much of
    /// the other faults.
    pub fn is_quick(&self) -> Option<bool> {
        let only_kills = self.kinds.keys().all(|kind| *kind == Kind::Kill);
        let was_killed = only_kills && self.kills > 0;
        was_killed.then_some(self.unmeasured == 0 && self.failover.p99 < FAILOVER_P99_LIMIT)
    }

    /// The line about that.
    fn failover_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(is_quick) = self.is_quick() else { return Ok(()) };
        let required = format!("< {:.2}", FAILOVER_P99_LIMIT.as_secs_f64());
        let measured = format!("{:.2}", self.failover.p99.as_secs_f64());
        let verdict = if is_quick { "met" } else { "BROKEN" };
        writeln!(f, "{:<32}{:>12}{:>10}{:>10}", "", "required", "measured", "verdict")?;
        writeln!(f, "{:<32}{required:>12}{measured:>10}{verdict:>10}", "p99 of failover in s")
    }
}

impl Waits {
    /// Of those that are wanted; `failovers` has the shortest first.
    fn of(failovers: &[(Duration, Done)], wanted: impl Fn(&Done) -> bool) -> Self {
        let times: Vec<Duration> =
            failovers.iter().filter(|(_, done)| wanted(done)).map(|(time, _)| *time).collect();
        let at = |share: f64| {
            let place = (times.len() as f64 * share).ceil() as usize;
            times.get(place.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { faults: times.len(), p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [self.p50, self.p99, self.max].map(|time| time.as_secs_f64());
        write!(f, "{:>12}{p50:>10.2}{p99:>10.2}{max:>10.2}", self.faults)
    }
}

/// How many appends under an id are not the first of theirs.
fn asked_again(ops: &[Op]) -> usize {
    let once = |op: &Op| if let What::Add { once, .. } = op.what { once } else { None };
    let asked: Vec<Once> = ops.iter().filter_map(once).collect();
    asked.len() - asked.iter().collect::<BTreeSet<_>>().len()
}

/// When each stream acknowledged appends, in order.
fn answers(ops: &[Op]) -> BTreeMap<Stream, Vec<Duration>> {
    let mut answers: BTreeMap<Stream, Vec<Duration>> = BTreeMap::new();
    for op in ops {
        if matches!(op.what, What::Add { outcome: Outcome::Ok(_), .. }) {
            answers.entry(op.stream).or_default().push(op.ret);
        }
    }
    answers.values_mut().for_each(|times| times.sort());
    answers
}

fn longest_pause(answers: &BTreeMap<Stream, Vec<Duration>>) -> Duration {
    let gaps = answers.values().flat_map(|times| times.windows(2).map(|pair| pair[1] - pair[0]));
    gaps.max().unwrap_or_default()
}

/// For each fault the longest time in which a stream acknowledged nothing, of what lies behind the
/// fault's begin and began before all was healed; shortest first.
fn failovers(answers: &BTreeMap<Stream, Vec<Duration>>, faults: &[Done]) -> Vec<(Duration, Done)> {
    let longest = |done: &Done, times: &[Duration]| {
        let first = times.partition_point(|time| *time < done.at);
        let last = times.partition_point(|time| *time < done.healed);
        let ends = times.get(first..=last.min(times.len().checked_sub(1)?))?;
        let begins = [done.at].into_iter().chain(ends.iter().copied());
        ends.iter().zip(begins).map(|(end, begin)| *end - begin).max()
    };
    let mut all: Vec<(Duration, Done)> = faults
        .iter()
        .filter_map(|done| {
            let waits = answers.values().filter_map(|times| longest(done, times));
            Some((waits.max()?, *done))
        })
        .collect();
    all.sort_by_key(|(time, _)| *time);
    all
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |check: u8| self.count_of(check);
        let failover = "failover: p50, p99, max in s";
        writeln!(f, "{:<32}{:>12}    {failover}", "faults", "how often")?;
        for (kind, waits) in &self.kinds {
            writeln!(f, "  {kind:<30}{waits}")?;
        }
        writeln!(f, "  {:<30}{}", "all", self.failover)?;
        for (kind, why) in &self.skipped {
            writeln!(f, "  {kind:<30}{:>12}    {why}", "SKIPPED")?;
        }
        let rows = [
            ("kinds of faults skipped", self.skipped.len().to_string()),
            ("processes killed", self.kills.to_string()),
            ("faults without an answer behind", self.unmeasured.to_string()),
            ("operations", self.operations.to_string()),
            ("appends acknowledged", self.acknowledged.to_string()),
            ("appends refused", self.refused.to_string()),
            ("appends of unknown outcome", self.unknown.to_string()),
            ("appends asked again", self.asked_again.to_string()),
            ("entries delivered", self.delivered.to_string()),
            ("deliveries acknowledged", self.acknowledged_deliveries.to_string()),
            ("entries taken over", self.taken_over.to_string()),
            ("entries removed", self.removed.to_string()),
            ("lost", self.lost.to_string()),
            ("doubled", self.doubled.to_string()),
            ("out of order", count(2).to_string()),
            ("again after XACK, or forgotten", count(11).to_string()),
            ("replicas equal", if self.shards_equal { "yes" } else { "NO" }.to_owned()),
            ("longest pause of a stream", format!("{:.2} s", self.longest_pause.as_secs_f64())),
            ("calls explained in one order", self.windows.ops_explained.to_string()),
            ("calls too many to explain", self.windows.ops_left_out.to_string()),
            ("violations", self.violations_count().to_string()),
        ];
        for (name, value) in rows {
            writeln!(f, "{name:<32}{value:>12}")?;
        }
        self.failover_line(f)?;
        for (time, fault) in &self.failovers_longest {
            writeln!(f, "  {:.2} s after: {fault}", time.as_secs_f64())?;
        }
        for violation in &self.violations {
            writeln!(f, "  check {}: {}", violation.check, violation.text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::{Act, Fault};
    use super::*;

    #[test]
    fn a_failover_is_the_longest_wait_of_a_stream_from_the_fault_until_all_is_healed() {
        let at = Duration::from_millis;
        let times = |all: &[u64]| all.iter().map(|ms| at(*ms)).collect::<Vec<_>>();
        // One more answer comes before the fault is felt; what comes late in the calm is no matter.
        let streams = [times(&[100, 900, 1_010, 1_800, 1_850, 9_000]), times(&[990, 1_200, 1_300])];
        let answers = streams.into_iter().enumerate().collect();
        let length = at(0);
        let fault = Fault { act: Act::FailSync, node: 0, leads: false, length, killed: None };
        let done = Done { fault, at: at(1_000), healed: at(1_830) };
        assert_eq!(failovers(&answers, &[done]), [(at(790), done)]);
        let never = Done { at: at(10_000), healed: at(11_000), ..done };
        assert_eq!(failovers(&answers, &[never]), []);
    }

    /// Kills, each with a failover of so many milliseconds, in a verdict over nothing else.
    fn of_kills(failovers_ms: &[u64], act: Act) -> Verdict {
        let at = Duration::from_millis;
        let (mut ops, mut faults, mut now) = (Vec::new(), Vec::new(), 0);
        for wait in failovers_ms {
            let fault = Fault { act, node: 0, leads: true, length: at(0), killed: None };
            faults.push(Done { fault, at: at(now), healed: at(now + wait) });
            now += wait;
            let what = What::Add { value: now, once: None, outcome: Outcome::Ok((now, 0)) };
            ops.push(Op { client: 0, stream: 0, call: at(now - 1), ret: at(now), what });
            now += 2_000;
        }
        Verdict::new(&ops, &Final::default(), &faults, checker::Verdict::default())
    }

    #[test]
    fn kills_alone_are_got_over_in_less_than_4_seconds_99_times_of_100() {
        let mut failovers = vec![1_500; 299];
        failovers.push(9_000);
        let verdict = of_kills(&failovers, Act::Kill);
        assert!(verdict.is_good() && verdict.failover.faults == 300, "{verdict}");
        failovers.extend([4_000, 4_100, 4_200]);
        let verdict = of_kills(&failovers, Act::Kill);
        let line = "p99 of failover in s                  < 4.00      4.00    BROKEN";
        assert!(!verdict.is_good() && verdict.to_string().contains(line), "{verdict}");
        assert_eq!(of_kills(&failovers, Act::Pause).is_quick(), None);
    }

    #[test]
    fn a_kill_behind_which_nothing_is_acknowledged_is_not_got_over() {
        let mut verdict = of_kills(&[1_000, 1_000], Act::Kill);
        assert_eq!(verdict.is_quick(), Some(true));
        verdict.unmeasured = 1;
        assert!(!verdict.is_good());
    }
}
