//! The frame around every value, since sled can't tell damage from a torn tail.
//!
//! ```text
//! format (1 byte: 1) | CRC32C of key, format and payload (4, little endian) | payload
//! ```

use super::Bad;

pub(super) const FORMAT: u8 = 1;

/// Bytes that a frame adds.
pub(crate) const FRAME_BYTES: usize = 5;

/// The value to store under `key`.
pub(crate) fn frame(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(FRAME_BYTES + payload.len());
    value.push(FORMAT);
    value.extend_from_slice(&sum(key, FORMAT, payload).to_le_bytes());
    value.extend_from_slice(payload);
    value
}

/// The payload of what is stored under `key`.
pub(crate) fn unframe<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], Bad> {
    match opened(key, value)? {
        (FORMAT, payload) => Ok(payload),
        _ => Err(Bad("has a format that this version doesn't know")),
    }
}

/// The format of what is stored under `key`, known or not, and its payload.
pub(super) fn opened<'a>(key: &[u8], value: &'a [u8]) -> Result<(u8, &'a [u8]), Bad> {
    let Some((head, payload)) = value.split_first_chunk::<FRAME_BYTES>() else {
        return Err(Bad("too short"));
    };
    let [format, a, b, c, d] = *head;
    if u32::from_le_bytes([a, b, c, d]) != sum(key, format, payload) {
        return Err(Bad("fails its checksum"));
    }
    Ok((format, payload))
}

fn sum(key: &[u8], format: u8, payload: &[u8]) -> u32 {
    let crc = base::sum::crc32c(key);
    let crc = base::sum::crc32c_append(crc, &[format]);
    base::sum::crc32c_append(crc, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        assert_eq!(
            frame(b"key", b"payload").escape_ascii().to_string(),
            r"\x01q\xf2\xdf\xbdpayload"
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let whole = frame(b"key", b"payload");
        assert_eq!(unframe(b"key", &whole), Ok(&b"payload"[..]));
        assert!(unframe(b"kez", &whole).is_err());
        for bit in 0..whole.len() * 8 {
            let mut bad = whole.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unframe(b"key", &bad).is_err(), "bit {bit}");
        }
        for length in 0..whole.len() {
            assert!(unframe(b"key", &whole[..length]).is_err(), "length {length}");
        }
    }
}
