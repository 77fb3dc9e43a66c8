//! The load generator, and what it and the demonstration say to a server over RESP: the one place
//! of this crate that knows commands of Redis. Never a measurement's meaning: it counts and times.

pub(crate) mod commands;
pub(crate) mod grpc;
mod load;
mod report;
pub(crate) mod wire;

pub(crate) use load::{Load, run};
