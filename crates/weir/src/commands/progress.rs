//! How far a long work is, on stderr when that is a terminal; and a count at its end. Never on
//! stdout, which is the result's.

use std::time::Duration;

use base::{Clock, SystemClock};
use indicatif::{ProgressBar, ProgressStyle};

use crate::out;

/// What is shorter shows nothing on the way.
const SILENT: Duration = Duration::from_secs(1);

/// How often the bar is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// Counts entries.
pub(super) struct Progress {
    verb: &'static str,
    count: u64,
    began: Duration,
    bar: Option<ProgressBar>,
    total: Option<u64>,
}

impl Progress {
    /// Nothing yet; `total` entries in all, where that is known.
    pub(super) fn new(verb: &'static str, total: Option<u64>) -> Self {
        Self { verb, count: 0, began: SystemClock.monotonic(), bar: None, total }
    }

    /// One more.
    pub(super) fn add(&mut self) {
        self.count += 1;
        if self.count.is_multiple_of(64) {
            self.draw();
        }
    }

    /// The count at the end.
    pub(super) fn finish(self) {
        let Self { verb, count, began, bar, .. } = self;
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let seconds = SystemClock.monotonic().saturating_sub(began).as_secs_f64();
        let entries = if count == 1 { "entry" } else { "entries" };
        out::note(format!("{verb} {count} {entries} in {seconds:.1} s"));
    }

    fn draw(&mut self) {
        if self.bar.is_none() && SystemClock.monotonic().saturating_sub(self.began) > SILENT {
            self.bar = Some(bar(self.verb, self.total));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.count);
        }
    }
}

/// Draws on stderr, and nothing where stderr is no terminal.
fn bar(verb: &'static str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => {
            (ProgressBar::new(total), "{msg} {bar:30} {human_pos} of {human_len}, {per_sec}, {eta}")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {msg} {human_pos} entries, {per_sec}"),
    };
    let style = ProgressStyle::with_template(template).expect("the templates are well formed");
    bar.set_style(style);
    bar.set_message(verb);
    bar.enable_steady_tick(TICK);
    bar
}
