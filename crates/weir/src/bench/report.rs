//! What a load came to: rate, latencies, errors; as text with a plot, or as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;

use crate::out;

/// Longest latency that is told apart, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;
/// Three digits: 1.23 ms is told from 1.24 ms.
const LATENCY_DIGITS: u8 = 3;
/// Widest bar of the plot.
const BAR_WIDTH: u64 = 50;
/// Kinds of errors that are told apart.
const ERRORS_MAX: usize = 20;

/// Counts and times of one load.
#[derive(Debug)]
pub(crate) struct Report {
    duration: Duration,
    latencies_us: Histogram<u64>,
    per_second: Vec<u64>,
    errors: BTreeMap<String, u64>,
}

impl Report {
    pub(crate) fn new(duration: Duration) -> Self {
        let latencies_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS);
        Self {
            duration,
            latencies_us: latencies_us.expect("constant bounds"),
            per_second: Vec::new(),
            errors: BTreeMap::new(),
        }
    }

    /// One append is answered, `at` after the beginning.
    pub(crate) fn done(&mut self, at: Duration, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(LATENCY_US_MAX);
        self.latencies_us.saturating_record(us.max(1));
        let second = usize::try_from(at.as_secs()).unwrap_or(0);
        if self.per_second.len() <= second {
            self.per_second.resize(second + 1, 0);
        }
        self.per_second[second] += 1;
    }

    /// An answer was an error, or a connection broke.
    pub(crate) fn error(&mut self, text: &str) {
        if self.errors.len() < ERRORS_MAX || self.errors.contains_key(text) {
            *self.errors.entry(text.to_owned()).or_default() += 1;
        } else {
            *self.errors.entry("others".to_owned()).or_default() += 1;
        }
    }

    /// Errors of all kinds.
    pub(crate) fn errors_count(&self) -> u64 {
        self.errors.values().sum()
    }

    fn rate(&self) -> f64 {
        self.latencies_us.len() as f64 / self.duration.as_secs_f64()
    }

    fn percentile_ms(&self, quantile: f64) -> f64 {
        self.latencies_us.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// One line for programs.
    pub(crate) fn json(&self) -> String {
        json!({
            "acknowledged": self.latencies_us.len(),
            "seconds": self.duration.as_secs_f64(),
            "per_second": self.rate(),
            "p50_ms": self.percentile_ms(0.5),
            "p99_ms": self.percentile_ms(0.99),
            "p999_ms": self.percentile_ms(0.999),
            "max_ms": self.latencies_us.max() as f64 / 1000.0,
            "errors": self.errors,
            "acknowledged_each_second": self.per_second,
        })
        .to_string()
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![
            format!(
                "{} appends acknowledged in {:.0} s: {:.0} a second, {} errors",
                self.latencies_us.len(),
                self.duration.as_secs_f64(),
                self.rate(),
                self.errors_count(),
            ),
            format!(
                "latency  p50 {:.2} ms   p99 {:.2} ms   p99.9 {:.2} ms   max {:.2} ms",
                self.percentile_ms(0.5),
                self.percentile_ms(0.99),
                self.percentile_ms(0.999),
                self.latencies_us.max() as f64 / 1000.0,
            ),
        ];
        lines.extend(self.errors.iter().map(|(text, count)| format!("  {count} x {text}")));
        if !self.latencies_us.is_empty() {
            lines.push(String::new());
            lines.push(self.plot());
        }
        lines.join("\n")
    }

    /// How many answers took how long, a bar for each doubling.
    fn plot(&self) -> String {
        let buckets: Vec<(u64, u64)> = self
            .latencies_us
            .iter_log(62, 2.0)
            .map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
            .skip_while(|(_, count)| *count == 0)
            .collect();
        let most = buckets.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
        let rows: Vec<Vec<String>> = buckets
            .iter()
            .map(|(bound_us, count)| {
                let width = (count * BAR_WIDTH).div_ceil(most);
                let share = *count as f64 * 100.0 / self.latencies_us.len() as f64;
                let bar = "#".repeat(usize::try_from(width).unwrap_or(0));
                let bound = format!("<= {:.2} ms", *bound_us as f64 / 1000.0);
                vec![bound, format!("{share:.1}%"), bar]
            })
            .collect();
        out::table(&["latency", "share", ""], &rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new(Duration::from_secs(2));
        for ms in 1..=100u64 {
            let at = if ms <= 60 { 0 } else { 1 };
            report.done(Duration::from_secs(at), Duration::from_millis(ms));
        }
        report.error("BUSY over a limit");
        report
    }

    #[test]
    fn rate_and_percentiles_are_of_what_was_acknowledged() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(json["acknowledged"], 100);
        assert_eq!(json["per_second"], 50.0);
        assert!((json["p50_ms"].as_f64().unwrap() - 50.0).abs() < 0.1, "{json}");
        assert!((json["p99_ms"].as_f64().unwrap() - 99.0).abs() < 0.1, "{json}");
        assert_eq!(json["errors"]["BUSY over a limit"], 1);
        assert_eq!(json["acknowledged_each_second"], serde_json::json!([60, 40]));
    }

    #[test]
    fn the_plot_adds_up() {
        let text = report().text();
        assert!(text.contains("100 appends acknowledged in 2 s: 50 a second, 1 errors"), "{text}");
        assert!(text.contains("<= 126.97 ms  37.0%"), "{text}");
        assert!(text.contains("  1 x BUSY over a limit"), "{text}");
    }
}
