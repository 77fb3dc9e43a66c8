//! Whether what was sampled is flat: by the median of the slopes between all pairs of samples after the first
//! minutes (Theil and Sen's), which some samples that meet a fault do not move.
//!
//! Over the judged time it may change by a share of the median: what is allowed each hour, and some for
//! the noise of a short run.
//!
//! What does nothing is flat, too: so there must be points enough for each rule, and appends enough.

use std::fmt;
use std::time::Duration;

use super::Plan;
use super::sample::Sample;
use crate::figures::median;

/// What is judged: how much it may change in an hour, and for noise, as shares.
struct Rule {
    what: &'static str,
    hourly: f64,
    noise: f64,
}

const RESIDENT: Rule = Rule { what: "resident memory", hourly: 0.01, noise: 0.05 };
const DESCRIPTORS: Rule = Rule { what: "descriptors", hourly: 0.01, noise: 0.05 };
const DISK: Rule = Rule { what: "disk", hourly: 0.02, noise: 0.10 };
const P99: Rule = Rule { what: "p99 of appends", hourly: 0.05, noise: 0.25 };
/// Fewer samples say nothing.
const SAMPLES_MIN: usize = 12;
/// Of the samples: a figure that more often than not wasn't there says nothing of the others.
const POINTS_SHARE_MIN: f64 = 0.5;
/// Of the appends that were asked for: with fewer there was no load.
const APPENDS_SHARE_MIN: f64 = 0.5;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    pub what: String,
    pub median: f64,
    /// Over the judged time, as a share of the median.
    pub change: f64,
    pub allowed: f64,
    /// Whether there were figures enough to say so.
    pub known: bool,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub lines: Vec<Line>,
    pub judged: Duration,
    pub faults: u64,
    pub appends: u64,
    /// Answers that were no errors.
    pub calls: u64,
    /// Appends of the judged time, as a share of what was asked for.
    pub load: f64,
}

impl Line {
    /// Whether it is known not to grow. What shrinks is no leak.
    pub fn is_flat(&self) -> bool {
        self.known && self.change <= self.allowed
    }
}

impl Verdict {
    pub(super) fn of(samples: &[Sample], plan: &Plan, calls: u64) -> Self {
        let settled = |sample: &&Sample| sample.at >= plan.settled;
        let judged: Vec<&Sample> = samples.iter().filter(settled).collect();
        let last = samples.last();
        let mut verdict = Self {
            faults: last.map_or(0, |sample| sample.faults),
            appends: last.map_or(0, |sample| sample.appends),
            calls,
            ..Self::default()
        };
        let (Some(first), true) = (judged.first(), judged.len() >= SAMPLES_MIN) else {
            return verdict;
        };
        verdict.judged = last.map_or(Duration::ZERO, |last| last.at - first.at);
        let asked = f64::from(plan.rate) * verdict.judged.as_secs_f64();
        verdict.load = (verdict.appends - first.appends) as f64 / asked.max(1e-9);
        let mut judge = |rule: &Rule, of: String, value: &dyn Fn(&Sample) -> f64| {
            verdict.lines.push(rule.judge(&of, &judged, value));
        };
        for node in 0..first.nodes.len() {
            let of = format!(", node {}", node + 1);
            judge(&RESIDENT, of.clone(), &|sample| sample.nodes[node].resident as f64);
            judge(&DESCRIPTORS, of.clone(), &|sample| sample.nodes[node].descriptors as f64);
            judge(&DISK, of, &|sample| sample.nodes[node].disk as f64);
        }
        judge(&P99, String::new(), &|sample| sample.p99_ms);
        verdict
    }

    /// Whether there was enough to judge, and all of it is flat.
    pub fn is_good(&self) -> bool {
        self.violations() == 0
    }

    /// How much is not flat, or not known to be.
    pub fn violations(&self) -> u64 {
        let rising = self.lines.iter().filter(|line| !line.is_flat()).count();
        let idle = usize::from(!self.is_loaded());
        (rising + idle) as u64
    }

    /// Whether there was the load that is judged under; not where it was too short to be judged.
    fn is_loaded(&self) -> bool {
        !self.lines.is_empty() && self.load >= APPENDS_SHARE_MIN
    }
}

