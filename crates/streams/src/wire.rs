//! What entries take in a reply to a client, protocol included: what MAXSIZE counts. Reckoned in the
//! shape of RESP2, so that it is the same for every client and on every node.

use bytes::Bytes;

use crate::id::EntryId;
use crate::reply::Entry;

/// The least that any entry takes.
pub(crate) const ENTRY_BYTES_MIN: u64 = array(2) + bulk(3) + array(2) + 2 * bulk(0);

/// An array of so many without its items, or a number.
const fn array(items: u64) -> u64 {
    3 + digits(items)
}

const fn bulk(bytes: u64) -> u64 {
    5 + digits(bytes) + bytes
}

const fn digits(mut value: u64) -> u64 {
    let mut digits = 1;
    while value >= 10 {
        value /= 10;
        digits += 1;
    }
    digits
}

fn id(id: EntryId) -> u64 {
    bulk(digits(id.ms) + 1 + digits(id.seq))
}

/// An entry whose texts have these lengths.
pub(crate) fn entry(of: EntryId, texts_count: u64, lengths: impl Iterator<Item = u64>) -> u64 {
    array(2) + id(of) + array(texts_count) + lengths.map(bulk).sum::<u64>()
}

/// An entry that is there no more.
pub(crate) fn gone(of: EntryId) -> u64 {
    const NULL_ARRAY: u64 = 5;
    array(2) + id(of) + NULL_ARRAY
}

/// The two numbers with which CLAIM says how an entry was delivered before.
pub(crate) fn earlier(idle_ms: u64, deliveries: u64) -> u64 {
    array(idle_ms) + array(deliveries)
}

/// What stands before the entries of a stream.
pub(crate) fn stream(key: &[u8]) -> u64 {
    array(2) + bulk(key.len() as u64) + array(1)
}

impl Entry {
    pub(crate) fn wire_bytes(&self) -> u64 {
        let length = |text: &Bytes| text.len() as u64;
        match &self.fields {
            Some(fields) => entry(self.id, fields.len() as u64, fields.iter().map(length)),
            None => gone(self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_what_its_reply_is_long() {
        let shown = |entry: &Entry, text: &str| assert_eq!(entry.wire_bytes(), text.len() as u64);
        let fields = |texts: &[&str]| {
            Some(texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect())
        };
        let of = EntryId::new(12, 3);
        let two = Entry { id: of, fields: fields(&["item", "0123456789"]) };
        shown(&two, "*2\r\n$4\r\n12-3\r\n*2\r\n$4\r\nitem\r\n$10\r\n0123456789\r\n");
        shown(&Entry { id: of, fields: None }, "*2\r\n$4\r\n12-3\r\n*-1\r\n");
        let least = Entry { id: EntryId::MIN, fields: fields(&["", ""]) };
        shown(&least, "*2\r\n$3\r\n0-0\r\n*2\r\n$0\r\n\r\n$0\r\n\r\n");
        assert_eq!(least.wire_bytes(), ENTRY_BYTES_MIN);
        assert_eq!(earlier(100, 2), ":100\r\n:2\r\n".len() as u64);
        assert_eq!(stream(b"key"), "*2\r\n$3\r\nkey\r\n*1\r\n".len() as u64);
    }
}
