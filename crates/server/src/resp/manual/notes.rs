//! What the table doesn't say of a command: what it takes, and where it differs from Redis and why.
//! Never what is the same.

/// About one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Note {
    /// Its arguments.
    pub(super) takes: &'static str,
    pub(super) differs: &'static str,
}

/// Sorted by name.
#[rustfmt::skip]
static NOTES: &[(&str, &str, &str)] = &[
    ("CLIENT KILL", "<ip:port> | [ID <id>] [ADDR <ip:port>] [LADDR <ip:port>] [TYPE <type>] [USER <name>] [MAXAGE <seconds>] [SKIPME yes|no]", "it reaches the connections of this node."),
    ("CLIENT LIST", "[TYPE normal|master|replica|pubsub] [ID <id> ...]", "it tells of this node."),
    ("CLIENT PAUSE", "<milliseconds> [WRITE|ALL]", "it concerns this node; CLIENT UNPAUSE is never held."),
    ("CLIENT REPLY", "ON|OFF|SKIP", ""),
    ("CLIENT TRACKING", "ON|OFF ...", "turning it on is refused: what clients read is not tracked."),
    ("CLIENT UNBLOCK", "<id> [TIMEOUT|ERROR]", ""),
    ("CLUSTER COUNTKEYSINSLOT", "<slot>", "any node counts, wherever the slot is led."),
    ("CLUSTER GETKEYSINSLOT", "<slot> <count>", "any node lists, wherever the slot is led."),
    ("CLUSTER KEYSLOT", "<key>", ""),
    ("CLUSTER SLOTS", "", "a node may lead some slots and follow others. Where no leader is in reach, the node that is asked names itself: it answers once there is one."),
    ("COMMAND LIST", "[FILTERBY MODULE <name>|ACLCAT <category>|PATTERN <pattern>]", ""),
    ("CONFIG GET", "<pattern> [<pattern> ...]", "what means nothing here is not there."),
    ("CONFIG REWRITE", "", "it is refused: settings stand in the node's own file."),
    ("CONFIG SET", "<name> <value> [<name> <value> ...]", "`stream-node-max-entries` (at most 128), `stream-node-max-bytes` (at most 1 MiB), `stream-idmp-duration`, `stream-idmp-maxsize` and `compat-version` (`newest`, or `7.2` for the shapes of that version) are of the whole cluster and stay; everything else concerns this node until it restarts. What can not change may be set to what it is."),
    ("DEL", "<key> [<key> ...]", "keys of several shards go one shard after the other, each atomically."),
    ("HELLO", "[2|3 [AUTH <user> <password>] [SETNAME <name>]]", ""),
    ("INFO", "[<section> ...]", "figures are those of this node."),
    ("MONITOR", "", "it shows the requests of this node; one that reads too slowly is closed."),
    ("PSUBSCRIBE", "<pattern> [<pattern> ...]", "it hears what is published at any node."),
    ("PUBLISH", "<channel> <message>", "it reaches listeners at every node, and counts those at this node."),
    ("READONLY", "", "reads that may block are answered by the leader all the same."),
    ("SELECT", "0", "there is one database."),
    ("SHUTDOWN", "[NOSAVE|SAVE] [NOW] [FORCE]", "there is nothing to save; the node hands over what it leads first."),
    ("SLOWLOG GET", "[<count>]", "the time is that until the answer, the disks of a majority included."),
    ("SPUBLISH", "<channel> <message>", "channels have no slots: it reaches listeners at every node."),
    ("SSUBSCRIBE", "<channel> [<channel> ...]", "channels have no slots: any node will do."),
    ("SUBSCRIBE", "<channel> [<channel> ...]", "it hears what is published at any node."),
    ("WAIT", "<replicas> <milliseconds>", "every acknowledged write is on a majority already: it asks how many more hold it, on disk."),
    ("WAITAOF", "<0|1> <replicas> <milliseconds>", "the same as WAIT, and the leader's disk always holds it."),
    ("XACK", "<key> <group> <id> [<id> ...]", ""),
    ("XACKDEL", "<key> <group> [KEEPREF|DELREF|ACKED] IDS <count> <id> [<id> ...]", ""),
    ("XADD", "<key> [NOMKSTREAM] [KEEPREF|DELREF|ACKED] [IDMPAUTO <producer> | IDMP <producer> <request>] [MAXLEN|MINID [=|~] <threshold> [LIMIT <count>]] <*|ms-*|id> <field> <value> [<field> <value> ...]", "an entry has at most `entry_bytes_max` bytes. Ids come from the leader's monotonic clock. What a producer sent once is remembered across failovers and restarts, for 86,400 s and 10,000 requests where nothing else is set."),
    ("XAUTOCLAIM", "<key> <group> <consumer> <min-idle-ms> <start> [COUNT <count>] [JUSTID]", ""),
    ("XCFGSET", "<key> [IDMP-DURATION <seconds>] [IDMP-MAXSIZE <requests>]", "what was sent before stays remembered. Where nothing is set, a stream goes by `stream-idmp-duration` and `stream-idmp-maxsize`, which are at their widest by default."),
    ("XCLAIM", "<key> <group> <consumer> <min-idle-ms> <id> [<id> ...] [IDLE <ms>] [TIME <unix-ms>] [RETRYCOUNT <count>] [FORCE] [JUSTID] [LASTID <id>]", ""),
    ("XDEL", "<key> <id> [<id> ...]", ""),
    ("XDELEX", "<key> [KEEPREF|DELREF|ACKED] IDS <count> <id> [<id> ...]", ""),
    ("XGROUP CREATE", "<key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <count>]", ""),
    ("XGROUP CREATECONSUMER", "<key> <group> <consumer>", ""),
    ("XGROUP DELCONSUMER", "<key> <group> <consumer>", ""),
    ("XGROUP DESTROY", "<key> <group>", ""),
    ("XGROUP SETID", "<key> <group> <id|$> [ENTRIESREAD <count>]", ""),
    ("XINFO CONSUMERS", "<key> <group>", "the seen-time is kept by the leader alone."),
    ("XINFO GROUPS", "<key>", "the lag is always a number: it is counted where Redis says nil, which `compat-version 7.2` brings back."),
    ("XINFO STREAM", "<key> [FULL [COUNT <count>]]", "without FULL, the last pair, `iids-dropped`, counts ids of producers that were forgotten before their time for want of room; all of what is pending is at most 1,000,000 lines. `compat-version 7.2` gives the pairs of that version."),
    ("XLEN", "<key>", ""),
    ("XNACK", "<key> <group> SILENT|FAIL|FATAL IDS <count> <id> [<id> ...] [RETRYCOUNT <count>] [FORCE]", ""),
    ("XPENDING", "<key> <group> [[IDLE <ms>] <start> <end> <count> [<consumer>]]", "one answer has at most 1,000,000 lines."),
    ("XRANGE", "<key> <start> <end> [COUNT <count>]", "one answer looks into at most 64 MiB of blocks."),
    ("XREAD", "[COUNT <count>] [MAXCOUNT <count>] [MAXSIZE <bytes>] [BLOCK <ms>] STREAMS <key> [<key> ...] <id|$|+> [<id|$|+> ...]", "streams of several shards may be read together. A leader change is seen as latency by who waits."),
    ("XREADGROUP", "GROUP <group> <consumer> [COUNT <count>] [MAXCOUNT <count>] [MAXSIZE <bytes>] [BLOCK <ms>] [CLAIM <min-idle-ms>] [NOACK] STREAMS <key> [<key> ...] <id|>> [<id|>> ...]", "what was delivered to whom is on a majority before it is answered, also the count of a history read."),
    ("XREVRANGE", "<key> <end> <start> [COUNT <count>]", "one answer looks into at most 64 MiB of blocks."),
    ("XSETID", "<key> <id> [ENTRIESADDED <count>] [MAXDELETEDID <id>]", ""),
    ("XTRIM", "<key> MAXLEN|MINID [=|~] <threshold> [LIMIT <count>] [KEEPREF|DELREF|ACKED]", ""),
];

/// What there is to say of a command; nothing where it is as in Redis.
pub(super) fn note(name: &str) -> Note {
    let found = NOTES.iter().find(|(of, _, _)| *of == name);
    found.map_or_else(Note::default, |(_, takes, differs)| Note { takes, differs })
}

/// Every command that something is said of.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NOTES.iter().map(|(name, _, _)| *name)
}
