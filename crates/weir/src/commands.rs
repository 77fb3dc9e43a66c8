//! One file for each command. A command gets its arguments and says what came of it.

mod append;
mod bench;
mod cluster;
mod completions;
mod demo;
pub(crate) mod dev;
mod entry_json;
mod health;
mod node_replace;
mod progress;
mod read;
mod server;
mod status;
mod verify;

use crate::cli::{Command, NodeCommand};
use crate::failed::Failed;

/// Runs one command to its end.
pub(crate) fn run(command: Command) -> Result<(), Failed> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Dev(args) => dev::run(&args),
        Command::Server(args) => server::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Append(args) => append::run(&args),
        Command::Read(args) => read::run(&args),
        Command::Node(args) => match args.command {
            NodeCommand::Replace(args) => node_replace::run(&args),
        },
        Command::Bench(args) => bench::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Completions(args) => completions::run(&args),
    }
}

/// A runtime on this thread, for commands that wait for several things.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        built.map_err(|error| Failed::machine(format!("cannot start a runtime: {error}")))?;
    runtime.block_on(work)
}
