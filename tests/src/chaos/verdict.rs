//! What a run came to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::fault::{Done, Fault};
use checker::Violation;
use checker::history::{Final, Op, Outcome, Stream, What};

/// Failovers that are shown one by one.
const LONGEST_SHOWN: usize = 5;

/// The figures of a run. Shown as a table.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub kills: usize,
    pub stops: usize,
    pub acknowledged: usize,
    pub unknown: usize,
    pub refused: usize,
    pub delivered: usize,
    pub acknowledged_deliveries: usize,
    pub lost: usize,
    pub doubled: usize,
    /// Longest time in which a stream that was appended to acknowledged nothing.
    pub longest_pause: Duration,
    /// From a fault to the first append acknowledged again by the stream that was last.
    pub failover_p50: Duration,
    pub failover_p99: Duration,
    /// The longest ones, and what was done.
    pub failovers_longest: Vec<(Duration, String)>,
    pub shards_equal: bool,
    /// Calls of which a library found an order that explains them all, and those that were too many.
    pub windows: checker::Windows,
    pub violations: Vec<Violation>,
}

impl Verdict {
    pub(super) fn new(ops: &[Op], end: &Final, faults: &[Done], checked: checker::Verdict) -> Self {
        let checker::Verdict { violations, windows } = checked;
        let mut verdict = Self { windows, ..Self::default() };
        for done in faults {
            match done.fault {
                Fault::Kill { .. } => verdict.kills += 1,
                Fault::KillAll => verdict.kills += end.entries.len(),
                Fault::Freeze { .. } => verdict.stops += 1,
            }
        }
        for op in ops {
            match &op.what {
                What::Add { outcome: Outcome::Ok(_), .. } => verdict.acknowledged += 1,
                What::Add { outcome: Outcome::Unknown, .. } => verdict.unknown += 1,
                What::Add { outcome: Outcome::Fail, .. } => verdict.refused += 1,
                What::Deliver { entries, .. } => verdict.delivered += entries.len(),
                What::Ack { outcome: Outcome::Ok(count), .. } => {
                    verdict.acknowledged_deliveries += usize::try_from(*count).unwrap_or(0);
                }
                _ => {}
            }
        }
        let count = |check| violations.iter().filter(|found| found.check == check).count();
        (verdict.lost, verdict.doubled) = (count(3), count(5));
        let answers = answers(ops);
        verdict.longest_pause = longest_pause(&answers);
        let failovers = failovers(&answers, faults);
        let at = |share: f64| {
            let place = (failovers.len() as f64 * share).ceil() as usize;
            failovers.get(place.saturating_sub(1)).map_or(Duration::ZERO, |(time, _)| *time)
        };
        (verdict.failover_p50, verdict.failover_p99) = (at(0.5), at(0.99));
        let longest = failovers.iter().rev().take(LONGEST_SHOWN);
        verdict.failovers_longest =
            longest.map(|(time, done)| (*time, done.fault.to_string())).collect();
        verdict.shards_equal = violations.iter().all(|found| found.check != 1);
        verdict.violations = violations;
        verdict
    }

    /// Whether nothing is wrong and something was done.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.acknowledged > 0
    }
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

/// For each fault the time until every stream had acknowledged again, shortest first.
fn failovers(answers: &BTreeMap<Stream, Vec<Duration>>, faults: &[Done]) -> Vec<(Duration, Done)> {
    let mut all: Vec<(Duration, Done)> = faults
        .iter()
        .filter_map(|done| {
            let firsts = answers.values().filter_map(|times| {
                let next = times.partition_point(|time| *time < done.at);
                times.get(next).map(|time| *time - done.at)
            });
            Some((firsts.max()?, *done))
        })
        .collect();
    all.sort_by_key(|(time, _)| *time);
    all
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let count = |check: u8| self.violations.iter().filter(|v| v.check == check).count();
        let rows = [
            ("kills", self.kills.to_string()),
            ("stops of 1 to 5 s", self.stops.to_string()),
            ("appends acknowledged", self.acknowledged.to_string()),
            ("appends refused", self.refused.to_string()),
            ("appends of unknown outcome", self.unknown.to_string()),
            ("entries delivered", self.delivered.to_string()),
            ("deliveries acknowledged", self.acknowledged_deliveries.to_string()),
            ("lost", self.lost.to_string()),
            ("doubled", self.doubled.to_string()),
            ("out of order", count(2).to_string()),
            ("again after XACK, or forgotten", count(11).to_string()),
            ("replicas equal", if self.shards_equal { "yes" } else { "NO" }.to_owned()),
            ("longest pause of a stream", seconds(self.longest_pause)),
            ("failover p50", seconds(self.failover_p50)),
            ("failover p99", seconds(self.failover_p99)),
            ("calls explained in one order", self.windows.ops_explained.to_string()),
            ("calls too many to explain", self.windows.ops_left_out.to_string()),
            ("violations", self.violations.len().to_string()),
        ];
        for (name, value) in rows {
            writeln!(f, "{name:<32}{value:>12}")?;
        }
        for (time, fault) in &self.failovers_longest {
            writeln!(f, "  {} after: {fault}", seconds(*time))?;
        }
        for violation in &self.violations {
            writeln!(f, "  check {}: {}", violation.check, violation.text)?;
        }
        Ok(())
    }
}
