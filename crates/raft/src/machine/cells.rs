//! A machine for tests: named cells, a proposal is `name=value`. Keeps to every rule of the trait,
//! so that what goes wrong in a test is the shell's doing.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Cells, and which of them changed.
#[derive(Default)]
pub(crate) struct Cells {
    pub(crate) cells: BTreeMap<Bytes, Bytes>,
    count: u64,
    changed: BTreeSet<Bytes>,
    bytes: usize,
    pub(crate) switched: u64,
    pub(crate) filling: bool,
}

impl Machine for Cells {
    fn apply(&mut self, proposal: &Bytes, answer: bool) -> Result<Outcomes, Broken> {
        let at = proposal.iter().position(|byte| *byte == b'=');
        let at = at.ok_or(DecodeError { what: "cell", detail: "no =" })?;
        let (name, value) = (proposal.slice(..at), proposal.slice(at + 1..));
        self.count += 1;
        self.bytes += proposal.len();
        self.changed.insert(name.clone());
        if value.is_empty() {
            self.cells.remove(&name);
        } else {
            self.cells.insert(name, value);
        }
        let meta = if answer { Bytes::from(self.count.to_string()) } else { Bytes::new() };
        Ok(Outcomes { meta, ..Outcomes::default() })
    }

    fn dirty(&self) -> Dirty {
        Dirty { bytes: self.bytes, parts: self.changed.len() }
    }

    fn is_filling(&self) -> bool {
        self.filling
    }

    fn checkpoint(&mut self) -> Contents {
        let mut contents =
            Contents { header: Bytes::from(self.count.to_string()), ..Contents::default() };
        for name in std::mem::take(&mut self.changed) {
            match self.cells.get(&name) {
                Some(value) => contents.put.push((name, value.clone())),
                None => contents.removed.push(name),
            }
        }
        self.bytes = 0;
        contents
    }

    fn switched(&mut self) {
        self.switched += 1;
    }

    fn unwanted(&self, key: &[u8]) -> Option<Bytes> {
        key.starts_with(b"#").then(|| Bytes::from_static(b"#\xff"))
    }

    fn load(&mut self, header: &[u8], parts: &mut Parts<'_>) -> Result<(), Broken> {
        *self = Self::default();
        if !header.is_empty() {
            let header = std::str::from_utf8(header).unwrap();
            self.count = header.parse().unwrap();
        }
        for part in parts {
            let (name, value) = part?;
            self.cells.insert(name, value);
        }
        Ok(())
    }

    fn hash(&self) -> u64 {
        let mut sum = base::sum::crc32c(&self.count.to_le_bytes());
        for (name, value) in &self.cells {
            sum = base::sum::crc32c_append(sum, name);
            sum = base::sum::crc32c_append(sum, value);
        }
        u64::from(sum)
    }
}
