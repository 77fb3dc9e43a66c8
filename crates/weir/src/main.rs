//! Weir's command line: words in, one of the commands, an exit code out. Never any logic of Weir.

mod bench;
mod cli;
mod commands;
mod demo;
mod failed;
mod local;
mod out;

use std::process::ExitCode;

use clap::Parser;

const _: () = assert!(!base::planted::POSSIBLE, "defects are planted for `sim` alone");

/// After a time of overload libc's allocator takes each large buffer from the kernel anew, and gives it back: a node then
/// did a quarter of what it did before (ARCHITECTURE.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::Cli::try_parse() {
        Ok(cli) => run(cli),
        Err(error) => {
            // Help and version are asked for and go to stdout; a mistake goes to stderr.
            drop(error.print());
            ExitCode::from(u8::from(error.use_stderr()))
        }
    }
}

fn run(cli: cli::Cli) -> ExitCode {
    match commands::run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            out::complain(&failed.to_string());
            ExitCode::from(failed.exit_code())
        }
    }
}
