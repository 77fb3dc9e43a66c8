//! Which shards a store holds, in the tree `catalogue`. Tells a new store from an emptied one.
//!
//! ```text
//! key:   0                               there from the making of the store on
//! value: "weir store"
//!
//! key:   1 | shard (2 bytes, big endian)
//! value: generation of its tree (4, little endian) | 1 when it has had a checkpoint, else 0
//! ```

use base::ShardId;

use super::Bad;
use super::fields::Fields;

pub(crate) const TREE: &str = "catalogue";
pub(crate) const MADE_KEY: &[u8] = &[0];
pub(crate) const MADE: &[u8] = b"weir store";

/// The front of all shards' records.
pub(crate) const SHARD: u8 = 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shelf {
    pub(crate) generation: u32,
    pub(crate) rooted: bool,
}

pub(crate) fn key(shard: ShardId) -> [u8; 3] {
    let [high, low] = shard.0.to_be_bytes();
    [SHARD, high, low]
}

pub(crate) fn decode_key(key: &[u8]) -> Result<ShardId, Bad> {
    match *key {
        [SHARD, high, low] => Ok(ShardId(u16::from_be_bytes([high, low]))),
        _ => Err(Bad("has an unknown key")),
    }
}

/// The tree that holds the shard in this generation.
pub(crate) fn tree_name(shard: ShardId, generation: u32) -> String {
    format!("shard-{}.{generation}", shard.0)
}

/// The shard and generation of a tree.
pub(crate) fn decode_tree_name(name: &[u8]) -> Option<(ShardId, u32)> {
    let (shard, generation) =
        std::str::from_utf8(name).ok()?.strip_prefix("shard-")?.split_once('.')?;
    Some((ShardId(shard.parse().ok()?), generation.parse().ok()?))
}

impl Shelf {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut payload = self.generation.to_le_bytes().to_vec();
        payload.push(u8::from(self.rooted));
        payload
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Bad> {
        let mut fields = Fields(payload);
        let shelf = Self { generation: fields.u32()?, rooted: fields.u8()? != 0 };
        fields.end()?;
        Ok(shelf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        assert_eq!(key(ShardId(258)), [1, 1, 2]);
        assert_eq!(decode_key(&[1, 1, 2]), Ok(ShardId(258)));
        let shelf = Shelf { generation: 5, rooted: true };
        assert_eq!(shelf.encode(), [5, 0, 0, 0, 1]);
        assert_eq!(Shelf::decode(&[5, 0, 0, 0, 1]), Ok(shelf));
        let name = tree_name(ShardId(258), 5);
        assert_eq!(name, "shard-258.5");
        assert_eq!(decode_tree_name(name.as_bytes()), Some((ShardId(258), 5)));
        assert_eq!(decode_tree_name(b"catalogue"), None);
    }
}
