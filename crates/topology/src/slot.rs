//! Keys to slots, as Redis Cluster does it: CRC16/XMODEM of the key or of its `{tag}`, mod 16384.
//! Never the map from slots to shards.

/// Slots in a cluster.
pub const SLOTS_COUNT: u16 = 16384;

/// One of the [`SLOTS_COUNT`] slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u16);

/// The slot of a key. What stands between the first `{` and the next `}`, when it isn't empty, is
/// hashed instead of the whole key, so that keys with one tag share a slot.
pub fn slot_of(key: &[u8]) -> SlotId {
    SlotId(crc16(tag_of(key)) % SLOTS_COUNT)
}

fn tag_of(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|byte| *byte == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|byte| *byte == b'}') {
        Some(length) if length > 0 => &rest[..length],
        _ => key,
    }
}

const CRC16_TABLE: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ CRC16_TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, slot) in [("", 0), ("foo", 12182), ("bar", 5061), ("somekey", 11058)] {
            assert_eq!(slot_of(key.as_bytes()), SlotId(slot), "{key}");
        }
    }

    #[test]
    fn a_tag_decides_when_it_is_not_empty() {
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"user1000"));
        assert_eq!(slot_of(b"foo{}{bar}"), SlotId(crc16(b"foo{}{bar}") % SLOTS_COUNT));
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"));
        assert_eq!(slot_of(b"foo{bar}{zap}"), slot_of(b"bar"));
        assert_eq!(slot_of(b"foo{bar"), SlotId(crc16(b"foo{bar") % SLOTS_COUNT));
    }
}
