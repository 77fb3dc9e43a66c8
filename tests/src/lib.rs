//! What the tests of the whole share: a harness of real processes, a client, a history and its
//! checker, faults. Never a look inside a node: everything is seen as a client sees it.

pub mod chaos;
pub mod checker;
pub mod client;
pub mod cluster;
pub mod conformance;
pub mod history;
pub mod import;
pub mod redis;
pub mod speed;
pub mod wait;
