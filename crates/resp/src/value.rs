//! A reply as a value: what clients and tests see. Never on the server's way.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::write::{Protocol, Writer};

/// Any reply of RESP2 or RESP3.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+`
    Simple(Bytes),
    /// `-`, or `!` in RESP3: the text with its code.
    Error(Bytes),
    /// `:`
    Integer(i64),
    /// `$`
    Bulk(Bytes),
    /// `$-1`, and `_` in RESP3.
    Null,
    /// `*-1`
    NullArray,
    /// `*`
    Array(Vec<Value>),
    /// `%`
    Map(Vec<(Value, Value)>),
    /// `~`
    Set(Vec<Value>),
    /// `>`
    Push(Vec<Value>),
    /// `#`
    Boolean(bool),
    /// `,`
    Double(f64),
    /// `=`: the three letters of the format, and the text.
    Verbatim(Bytes, Bytes),
    /// `(`: digits, perhaps with a sign.
    BigNumber(Bytes),
}

impl Value {
    /// A bulk of this text.
    pub fn bulk(text: &str) -> Self {
        Self::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// The bytes of a string of any kind.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) | Self::Verbatim(_, bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text of a string of any kind, where it is text.
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The text of an error, where this is one.
    pub fn as_error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(std::str::from_utf8(text).unwrap_or("ERR (not text)")),
            _ => None,
        }
    }

    /// The number, where this is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The items of an array, a set or a push.
    pub fn as_items(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Some(items),
            _ => None,
        }
    }

    /// Whether this is no value, in either form.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::NullArray)
    }

    /// Writes the value as a server would, for tests and stand-ins of servers.
    pub fn write(&self, out: &mut BytesMut, protocol: Protocol) {
        let mut writer = Writer::new(out, protocol);
        match self {
            Self::Simple(text) => writer.simple(&String::from_utf8_lossy(text)),
            Self::Error(text) => writer.error(&String::from_utf8_lossy(text)),
            Self::Integer(value) => writer.integer(*value),
            Self::Bulk(bytes) => writer.bulk(bytes),
            Self::Null => writer.null(),
            Self::NullArray => writer.null_array(),
            Self::Boolean(value) => writer.boolean(*value),
            Self::Double(value) => writer.double(*value),
            Self::Verbatim(_, text) => writer.verbatim(&String::from_utf8_lossy(text)),
            Self::BigNumber(digits) => writer.bulk(digits),
            Self::Array(items) => writer.array(items.len()),
            Self::Set(items) => writer.set(items.len()),
            Self::Push(items) => writer.push(items.len()),
            Self::Map(pairs) => writer.map(pairs.len()),
        }
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => {
                items.iter().for_each(|item| item.write(out, protocol));
            }
            Self::Map(pairs) => pairs.iter().for_each(|(name, value)| {
                name.write(out, protocol);
                value.write(out, protocol);
            }),
            _ => {}
        }
    }
}

/// One line, with types: `*2['5-1', :3]`. Strings are quoted with what isn't printable escaped.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => write!(f, "+{}", text.escape_ascii()),
            Self::Error(text) => write!(f, "-{}", String::from_utf8_lossy(text)),
            Self::Integer(value) => write!(f, ":{value}"),
            Self::Bulk(bytes) => write!(f, "'{}'", bytes.escape_ascii()),
            Self::Null => f.write_str("nil"),
            Self::NullArray => f.write_str("nil-array"),
            Self::Boolean(value) => write!(f, "#{value}"),
            Self::Double(value) => write!(f, ",{value}"),
            Self::Verbatim(_, text) => write!(f, "='{}'", text.escape_ascii()),
            Self::BigNumber(digits) => write!(f, "({}", digits.escape_ascii()),
            Self::Array(items) => write_items(f, '*', items),
            Self::Set(items) => write_items(f, '~', items),
            Self::Push(items) => write_items(f, '>', items),
            Self::Map(pairs) => {
                write!(f, "%{}{{", pairs.len())?;
                for (at, (name, value)) in pairs.iter().enumerate() {
                    write!(f, "{}{name}: {value}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_items(f: &mut fmt::Formatter<'_>, kind: char, items: &[Value]) -> fmt::Result {
    write!(f, "{kind}{}[", items.len())?;
    for (at, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if at == 0 { "" } else { ", " })?;
    }
    f.write_str("]")
}
