//! An entry as a line of JSON, in and out.
//!
//! ```text
//! {"id": "1526919030474-0", "fields": {"name": "value", "photo": {"base64": "/9j/4A=="}}}
//! {"id": "1526919030474-1", "fields": [["name", "one"], ["name", "two"]]}
//! ```
//!
//! A value or name that is not UTF-8 is `{"base64": "..."}`. The second form keeps names that repeat
//! or are not UTF-8; it is written only for those, and read always. The order of the fields is kept.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use client::{Entry, EntryId};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Names and values, in their order.
pub(super) type Fields = Vec<(Bytes, Bytes)>;

/// A line, without its end.
pub(super) fn line(entry: &Entry) -> String {
    serde_json::to_string(&Line(entry)).expect("strings and lists of strings can be written")
}

/// What a line says; the id only if it has one.
pub(super) fn parse(line: &str) -> Result<(Option<EntryId>, Fields), String> {
    let parsed: Parsed = serde_json::from_str(line).map_err(|error| {
        // The line is always the first: its number is the caller's to say.
        error.to_string().replace(" at line 1 column ", " at column ")
    })?;
    let id = parsed.id.map(|id| id.parse::<EntryId>()).transpose();
    Ok((id.map_err(|error| error.to_string())?, parsed.fields.0))
}

struct Line<'a>(&'a Entry);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("id", &self.0.id.to_string())?;
        map.serialize_entry("fields", &Written(&self.0.fields))?;
        map.end()
    }
}

struct Written<'a>(&'a [(Bytes, Bytes)]);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.0;
        let Some(names) = names(fields) else {
            let pairs = fields.iter().map(|(name, value)| (Text(name), Text(value)));
            return serializer.collect_seq(pairs);
        };
        serializer.collect_map(names.into_iter().zip(fields.iter().map(|(_, value)| Text(value))))
    }
}

/// The names, if they can be an object's: text, and none twice.
fn names(fields: &[(Bytes, Bytes)]) -> Option<Vec<&str>> {
    let names: Option<Vec<&str>> =
        fields.iter().map(|(name, _)| std::str::from_utf8(name).ok()).collect();
    let names = names?;
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    (sorted.len() == names.len()).then_some(names)
}

struct Text<'a>(&'a Bytes);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_map([("base64", STANDARD.encode(self.0))]),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Parsed {
    id: Option<String>,
    fields: Read,
}

struct Read(Fields);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadVisitor).map(Self)
    }
}

struct ReadVisitor;

impl<'de> Visitor<'de> for ReadVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and values, or a list of [name, value]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::new();
        while let Some((name, Blob(value))) = map.next_entry::<String, Blob>()? {
            fields.push((name.into(), value));
        }
        Ok(fields)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::new();
        while let Some((Blob(name), Blob(value))) = list.next_element::<(Blob, Blob)>()? {
            fields.push((name, value));
        }
        Ok(fields)
    }
}

struct Blob(Bytes);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BlobVisitor).map(Self)
    }
}

struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a string, a number, true, false or {"base64": "..."}"#)
    }

    fn visit_str<E>(self, text: &str) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bytes, E> {
        Ok(value.to_string().into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Bytes, E> {
        Ok(number.to_string().into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Bytes, E> {
        Ok(number.to_string().into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Bytes, E> {
        Ok(number.to_string().into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bytes, A::Error> {
        let Some((key, text)) = map.next_entry::<String, String>()? else {
            return Err(A::Error::missing_field("base64"));
        };
        if key != "base64" || map.next_key::<String>()?.is_some() {
            return Err(A::Error::custom(
                r#"an object here is {"base64": "..."} and nothing else"#,
            ));
        }
        STANDARD.decode(text).map(Bytes::from).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &[(&[u8], &[u8])]) -> Entry {
        let copied = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        let fields = fields.iter().map(|(name, value)| (copied(name), copied(value))).collect();
        Entry { id: EntryId::new(15, 3), fields }
    }

    #[track_caller]
    fn check(fields: &[(&[u8], &[u8])], expected: &str) {
        let entry = entry(fields);
        let line = line(&entry);
        assert_eq!(line, expected);
        assert_eq!(parse(&line), Ok((Some(entry.id), entry.fields)));
    }

    #[test]
    fn what_is_written_is_read_back_with_its_order_and_every_byte() {
        check(
            &[(b"b", b"1"), (b"a", b"\xc3\xa4\n\"")],
            r#"{"id":"15-3","fields":{"b":"1","a":"ä\n\""}}"#,
        );
        check(&[(b"n", b"\xff\x00")], r#"{"id":"15-3","fields":{"n":{"base64":"/wA="}}}"#);
        check(&[(b"", b"")], r#"{"id":"15-3","fields":{"":""}}"#);
    }

    #[test]
    fn names_that_repeat_or_are_not_text_are_kept() {
        check(&[(b"n", b"1"), (b"n", b"2")], r#"{"id":"15-3","fields":[["n","1"],["n","2"]]}"#);
        check(&[(b"\xff", b"1")], r#"{"id":"15-3","fields":[[{"base64":"/w=="},"1"]]}"#);
    }

    #[test]
    fn numbers_and_truth_are_taken_as_they_are_written() {
        let (_, fields) = parse(r#"{"fields": {"a": 7, "b": -1, "c": 2.5, "d": true}}"#).unwrap();
        let values: Vec<_> = fields.iter().map(|(_, value)| value.as_ref()).collect();
        assert_eq!(values, [b"7".as_slice(), b"-1", b"2.5", b"true"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, word) in [
            ("", "EOF"),
            ("{", "EOF"),
            (r#"{"id": "1-1"}"#, "fields"),
            (r#"{"fields": {"a": null}}"#, "a string, a number"),
            (r#"{"fields": {"a": {"base64": "!"}}}"#, "Invalid"),
            (r#"{"fields": {"a": {"hex": "00"}}}"#, "base64"),
            (r#"{"fields": {}, "field": 1}"#, "unknown field"),
            (r#"{"fields": {}, "id": "x"}"#, "not an entry id"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
