//! What may be typed behind `weir bench`. The texts are the help.

use std::path::PathBuf;

use clap::Args;

/// Append as fast as possible and say how fast that is.
///
/// Every connection keeps so many appends in flight. Exit code 0 when there were no errors. The
/// streams are called weir-bench:0 and so on; over RESP they are removed before and after.
#[derive(Args, Debug)]
pub(crate) struct Bench {
    /// How to talk to the servers.
    #[arg(long, value_enum, default_value_t = Protocol::Resp)]
    pub(crate) protocol: Protocol,
    /// A server; repeat it to spread the connections [default: 127.0.0.1:6379, for gRPC :6381].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) address: Vec<String>,
    /// Connections at a time.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = count(10_000))]
    pub(crate) connections: usize,
    /// Appends in flight on each connection.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(10_000))]
    pub(crate) pipeline: usize,
    /// Bytes of each entry's one value.
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub(crate) payload: usize,
    /// Streams that the connections are spread over.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = count(100_000))]
    pub(crate) streams: usize,
    /// How long is counted.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) seconds: u64,
    /// How long is not counted before.
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    pub(crate) warmup: u64,
    /// Follow each append with its own WAIT for so many replicas, sent together with it: what makes
    /// a Redis primary comparable.
    #[arg(long, value_name = "REPLICAS")]
    pub(crate) wait: Option<u32>,
    /// A file with the password.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Print one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A protocol of the load generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    Resp,
    Grpc,
}

/// A whole number from 1 to `most`.
fn count(most: u64) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse::<u64>() {
        Ok(number) if (1..=most).contains(&number) => {
            usize::try_from(number).map_err(|error| error.to_string())
        }
        _ => Err(format!("must be from 1 to {most}")),
    }
}
