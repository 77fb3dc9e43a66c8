//! Whether what was sampled is flat: by the median of the slopes between all pairs of samples after the first
//! minutes (Theil and Sen's), which some samples that meet a fault do not move.
//!
//! Over the judged time it may change by a share of the median: what is allowed each hour, and some for
//! the noise of a short run.

use std::fmt;
use std::time::Duration;

use super::sample::Sample;

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

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    pub what: String,
    pub median: f64,
    /// Over the judged time, as a share of the median.
    pub change: f64,
    pub allowed: f64,
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
}

impl Line {
    /// Whether it did not grow. What shrinks is no leak.
    pub fn is_flat(&self) -> bool {
        self.change <= self.allowed
    }
}

impl Verdict {
    pub(super) fn of(samples: &[Sample], settled: Duration, calls: u64) -> Self {
        let judged: Vec<&Sample> = samples.iter().filter(|sample| sample.at >= settled).collect();
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
        let mut judge = |rule: &Rule, of: String, value: &dyn Fn(&Sample) -> f64| {
            let points: Vec<(f64, f64)> = judged
                .iter()
                .map(|sample| (sample.at.as_secs_f64(), value(sample)))
                .filter(|(_, value)| *value > 0.0)
                .collect();
            let hours = verdict.judged.as_secs_f64() / 3600.0;
            let median = median(points.iter().map(|(_, value)| *value).collect());
            let change = slope(&points) * verdict.judged.as_secs_f64() / median.max(1e-9);
            let what = format!("{}{of}", rule.what);
            let allowed = rule.noise + rule.hourly * hours;
            verdict.lines.push(Line { what, median, change, allowed });
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
        !self.lines.is_empty() && self.lines.iter().all(Line::is_flat)
    }

    /// How much is not flat.
    pub fn violations(&self) -> u64 {
        let rising = self.lines.iter().filter(|line| !line.is_flat()).count();
        rising.max(usize::from(self.lines.is_empty())) as u64
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The median of the slopes between all pairs.
fn slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate().flat_map(|(at, (x, y))| {
        points[at + 1..].iter().map(move |(later, then)| (then - y) / (later - x).max(1e-9))
    });
    median(pairs.collect())
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
            let Line { what, median, change, allowed } = line;
            let shown = match *median {
                median if median >= 1e5 => format!("{:.1} MiB", median / 1_048_576.0),
                median => format!("{median:.1}"),
            };
            let (change, allowed) = (change * 100.0, allowed * 100.0);
            let verdict = if line.is_flat() { "flat" } else { "RISES" };
            writeln!(f, "{what:<26}{shown:>14}{change:>+11.1}%{allowed:>9.1}%  {verdict}")?;
        }
        if self.lines.is_empty() {
            writeln!(f, "too short to be judged")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::sample::Taken;

    /// Two hours, with a fault in every sixth sample, and so much more memory each second.
    fn verdict(grows: u64) -> Verdict {
        let sample = |at: u64| {
            let noise = at * 7919 % 13;
            let resident = (100 << 20) + grows * at + (noise << 16);
            let taken = Taken { resident, descriptors: 60 + noise % 3, disk: (300 + noise) << 20 };
            let p99_ms = if at.is_multiple_of(60) { 1500.0 } else { 5.0 + noise as f64 / 10.0 };
            let at_time = Duration::from_secs(at);
            Sample { at: at_time, faults: at / 60, appends: at, p99_ms, nodes: vec![taken; 3] }
        };
        let samples: Vec<Sample> = (1..=720).map(|number| sample(10 * number)).collect();
        Verdict::of(&samples, Duration::from_secs(900), 1)
    }

    #[test]
    fn what_only_wavers_is_flat_and_a_leak_of_five_percent_an_hour_is_not() {
        let flat = verdict(0);
        assert!(flat.is_good() && flat.lines.len() == 10, "{flat}");
        let leak = verdict((5 << 20) / 3600);
        assert!(!leak.is_good() && leak.violations() == 3, "{leak}");
        assert!(!Verdict::of(&[], Duration::ZERO, 0).is_good(), "nothing is not flat");
    }
}
