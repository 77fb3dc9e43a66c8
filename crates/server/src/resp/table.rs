//! Every command in one sorted table: name, arity, keys, flags, who answers, and what it is for.
//! `COMMAND`, arity errors and dispatch all read it. Never a second list.

use bytes::Bytes;
use streams::command::{Command, ReadGroup};
use streams::query::Query;

use super::absent;
use super::door::Door;
use super::error::SyntaxError;
use super::session::Turn;
use crate::commands::config::Choice;
use crate::commands::wait::Wanted;
use crate::commands::xread::MayBlock;
use crate::commands::{
    Args, acl, client, cluster, command, config, connection, expire, info, keys, latency, multi,
    object, pubsub, rename, scan, server, slowlog, wait, xack, xadd, xautoclaim, xcfgset, xclaim,
    xdel, xdelex, xgroup, xinfo, xlen, xnack, xpending, xrange, xread, xsetid, xtrim,
};
use crate::dispatch::SlotQuestion;

/// One command.
pub(crate) struct Spec {
    /// Upper case.
    pub(crate) name: &'static str,
    /// Arguments, the name included (and a subcommand's both names): so many, or at least so many
    /// where negative.
    pub(crate) arity: i32,
    pub(crate) keys: Keys,
    pub(crate) flags: Flags,
    pub(crate) run: Run,
    pub(crate) doc: &'static Doc,
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Who answers.
pub(crate) enum Run {
    /// This connection, at once.
    Local(fn(&mut Turn<'_>, Args<'_>) -> Result<(), SyntaxError>),
    /// The state of the shards that the query is about, behind a read barrier.
    Read(fn(Args<'_>) -> Result<Query, SyntaxError>),
    /// The log of the shards that the command is about.
    Write(fn(Args<'_>) -> Result<Command, SyntaxError>),
    /// The same, waiting where there is nothing, if the client says so.
    ReadAlone(fn(Args<'_>) -> MayBlock<Query>),
    /// The state first, and the log where there is something to deliver; may wait, too.
    ReadGroup(fn(Args<'_>) -> MayBlock<ReadGroup>),
    /// The disks of the replicas of what this connection wrote.
    Hold(fn(Args<'_>) -> Result<Wanted, SyntaxError>),
    /// This port, and for what is chosen for the whole cluster, the meta group.
    Choose(fn(&Door, Args<'_>) -> Result<Choice, SyntaxError>),
    /// The keys of one slot.
    InSlot(fn(Args<'_>) -> Result<SlotQuestion, SyntaxError>),
    /// This connection, by what it has queued.
    Transact(Control),
    /// A subcommand of these.
    Container(&'static [Spec]),
}

/// What controls a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
}

/// Where a command's keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    None,
    /// One, at this position.
    At(usize),
    /// Two, from this position on.
    Both(usize),
    /// All from this position on.
    From(usize),
    /// The first half of what follows STREAMS.
    Streams,
}

impl Keys {
    /// The keys of a request.
    pub(crate) fn of(self, args: &[Bytes]) -> &[Bytes] {
        match self {
            Self::None => &[],
            Self::At(at) => args.get(at..=at).unwrap_or_default(),
            Self::Both(at) => args.get(at..at + 2).unwrap_or_default(),
            Self::From(from) => args.get(from..).unwrap_or_default(),
            Self::Streams => xread::keys(args),
        }
    }
}

/// What `COMMAND INFO` says of a command beyond what follows from `run`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) fast: bool,
    /// Takes memory: refused where there is none.
    pub(crate) deny_oom: bool,
    pub(crate) blocking: bool,
    /// May be asked before authentication.
    pub(crate) no_auth: bool,
    /// Concerns the node, or other clients.
    pub(crate) admin: bool,
}

const NONE: Flags =
    Flags { fast: false, deny_oom: false, blocking: false, no_auth: false, admin: false };
const ADMIN: Flags = Flags { admin: true, ..NONE };
const FAST: Flags = Flags { fast: true, ..NONE };
const OOM: Flags = Flags { deny_oom: true, ..NONE };
const FAST_OOM: Flags = Flags { fast: true, ..OOM };
const BLOCKING: Flags = Flags { blocking: true, ..NONE };
const NO_AUTH: Flags = Flags { fast: true, no_auth: true, ..NONE };

/// What `COMMAND DOCS` says.
pub(crate) struct Doc {
    pub(crate) summary: &'static str,
    pub(crate) group: Group,
    /// The version of Redis that had it first.
    pub(crate) since: &'static str,
    pub(crate) complexity: &'static str,
}

/// The family of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Cluster,
    Connection,
    Generic,
    PubSub,
    Server,
    Stream,
    Transactions,
}

impl Group {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Connection => "connection",
            Self::Generic => "generic",
            Self::PubSub => "pubsub",
            Self::Server => "server",
            Self::Stream => "stream",
            Self::Transactions => "transactions",
        }
    }
}

const fn spec(
    name: &'static str,
    arity: i32,
    keys: Keys,
    flags: Flags,
    run: Run,
    doc: &'static Doc,
) -> Spec {
    Spec { name, arity, keys, flags, run, doc }
}

use Keys::{At, Both, From, Streams};
use Run::{Choose, Container, Local, Read, Transact, Write};

#[rustfmt::skip]
static COMMANDS: &[Spec] = &[
    //   name         arity keys         flags     run                         doc
    spec("ACL",          -2, Keys::None, NONE,     Container(ACL),             &acl::DOC),
    spec("ASKING",        1, Keys::None, FAST,     Local(cluster::asking),     &cluster::ASKING),
    spec("AUTH",         -2, Keys::None, NO_AUTH,  Local(connection::auth),    &connection::AUTH),
    spec("BGSAVE",       -1, Keys::None, ADMIN,    Local(server::save_in_background), &server::BGSAVE),
    spec("CLIENT",       -2, Keys::None, NONE,     Container(CLIENT),          &client::DOC),
    spec("CLUSTER",      -2, Keys::None, NONE,     Container(CLUSTER),         &cluster::DOC),
    spec("COMMAND",      -1, Keys::None, NONE,     Container(COMMAND),         &command::DOC),
    spec("CONFIG",       -2, Keys::None, NONE,     Container(CONFIG),          &config::DOC),
    spec("COPY",         -3, Both(1),    NONE,     Write(rename::copy),        &rename::COPY),
    spec("DBSIZE",        1, Keys::None, FAST,     Read(keys::count),          &keys::DBSIZE),
    spec("DEBUG",        -2, Keys::None, ADMIN,    Container(DEBUG),           &server::DEBUG),
    spec("DEL",          -2, From(1),    NONE,     Write(keys::remove),        &keys::DEL),
    spec("DISCARD",       1, Keys::None, FAST,     Transact(Control::Discard), &multi::DISCARD),
    spec("ECHO",          2, Keys::None, FAST,     Local(connection::echo),    &connection::ECHO),
    spec("EXEC",          1, Keys::None, NONE,     Transact(Control::Exec),    &multi::EXEC),
    spec("EXISTS",       -2, From(1),    FAST,     Read(keys::exists),         &keys::EXISTS),
    spec("EXPIRE",       -3, At(1),      FAST,     Write(expire::expire),      &expire::EXPIRE),
    spec("EXPIREAT",     -3, At(1),      FAST,     Write(expire::expire_at),   &expire::EXPIREAT),
    spec("EXPIRETIME",    2, At(1),      FAST,     Read(expire::time),         &expire::EXPIRETIME),
    spec("FLUSHALL",     -1, Keys::None, NONE,     Write(rename::flush),       &rename::FLUSHALL),
    spec("FLUSHDB",      -1, Keys::None, NONE,     Write(rename::flush),       &rename::FLUSHDB),
    spec("FUNCTION",     -2, Keys::None, NONE,     Container(FUNCTION),        &server::FUNCTION),
    spec("HELLO",        -1, Keys::None, NO_AUTH,  Local(connection::hello),   &connection::HELLO),
    spec("INFO",         -1, Keys::None, NONE,     Local(info::info),          &info::DOC),
    spec("KEYS",          2, Keys::None, NONE,     Read(scan::keys),           &scan::KEYS),
    spec("LASTSAVE",      1, Keys::None, FAST,     Local(server::last_save),   &server::LASTSAVE),
    spec("LATENCY",      -2, Keys::None, NONE,     Container(LATENCY),         &latency::DOC),
    spec("MEMORY",       -2, Keys::None, NONE,     Container(MEMORY),          &object::MEMORY),
    spec("MODULE",       -2, Keys::None, NONE,     Container(MODULE),          &server::MODULE),
    spec("MONITOR",       1, Keys::None, ADMIN,    Local(server::monitor),     &server::MONITOR),
    spec("MULTI",         1, Keys::None, FAST,     Transact(Control::Multi),   &multi::MULTI),
    spec("OBJECT",       -2, Keys::None, NONE,     Container(OBJECT),          &object::OBJECT),
    spec("PERSIST",       2, At(1),      FAST,     Write(expire::persist),     &expire::PERSIST),
    spec("PEXPIRE",      -3, At(1),      FAST,     Write(expire::expire_ms),   &expire::PEXPIRE),
    spec("PEXPIREAT",    -3, At(1),      FAST,     Write(expire::expire_at_ms), &expire::PEXPIREAT),
    spec("PEXPIRETIME",   2, At(1),      FAST,     Read(expire::time_ms),      &expire::PEXPIRETIME),
    spec("PING",         -1, Keys::None, FAST,     Local(connection::ping),    &connection::PING),
    spec("PSUBSCRIBE",   -2, Keys::None, NONE,     Local(pubsub::subscribe_by_pattern), &pubsub::PSUBSCRIBE),
    spec("PTTL",          2, At(1),      FAST,     Read(expire::ttl_ms),       &expire::PTTL),
    spec("PUBLISH",       3, Keys::None, FAST,     Local(pubsub::publish),     &pubsub::PUBLISH),
    spec("PUBSUB",       -2, Keys::None, NONE,     Container(PUBSUB),          &pubsub::PUBSUB),
    spec("PUNSUBSCRIBE", -1, Keys::None, NONE,     Local(pubsub::unsubscribe_by_pattern), &pubsub::PUNSUBSCRIBE),
    spec("QUIT",         -1, Keys::None, NO_AUTH,  Local(connection::quit),    &connection::QUIT),
    spec("RANDOMKEY",     1, Keys::None, NONE,     Read(scan::random_key),     &scan::RANDOMKEY),
    spec("READONLY",      1, Keys::None, FAST,     Local(cluster::read_only),  &cluster::READONLY),
    spec("READWRITE",     1, Keys::None, FAST,     Local(cluster::read_write), &cluster::READWRITE),
    spec("RENAME",        3, Both(1),    NONE,     Write(rename::rename),      &rename::RENAME),
    spec("RENAMENX",      3, Both(1),    FAST,     Write(rename::rename_nx),   &rename::RENAMENX),
    spec("RESET",         1, Keys::None, NO_AUTH,  Local(connection::reset),   &connection::RESET),
    spec("ROLE",          1, Keys::None, FAST,     Local(server::role),        &server::ROLE),
    spec("SAVE",          1, Keys::None, ADMIN,    Local(server::save),        &server::SAVE),
    spec("SCAN",         -2, Keys::None, NONE,     Read(scan::scan),           &scan::SCAN),
    spec("SELECT",        2, Keys::None, FAST,     Local(connection::select),  &connection::SELECT),
    spec("SHUTDOWN",     -1, Keys::None, ADMIN,    Local(server::shut_down),   &server::SHUTDOWN),
    spec("SLOWLOG",      -2, Keys::None, NONE,     Container(SLOWLOG),         &slowlog::DOC),
    spec("SPUBLISH",      3, Keys::None, FAST,     Local(pubsub::publish_sharded), &pubsub::SPUBLISH),
    spec("SSUBSCRIBE",   -2, Keys::None, NONE,     Local(pubsub::subscribe_sharded), &pubsub::SSUBSCRIBE),
    spec("SUBSCRIBE",    -2, Keys::None, NONE,     Local(pubsub::subscribe),   &pubsub::SUBSCRIBE),
    spec("SUNSUBSCRIBE", -1, Keys::None, NONE,     Local(pubsub::unsubscribe_sharded), &pubsub::SUNSUBSCRIBE),
    spec("TIME",          1, Keys::None, FAST,     Local(info::time),          &info::TIME),
    spec("TOUCH",        -2, From(1),    FAST,     Read(keys::exists),         &keys::TOUCH),
    spec("TTL",           2, At(1),      FAST,     Read(expire::ttl),          &expire::TTL),
    spec("TYPE",          2, At(1),      FAST,     Read(keys::type_of),        &keys::TYPE),
    spec("UNLINK",       -2, From(1),    FAST,     Write(keys::remove),        &keys::UNLINK),
    spec("UNSUBSCRIBE",  -1, Keys::None, NONE,     Local(pubsub::unsubscribe), &pubsub::UNSUBSCRIBE),
    spec("UNWATCH",       1, Keys::None, FAST,     Transact(Control::Unwatch), &multi::UNWATCH),
    spec("WAIT",          3, Keys::None, BLOCKING, Run::Hold(wait::wait),      &wait::WAIT),
    spec("WAITAOF",       4, Keys::None, BLOCKING, Run::Hold(wait::wait_aof),  &wait::WAITAOF),
    spec("WATCH",        -2, From(1),    FAST,     Transact(Control::Watch),   &multi::WATCH),
    spec("XACK",         -4, At(1),      FAST,     Write(xack::parse),         &xack::DOC),
    spec("XACKDEL",      -6, At(1),      FAST,     Write(xdelex::ack_delete),  &xdelex::XACKDEL),
    spec("XADD",         -5, At(1),      FAST_OOM, Write(xadd::parse),         &xadd::DOC),
    spec("XAUTOCLAIM",   -6, At(1),      FAST,     Write(xautoclaim::parse),   &xautoclaim::DOC),
    spec("XCFGSET",      -2, At(1),      FAST,     Write(xcfgset::parse),      &xcfgset::DOC),
    spec("XCLAIM",       -6, At(1),      FAST,     Write(xclaim::parse),       &xclaim::DOC),
    spec("XDEL",         -3, At(1),      FAST,     Write(xdel::parse),         &xdel::DOC),
    spec("XDELEX",       -5, At(1),      FAST,     Write(xdelex::delete),      &xdelex::XDELEX),
    spec("XGROUP",       -2, Keys::None, NONE,     Container(XGROUP),          &xgroup::DOC),
    spec("XINFO",        -2, Keys::None, NONE,     Container(XINFO),           &xinfo::DOC),
    spec("XLEN",          2, At(1),      FAST,     Read(xlen::parse),          &xlen::DOC),
    spec("XNACK",        -7, At(1),      FAST,     Write(xnack::parse),        &xnack::DOC),
    spec("XPENDING",     -3, At(1),      NONE,     Read(xpending::parse),      &xpending::DOC),
    spec("XRANGE",       -4, At(1),      NONE,     Read(xrange::forward),      &xrange::XRANGE),
    spec("XREAD",        -4, Streams,    BLOCKING, Run::ReadAlone(xread::read),          &xread::XREAD),
    spec("XREADGROUP",   -7, Streams,    BLOCKING, Run::ReadGroup(xread::read_group), &xread::XREADGROUP),
    spec("XREVRANGE",    -4, At(1),      NONE,     Read(xrange::reverse),      &xrange::XREVRANGE),
    spec("XSETID",       -3, At(1),      FAST_OOM, Write(xsetid::parse),       &xsetid::DOC),
    spec("XTRIM",        -4, At(1),      NONE,     Write(xtrim::parse),        &xtrim::DOC),
];

#[rustfmt::skip]
static CLIENT: &[Spec] = &[
    spec("CACHING",        3, Keys::None, NONE,    Local(client::caching),          &client::CACHING),
    spec("GETNAME",        2, Keys::None, FAST,    Local(client::get_name),         &client::GETNAME),
    spec("GETREDIR",       2, Keys::None, FAST,    Local(client::get_redirection),  &client::GETREDIR),
    spec("HELP",           2, Keys::None, NONE,    Local(client::help),             &command::HELP_DOC),
    spec("ID",             2, Keys::None, FAST,    Local(client::id),               &client::ID),
    spec("INFO",           2, Keys::None, NONE,    Local(client::info),             &client::INFO),
    spec("KILL",          -3, Keys::None, NONE,    Local(client::kill),             &client::KILL),
    spec("LIST",          -2, Keys::None, NONE,    Local(client::list),             &client::LIST),
    spec("NO-EVICT",       3, Keys::None, FAST,    Local(client::on_off),           &client::NO_EVICT),
    spec("NO-TOUCH",       3, Keys::None, FAST,    Local(client::on_off),           &client::NO_TOUCH),
    spec("PAUSE",         -3, Keys::None, NONE,    Local(client::pause),            &client::PAUSE),
    spec("REPLY",          3, Keys::None, FAST,    Local(client::reply),            &client::REPLY),
    spec("SETINFO",        4, Keys::None, FAST,    Local(client::set_info),         &client::SETINFO),
    spec("SETNAME",        3, Keys::None, FAST,    Local(client::set_name),         &client::SETNAME),
    spec("TRACKING",      -3, Keys::None, NONE,    Local(client::tracking),         &client::TRACKING),
    spec("TRACKINGINFO",   2, Keys::None, NONE,    Local(client::tracking_info),    &client::TRACKINGINFO),
    spec("UNBLOCK",       -3, Keys::None, NONE,    Local(client::unblock),          &client::UNBLOCK),
    spec("UNPAUSE",        2, Keys::None, NONE,    Local(client::unpause),          &client::UNPAUSE),
];

#[rustfmt::skip]
static CLUSTER: &[Spec] = &[
    spec("COUNTKEYSINSLOT", 3, Keys::None, NONE,   Run::InSlot(cluster::count_keys),   &cluster::COUNTKEYSINSLOT),
    spec("GETKEYSINSLOT", 4, Keys::None, NONE,     Run::InSlot(cluster::get_keys),     &cluster::GETKEYSINSLOT),
    spec("HELP",          2, Keys::None, NONE,     Local(cluster::help),       &cluster::HELP_DOC),
    spec("INFO",          2, Keys::None, NONE,     Local(cluster::info),       &cluster::INFO),
    spec("KEYSLOT",       3, Keys::None, NONE,     Local(cluster::key_slot),   &cluster::KEYSLOT),
    spec("LINKS",         2, Keys::None, NONE,     Local(cluster::links),      &cluster::LINKS),
    spec("MYID",          2, Keys::None, NONE,     Local(cluster::my_id),      &cluster::MYID),
    spec("MYSHARDID",     2, Keys::None, NONE,     Local(cluster::my_shard_id), &cluster::MYSHARDID),
    spec("NODES",         2, Keys::None, NONE,     Local(cluster::nodes),      &cluster::NODES),
    spec("SHARDS",        2, Keys::None, NONE,     Local(cluster::shards),     &cluster::SHARDS),
    spec("SLOTS",         2, Keys::None, NONE,     Local(cluster::slots),      &cluster::SLOTS),
];

#[rustfmt::skip]
static COMMAND: &[Spec] = &[
    spec("COUNT",         2, Keys::None, NONE,     Local(command::count),      &command::COUNT),
    spec("DOCS",         -2, Keys::None, NONE,     Local(command::docs),       &command::DOCS),
    spec("GETKEYS",      -3, Keys::None, NONE,     Local(command::get_keys),   &command::GETKEYS),
    spec("GETKEYSANDFLAGS", -3, Keys::None, NONE,  Local(command::get_keys_and_flags), &command::GETKEYSANDFLAGS),
    spec("HELP",          2, Keys::None, NONE,     Local(command::help),       &command::HELP_DOC),
    spec("INFO",         -2, Keys::None, NONE,     Local(command::info),       &command::INFO),
    spec("LIST",         -2, Keys::None, NONE,     Local(command::list),       &command::LIST),
];

#[rustfmt::skip]
static CONFIG: &[Spec] = &[
    spec("GET",          -3, Keys::None, NONE,     Local(config::get),         &config::GET),
    spec("HELP",          2, Keys::None, NONE,     Local(config::help),        &command::HELP_DOC),
    spec("RESETSTAT",     2, Keys::None, NONE,     Local(config::reset_statistics), &config::RESETSTAT),
    spec("REWRITE",       2, Keys::None, NONE,     Local(config::rewrite),     &config::REWRITE),
    spec("SET",          -4, Keys::None, NONE,     Choose(config::set),        &config::SET),
];

#[rustfmt::skip]
static MEMORY: &[Spec] = &[
    spec("DOCTOR",        2, Keys::None, NONE,     Local(object::doctor),      &object::DOCTOR),
    spec("HELP",          2, Keys::None, NONE,     Local(object::memory_help), &command::HELP_DOC),
    spec("USAGE",        -3, At(2),      NONE,     Read(object::usage),        &object::USAGE),
];

#[rustfmt::skip]
static OBJECT: &[Spec] = &[
    spec("ENCODING",      3, At(2),      NONE,     Read(object::encoding),     &object::ENCODING),
    spec("FREQ",          3, At(2),      NONE,     Read(object::frequency),    &object::FREQ),
    spec("HELP",          2, Keys::None, NONE,     Local(object::object_help), &command::HELP_DOC),
    spec("IDLETIME",      3, At(2),      NONE,     Read(object::idle_time),    &object::IDLETIME),
    spec("REFCOUNT",      3, At(2),      NONE,     Read(object::references),   &object::REFCOUNT),
];

#[rustfmt::skip]
static ACL: &[Spec] = &[
    spec("CAT",          -2, Keys::None, NONE,     Local(acl::categories_or_commands), &acl::CAT),
    spec("GETUSER",       3, Keys::None, ADMIN,    Local(acl::get_user),       &acl::GETUSER),
    spec("HELP",          2, Keys::None, NONE,     Local(acl::help),           &command::HELP_DOC),
    spec("LIST",          2, Keys::None, ADMIN,    Local(acl::list),           &acl::LIST),
    spec("USERS",         2, Keys::None, ADMIN,    Local(acl::users),          &acl::USERS),
    spec("WHOAMI",        2, Keys::None, NONE,     Local(acl::who_am_i),       &acl::WHOAMI),
];

#[rustfmt::skip]
static DEBUG: &[Spec] = &[
    spec("HELP",          2, Keys::None, NONE,     Local(server::debug_help),  &command::HELP_DOC),
    spec("SLEEP",         3, Keys::None, ADMIN,    Local(server::debug_sleep), &server::DEBUG_SLEEP),
];

#[rustfmt::skip]
static FUNCTION: &[Spec] = &[
    spec("FLUSH",        -2, Keys::None, NONE,     Local(server::function_flush), &server::FUNCTION_FLUSH),
    spec("HELP",          2, Keys::None, NONE,     Local(server::function_help), &command::HELP_DOC),
    spec("LIST",         -2, Keys::None, NONE,     Local(server::nothing),     &server::FUNCTION_LIST),
];

#[rustfmt::skip]
static LATENCY: &[Spec] = &[
    spec("DOCTOR",        2, Keys::None, ADMIN,    Local(latency::doctor),     &latency::DOCTOR),
    spec("HELP",          2, Keys::None, NONE,     Local(latency::help),       &command::HELP_DOC),
    spec("HISTOGRAM",    -2, Keys::None, ADMIN,    Local(latency::histogram),  &latency::HISTOGRAM),
    spec("HISTORY",       3, Keys::None, ADMIN,    Local(latency::history),    &latency::HISTORY),
    spec("LATEST",        2, Keys::None, ADMIN,    Local(latency::latest),     &latency::LATEST),
    spec("RESET",        -2, Keys::None, ADMIN,    Local(latency::reset),      &latency::RESET),
];

#[rustfmt::skip]
static MODULE: &[Spec] = &[
    spec("HELP",          2, Keys::None, NONE,     Local(server::module_help), &command::HELP_DOC),
    spec("LIST",          2, Keys::None, ADMIN,    Local(server::nothing),     &server::MODULE_LIST),
];

#[rustfmt::skip]
static PUBSUB: &[Spec] = &[
    spec("CHANNELS",     -2, Keys::None, NONE,     Local(pubsub::channels),    &pubsub::CHANNELS),
    spec("HELP",          2, Keys::None, NONE,     Local(pubsub::help),        &command::HELP_DOC),
    spec("NUMPAT",        2, Keys::None, NONE,     Local(pubsub::patterns_count), &pubsub::NUMPAT),
    spec("NUMSUB",       -2, Keys::None, NONE,     Local(pubsub::listeners_count), &pubsub::NUMSUB),
    spec("SHARDCHANNELS", -2, Keys::None, NONE,    Local(pubsub::shard_channels), &pubsub::SHARDCHANNELS),
    spec("SHARDNUMSUB",  -2, Keys::None, NONE,     Local(pubsub::shard_listeners_count), &pubsub::SHARDNUMSUB),
];

#[rustfmt::skip]
static SLOWLOG: &[Spec] = &[
    spec("GET",          -2, Keys::None, ADMIN,    Local(slowlog::get),        &slowlog::GET),
    spec("HELP",          2, Keys::None, NONE,     Local(slowlog::help),       &command::HELP_DOC),
    spec("LEN",           2, Keys::None, ADMIN,    Local(slowlog::count),      &slowlog::LEN),
    spec("RESET",         2, Keys::None, ADMIN,    Local(slowlog::reset),      &slowlog::RESET),
];

#[rustfmt::skip]
static XGROUP: &[Spec] = &[
    spec("CREATE",         -5, At(2),    OOM,      Write(xgroup::create),          &xgroup::CREATE),
    spec("CREATECONSUMER",  5, At(2),    OOM,      Write(xgroup::create_consumer), &xgroup::CREATECONSUMER),
    spec("DELCONSUMER",     5, At(2),    NONE,     Write(xgroup::delete_consumer), &xgroup::DELCONSUMER),
    spec("DESTROY",         4, At(2),    NONE,     Write(xgroup::destroy),         &xgroup::DESTROY),
    spec("HELP",            2, Keys::None, NONE,   Local(command::xgroup_help),    &command::HELP_DOC),
    spec("SETID",          -5, At(2),    NONE,     Write(xgroup::set_id),          &xgroup::SETID),
];

#[rustfmt::skip]
static XINFO: &[Spec] = &[
    spec("CONSUMERS",     4, At(2),      NONE,     Read(xinfo::consumers),     &xinfo::CONSUMERS),
    spec("GROUPS",        3, At(2),      NONE,     Read(xinfo::groups),        &xinfo::GROUPS),
    spec("HELP",          2, Keys::None, NONE,     Local(command::xinfo_help), &command::HELP_DOC),
    spec("STREAM",       -3, At(2),      NONE,     Read(xinfo::stream),        &xinfo::STREAM),
];

/// Every command, by name.
pub(crate) fn all() -> &'static [Spec] {
    COMMANDS
}

/// Every row, containers' subcommands behind them.
pub(crate) fn rows() -> impl Iterator<Item = &'static Spec> {
    COMMANDS.iter().flat_map(|spec| {
        let subcommands = match spec.run {
            Container(subcommands) => subcommands,
            _ => &[],
        };
        std::iter::once(spec).chain(subcommands)
    })
}

/// The row of this path, `xadd` or `xgroup|create`.
pub(crate) fn by_path(path: &str) -> Option<&'static Spec> {
    let (name, sub) = path.split_once('|').map_or((path, None), |(name, sub)| (name, Some(sub)));
    let spec = lookup(COMMANDS, name.as_bytes())?;
    match (&spec.run, sub) {
        (_, None) => Some(spec),
        (Container(subcommands), Some(sub)) => lookup(subcommands, sub.as_bytes()),
        _ => None,
    }
}

/// The row that a request is about, its subcommand's where it has any; or in Redis's words and
/// order that there is none, or that it takes another number of arguments.
pub(crate) fn find(args: &[Bytes]) -> Result<&'static Spec, SyntaxError> {
    let (name, rest) = args.split_first().ok_or(SyntaxError::Syntax)?;
    let found = lookup(COMMANDS, name).ok_or_else(|| match absent::why(name) {
        Some(why) => SyntaxError::AbsentCommand { name: super::Echo::new(name), why },
        None => SyntaxError::UnknownCommand {
            name: super::Echo::new(name),
            args: super::Echo::list(rest),
        },
    })?;
    match (&found.run, rest.first()) {
        (Container(subcommands), Some(name)) => {
            let found_there = lookup(subcommands, name).ok_or_else(|| {
                let (container, name) = (found.name, super::Echo::new(name));
                SyntaxError::UnknownSubcommand { container, name }
            })?;
            check_arity(found_there, Some(found), args)?;
            Ok(found_there)
        }
        // Only COMMAND may come alone: it describes all commands, as COMMAND INFO does.
        (Container(subcommands), None) if found.takes(args.len()) => {
            lookup(subcommands, b"INFO").ok_or(SyntaxError::Syntax)
        }
        _ => {
            check_arity(found, None, args)?;
            Ok(found)
        }
    }
}

/// Whether a client that listens, in a protocol where it hears nothing else, may ask this.
pub(super) fn is_for_listeners(spec: &Spec) -> bool {
    spec.name.ends_with("SUBSCRIBE") || matches!(spec.name, "PING" | "QUIT" | "RESET")
}

/// The row of this name, in any case.
pub(crate) fn lookup(specs: &'static [Spec], name: &[u8]) -> Option<&'static Spec> {
    let upper = |byte: &u8| byte.to_ascii_uppercase();
    let at = specs.binary_search_by(|spec| spec.name.bytes().cmp(name.iter().map(upper)));
    at.ok().map(|at| &specs[at])
}

fn check_arity(spec: &Spec, container: Option<&Spec>, args: &[Bytes]) -> Result<(), SyntaxError> {
    if spec.takes(args.len()) {
        return Ok(());
    }
    Err(SyntaxError::Arity(spec.full_name(container)))
}

impl Spec {
    /// Whether so many arguments are right.
    pub(crate) fn takes(&self, args_count: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { args_count >= wanted } else { args_count == wanted }
    }

    /// The same of any row, whose container is looked for.
    pub(crate) fn path(&self) -> String {
        let is_here = |spec: &&Spec| match spec.run {
            Container(subcommands) => subcommands.iter().any(|sub| std::ptr::eq(sub, self)),
            _ => false,
        };
        self.full_name(COMMANDS.iter().find(is_here))
    }

    /// `xgroup|create`, as Redis names a command to clients.
    pub(crate) fn full_name(&self, container: Option<&Spec>) -> String {
        let name = self.name.to_ascii_lowercase();
        match container {
            Some(container) => format!("{}|{name}", container.name.to_ascii_lowercase()),
            None => name,
        }
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
pub(crate) use fuzz::Little;
#[cfg(test)]
mod tests;
