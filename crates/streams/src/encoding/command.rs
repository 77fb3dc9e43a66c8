//! Commands as bytes: a tag, then the fields in the order of the type.

use bytes::Bytes;

use crate::code::{Put, Reader};
use crate::command::{
    Add, AddId, AutoClaim, Claim, Command, Delivered, GroupStart, Keep, Most, Nack, NackMode,
    Producer, ReadFrom, ReadGroup, References, Trim,
};
use crate::error::Fault;

use super::keys;

const VERSION: u8 = 1;

/// The first byte of a command. Never used again for something else.
mod tag {
    pub(super) const ADD: u8 = 1;
    pub(super) const TRIM: u8 = 2;
    pub(super) const DELETE: u8 = 3;
    pub(super) const SET_ID: u8 = 4;
    pub(super) const GROUP_CREATE: u8 = 5;
    pub(super) const GROUP_SET_ID: u8 = 6;
    pub(super) const GROUP_DESTROY: u8 = 7;
    pub(super) const CONSUMER_CREATE: u8 = 8;
    pub(super) const CONSUMER_DELETE: u8 = 9;
    pub(super) const READ_GROUP: u8 = 10;
    pub(super) const ACK: u8 = 11;
    pub(super) const CLAIM: u8 = 12;
    pub(super) const AUTO_CLAIM: u8 = 13;
    pub(super) const REMOVE: u8 = 14;
    pub(super) const VOID: u8 = 15;
    pub(super) const MISPLACED: u8 = 16;
    pub(super) const READ_GROUP_WITHIN: u8 = 40;
    pub(super) const DELETE_WITH: u8 = 41;
    pub(super) const ACK_DELETE: u8 = 42;
    pub(super) const NACK: u8 = 43;
    pub(super) const CONFIGURE: u8 = 44;
}

impl Command {
    /// Its bytes, alone.
    pub fn encode(&self) -> Bytes {
        let mut buffer = vec![VERSION];
        put_command(&mut buffer, self);
        Bytes::from(buffer)
    }

    /// What [`Command::encode`] gave. A [`Fault`] for anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, Fault> {
        Reader::whole(bytes, "command", VERSION, read_command)
    }
}

pub(super) fn put_command(to: &mut Vec<u8>, command: &Command) {
    match command {
        Command::Add(add) => put_add(to, add),
        Command::Configure { key, duration_ms, ids_max } => {
            put_names(to, tag::CONFIGURE, &[key]);
            to.put_option(*duration_ms, Put::put_number);
            to.put_option(*ids_max, Put::put_number);
        }
        Command::SetId { key, last_id, entries_added, max_deleted_id } => {
            to.put_u8(tag::SET_ID);
            to.put_bytes(key);
            to.put_id(*last_id);
            to.put_option(*entries_added, Put::put_number);
            to.put_option(*max_deleted_id, Put::put_id);
        }
        Command::GroupCreate { key, group, start, make_stream, entries_read } => {
            put_names(to, tag::GROUP_CREATE, &[key, group]);
            put_start(to, *start);
            to.put_bool(*make_stream);
            to.put_option(*entries_read, Put::put_number);
        }
        Command::GroupSetId { key, group, start, entries_read } => {
            put_names(to, tag::GROUP_SET_ID, &[key, group]);
            put_start(to, *start);
            to.put_option(*entries_read, Put::put_number);
        }
        Command::GroupDestroy { key, group } => put_names(to, tag::GROUP_DESTROY, &[key, group]),
        Command::ConsumerCreate { key, group, consumer } => {
            put_names(to, tag::CONSUMER_CREATE, &[key, group, consumer]);
        }
        Command::ConsumerDelete { key, group, consumer } => {
            put_names(to, tag::CONSUMER_DELETE, &[key, group, consumer]);
        }
        Command::ReadGroup(read) => {
            put_tagged_read(to, read, tag::READ_GROUP, tag::READ_GROUP_WITHIN);
        }
        Command::Ack { key, group, ids } => {
            put_names(to, tag::ACK, &[key, group]);
            to.put_list(ids, |to, id| to.put_id(*id));
        }
        Command::Nack(nack) => put_nack(to, nack),
        Command::Claim(claim) => put_claim(to, claim),
        Command::AutoClaim(claim) => {
            put_names(to, tag::AUTO_CLAIM, &[&claim.key, &claim.group, &claim.consumer]);
            to.put_number(claim.min_idle_ms);
            to.put_id(claim.start);
            to.put_number(claim.count);
            to.put_bool(claim.just_id);
        }
        Command::Void => to.put_u8(tag::VOID),
        Command::Misplaced => to.put_u8(tag::MISPLACED),
        _ => put_deletion(to, command),
    }
}

