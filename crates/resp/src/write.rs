//! Values to bytes, straight into the connection's output. Never a tree, never a socket.

use bytes::{BufMut, BytesMut};

use crate::limits::ERROR_BYTES_MAX;

/// The version of the protocol that a client chose with `HELLO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// Writes replies. What RESP2 doesn't have is written as what Redis writes there. An aggregate is
/// announced with its length; its items follow by as many further calls.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut BytesMut,
    protocol: Protocol,
}

impl<'a> Writer<'a> {
    /// Writes behind what `out` has.
    pub fn new(out: &'a mut BytesMut, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The version that is written.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Writes the other version from here on.
    pub fn switch(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Bytes in the output, those from before included.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the output has no bytes.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// `+OK`. The text is ours: it has no line ends.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.out.put_u8(b'+');
        self.out.put_slice(text.as_bytes());
        self.end();
    }

    /// `-ERR ...`. The text begins with the code. Line ends become spaces and what is too long is
    /// cut, so that no part of a request can be mistaken for a reply.
    pub fn error(&mut self, text: &str) {
        self.out.put_u8(b'-');
        let mut cut = text.len().min(ERROR_BYTES_MAX);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let clean = text.as_bytes()[..cut].iter();
        self.out.extend(clean.map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
        self.end();
    }

    /// Replies that were written before, in the same protocol.
    pub fn written(&mut self, replies: &[u8]) {
        self.out.extend_from_slice(replies);
    }

    /// `:42`.
    pub fn integer(&mut self, value: i64) {
        self.line(b':', itoa::Buffer::new().format(value));
    }

    /// `:42`; what a signed number can't hold becomes the greatest that it can.
    pub fn unsigned(&mut self, value: u64) {
        self.line(b':', itoa::Buffer::new().format(value.min(i64::MAX as u64)));
    }

    /// `$5\r\nhello`.
    pub fn bulk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.out.reserve(bytes.len() + 32);
        self.length(b'$', bytes.len());
        self.out.put_slice(bytes);
        self.end();
    }

    /// Text for people: `=15\r\ntxt:...`, a bulk in RESP2.
    pub fn verbatim(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.length(b'=', text.len() + 4);
                self.out.put_slice(b"txt:");
                self.out.put_slice(text.as_bytes());
                self.end();
            }
        }
    }

    /// No string: `$-1`, `_` in RESP3.
    pub fn null(&mut self) {
        self.out.put_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// No array: `*-1`, `_` in RESP3.
    pub fn null_array(&mut self) {
        self.out.put_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// `#t`, `:1` in RESP2.
    pub fn boolean(&mut self, value: bool) {
        self.out.put_slice(match (self.protocol, value) {
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
        });
    }

    /// `,1.5`, a bulk in RESP2.
    pub fn double(&mut self, value: f64) {
        let text = match value {
            value if value.is_nan() => "nan".to_owned(),
            value if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.to_owned(),
            value => value.to_string(),
        };
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => self.line(b',', &text),
        }
    }

    /// An array of so many items.
    pub fn array(&mut self, items_count: usize) {
        self.length(b'*', items_count);
    }

    /// A map of so many pairs; an array of twice as many items in RESP2.
    pub fn map(&mut self, pairs_count: usize) {
        match self.protocol {
            Protocol::Resp2 => self.length(b'*', pairs_count * 2),
            Protocol::Resp3 => self.length(b'%', pairs_count),
        }
    }

    /// A set of so many items; an array in RESP2.
    pub fn set(&mut self, items_count: usize) {
        self.length(self.either(b'*', b'~'), items_count);
    }

    /// A message that nobody asked for, of so many items; an array in RESP2.
    pub fn push(&mut self, items_count: usize) {
        self.length(self.either(b'*', b'>'), items_count);
    }

    fn either(&self, resp2: u8, resp3: u8) -> u8 {
        match self.protocol {
            Protocol::Resp2 => resp2,
            Protocol::Resp3 => resp3,
        }
    }

    fn length(&mut self, kind: u8, length: usize) {
        self.line(kind, itoa::Buffer::new().format(length));
    }

    fn line(&mut self, kind: u8, text: &str) {
        self.out.put_u8(kind);
        self.out.put_slice(text.as_bytes());
        self.end();
    }

    fn end(&mut self) {
        self.out.put_slice(b"\r\n");
    }
}

/// Writes a request as clients do: an array of bulks.
pub fn write_request<A: AsRef<[u8]>>(out: &mut BytesMut, args: &[A]) {
    let mut writer = Writer::new(out, Protocol::Resp2);
    writer.array(args.len());
    for arg in args {
        writer.bulk(arg);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl Fn(&mut Writer<'_>), resp2: &str, resp3: &str) {
        for (protocol, expected) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
            let mut out = BytesMut::new();
            write(&mut Writer::new(&mut out, protocol));
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn each_type_has_its_form_in_both_versions() {
        check(|w| w.simple("OK"), "+OK\r\n", "+OK\r\n");
        check(|w| w.integer(-5), ":-5\r\n", ":-5\r\n");
        check(|w| w.unsigned(u64::MAX), ":9223372036854775807\r\n", ":9223372036854775807\r\n");
        check(|w| w.bulk("ab"), "$2\r\nab\r\n", "$2\r\nab\r\n");
        check(|w| w.verbatim("ab"), "$2\r\nab\r\n", "=6\r\ntxt:ab\r\n");
        check(|w| w.null(), "$-1\r\n", "_\r\n");
        check(|w| w.null_array(), "*-1\r\n", "_\r\n");
        check(|w| w.boolean(true), ":1\r\n", "#t\r\n");
        check(|w| w.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(|w| w.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
        check(|w| w.array(2), "*2\r\n", "*2\r\n");
        check(|w| w.map(2), "*4\r\n", "%2\r\n");
        check(|w| w.set(2), "*2\r\n", "~2\r\n");
        check(|w| w.push(2), "*2\r\n", ">2\r\n");
    }

    #[test]
    fn an_error_stays_one_line_whatever_it_echoes() {
        check(|w| w.error("ERR a\r\n+OK\r\nb"), "-ERR a  +OK  b\r\n", "-ERR a  +OK  b\r\n");
        let mut out = BytesMut::new();
        Writer::new(&mut out, Protocol::Resp2).error(&"ä".repeat(1 << 20));
        assert!(out.len() <= ERROR_BYTES_MAX + 3);
    }
}
