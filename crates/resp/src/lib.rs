//! RESP2 and RESP3: bytes to requests and replies, and back. Incremental and bounded.
//!
//! Never a socket, a runtime or the name of a command: bytes come in as they arrive, in any pieces,
//! and what is decoded refers to them without copying. Never allocates ahead of the bytes received.

pub mod limits;
mod number;
mod reply;
mod request;
mod split;
mod value;
mod write;

pub use number::signed;
pub use reply::{ReplyError, ReplyParser};
pub use request::{Limits, ProtocolError, RequestParser};
pub use value::Value;
pub use write::{Protocol, Writer, write_request};