/// The commands that take entries or streams away.
fn put_deletion(to: &mut Vec<u8>, command: &Command) {
    match command {
        Command::Trim { key, trim } => {
            to.put_u8(tag::TRIM);
            to.put_bytes(key);
            put_trim(to, trim);
        }
        Command::Delete { key, ids } => {
            to.put_u8(tag::DELETE);
            to.put_bytes(key);
            to.put_list(ids, |to, id| to.put_id(*id));
        }
        Command::DeleteWith { key, ids, references } => {
            put_names(to, tag::DELETE_WITH, &[key]);
            to.put_list(ids, |to, id| to.put_id(*id));
            put_references(to, *references);
        }
        Command::AckDelete { key, group, ids, references } => {
            put_names(to, tag::ACK_DELETE, &[key, group]);
            to.put_list(ids, |to, id| to.put_id(*id));
            put_references(to, *references);
        }
        Command::Remove { keys } => {
            to.put_u8(tag::REMOVE);
            to.put_list(keys, |to, key| to.put_bytes(key));
        }
        _ => keys::put_command(to, command),
    }
}

pub(super) fn read_command(from: &mut Reader) -> Result<Command, Fault> {
    Ok(match from.u8()? {
        tag::ADD => Command::Add(read_add(from)?),
        tag::TRIM => Command::Trim { key: from.bytes()?, trim: read_trim(from)? },
        tag::DELETE => Command::Delete { key: from.bytes()?, ids: from.list(Reader::id)? },
        tag::SET_ID => Command::SetId {
            key: from.bytes()?,
            last_id: from.id()?,
            entries_added: from.option(Reader::number)?,
            max_deleted_id: from.option(Reader::id)?,
        },
        tag::GROUP_CREATE => Command::GroupCreate {
            key: from.bytes()?,
            group: from.bytes()?,
            start: read_start(from)?,
            make_stream: from.bool()?,
            entries_read: from.option(Reader::number)?,
        },
        tag::GROUP_SET_ID => Command::GroupSetId {
            key: from.bytes()?,
            group: from.bytes()?,
            start: read_start(from)?,
            entries_read: from.option(Reader::number)?,
        },
        tag::GROUP_DESTROY => Command::GroupDestroy { key: from.bytes()?, group: from.bytes()? },
        tag::CONSUMER_CREATE => Command::ConsumerCreate {
            key: from.bytes()?,
            group: from.bytes()?,
            consumer: from.bytes()?,
        },
        tag::CONSUMER_DELETE => Command::ConsumerDelete {
            key: from.bytes()?,
            group: from.bytes()?,
            consumer: from.bytes()?,
        },
        tag::READ_GROUP => Command::ReadGroup(read_read_group(from)?),
        tag::ACK => {
            Command::Ack { key: from.bytes()?, group: from.bytes()?, ids: from.list(Reader::id)? }
        }
        tag::CLAIM => Command::Claim(read_claim(from)?),
        tag::AUTO_CLAIM => Command::AutoClaim(AutoClaim {
            key: from.bytes()?,
            group: from.bytes()?,
            consumer: from.bytes()?,
            min_idle_ms: from.number()?,
            start: from.id()?,
            count: from.number()?,
            just_id: from.bool()?,
        }),
        tag::REMOVE => Command::Remove { keys: from.list(Reader::bytes)? },
        tag::VOID => Command::Void,
        tag::MISPLACED => Command::Misplaced,
        tag => return read_later_command(tag, from),
    })
}

fn read_later_command(tag: u8, from: &mut Reader) -> Result<Command, Fault> {
    Ok(match tag {
        tag::DELETE_WITH => Command::DeleteWith {
            key: from.bytes()?,
            ids: from.list(Reader::id)?,
            references: read_references(from)?,
        },
        tag::ACK_DELETE => Command::AckDelete {
            key: from.bytes()?,
            group: from.bytes()?,
            ids: from.list(Reader::id)?,
            references: read_references(from)?,
        },
        tag::CONFIGURE => Command::Configure {
            key: from.bytes()?,
            duration_ms: from.option(Reader::number)?,
            ids_max: from.option(Reader::number)?,
        },
        tag::NACK => Command::Nack(read_nack(from)?),
        tag::READ_GROUP_WITHIN => Command::ReadGroup(read_read_within(from)?),
        tag => return keys::read_command(tag, from),
    })
}

fn put_names(to: &mut Vec<u8>, tag: u8, names: &[&Bytes]) {
    to.put_u8(tag);
    for name in names {
        to.put_bytes(name);
    }
}

