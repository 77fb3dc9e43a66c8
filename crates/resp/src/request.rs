//! Requests of clients: arrays of bulk strings, or inline lines. Never replies.
//!
//! Nothing is taken out of the input before a request is complete, so that each argument is a slice
//! of the one buffer it arrived in; the parser remembers how far it came and reads no byte twice.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use crate::limits;
use crate::number::signed;
use crate::split::split;

/// How much a client may send in one request. May change between requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub args_max: usize,
    /// Bytes of one argument.
    pub bulk_bytes_max: usize,
    /// Bytes of one request, the protocol's own included.
    pub request_bytes_max: usize,
    /// Whether these are the limits for somebody who has yet to authenticate; the errors say so.
    pub unauthenticated: bool,
}

impl Limits {
    /// For a client that may do what it likes.
    pub fn authenticated(bulk_bytes_max: usize, request_bytes_max: usize) -> Self {
        let args_max = limits::ARGS_MAX;
        Self { args_max, bulk_bytes_max, request_bytes_max, unauthenticated: false }
    }

    /// For a client that has yet to say who it is.
    pub fn unauthenticated() -> Self {
        Self {
            args_max: limits::UNAUTHENTICATED_ARGS_MAX,
            bulk_bytes_max: limits::UNAUTHENTICATED_BULK_BYTES_MAX,
            request_bytes_max: limits::UNAUTHENTICATED_REQUEST_BYTES_MAX,
            unauthenticated: true,
        }
    }
}

/// The client doesn't speak RESP, or says too much at once. Nothing that follows on the connection
/// can be understood. Displays as Redis words it, without the leading `ERR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    #[error("Protocol error: too big mbulk count string")]
    ArrayLineTooBig,
    #[error("Protocol error: invalid multibulk length")]
    ArrayLength,
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedArrayLength,
    #[error("Protocol error: too big bulk count string")]
    BulkLineTooBig,
    #[error("Protocol error: expected '$', got '{}'", printable(*.0))]
    ExpectedBulk(u8),
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    #[error("Protocol error: invalid CRLF in request")]
    LineEnd,
    #[error("Protocol error: too big request")]
    RequestTooBig,
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() { char::from(byte) } else { ' ' }
}

/// Where a connection stands in the request that is arriving.
#[derive(Debug, Default)]
pub struct RequestParser {
    /// Bytes of the input that are understood: the next line or bulk begins here.
    at: usize,
    /// Bytes of the input that are known to hold no line end beyond `at`.
    scanned: usize,
    /// Arguments still to come; `None` between requests.
    args_left: Option<usize>,
    /// The bytes of the bulk that is arriving, from `at` on.
    bulk_bytes: Option<usize>,
    args: Vec<Range<usize>>,
}

