//! Choices of a seed, and how bytes are varied. Never anything else than the seed decides.

use base::{Entropy, SeededEntropy};

/// A sequence of choices.
#[derive(Debug)]
pub struct Random(SeededEntropy);

impl Random {
    /// The sequence of a number.
    pub fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// A number below `bound`, or 0 where `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.below(bound as u64)).unwrap_or(0)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of them.
    ///
    /// # Panics
    /// Where there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(crate) fn pick_owned(&mut self, from: &[Vec<u8>]) -> Option<Vec<u8>> {
        from.get(self.below(from.len())).cloned()
    }

    /// Bytes of any kind, so many at most.
    pub fn bytes(&mut self, bytes_max: usize) -> Vec<u8> {
        (0..self.below(bytes_max + 1)).map(|_| self.byte()).collect()
    }

    /// A byte of any kind, those at the ends of ranges more often.
    pub fn byte(&mut self) -> u8 {
        const EDGES: &[u8] = b"\0\r\n \"'*$-0\x7f\x80\xff";
        if self.one_in(4) { *self.pick(EDGES) } else { self.below(256) as u8 }
    }

    /// A number as text, one at which something may end more often than another.
    pub fn number(&mut self) -> String {
        const EDGES: &[i128] = &[
            0,
            1,
            i8::MAX as i128,
            u16::MAX as i128,
            i32::MAX as i128,
            u32::MAX as i128,
            i64::MAX as i128,
            i64::MIN as i128,
            u64::MAX as i128,
            1 << 20,
        ];
        let near = self.below(3) as i128 - 1;
        match self.below(4) {
            0 => (*self.pick(EDGES) + near).to_string(),
            1 => self.below(1 << 20).to_string(),
            2 => format!("-{}", self.below(20)),
            _ => self.below(20).to_string(),
        }
    }

    /// Changes something; may take a piece of another input.
    pub fn vary(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(input.len() + 1);
        let some = at..(at + 1 + self.below(8)).min(input.len()).max(at);
        match self.below(7) {
            0 if at < input.len() => input[at] = self.byte(),
            1 if at < input.len() => input[at] ^= 1 << self.below(8),
            2 => drop(input.drain(some)),
            3 => input.truncate(at),
            4 => {
                let again = input[some].to_vec();
                input.splice(at..at, again);
            }
            5 => {
                let number = self.number();
                input.splice(some, number.into_bytes());
            }
            _ => {
                let from = self.below(other.len());
                let piece = &other[from..];
                let piece = &piece[..self.below(piece.len() + 1)];
                input.splice(at..at, piece.iter().copied());
            }
        }
    }
}
