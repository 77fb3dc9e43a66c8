//! What several crates must name alike: ids as types, `Clock`, `Entropy`, `Disk`, checksums.
//!
//! Never any logic of Weir, never a dependency on another crate of the project. The real world
//! (clock, randomness, file system) is reached here and nowhere else, behind traits, so that a
//! whole cluster can run on a simulated one.

mod clock;
mod disk;
mod entropy;
mod ids;
pub mod planted;
mod sim_disk;
pub mod sum;
mod threads;

pub use clock::{Clock, ManualClock, SystemClock, thread_time};
pub use disk::{Access, Disk, DiskFile, RealDisk};
pub use entropy::{Entropy, OsEntropy, SeededEntropy};
pub use ids::{ClusterId, Incarnation, NodeId, ShardId};
pub use sim_disk::{SECTOR_BYTES, SimDisk};
pub use threads::threads_of;
