//! The Rust client of Weir's gRPC API: append, read, describe, administer.
//!
//! It is given several addresses, goes to another node when one is gone, and repeats what surely
//! had no effect. Never repeats a write that may have happened: that is [`Error::Unknown`].
//!
//! ```no_run
//! use client::{Append, Client, Range};
//! use futures::TryStreamExt;
//!
//! # async fn hello() -> Result<(), client::Error> {
//! let client = Client::connect(["127.0.0.1:6381", "127.0.0.1:6391"])?;
//! let id = client.append(Append::to("orders").field("item", "7")).await?;
//! println!("on disk, on a majority: {id}");
//!
//! let mut entries = client.range(Range::of("orders").limit(10));
//! while let Some(entry) = entries.try_next().await? {
//!     println!("{} has {} fields", entry.id, entry.fields.len());
//! }
//! # Ok(())
//! # }
//! ```

mod call;
mod cluster;
mod connect;
mod entry;
mod error;
mod id;
pub mod limits;
mod many;
mod range;
#[cfg(test)]
mod tests;

pub use cluster::{Lag, Node, NodeStatus, Progress, Replacement, Shard};
pub use connect::{Builder, Client};
pub use entry::{Append, Description, Entry, Group, IdChoice, Trim};
pub use error::{Detail, Error};
pub use id::{EntryId, EntryIdError};
pub use range::Range;