/// The form of an id that is chosen by the state, where a producer gave one of its own.
const ADD_ONCE: u8 = 40;

fn put_add(to: &mut Vec<u8>, add: &Add) {
    to.put_u8(tag::ADD);
    to.put_bytes(&add.key);
    match add.id {
        AddId::Auto => match &add.once {
            None => to.put_u8(1),
            Some(once) => put_names(to, ADD_ONCE, &[&once.name, &once.id]),
        },
        AddId::Ms(ms) => {
            to.put_u8(2);
            to.put_number(ms);
        }
        AddId::Exact(id) => {
            to.put_u8(3);
            to.put_id(id);
        }
    }
    to.put_list(&add.fields, |to, text| to.put_bytes(text));
    to.put_bool(add.must_exist);
    to.put_option(add.trim.as_ref(), put_trim);
}

fn read_add(from: &mut Reader) -> Result<Add, Fault> {
    let key = from.bytes()?;
    let mut once = None;
    let id = match from.u8()? {
        1 => AddId::Auto,
        ADD_ONCE => {
            once = Some(Producer { name: from.bytes()?, id: from.bytes()? });
            AddId::Auto
        }
        2 => AddId::Ms(from.number()?),
        3 => AddId::Exact(from.id()?),
        _ => return Err(from.damaged("unknown form of id")),
    };
    let fields = from.list(Reader::bytes)?;
    if fields.is_empty() || fields.len() % 2 != 0 {
        return Err(from.damaged("fields that aren't pairs"));
    }
    let (must_exist, trim) = (from.bool()?, from.option(read_trim)?);
    Ok(Add { key, id, fields, must_exist, trim, once })
}

fn put_references(to: &mut Vec<u8>, references: References) {
    to.put_u8(match references {
        References::Keep => 1,
        References::Delete => 2,
        References::Acked => 3,
    });
}

fn read_references(from: &mut Reader) -> Result<References, Fault> {
    match from.u8()? {
        1 => Ok(References::Keep),
        2 => Ok(References::Delete),
        3 => Ok(References::Acked),
        _ => Err(from.damaged("unknown way with references")),
    }
}

/// The first bytes of a trim: what it keeps, and before that [`TRIM_WITH`] and what becomes of
/// references where they don't stay.
const TRIM_NEWEST: u8 = 1;
const TRIM_FROM: u8 = 2;
const TRIM_WITH: u8 = 40;

fn put_trim(to: &mut Vec<u8>, trim: &Trim) {
    if trim.references != References::Keep {
        to.put_u8(TRIM_WITH);
        put_references(to, trim.references);
    }
    match trim.keep {
        Keep::Newest(count) => {
            to.put_u8(TRIM_NEWEST);
            to.put_number(count);
        }
        Keep::From(id) => {
            to.put_u8(TRIM_FROM);
            to.put_id(id);
        }
    }
    to.put_bool(trim.approximate);
    to.put_option(trim.limit, Put::put_number);
}

fn read_trim(from: &mut Reader) -> Result<Trim, Fault> {
    let (mut first, mut references) = (from.u8()?, References::Keep);
    if first == TRIM_WITH {
        (references, first) = (read_references(from)?, from.u8()?);
        if references == References::Keep {
            return Err(from.damaged("a trim without what it was tagged for"));
        }
    }
    let keep = match first {
        TRIM_NEWEST => Keep::Newest(from.number()?),
        TRIM_FROM => Keep::From(from.id()?),
        _ => return Err(from.damaged("unknown trim")),
    };
    Ok(Trim { keep, approximate: from.bool()?, limit: from.option(Reader::number)?, references })
}

fn put_start(to: &mut Vec<u8>, start: GroupStart) {
    match start {
        GroupStart::Last => to.put_u8(1),
        GroupStart::After(id) => {
            to.put_u8(2);
            to.put_id(id);
        }
    }
}

fn read_start(from: &mut Reader) -> Result<GroupStart, Fault> {
    match from.u8()? {
        1 => Ok(GroupStart::Last),
        2 => Ok(GroupStart::After(from.id()?)),
        _ => Err(from.damaged("unknown start")),
    }
}

/// A group read that is tagged by whether it has MAXCOUNT, MAXSIZE or CLAIM.
pub(super) fn put_tagged_read(to: &mut Vec<u8>, read: &ReadGroup, plain: u8, within: u8) {
    let is_plain = read.most == Most::default() && read.claim_idle_ms.is_none();
    to.put_u8(if is_plain { plain } else { within });
    put_read_group(to, read);
    if !is_plain {
        put_most(to, read.most);
        to.put_option(read.claim_idle_ms, Put::put_number);
    }
}