impl RequestParser {
    /// A parser at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next complete request out of `input` into `args` (emptied first). Says `false`
    /// when more bytes are needed. Empty requests are passed over, as in Redis. After an error the
    /// connection can only be closed.
    pub fn next(
        &mut self,
        input: &mut BytesMut,
        limits: &Limits,
        args: &mut Vec<Bytes>,
    ) -> Result<bool, ProtocolError> {
        args.clear();
        loop {
            let complete = match (self.args_left, input.first()) {
                (None, None) => return Ok(false),
                (None, Some(b'*')) => self.array_line(input, limits)?,
                (None, Some(_)) => self.inline(input, limits, args)?,
                (Some(_), _) => self.bulks(input, limits)?,
            };
            if !complete {
                return Ok(false);
            }
            if self.args_left == Some(0) {
                self.take_args(input, args);
            }
            if !args.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Bytes that are certain to follow before the request that is arriving is complete.
    pub fn bytes_missing(&self, input: &BytesMut) -> usize {
        self.bulk_bytes.map_or(0, |bytes| (self.at + bytes + 2).saturating_sub(input.len()))
    }

    /// `*3\r\n`. An array of nothing, or of less, is passed over.
    fn array_line(&mut self, input: &mut BytesMut, limits: &Limits) -> Result<bool, ProtocolError> {
        let Some(line) = self.line(input, ProtocolError::ArrayLineTooBig)? else {
            return Ok(false);
        };
        let line = ended(&input[line])?;
        let count = signed(&line[1..]).ok_or(ProtocolError::ArrayLength)?;
        let count = usize::try_from(count).unwrap_or(0);
        if count > limits.args_max {
            return Err(match limits.unauthenticated && count <= limits::ARGS_MAX {
                true => ProtocolError::UnauthenticatedArrayLength,
                false => ProtocolError::ArrayLength,
            });
        }
        if count == 0 {
            self.consume(input);
        } else {
            self.args_left = Some(count);
        }
        Ok(true)
    }

    /// All bulks that are there; whether it was all that are due.
    fn bulks(&mut self, input: &[u8], limits: &Limits) -> Result<bool, ProtocolError> {
        while let Some(left) = self.args_left.filter(|left| *left > 0) {
            let bytes = match self.bulk_bytes {
                Some(bytes) => bytes,
                None => match self.bulk_line(input, limits)? {
                    Some(bytes) => bytes,
                    None => return Ok(false),
                },
            };
            let end = self.at + bytes;
            match input.get(end..end + 2) {
                None => return Ok(false),
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError::LineEnd),
            }
            self.args.push(self.at..end);
            self.at = end + 2;
            self.scanned = self.at;
            self.bulk_bytes = None;
            self.args_left = Some(left - 1);
        }
        Ok(true)
    }

    /// `$5\r\n`.
    fn bulk_line(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        match input.get(self.at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(other) => return Err(ProtocolError::ExpectedBulk(*other)),
        }
        let Some(line) = self.line(input, ProtocolError::BulkLineTooBig)? else {
            return Ok(None);
        };
        let line = ended(&input[line])?;
        let bytes = signed(&line[1..]).and_then(|bytes| usize::try_from(bytes).ok());
        let bytes = bytes.ok_or(ProtocolError::BulkLength)?;
        if bytes > limits.bulk_bytes_max {
            return Err(match limits.unauthenticated {
                true => ProtocolError::UnauthenticatedBulkLength,
                false => ProtocolError::BulkLength,
            });
        }
        if self.at + bytes + 2 > limits.request_bytes_max {
            return Err(ProtocolError::RequestTooBig);
        }
        self.bulk_bytes = Some(bytes);
        Ok(Some(bytes))
    }

    /// A line of words.
    fn inline(
        &mut self,
        input: &mut BytesMut,
        limits: &Limits,
        args: &mut Vec<Bytes>,
    ) -> Result<bool, ProtocolError> {
        let Some(line) = self.line(input, ProtocolError::InlineTooBig)? else {
            return Ok(false);
        };
        let bytes = input.split_to(self.at).freeze().slice(line);
        self.restart();
        split(&bytes, args).map_err(|_| ProtocolError::UnbalancedQuotes)?;
        if args.len() > limits.args_max {
            return Err(ProtocolError::UnauthenticatedArrayLength);
        }
        Ok(true)
    }

    /// The line that begins at `at`, without its `\n`; moves behind it.
    fn line(
        &mut self,
        input: &[u8],
        too_big: ProtocolError,
    ) -> Result<Option<Range<usize>>, ProtocolError> {
        let from = self.scanned.max(self.at);
        let end = memchr::memchr(b'\n', &input[from..]).map(|found| from + found);
        if end.unwrap_or(input.len()) - self.at > limits::LINE_BYTES_MAX {
            return Err(too_big);
        }
        self.scanned = end.map_or(input.len(), |end| end + 1);
        let Some(end) = end else { return Ok(None) };
        let line = self.at..end;
        self.at = end + 1;
        Ok(Some(line))
    }

    /// The request is complete: hands out its arguments and starts anew.
    fn take_args(&mut self, input: &mut BytesMut, args: &mut Vec<Bytes>) {
        let bytes = input.split_to(self.at).freeze();
        args.extend(self.args.drain(..).map(|range| bytes.slice(range)));
        if self.args.capacity() > limits::REPLY_ITEMS_AHEAD_MAX {
            self.args = Vec::new();
        }
        self.restart();
    }

    fn consume(&mut self, input: &mut BytesMut) {
        input.advance(self.at);
        self.restart();
    }

    fn restart(&mut self) {
        self.at = 0;
        self.scanned = 0;
        self.args_left = None;
    }
}

/// A protocol line without its `\r`, which must be there and nowhere else.
fn ended(line: &[u8]) -> Result<&[u8], ProtocolError> {
    line.strip_suffix(b"\r")
        .filter(|line| memchr::memchr(b'\r', line).is_none())
        .ok_or(ProtocolError::LineEnd)
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
