//! `weir completions`: a script for a shell.

use clap::CommandFactory;

use crate::cli::{Cli, Completions};
use crate::failed::Failed;

pub(crate) fn run(args: &Completions) -> Result<(), Failed> {
    clap_complete::generate(args.shell, &mut Cli::command(), "weir", &mut std::io::stdout());
    Ok(())
}
