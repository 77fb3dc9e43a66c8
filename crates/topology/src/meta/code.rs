//! The bytes of the meta group: see the head of [`super`]. Reading is total.

use std::collections::BTreeMap;

use base::NodeId;

use super::{Addresses, Malformed, NodeState};

const VERSION: u8 = 1;
/// Of a state in which settings were chosen.
const VERSION_SETTINGS: u8 = 2;

pub(super) struct Writer(pub(super) Vec<u8>);

impl Default for Writer {
    fn default() -> Self {
        Self(vec![VERSION])
    }
}

impl Writer {
    /// Of a state in which settings were chosen.
    pub(super) fn later() -> Self {
        Self(vec![VERSION_SETTINGS])
    }

    pub(super) fn numbers(&mut self, numbers: &BTreeMap<String, u64>) {
        self.count(numbers.len());
        for (name, number) in numbers {
            self.text(name);
            self.u64(*number);
        }
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn count(&mut self, count: usize) {
        let count = u32::try_from(count).expect("nodes and texts are far fewer");
        self.0.extend_from_slice(&count.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn addresses(&mut self, addresses: &Addresses) {
        let Addresses { peer, resp, resp_cluster, grpc } = addresses;
        [peer, resp, resp_cluster, grpc].into_iter().for_each(|text| self.text(text));
    }

    pub(super) fn state(&mut self, state: NodeState) {
        match state {
            NodeState::Active => self.u8(1),
            NodeState::Joining { replaces } => {
                self.u8(2);
                self.u64(replaces.0);
            }
            NodeState::Leaving { replaced_by } => {
                self.u8(3);
                self.u64(replaced_by.0);
            }
            NodeState::Gone => self.u8(4),
        }
    }
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Result<Self, Malformed> {
        let mut reader = Self { rest: bytes, what };
        match reader.u8()? {
            VERSION => Ok(reader),
            _ => Err(reader.malformed()),
        }
    }

    /// Also whether settings come behind the nodes.
    pub(super) fn of_state(bytes: &'a [u8]) -> Result<(Self, bool), Malformed> {
        match bytes.split_first() {
            Some((&VERSION_SETTINGS, rest)) => Ok((Self { rest, what: "the state" }, true)),
            _ => Ok((Self::new(bytes, "the state")?, false)),
        }
    }

    pub(super) fn numbers(&mut self) -> Result<BTreeMap<String, u64>, Malformed> {
        let mut numbers = BTreeMap::new();
        for _ in 0..self.count()? {
            numbers.insert(self.text()?, self.u64()?);
        }
        Ok(numbers)
    }

    pub(super) fn malformed(&self) -> Malformed {
        Malformed(self.what)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed(self.what))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.take()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    pub(super) fn count(&mut self) -> Result<usize, Malformed> {
        let count = u32::from_le_bytes(self.take()?);
        usize::try_from(count).map_err(|_| self.malformed())
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let count = self.count()?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed(self.what))?;
        self.rest = rest;
        String::from_utf8(taken.to_vec()).map_err(|_| self.malformed())
    }

    pub(super) fn addresses(&mut self) -> Result<Addresses, Malformed> {
        Ok(Addresses {
            peer: self.text()?,
            resp: self.text()?,
            resp_cluster: self.text()?,
            grpc: self.text()?,
        })
    }

    pub(super) fn state(&mut self) -> Result<NodeState, Malformed> {
        match self.u8()? {
            1 => Ok(NodeState::Active),
            2 => Ok(NodeState::Joining { replaces: NodeId(self.u64()?) }),
            3 => Ok(NodeState::Leaving { replaced_by: NodeId(self.u64()?) }),
            4 => Ok(NodeState::Gone),
            _ => Err(self.malformed()),
        }
    }

    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }
}
