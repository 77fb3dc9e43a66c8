//! What the tests of the whole share: a harness of real processes, a client, load and faults. Never a look inside a node: everything is seen as a client sees it.

pub mod chaos;
pub mod client;
pub mod cluster;
pub mod conformance;
pub mod figures;
pub mod import;
pub mod machine;
pub mod mounted;
pub mod overload;
pub mod redis;
pub mod skips;
pub mod soak;
pub mod speed;
pub mod wait;
pub mod writers;
