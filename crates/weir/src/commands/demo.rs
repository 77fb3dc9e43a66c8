//! `weir demo`: three nodes, a real event log, two workers, a killed leader, a table as proof.

use crate::cli::Demo;
use crate::failed::Failed;

pub(crate) fn run(_args: Demo) -> Result<(), Failed> {
    Err(Failed::wrong("demo is not wired yet"))
}