impl Rule {
    /// The points of some samples; where there is nothing, there is no point.
    fn judge(&self, of: &str, judged: &[&Sample], value: &dyn Fn(&Sample) -> f64) -> Line {
        let points: Vec<(f64, f64)> = judged
            .iter()
            .map(|sample| (sample.at.as_secs_f64(), value(sample)))
            .filter(|(_, value)| *value > 0.0)
            .collect();
        let ends = judged.first().zip(judged.last());
        let seconds = ends.map_or(0.0, |(first, last)| (last.at - first.at).as_secs_f64());
        let median = median(points.iter().map(|(_, value)| *value)).unwrap_or(0.0);
        Line {
            what: format!("{}{of}", self.what),
            median,
            change: slope(&points) * seconds / median.max(1e-9),
            allowed: self.noise + self.hourly * seconds / 3600.0,
            known: points.len() >= SAMPLES_MIN
                && points.len() as f64 >= judged.len() as f64 * POINTS_SHARE_MIN,
        }
    }
}

/// The median of the slopes between all pairs.
fn slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate().flat_map(|(at, (x, y))| {
        points[at + 1..].iter().map(move |(later, then)| (then - y) / (later - x).max(1e-9))
    });
    median(pairs).unwrap_or(0.0)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.judged.as_secs_f64() / 60.0;
        writeln!(f, "{} faults, {} appends, {} answers", self.faults, self.appends, self.calls)?;
        writeln!(
            f,
            "{:<26}{:>14}{:>12}{:>10}",
            format!("over {minutes:.0} min"),
            "median",
            "change",
            "at most"
        )?;
        for line in &self.lines {
            let Line { what, median, change, allowed, known } = line;
            let shown = match *median {
                median if median >= 1e5 => format!("{:.1} MiB", median / 1_048_576.0),
                median => format!("{median:.1}"),
            };
            let (change, allowed) = (change * 100.0, allowed * 100.0);
            let verdict = match (known, line.is_flat()) {
                (false, _) => "NOT KNOWN",
                (true, true) => "flat",
                (true, false) => "RISES",
            };
            writeln!(f, "{what:<26}{shown:>14}{change:>+11.1}%{allowed:>9.1}%  {verdict}")?;
        }
        if self.lines.is_empty() {
            return writeln!(f, "too short to be judged");
        }
        let (load, least) = (self.load * 100.0, APPENDS_SHARE_MIN * 100.0);
        let verdict = if self.is_loaded() { "enough" } else { "NO LOAD" };
        writeln!(f, "appends, of those asked for: {load:.0} %, at least {least:.0} %  {verdict}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::sample::Taken;

    /// Two hours, with a fault in every sixth sample, and so much more memory each second.
    fn samples(grows: u64) -> Vec<Sample> {
        let sample = |at: u64| {
            let noise = at * 7919 % 13;
            let resident = (100 << 20) + grows * at + (noise << 16);
            let taken = Taken { resident, descriptors: 60 + noise % 3, disk: (300 + noise) << 20 };
            let p99_ms = if at.is_multiple_of(60) { 1500.0 } else { 5.0 + noise as f64 / 10.0 };
            let at_time = Duration::from_secs(at);
            Sample { at: at_time, faults: at / 60, appends: at, p99_ms, nodes: vec![taken; 3] }
        };
        (1..=720).map(|number| sample(10 * number)).collect()
    }

    /// Where one append a second is asked for.
    fn verdict(samples: &[Sample]) -> Verdict {
        let (length, settled) = (Duration::from_secs(7_200), Duration::from_secs(900));
        let plan = Plan { length, settled, seed: 1, rate: 1, out: "none".into() };
        Verdict::of(samples, &plan, 1)
    }

    #[test]
    fn what_only_wavers_is_flat_and_a_leak_of_five_percent_an_hour_is_not() {
        let flat = verdict(&samples(0));
        assert!(flat.is_good() && flat.lines.len() == 10, "{flat}");
        let leak = verdict(&samples((5 << 20) / 3600));
        assert!(!leak.is_good() && leak.violations() == 3, "{leak}");
        assert!(!verdict(&[]).is_good(), "nothing is not flat");
    }

    #[test]
    fn a_soak_in_which_nothing_works_is_not_flat() {
        let mut dead = samples(0);
        for sample in &mut dead {
            (sample.appends, sample.p99_ms) = (0, 0.0);
            sample.nodes[1] = Taken::default();
        }
        let dead = verdict(&dead);
        // Three figures of a node, the p99, and the load.
        assert!(!dead.is_good() && dead.violations() == 5, "{dead}");

        let mut idle = samples(0);
        idle.iter_mut().for_each(|sample| sample.appends /= 3);
        assert_eq!(verdict(&idle).violations(), 1, "a third of the load is none");
    }
}
