//! Replies of a server, for clients: the benchmark, the demonstration, tests. Never requests.
//!
//! A stack of open aggregates instead of recursion: a reply may arrive in any pieces, no byte is
//! read twice, and depth is a number that can be refused.

use bytes::{Buf, Bytes, BytesMut};

use crate::limits;
use crate::number::signed;
use crate::value::Value;

/// The server doesn't speak RESP. The connection can only be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    #[error("a reply can't begin with byte {0}")]
    Kind(u8),
    #[error("a length or number of a reply is malformed")]
    Number,
    #[error("a line of a reply is too long")]
    Line,
    #[error("a reply has arrays too deep within arrays")]
    Depth,
    #[error("a string of a reply doesn't end where it said")]
    End,
}

/// Where a client stands in the reply that is arriving.
#[derive(Debug, Default)]
pub struct ReplyParser {
    open: Vec<Open>,
    scanned: usize,
}

#[derive(Debug)]
struct Open {
    kind: u8,
    items_count: usize,
    items: Vec<Value>,
}

/// What one step found.
enum Step {
    Whole(Value),
    Opened(Open),
    Incomplete,
}

impl ReplyParser {
    /// A parser at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next complete reply out of `input`, or says `None` when more bytes are needed.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Value>, ReplyError> {
        loop {
            match self.step(input)? {
                Step::Incomplete => return Ok(None),
                Step::Opened(open) if open.items_count > 0 => {
                    if self.open.len() == limits::REPLY_DEPTH_MAX {
                        return Err(ReplyError::Depth);
                    }
                    self.open.push(open);
                }
                Step::Opened(open) => {
                    if let Some(value) = self.close(open.into_value()) {
                        return Ok(Some(value));
                    }
                }
                Step::Whole(value) => {
                    if let Some(value) = self.close(value) {
                        return Ok(Some(value));
                    }
                }
            }
        }
    }

    /// Puts a value where it belongs; gives the whole reply when that was its last one.
    fn close(&mut self, mut value: Value) -> Option<Value> {
        while let Some(mut open) = self.open.pop() {
            open.items.push(value);
            if open.items.len() < open.items_count {
                self.open.push(open);
                return None;
            }
            value = open.into_value();
        }
        Some(value)
    }

    /// One scalar, or the line that announces an aggregate.
    fn step(&mut self, input: &mut BytesMut) -> Result<Step, ReplyError> {
        let Some(end) = self.line_end(input)? else { return Ok(Step::Incomplete) };
        let kind = input[0];
        let text = input[1..end].strip_suffix(b"\r").ok_or(ReplyError::End)?;
        if matches!(kind, b'$' | b'=' | b'!') {
            return match length(text)? {
                None => Ok(self.whole(input, end + 1, Value::Null)),
                Some(bytes) => self.string(input, kind, end + 1, bytes),
            };
        }
        let opened = |items_count: usize| {
            let ahead = items_count.min(limits::REPLY_ITEMS_AHEAD_MAX);
            Open { kind, items_count, items: Vec::with_capacity(ahead) }
        };
        match kind {
            b'*' | b'~' | b'>' | b'%' => {
                let Some(count) = length(text)? else {
                    return Ok(self.whole(input, end + 1, Value::NullArray));
                };
                let per_item = if kind == b'%' { 2 } else { 1 };
                let count = count.checked_mul(per_item).ok_or(ReplyError::Number)?;
                self.skip(input, end + 1);
                Ok(Step::Opened(opened(count)))
            }
            _ => {
                let value = scalar(kind, text)?;
                Ok(self.whole(input, end + 1, value))
            }
        }
    }

    /// A string of `bytes` bytes behind its line.
    fn string(
        &mut self,
        input: &mut BytesMut,
        kind: u8,
        start: usize,
        bytes: usize,
    ) -> Result<Step, ReplyError> {
        let end = start.checked_add(bytes).ok_or(ReplyError::Number)?;
        match input.get(end..end.saturating_add(2)) {
            None => return Ok(Step::Incomplete),
            Some(b"\r\n") => {}
            Some(_) => return Err(ReplyError::End),
        }
        self.skip(input, start);
        let text = input.split_to(bytes).freeze();
        input.advance(2);
        Ok(Step::Whole(match kind {
            b'$' => Value::Bulk(text),
            b'!' => Value::Error(text),
            _ if bytes >= 4 => Value::Verbatim(text.slice(..3), text.slice(4..)),
            _ => return Err(ReplyError::Number),
        }))
    }

    fn whole(&mut self, input: &mut BytesMut, line_bytes: usize, value: Value) -> Step {
        self.skip(input, line_bytes);
        Step::Whole(value)
    }

    fn skip(&mut self, input: &mut BytesMut, line_bytes: usize) {
        input.advance(line_bytes);
        self.scanned = 0;
    }

    /// Where the first line's `\n` stands.
    fn line_end(&mut self, input: &[u8]) -> Result<Option<usize>, ReplyError> {
        match input.first() {
            None => return Ok(None),
            Some(b'+' | b'-' | b':' | b'$' | b'*' | b'_' | b'#' | b',' | b'(' | b'!' | b'=') => {}
            Some(b'%' | b'~' | b'>') => {}
            Some(other) => return Err(ReplyError::Kind(*other)),
        }
        let from = self.scanned.min(input.len());
        let found = memchr::memchr(b'\n', &input[from..]).map(|found| from + found);
        if found.unwrap_or(input.len()) > limits::LINE_BYTES_MAX {
            return Err(ReplyError::Line);
        }
        // A string's line is looked for again while its bytes arrive: it is the first there is.
        self.scanned = found.unwrap_or(input.len());
        Ok(found)
    }
}

impl Open {
    fn into_value(self) -> Value {
        match self.kind {
            b'~' => Value::Set(self.items),
            b'>' => Value::Push(self.items),
            b'%' => {
                let mut items = self.items.into_iter();
                let mut pairs = Vec::with_capacity(self.items_count / 2);
                while let (Some(name), Some(value)) = (items.next(), items.next()) {
                    pairs.push((name, value));
                }
                Value::Map(pairs)
            }
            _ => Value::Array(self.items),
        }
    }
}

fn scalar(kind: u8, text: &[u8]) -> Result<Value, ReplyError> {
    let bytes = || Bytes::copy_from_slice(text);
    Ok(match kind {
        b'+' => Value::Simple(bytes()),
        b'-' => Value::Error(bytes()),
        b':' => Value::Integer(signed(text).ok_or(ReplyError::Number)?),
        b'_' => Value::Null,
        b'#' => Value::Boolean(text == b"t"),
        b'(' => Value::BigNumber(bytes()),
        _ => {
            let text = std::str::from_utf8(text).map_err(|_| ReplyError::Number)?;
            Value::Double(text.parse().map_err(|_| ReplyError::Number)?)
        }
    })
}

/// A length; `None` for `-1`.
fn length(text: &[u8]) -> Result<Option<usize>, ReplyError> {
    match signed(text) {
        Some(-1) => Ok(None),
        Some(length) => usize::try_from(length).map(Some).map_err(|_| ReplyError::Number),
        None => Err(ReplyError::Number),
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
