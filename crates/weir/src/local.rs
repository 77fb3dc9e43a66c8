//! A cluster on this machine: its files, its ports, its processes. Never what they do.

pub(crate) mod cluster;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod process;
