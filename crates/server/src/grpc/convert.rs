//! Messages to commands and queries, and entries to messages. Pure; whatever needs no state is
//! refused here.

use bytes::Bytes;
use rpc::v1;
use rpc::v1::append_request::Id;
use rpc::v1::trim;
use streams::command::{Add, AddId, Command, Keep, References, Trim};
use streams::id::EntryId;
use streams::reply::Entry;

use super::error::Failure;
use super::limits::APPEND_ROOM_BYTES;

/// An append as a command, if it can be one.
pub(super) fn append(
    request: v1::AppendRequest,
    entry_bytes_max: usize,
) -> Result<Command, Failure> {
    let key = stream_key(request.stream)?;
    let id = match request.id {
        None => AddId::Auto,
        Some(Id::Ms(ms)) => AddId::Ms(ms),
        Some(Id::ExactId(id)) if (id.ms, id.seq) == (0, 0) => {
            return Err(Failure::invalid("ID_ZERO", "the smallest id of an entry is 0-1"));
        }
        Some(Id::ExactId(id)) => AddId::Exact(entry_id(id)),
    };
    let bytes = fields_bytes(&request.fields);
    if bytes > entry_bytes_max {
        let message = format!("the entry has {bytes} bytes, {entry_bytes_max} are allowed");
        return Err(Failure::invalid("ENTRY_TOO_BIG", message));
    }
    if request.fields.is_empty() {
        return Err(Failure::invalid("NO_FIELDS", "an entry has at least one field"));
    }
    let fields = request.fields.into_iter().flat_map(|field| [field.name, field.value]).collect();
    let trim = request.trim.map(trimming).transpose()?;
    Ok(Command::Add(Add { key, id, fields, must_exist: request.must_exist, trim, once: None }))
}

/// The key of a stream.
pub(super) fn stream_key(key: Bytes) -> Result<Bytes, Failure> {
    if key.is_empty() {
        return Err(Failure::invalid("NO_STREAM", "name the stream"));
    }
    Ok(key)
}

fn trimming(trim: v1::Trim) -> Result<Trim, Failure> {
    let keep = match trim.keep {
        Some(trim::Keep::Newest(count)) => Keep::Newest(count),
        Some(trim::Keep::From(id)) => Keep::From(entry_id(id)),
        None => return Err(Failure::invalid("NO_KEEP", "say what the trim keeps")),
    };
    if trim.limit.is_some() && !trim.approximate {
        return Err(Failure::invalid("LIMIT_EXACT", "a trim with a limit is approximate"));
    }
    let (approximate, limit, references) = (trim.approximate, trim.limit, References::Keep);
    Ok(Trim { keep, approximate, limit, references })
}

/// What an append holds in memory until it is answered, about.
pub(super) fn append_bytes(request: &v1::AppendRequest) -> usize {
    APPEND_ROOM_BYTES
        + request.stream.len()
        + fields_bytes(&request.fields)
        + request.fields.len() * size_of::<v1::Field>()
}

fn fields_bytes(fields: &[v1::Field]) -> usize {
    fields.iter().map(|field| field.name.len() + field.value.len()).sum()
}

pub(super) fn entry_id(id: v1::EntryId) -> EntryId {
    EntryId::new(id.ms, id.seq)
}

pub(super) fn id_message(id: EntryId) -> v1::EntryId {
    v1::EntryId { ms: id.ms, seq: id.seq }
}

/// An entry as a message; `None` for one that is gone.
pub(super) fn entry_message(entry: Entry) -> Option<v1::Entry> {
    let mut parts = entry.fields?.into_iter();
    let mut fields = Vec::with_capacity(parts.len() / 2);
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        fields.push(v1::Field { name, value });
    }
    Some(v1::Entry { id: Some(id_message(entry.id)), fields })
}

/// Bytes of an entry's message, about.
pub(super) fn entry_bytes(entry: &v1::Entry) -> usize {
    const ID_BYTES: usize = 24;
    const FIELD_BYTES: usize = 12;
    ID_BYTES + fields_bytes(&entry.fields) + FIELD_BYTES * entry.fields.len()
}
