//! Whether the cluster answers as Redis does: to a recorded conversation, and to random commands
//! beside running servers, and whether published tests pass. Differences that are meant stand in short lists, each with its reason.

mod alike;
pub mod clients;
pub mod differential;
pub mod golden;
mod recording;
mod server;
pub mod suites;

pub use server::{Kind, Server};

use resp::Value;

use crate::client::Client;

/// Asks a cluster to answer in the shapes that the reference servers have.
///
/// # Errors
/// The node does not answer.
fn ask_for_older_shapes(address: &str) -> anyhow::Result<()> {
    let told = Client::open(address)?.call(&["CONFIG", "SET", "compat-version", "7.2"])?;
    anyhow::ensure!(told == Value::Simple("OK".into()), "the older shapes are refused: {told}");
    Ok(())
}
