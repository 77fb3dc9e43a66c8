//! The program's log: one home, to stderr, as text or as JSON lines. Never per request above debug.

use tracing_subscriber::filter::LevelFilter;

use crate::config::{Level, Log};

/// Starts to log. Later calls do nothing.
pub fn start(log: Log) {
    let level = match log.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    let started = if log.json {
        lines.json().try_init()
    } else {
        let colors = std::io::IsTerminal::is_terminal(&std::io::stderr());
        lines.with_target(false).with_ansi(colors).try_init()
    };
    drop(started);
}