/// What [`put_tagged_read`] wrote behind the tag of one that has any of these.
pub(super) fn read_read_within(from: &mut Reader) -> Result<ReadGroup, Fault> {
    let read = read_read_group(from)?;
    let (most, claim_idle_ms) = (read_most(from)?, from.option(Reader::number)?);
    if most == Most::default() && claim_idle_ms.is_none() {
        return Err(from.damaged("a read without what it was tagged for"));
    }
    Ok(ReadGroup { most, claim_idle_ms, ..read })
}

pub(super) fn put_most(to: &mut Vec<u8>, most: Most) {
    to.put_option(most.entries, Put::put_number);
    to.put_option(most.bytes, Put::put_number);
}

pub(super) fn read_most(from: &mut Reader) -> Result<Most, Fault> {
    Ok(Most { entries: from.option(Reader::number)?, bytes: from.option(Reader::number)? })
}

fn put_read_group(to: &mut Vec<u8>, read: &ReadGroup) {
    to.put_bytes(&read.group);
    to.put_bytes(&read.consumer);
    to.put_number(read.count);
    to.put_bool(read.no_ack);
    to.put_list(&read.streams, |to, (key, from)| {
        to.put_bytes(key);
        match from {
            ReadFrom::New => to.put_u8(1),
            ReadFrom::History(id) => {
                to.put_u8(2);
                to.put_id(*id);
            }
        }
    });
}

pub(super) fn read_read_group(from: &mut Reader) -> Result<ReadGroup, Fault> {
    Ok(ReadGroup {
        group: from.bytes()?,
        consumer: from.bytes()?,
        count: from.number()?,
        most: Most::default(),
        no_ack: from.bool()?,
        claim_idle_ms: None,
        streams: from.list(|from| {
            let key = from.bytes()?;
            let wanted = match from.u8()? {
                1 => ReadFrom::New,
                2 => ReadFrom::History(from.id()?),
                _ => return Err(from.damaged("unknown read")),
            };
            Ok((key, wanted))
        })?,
    })
}

fn put_nack(to: &mut Vec<u8>, nack: &Nack) {
    put_names(to, tag::NACK, &[&nack.key, &nack.group]);
    to.put_u8(match nack.mode {
        NackMode::Silent => 1,
        NackMode::Fail => 2,
        NackMode::Fatal => 3,
    });
    to.put_list(&nack.ids, |to, id| to.put_id(*id));
    to.put_option(nack.deliveries, Put::put_number);
    to.put_bool(nack.force);
}

fn read_nack(from: &mut Reader) -> Result<Nack, Fault> {
    Ok(Nack {
        key: from.bytes()?,
        group: from.bytes()?,
        mode: match from.u8()? {
            1 => NackMode::Silent,
            2 => NackMode::Fail,
            3 => NackMode::Fatal,
            _ => return Err(from.damaged("unknown way to give back")),
        },
        ids: from.list(Reader::id)?,
        deliveries: from.option(Reader::number)?,
        force: from.bool()?,
    })
}

fn put_claim(to: &mut Vec<u8>, claim: &Claim) {
    put_names(to, tag::CLAIM, &[&claim.key, &claim.group, &claim.consumer]);
    to.put_number(claim.min_idle_ms);
    to.put_list(&claim.ids, |to, id| to.put_id(*id));
    match claim.delivered {
        None => to.put_u8(0),
        Some(Delivered::IdleMs(ms)) => {
            to.put_u8(1);
            to.put_number(ms);
        }
        Some(Delivered::AtMs(ms)) => {
            to.put_u8(2);
            to.put_number(ms);
        }
    }
    to.put_option(claim.deliveries, Put::put_number);
    to.put_bool(claim.force);
    to.put_bool(claim.just_id);
    to.put_option(claim.last_id, Put::put_id);
}

fn read_claim(from: &mut Reader) -> Result<Claim, Fault> {
    Ok(Claim {
        key: from.bytes()?,
        group: from.bytes()?,
        consumer: from.bytes()?,
        min_idle_ms: from.number()?,
        ids: from.list(Reader::id)?,
        delivered: match from.u8()? {
            0 => None,
            1 => Some(Delivered::IdleMs(from.number()?)),
            2 => Some(Delivered::AtMs(from.number()?)),
            _ => return Err(from.damaged("unknown delivery time")),
        },
        deliveries: from.option(Reader::number)?,
        force: from.bool()?,
        just_id: from.bool()?,
        last_id: from.option(Reader::id)?,
    })
}
