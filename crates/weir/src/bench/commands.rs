//! The few commands that the demonstration needs, as calls that read like what they do.

use std::io;

use bytes::Bytes;
use resp::Value;

use super::wire::Connection;

/// An entry that was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) id: String,
    /// Name and value, in order.
    pub(crate) fields: Vec<(Bytes, Bytes)>,
}

/// Queues an append; its reply is the entry's id, by [`Connection::reply`].
pub(crate) fn queue_append(connection: &mut Connection, stream: &str, fields: &[(&str, &[u8])]) {
    let mut args: Vec<&[u8]> = vec![b"XADD", stream.as_bytes(), b"*"];
    for (name, value) in fields {
        args.extend([name.as_bytes(), *value]);
    }
    connection.queue(&args);
}

/// Makes a group that begins with the first entry of the stream.
pub(crate) async fn make_group(
    connection: &mut Connection,
    stream: &str,
    group: &str,
) -> io::Result<()> {
    let reply = connection.call(&["XGROUP", "CREATE", stream, group, "0", "MKSTREAM"]).await?;
    no_error(&reply)
}

/// Reads for one consumer of a group: what is new, or what it was given and has not acknowledged.
pub(crate) async fn read_group(
    connection: &mut Connection,
    stream: &str,
    (group, consumer): (&str, &str),
    count: usize,
    new: bool,
) -> io::Result<Vec<Delivered>> {
    let count = count.to_string();
    let from = if new { ">" } else { "0" };
    let args = ["XREADGROUP", "GROUP", group, consumer, "COUNT", &count, "STREAMS", stream, from];
    let reply = connection.call(&args).await?;
    no_error(&reply)?;
    Ok(entries_of_read(&reply).unwrap_or_default())
}

/// Acknowledges entries; says how many were pending until now.
pub(crate) async fn acknowledge(
    connection: &mut Connection,
    stream: &str,
    group: &str,
    ids: &[String],
) -> io::Result<u64> {
    let mut args = vec!["XACK", stream, group];
    args.extend(ids.iter().map(String::as_str));
    number(&connection.call(&args).await?)
}

/// The first entries after `after` (none: from the beginning), at most `count`.
pub(crate) async fn range(
    connection: &mut Connection,
    stream: &str,
    after: Option<&str>,
    count: usize,
) -> io::Result<Vec<Delivered>> {
    let start = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
    let count = count.to_string();
    let reply = connection.call(&["XRANGE", stream, &start, "+", "COUNT", &count]).await?;
    no_error(&reply)?;
    Ok(reply.as_items().unwrap_or_default().iter().filter_map(entry).collect())
}

fn no_error(reply: &Value) -> io::Result<()> {
    reply.as_error().map_or(Ok(()), |error| Err(io::Error::other(error.to_owned())))
}

fn number(reply: &Value) -> io::Result<u64> {
    no_error(reply)?;
    let number = reply.as_integer().and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| io::Error::other(format!("not a number: {reply}")))
}

/// `[[stream, [entry, ...]]]` of one stream.
fn entries_of_read(reply: &Value) -> Option<Vec<Delivered>> {
    let stream = reply.as_items()?.first()?.as_items()?;
    Some(stream.get(1)?.as_items()?.iter().filter_map(entry).collect())
}

/// `[id, [name, value, ...]]`; an entry that was deleted has no fields.
fn entry(value: &Value) -> Option<Delivered> {
    let [id, fields] = value.as_items()? else { return None };
    let fields = fields.as_items().unwrap_or_default();
    let pairs = fields.chunks_exact(2);
    let fields =
        pairs.filter_map(|pair| Some((pair[0].as_bytes()?.clone(), pair[1].as_bytes()?.clone())));
    Some(Delivered { id: id.as_text()?.to_owned(), fields: fields.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_ids_and_fields() {
        let entry = |id: &str| {
            Value::Array(vec![
                Value::bulk(id),
                Value::Array(vec![Value::bulk("dir"), Value::bulk("src")]),
            ])
        };
        let entries = Value::Array(vec![entry("1-0"), entry("2-0")]);
        let reply = Value::Array(vec![Value::Array(vec![Value::bulk("files"), entries])]);
        let read = entries_of_read(&reply).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].id, "2-0");
        assert_eq!(&read[1].fields[0].1[..], b"src");
        assert_eq!(entries_of_read(&Value::NullArray), None);
    }
}
