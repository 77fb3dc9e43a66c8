//! openraft's network traits over a [`crate::link::Link`], and the link over gRPC.

pub mod grpc;
