//! The alphabet of everything that is encoded: numbers, bytes, ids. Never knows what they mean.
//!
//! Numbers are LEB128 (7 bits a byte, low first, top bit: more follow). Byte strings are a number
//! and so many bytes. Reading is total: bad bytes are a [`Fault`], and nothing is allocated ahead
//! of the bytes that are there.

use bytes::Bytes;

use crate::error::Fault;
use crate::id::EntryId;

/// Appends to a buffer.
pub(crate) trait Put {
    fn put_u8(&mut self, value: u8);
    fn put_raw(&mut self, bytes: &[u8]);

    fn put_bool(&mut self, value: bool) {
        self.put_u8(u8::from(value));
    }

    fn put_number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put_u8(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.put_u8(value.to_le_bytes()[0]);
    }

    /// Low numbers of either sign are short: 0, -1, 1, -2, ...
    fn put_signed(&mut self, value: i64) {
        self.put_number(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    fn put_size(&mut self, value: usize) {
        self.put_number(value as u64);
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put_size(bytes.len());
        self.put_raw(bytes);
    }

    fn put_id(&mut self, id: EntryId) {
        self.put_number(id.ms);
        self.put_number(id.seq);
    }

    fn put_u64_le(&mut self, value: u64) {
        self.put_raw(&value.to_le_bytes());
    }

    /// A flag, then what `put` writes when there is a value.
    fn put_option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.put_bool(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }

    /// A count, then what `put` writes of each.
    fn put_list<T>(&mut self, items: &[T], mut put: impl FnMut(&mut Self, &T)) {
        self.put_size(items.len());
        for item in items {
            put(self, item);
        }
    }
}

impl Put for Vec<u8> {
    #[inline]
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    #[inline]
    fn put_raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// How many bytes [`Put::put_number`] writes.
pub(crate) fn number_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Reads from a shared buffer; byte strings come out as slices of it, not as copies.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    bytes: Bytes,
    at: usize,
    what: &'static str,
}

impl Reader {
    /// A reader at the start of `bytes`; `what` is named in faults.
    pub(crate) fn new(bytes: Bytes, what: &'static str) -> Self {
        Self { bytes, at: 0, what }
    }

    /// All of `bytes`: a version, what `read` makes of the rest, and nothing behind it.
    pub(crate) fn whole<T>(
        bytes: &Bytes,
        what: &'static str,
        version: u8,
        read: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut reader = Self::new(bytes.clone(), what);
        reader.version(version)?;
        let value = read(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    pub(crate) fn damaged(&self, detail: &str) -> Fault {
        Fault::Damaged { what: self.what, detail: format!("{detail} at byte {}", self.at) }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Fault> {
        let byte = self.bytes.get(self.at).copied().ok_or_else(|| self.damaged("end of data"))?;
        self.at += 1;
        Ok(byte)
    }

    /// The next byte, left where it is.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Fault> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.damaged("flag")),
        }
    }

    fn version(&mut self, known: u8) -> Result<(), Fault> {
        if self.u8()? == known { Ok(()) } else { Err(self.damaged("unknown version")) }
    }

    pub(crate) fn number(&mut self) -> Result<u64, Fault> {
        let (value, length) = read_number(self.bytes.get(self.at..).unwrap_or_default())
            .ok_or_else(|| self.damaged("number"))?;
        self.at += length;
        Ok(value)
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Fault> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        u32::try_from(self.number()?).map_err(|_| self.damaged("number above 32 bits"))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        u16::try_from(self.number()?).map_err(|_| self.damaged("number above 16 bits"))
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<Bytes, Fault> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.damaged("end of data"))?;
        let slice = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(slice)
    }

    pub(crate) fn u64_le(&mut self) -> Result<u64, Fault> {
        let mut array = [0; 8];
        array.copy_from_slice(&self.raw(8)?);
        Ok(u64::from_le_bytes(array))
    }

    pub(crate) fn u128_le(&mut self) -> Result<u128, Fault> {
        let mut array = [0; 16];
        array.copy_from_slice(&self.raw(16)?);
        Ok(u128::from_le_bytes(array))
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, Fault> {
        let length = self.number()?;
        let length = usize::try_from(length).map_err(|_| self.damaged("length"))?;
        self.raw(length)
    }

    pub(crate) fn id(&mut self) -> Result<EntryId, Fault> {
        Ok(EntryId { ms: self.number()?, seq: self.number()? })
    }

    pub(crate) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        if self.bool()? { read(self).map(Some) } else { Ok(None) }
    }

    /// A list whose items take at least one byte each, so that a damaged count can't make it
    /// allocate more than a small multiple of what is there.
    pub(crate) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        const AHEAD_MAX: usize = 1024;
        let count = self.number()?;
        if count > (self.bytes.len() - self.at) as u64 {
            return Err(self.damaged("count"));
        }
        let mut items = Vec::with_capacity(AHEAD_MAX.min(count as usize));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// Everything must have been read.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.damaged("bytes left over")) }
    }
}

/// A number at the start of a slice, and how many bytes it took. One way only to write each.
#[inline]
pub(crate) fn read_number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    if first < 0x80 {
        return Some((u64::from(first), 1));
    }
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if at == 9 && *byte > 1 {
            return None;
        }
        value |= bits << (7 * at);
        if *byte < 0x80 {
            return (*byte != 0).then_some((value, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_know_their_length() {
        for value in [0, 1, 127, 128, 300, 1 << 31, u64::MAX - 1, u64::MAX] {
            let mut buffer = Vec::new();
            buffer.put_number(value);
            assert_eq!(buffer.len(), number_len(value));
            assert_eq!(read_number(&buffer), Some((value, buffer.len())));
            assert_eq!(read_number(&buffer[..buffer.len() - 1]), None);
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(read_number(&[0x80, 0x00]), None);
        assert_eq!(read_number(&[0xff; 11]), None);
        let above = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(read_number(&above), None);
    }

    #[test]
    fn a_damaged_count_allocates_nothing() {
        let mut buffer = Vec::new();
        buffer.put_number(u64::MAX);
        let mut reader = Reader::new(Bytes::from(buffer), "list");
        assert!(reader.list(Reader::u8).is_err());
    }
}
