//! Commands of Redis that Weir doesn't have and never will, and why: so that who asks for one hears
//! more than that it is unknown. Never a command of the table.

/// Why there is no such command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It is about strings, hashes, lists, sets and such.
    OtherTypes,
    Scripts,
    OneDatabase,
    RawBytes,
    /// Nodes replicate by themselves.
    Replication,
}

impl Why {
    fn text(self) -> &'static str {
        match self {
            Self::OtherTypes => "Weir keeps streams, and no other data types",
            Self::Scripts => "Weir keeps streams, and runs no scripts or functions",
            Self::OneDatabase => "Weir has one database, 0",
            Self::RawBytes => "Weir takes and gives no keys as raw bytes",
            Self::Replication => "nodes of Weir replicate each other by themselves",
        }
    }
}

/// Names by reason; upper case.
#[rustfmt::skip]
static ABSENT: &[(Why, &[&str])] = &[
    (Why::OtherTypes, &[
        "APPEND", "BITCOUNT", "BITFIELD", "BITFIELD_RO", "BITOP", "BITPOS", "BLMOVE", "BLMPOP",
        "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "DECR", "DECRBY",
        "GEOADD", "GEODIST", "GEOHASH", "GEOPOS", "GEORADIUS", "GEORADIUSBYMEMBER",
        "GEORADIUSBYMEMBER_RO", "GEORADIUS_RO", "GEOSEARCH", "GEOSEARCHSTORE", "GET", "GETBIT",
        "GETDEL", "GETEX", "GETRANGE", "GETSET", "HDEL", "HEXISTS", "HEXPIRE", "HEXPIREAT",
        "HEXPIRETIME", "HGET", "HGETALL", "HGETDEL", "HGETEX", "HINCRBY", "HINCRBYFLOAT", "HKEYS",
        "HLEN", "HMGET", "HMSET", "HPERSIST", "HPEXPIRE", "HPEXPIREAT", "HPEXPIRETIME", "HPTTL",
        "HRANDFIELD", "HSCAN", "HSET", "HSETEX", "HSETNX", "HSTRLEN", "HTTL", "HVALS", "INCR",
        "INCRBY", "INCRBYFLOAT", "LCS", "LINDEX", "LINSERT", "LLEN", "LMOVE", "LMPOP", "LPOP",
        "LPOS", "LPUSH", "LPUSHX", "LRANGE", "LREM", "LSET", "LTRIM", "MGET", "MSET", "MSETEX",
        "MSETNX", "PFADD", "PFCOUNT", "PFDEBUG", "PFMERGE", "PFSELFTEST", "PSETEX", "RPOP",
        "RPOPLPUSH", "RPUSH", "RPUSHX", "SADD", "SCARD", "SDIFF", "SDIFFSTORE", "SET", "SETBIT",
        "SETEX", "SETNX", "SETRANGE", "SINTER", "SINTERCARD", "SINTERSTORE", "SISMEMBER",
        "SMEMBERS", "SMISMEMBER", "SMOVE", "SORT", "SORT_RO", "SPOP", "SRANDMEMBER", "SREM",
        "SSCAN", "STRLEN", "SUBSTR", "SUNION", "SUNIONSTORE", "VADD", "VCARD", "VDIM", "VEMB",
        "VGETATTR", "VINFO", "VLINKS", "VRANDMEMBER", "VREM", "VSETATTR", "VSIM", "ZADD", "ZCARD",
        "ZCOUNT", "ZDIFF", "ZDIFFSTORE", "ZINCRBY", "ZINTER", "ZINTERCARD", "ZINTERSTORE",
        "ZLEXCOUNT", "ZMPOP", "ZMSCORE", "ZPOPMAX", "ZPOPMIN", "ZRANDMEMBER", "ZRANGE",
        "ZRANGEBYLEX", "ZRANGEBYSCORE", "ZRANGESTORE", "ZRANK", "ZREM", "ZREMRANGEBYLEX",
        "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "ZREVRANGE", "ZREVRANGEBYLEX", "ZREVRANGEBYSCORE",
        "ZREVRANK", "ZSCAN", "ZSCORE", "ZUNION", "ZUNIONSTORE",
    ]),
    (Why::Scripts, &[
        "EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "FCALL", "FCALL_RO", "SCRIPT",
    ]),
    (Why::OneDatabase, &["MOVE", "SWAPDB"]),
    (Why::RawBytes, &["DUMP", "MIGRATE", "RESTORE", "RESTORE-ASKING"]),
    (Why::Replication, &[
        "BGREWRITEAOF", "FAILOVER", "PSYNC", "REPLCONF", "REPLICAOF", "SLAVEOF", "SYNC",
    ]),
];

/// Why there is no command of this name, if that is meant.
pub(super) fn why(name: &[u8]) -> Option<&'static str> {
    let has =
        |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    ABSENT.iter().find(|(_, names)| has(names)).map(|(why, _)| why.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{all, lookup};

    #[test]
    fn names_are_sorted_and_none_is_in_the_table() {
        for (_, names) in ABSENT {
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
            for name in *names {
                assert!(lookup(all(), name.as_bytes()).is_none(), "{name} is in both");
            }
        }
    }
}
