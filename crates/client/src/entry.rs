//! What is appended and what is read.

use bytes::Bytes;
use rpc::v1;
use rpc::v1::append_request::Id;
use rpc::v1::trim::Keep;

use crate::EntryId;

/// An entry to append to a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Append {
    pub stream: Bytes,
    /// At least one. Names may repeat; the order is kept.
    pub fields: Vec<(Bytes, Bytes)>,
    pub id: IdChoice,
    /// Don't make a stream that isn't there: [`crate::Error::NotFound`].
    pub must_exist: bool,
    /// Cuts the head of the stream in the same step.
    pub trim: Option<Trim>,
}

/// How an entry gets its id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdChoice {
    /// From the clock of the cluster and the stream's last id.
    #[default]
    Auto,
    /// These milliseconds, the next free sequence number.
    Ms(u64),
    /// This one; it must be above the stream's last id.
    Exact(EntryId),
}

/// What to cut from the head of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// All but the newest so many entries.
    Newest(u64),
    /// The same, and a little more is left where that is cheaper.
    NewestAbout(u64),
    /// Entries below this id.
    From(EntryId),
    /// The same, and a little more is left where that is cheaper.
    FromAbout(EntryId),
}

impl Append {
    /// An entry for `stream`, without fields yet.
    pub fn to(stream: impl Into<Bytes>) -> Self {
        Self { stream: stream.into(), ..Self::default() }
    }

    /// One more field.
    #[must_use]
    pub fn field(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// With this id, which must be above the stream's last one.
    #[must_use]
    pub fn id(mut self, id: EntryId) -> Self {
        self.id = IdChoice::Exact(id);
        self
    }

    /// Cuts the head of the stream in the same step.
    #[must_use]
    pub fn trim(mut self, trim: Trim) -> Self {
        self.trim = Some(trim);
        self
    }

    /// Names, values and the stream's key, in bytes.
    pub fn bytes(&self) -> usize {
        let fields = self.fields.iter().map(|(name, value)| name.len() + value.len());
        self.stream.len() + fields.sum::<usize>()
    }
}

impl From<Append> for v1::AppendRequest {
    fn from(append: Append) -> Self {
        let fields = append.fields.into_iter();
        Self {
            stream: append.stream,
            fields: fields.map(|(name, value)| v1::Field { name, value }).collect(),
            id: match append.id {
                IdChoice::Auto => None,
                IdChoice::Ms(ms) => Some(Id::Ms(ms)),
                IdChoice::Exact(id) => Some(Id::ExactId(id.into())),
            },
            must_exist: append.must_exist,
            trim: append.trim.map(v1::Trim::from),
        }
    }
}

impl From<Trim> for v1::Trim {
    fn from(trim: Trim) -> Self {
        let (keep, approximate) = match trim {
            Trim::Newest(count) => (Keep::Newest(count), false),
            Trim::NewestAbout(count) => (Keep::Newest(count), true),
            Trim::From(id) => (Keep::From(id.into()), false),
            Trim::FromAbout(id) => (Keep::From(id.into()), true),
        };
        Self { keep: Some(keep), approximate, limit: None }
    }
}

/// An entry of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub id: EntryId,
    /// Names and values, in their order; names may repeat.
    pub fields: Vec<(Bytes, Bytes)>,
}

impl Entry {
    /// The first value under a name.
    pub fn value(&self, name: impl AsRef<[u8]>) -> Option<&Bytes> {
        let wanted = name.as_ref();
        self.fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value)
    }
}

impl From<v1::Entry> for Entry {
    fn from(entry: v1::Entry) -> Self {
        let fields = entry.fields.into_iter().map(|field| (field.name, field.value)).collect();
        Self { id: entry.id.unwrap_or_default().into(), fields }
    }
}

/// What there is to know of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Entries there are now.
    pub length: u64,
    /// Entries ever added.
    pub entries_added: u64,
    pub first_id: Option<EntryId>,
    /// The greatest id ever added or set.
    pub last_id: EntryId,
    /// The greatest id ever deleted; 0-0 where none was.
    pub max_deleted_id: EntryId,
    pub groups: Vec<Group>,
    /// The shard that owns the stream.
    pub shard: u32,
}

/// A group of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub name: Bytes,
    pub consumers_count: u64,
    /// Entries delivered and not yet acknowledged.
    pub pending_count: u64,
    pub last_delivered_id: EntryId,
    /// Entries up to the last delivered one, where that is known.
    pub entries_read: Option<u64>,
    /// Entries still to deliver, where that is known.
    pub lag: Option<u64>,
}

impl From<v1::DescribeResponse> for Description {
    fn from(of: v1::DescribeResponse) -> Self {
        Self {
            length: of.length,
            entries_added: of.entries_added,
            first_id: of.first_id.map(EntryId::from),
            last_id: of.last_id.unwrap_or_default().into(),
            max_deleted_id: of.max_deleted_id.unwrap_or_default().into(),
            groups: of.groups.into_iter().map(Group::from).collect(),
            shard: of.shard,
        }
    }
}

impl From<v1::GroupDescription> for Group {
    fn from(of: v1::GroupDescription) -> Self {
        Self {
            name: of.name,
            consumers_count: of.consumers_count,
            pending_count: of.pending_count,
            last_delivered_id: of.last_delivered_id.unwrap_or_default().into(),
            entries_read: of.entries_read,
            lag: of.lag,
        }
    }
}
