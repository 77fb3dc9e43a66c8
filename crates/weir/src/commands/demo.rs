//! `weir demo`: three nodes, a real event log, two workers, a killed leader, a table as proof.

use std::path::PathBuf;

use crate::cli::Demo;
use crate::commands::block_on;
use crate::demo;
use crate::failed::Failed;

pub(crate) fn run(args: Demo) -> Result<(), Failed> {
    let from = args.from.unwrap_or_else(|| PathBuf::from("."));
    block_on(demo::run(&from, args.base_port))
}
