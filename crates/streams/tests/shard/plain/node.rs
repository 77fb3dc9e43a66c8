//! A node of Redis's tree: a real listpack is built, only to know how long it is.

use bytes::Bytes;
use streams::Settings;
use streams::id::EntryId;

#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) base: EntryId,
    pub(crate) entries: Vec<Kept>,
    /// A later node was begun. Redis may add to it again when that one goes; here it is sealed.
    pub(crate) closed: bool,
    names: Vec<Bytes>,
    listpack: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) id: EntryId,
    pub(crate) fields: Vec<Bytes>,
    pub(crate) deleted: bool,
}

/// Redis's 0 is no bound at all; here there is one.
pub(crate) fn entries_max(chosen: &Settings) -> usize {
    if (1..128).contains(&chosen.block_entries_max) {
        chosen.block_entries_max as usize
    } else {
        128
    }
}

fn bytes_max(chosen: &Settings) -> usize {
    if chosen.block_bytes_max == 0 { 1 << 20 } else { chosen.block_bytes_max as usize }
}

fn names_of(fields: &[Bytes]) -> Vec<Bytes> {
    fields.chunks(2).map(|pair| pair[0].clone()).collect()
}

impl Node {
    pub(crate) fn new(base: EntryId, fields: &[Bytes]) -> Self {
        let names = names_of(fields);
        let mut node = Self {
            base,
            entries: Vec::new(),
            closed: false,
            names: names.clone(),
            listpack: vec![0; 7],
        };
        node.push_number(1);
        node.push_number(0);
        node.push_number(names.len() as i64);
        names.iter().for_each(|name| node.push(name));
        node.push_number(0);
        node
    }

    pub(crate) fn alive(&self) -> u64 {
        self.entries.iter().filter(|entry| !entry.deleted).count() as u64
    }

    pub(crate) fn fits(&self, id: EntryId, fields: &[Bytes], chosen: &Settings) -> bool {
        let (most, most_bytes) = (entries_max(chosen), bytes_max(chosen));
        let bytes: usize = fields.iter().map(|text| text.len()).sum();
        let ascends = self.entries.iter().all(|entry| entry.id < id);
        !self.closed
            && self.entries.len() < most
            && self.listpack.len() + bytes < most_bytes
            && ascends
    }

    pub(crate) fn append(&mut self, id: EntryId, fields: &[Bytes]) {
        let same = names_of(fields) == self.names;
        let pairs = fields.len() as i64 / 2;
        self.push_number(if same { 2 } else { 0 });
        self.push_number(id.ms.wrapping_sub(self.base.ms) as i64);
        self.push_number(id.seq.wrapping_sub(self.base.seq) as i64);
        if !same {
            self.push_number(pairs);
        }
        for pair in fields.chunks(2) {
            if !same {
                self.push(&pair[0]);
            }
            self.push(&pair[1]);
        }
        self.push_number(if same { pairs + 3 } else { 2 * pairs + 4 });
        self.entries.push(Kept { id, fields: fields.to_vec(), deleted: false });
    }

    fn push_number(&mut self, number: i64) {
        self.push(number.to_string().as_bytes());
    }

    fn push(&mut self, text: &[u8]) {
        let before = self.listpack.len();
        let spelled = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
        match spelled.filter(|number| number.to_string().as_bytes() == text) {
            Some(number) => {
                let bytes = match number {
                    0..=127 => 1,
                    -4096..=4095 => 2,
                    -32768..=32767 => 3,
                    -8388608..=8388607 => 4,
                    -2147483648..=2147483647 => 5,
                    _ => 9,
                };
                self.listpack.extend(vec![0; bytes]);
            }
            None => {
                let header = if text.len() < 64 {
                    1
                } else if text.len() < 4096 {
                    2
                } else {
                    5
                };
                self.listpack.extend(vec![0; header]);
                self.listpack.extend_from_slice(text);
            }
        }
        let mut length = self.listpack.len() - before;
        loop {
            self.listpack.push(0);
            length >>= 7;
            if length == 0 {
                break;
            }
        }
    }
}
