//! `weir server`: one node, with the machine's clock, randomness and disk.

use std::sync::Arc;

use server::config::Config;
use server::node::{self, World};

use crate::cli::Server;
use crate::failed::Failed;

pub(crate) fn run(args: &Server) -> Result<(), Failed> {
    if let Some(parent) = args.parent {
        end_with(parent)?;
    }
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let config = Config::load(&args.config, &environment)
        .map_err(|error| Failed::wrong(error.to_string()))?;
    server::logging::start(config.node.log);
    let world = World {
        clock: Arc::new(base::SystemClock),
        entropy: Arc::new(base::OsEntropy),
        disk: Arc::new(base::RealDisk),
    };
    Ok(node::run(&config, &world)?)
}

/// SIGTERM when `parent` ends, however it ends.
fn end_with(parent: i32) -> Result<(), Failed> {
    let refused = |error| Failed::machine(format!("cannot watch the parent process: {error}"));
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
        .map_err(refused)?;
    // It may have ended before the line above.
    match rustix::process::getppid() {
        Some(found) if found.as_raw_nonzero().get() == parent => Ok(()),
        _ => Err(Failed::machine("the process that started this one is gone")),
    }
}
