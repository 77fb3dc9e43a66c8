//! The program's log: one home, to stderr, as text or as JSON lines. Never per request above debug.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Level, Log};

/// Whose own lines are for those who debug.
const LIBRARY: &str = "openraft";

/// Starts to log. Later calls do nothing.
pub fn start(log: Log) {
    let level = match log.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    // The library tells of every election and every stop; what it means is said by whoever uses it.
    let library = if level == LevelFilter::DEBUG { LevelFilter::INFO } else { LevelFilter::OFF };
    let targets = Targets::new().with_default(level).with_target(LIBRARY, library);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let started = if log.json {
        let lines = lines.json().with_filter(targets);
        tracing_subscriber::registry().with(lines).try_init()
    } else {
        let colors = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let lines = lines.with_target(false).with_ansi(colors).with_filter(targets);
        tracing_subscriber::registry().with(lines).try_init()
    };
    drop(started);
}
