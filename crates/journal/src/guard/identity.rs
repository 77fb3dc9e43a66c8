//! Who a node is: `data/identity`.
//!
//! ```text
//! cluster 16 | node 8 | incarnation count 8, random 8 | formed 1
//! ```

use std::path::Path;

use base::{ClusterId, Disk, Entropy, Incarnation, NodeId};

use super::GuardError;
use super::sealed::{Body, Kind, load, replace};
use crate::error::{Damage, Refused};

/// The file's name.
pub(crate) const FILE: &str = "identity";
pub(crate) const KIND: Kind = Kind { magic: *b"WEIRIDEN", version: 1 };

/// Whether the node's cluster takes writes yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forming {
    /// The cluster's id is known, its shards may not be initialised.
    Forming,
    /// The cluster is made; it is never made again.
    Formed,
}

/// Who a node is and which of its lives this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster: ClusterId,
    pub node: NodeId,
    pub incarnation: Incarnation,
    pub forming: Forming,
}

impl Identity {
    /// Reads the identity in a data directory; none where there is none.
    ///
    /// # Errors
    /// A file that isn't what was written, or can't be read.
    pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, GuardError> {
        let path = dir.join(FILE);
        let Some(body) = load(disk, dir, FILE, &KIND)? else { return Ok(None) };
        let mut body = Body { path: &path, bytes: &body };
        let cluster = ClusterId(u128::from_le_bytes(body.array()?));
        let node = NodeId(body.u64()?);
        let incarnation = Incarnation { count: body.u64()?, random: body.u64()? };
        let forming = match body.array::<1>()? {
            [0] => Forming::Forming,
            [1] => Forming::Formed,
            _ => return Err(Damage::new(&path, 0, "neither forming nor formed").into()),
        };
        Ok(Some(Self { cluster, node, incarnation, forming }))
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// The machine refuses; the file is the old one or this one.
    pub fn save(&self, disk: &dyn Disk, dir: &Path) -> Result<(), Refused> {
        replace(disk, dir, FILE, &KIND, &self.encode())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = self.cluster.0.to_le_bytes().to_vec();
        for number in [self.node.0, self.incarnation.count, self.incarnation.random] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        body.push(match self.forming {
            Forming::Forming => 0,
            Forming::Formed => 1,
        });
        body
    }

    /// The same node in its next life. Save it before the incarnation is used.
    #[must_use]
    pub fn next_life(self, entropy: &dyn Entropy) -> Self {
        let count = self.incarnation.count + 1;
        Self { incarnation: Incarnation { count, random: entropy.next_u64() }, ..self }
    }
}
