//! Small files with a checksum that are replaced as a whole.
//!
//! ```text
//! magic 8 | crc 4 | version 4 | length of the body 8 | body
//! ```
//!
//! The checksum covers everything after it.

use std::path::Path;

use base::sum::crc32c;
use base::{Access, Disk};

use super::GuardError;
use crate::error::{Damage, Doing, Refused};

const HEADER_BYTES: usize = 24;

/// What a kind of file begins with.
pub(crate) struct Kind {
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
}

/// The bytes of a file.
pub(crate) fn seal(kind: &Kind, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&kind.magic);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&kind.version.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(body);
    let crc = crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The body of a file.
fn unseal<'a>(kind: &Kind, path: &Path, bytes: &'a [u8]) -> Result<&'a [u8], GuardError> {
    let damaged = |offset, what: &str| GuardError::from(Damage::new(path, offset, what));
    if bytes.len() < HEADER_BYTES || bytes[..8] != kind.magic {
        return Err(damaged(0, "it isn't the file that was written"));
    }
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    if number(8) != crc32c(&bytes[12..]) {
        return Err(damaged(8, "its checksum is wrong"));
    }
    if number(12) > kind.version {
        return Err(GuardError::Newer { file: path.to_owned(), version: number(12) });
    }
    let length = u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes"));
    if length != (bytes.len() - HEADER_BYTES) as u64 {
        return Err(damaged(16, "its length is wrong"));
    }
    Ok(&bytes[HEADER_BYTES..])
}

/// Replaces the file `name` in `dir`, durably.
pub(crate) fn replace(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    kind: &Kind,
    body: &[u8],
) -> Result<(), Refused> {
    let path = dir.join(name);
    let temporary = dir.join(format!("{name}.new"));
    let file = disk.open(&temporary, Access::Create).doing("creating", &temporary)?;
    let bytes = seal(kind, body);
    file.write_at(&bytes, 0).doing("writing to", &temporary)?;
    file.set_len(bytes.len() as u64).doing("writing to", &temporary)?;
    file.sync().syncing(&temporary)?;
    disk.rename(&temporary, &path).doing("renaming", &temporary)?;
    disk.sync_dir(dir).syncing(dir)
}

/// Reads the body of the file `name` in `dir`; none where there is no such file.
pub(crate) fn load(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    kind: &Kind,
) -> Result<Option<Vec<u8>>, GuardError> {
    let path = dir.join(name);
    if !disk.exists(&path) {
        return Ok(None);
    }
    let file = disk.open(&path, Access::Read).doing("opening", &path)?;
    let length = file.len().doing("measuring", &path)?;
    let mut bytes = vec![0; usize::try_from(length).expect("a small file")];
    file.read_exact_at(&mut bytes, 0).doing("reading", &path)?;
    unseal(kind, &path, &bytes).map(|body| Some(body.to_vec()))
}

/// Takes numbers and bytes off the front of a body.
pub(crate) struct Body<'a> {
    pub(crate) path: &'a Path,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Body<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], GuardError> {
        let Some((taken, rest)) = self.bytes.split_at_checked(length) else {
            return Err(Damage::new(self.path, HEADER_BYTES as u64, "it is too short").into());
        };
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], GuardError> {
        Ok(self.take(N)?.try_into().expect("so many were taken"))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, GuardError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, GuardError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, GuardError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Bytes that stand behind their length in four bytes.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], GuardError> {
        let length = self.u32()?;
        self.take(length as usize)
    }
}

/// Writes bytes behind their length in four bytes.
pub(crate) fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("small files hold small things");
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(bytes);
}
