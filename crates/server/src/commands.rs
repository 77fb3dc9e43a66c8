//! Redis's commands, one file for each family: from arguments to what the shards understand, and
//! what a connection answers by itself. Parsers see no socket, no shard and no state; a malformed
//! request is refused before anybody is asked, also where Redis would look at the key first.

pub(crate) mod acl;
mod arguments;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod expire;
pub(crate) mod info;
pub(crate) mod keys;
pub(crate) mod latency;
pub(crate) mod multi;
pub(crate) mod object;
pub(crate) mod pubsub;
pub(crate) mod rename;
pub(crate) mod scan;
pub(crate) mod server;
pub(crate) mod slowlog;
pub(crate) mod wait;
pub(crate) mod xack;
pub(crate) mod xadd;
pub(crate) mod xautoclaim;
pub(crate) mod xcfgset;
pub(crate) mod xclaim;
pub(crate) mod xdel;
pub(crate) mod xdelex;
pub(crate) mod xgroup;
pub(crate) mod xinfo;
pub(crate) mod xlen;
pub(crate) mod xnack;
pub(crate) mod xpending;
pub(crate) mod xrange;
pub(crate) mod xread;
pub(crate) mod xsetid;
pub(crate) mod xtrim;

#[cfg(test)]
pub(crate) use arguments::tests::args;
pub(crate) use arguments::{Args, is_word};
