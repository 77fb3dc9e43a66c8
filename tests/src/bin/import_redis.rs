//! Copies the streams of a live Redis into Weir. Run again after an interruption, it goes on.

use std::io::Write;

use clap::Parser;
use tests::import;

/// Copy streams, groups and pending entries from Redis, and prove that both have the same.
///
/// What Redis takes in meanwhile is not followed: stop its writers for the last run.
#[derive(Parser)]
struct Args {
    /// The Redis to copy from.
    #[arg(value_name = "HOST:PORT")]
    from: String,
    /// A RESP port of the cluster to copy to.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379")]
    to: String,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let summary =
        import::run(&args.from, &args.to, &mut |line| Ok(writeln!(std::io::stderr(), "{line}")?))?;
    writeln!(std::io::stdout(), "equal: {summary}")?;
    Ok(())
}
