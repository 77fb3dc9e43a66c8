//! The file `format` in the store's directory: which format everything in the store has, contents of
//! parts included. A program that writes anything that this one can't read writes a higher number;
//! it is looked at before sled is let at the directory.
//!
//! ```text
//! a frame under the key "format", whose format is the store's; its payload is "weir store"
//! ```

use super::Bad;
use super::frame::{FORMAT, frame, opened};

pub(crate) const FILE: &str = "format";
const KEY: &[u8] = b"format";
const PAYLOAD: &[u8] = b"weir store";

/// What the file holds.
pub(crate) fn encode() -> Vec<u8> {
    frame(KEY, PAYLOAD)
}

/// The format that a file states, where it is one that this program doesn't know.
pub(crate) fn newer(file: &[u8]) -> Result<Option<u8>, Bad> {
    match opened(KEY, file)? {
        (format, _) if format > FORMAT => Ok(Some(format)),
        (FORMAT, PAYLOAD) => Ok(None),
        _ => Err(Bad("is not one of ours")),
    }
}

#[cfg(test)]
mod tests {
    use base::sum::crc32c;

    use super::*;

    #[test]
    fn golden() {
        assert_eq!(encode().escape_ascii().to_string(), r"\x019x)0weir store");
        assert_eq!(newer(&encode()), Ok(None));
        let mut file = encode();
        file[0] = 2;
        assert_eq!(newer(&file), Err(Bad("fails its checksum")));
        let sum = crc32c(b"format\x02weir store with more");
        let file = [&[2], &sum.to_le_bytes()[..], b"weir store with more"].concat();
        assert_eq!(newer(&file), Ok(Some(2)));
        assert!(newer(b"").is_err());
        assert!(newer(&frame(KEY, b"another store")).is_err());
    }
}
