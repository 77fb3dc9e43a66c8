//! Checksums. CRC32C everywhere, so that one tool can check every file. Never anything secret.

/// CRC32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// CRC32C that goes on from `crc`, as if the bytes before had been part of one slice. Seeding it
/// with something the reader knows keeps a stale but whole record from looking valid.
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc, bytes)
}
