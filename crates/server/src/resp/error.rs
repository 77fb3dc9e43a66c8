//! What a client is told when it gets no answer: the exact words of Redis where Redis has them.
//! Never a decision whether something is an error, and never more than a little of what was sent.

use std::borrow::Cow;
use std::fmt;

use raft::ProposeError;
use streams::error::Refusal;

/// Bytes of a request that an error may echo, as in Redis.
const ECHO_BYTES_MAX: usize = 128;

/// A little of what a client sent, made harmless: at most 128 bytes, no line ends, text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Echo(String);

impl Echo {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let cut = &bytes[..bytes.len().min(ECHO_BYTES_MAX)];
        Self(String::from_utf8_lossy(cut).replace(['\r', '\n'], " "))
    }

    /// Arguments as Redis lists them: each quoted, a space behind each.
    pub(crate) fn list<A: AsRef<[u8]>>(args: &[A]) -> Self {
        let mut list = String::new();
        for arg in args {
            let room = ECHO_BYTES_MAX.saturating_sub(list.len());
            if room == 0 {
                break;
            }
            let arg = arg.as_ref();
            let shown = Self::new(&arg[..arg.len().min(room)]);
            list.push_str(&format!("'{shown}' "));
        }
        Self(list)
    }
}

impl fmt::Display for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The client's request is wrong, and nothing was asked of any shard. Displays as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SyntaxError {
    #[error("ERR unknown command '{name}', with args beginning with: {args}")]
    UnknownCommand { name: Echo, args: Echo },
    #[error("ERR unknown command '{name}': {why}")]
    AbsentCommand { name: Echo, why: &'static str },
    #[error("ERR unknown subcommand '{name}'. Try {container} HELP.")]
    UnknownSubcommand { container: &'static str, name: Echo },
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(String),
    #[error(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try {container} HELP."
    )]
    SubcommandSyntax { container: &'static str, name: Echo },
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    #[error("ERR Invalid stream ID specified as stream command argument")]
    InvalidId,
    #[error("ERR invalid start ID for the interval")]
    InvalidStart,
    #[error("ERR invalid end ID for the interval")]
    InvalidEnd,
    #[error("ERR invalid expire time in '{0}' command")]
    ExpireTime(&'static str),
    #[error("ERR Unsupported option {0}")]
    ExpireOption(Echo),
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    ExpireNx,
    #[error("ERR GT and LT options at the same time are not compatible")]
    ExpireGtLt,
    #[error(
        "CROSSSLOT Keys in request don't hash to the same slot: give their names the same {{tag}}"
    )]
    SlotsApart,
    #[error("ERR MULTI calls can not be nested")]
    MultiNested,
    #[error("ERR EXEC without MULTI")]
    ExecWithoutMulti,
    #[error("ERR DISCARD without MULTI")]
    DiscardWithoutMulti,
    #[error("ERR WATCH inside MULTI is not allowed")]
    WatchInMulti,
    #[error("ERR Command not allowed inside a transaction")]
    NotInMulti,
    #[error("EXECABORT Transaction discarded because of previous errors.")]
    ExecAbort,
    #[error("ERR too much is watched: at most 1 MiB of keys, EXEC or UNWATCH first")]
    WatchedTooMuch,
    #[error("ERR the transaction is too big: at most 16 MiB and 65536 commands")]
    TransactionTooBig,
    #[error(
        "EXECABORT a command about keys of several slots is taken in a transaction only when it \
         is alone"
    )]
    NotAlone,
    #[error("ERR source and destination objects are the same")]
    SameKey,
    #[error("ERR invalid cursor")]
    Cursor,
    #[error("ERR timeout is negative")]
    TimeoutNegative,
    #[error("ERR timeout is not an integer or out of range")]
    TimeoutNotInteger,

    #[error("NOAUTH Authentication required.")]
    NoAuth,
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPassword,
    #[error(
        "ERR AUTH <password> called without any password configured for the default user. \
         Are you sure your configuration is correct?"
    )]
    NoPasswordSet,
    #[error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
         <proto> AUTH <user> <pass> option can be used to authenticate the client and select the \
         RESP protocol version at the same time"
    )]
    HelloNeedsAuth,
    #[error("NOPROTO unsupported protocol version")]
    NoProtocol,
    #[error("ERR Protocol version is not an integer or out of range")]
    ProtocolNotInteger,
    #[error("ERR Syntax error in HELLO option '{0}'")]
    HelloOption(Echo),
    #[error("ERR Client names cannot contain spaces, newlines or special characters.")]
    ClientName,
    #[error("ERR {0} cannot contain spaces, newlines or special characters.")]
    ClientInfo(&'static str),
    #[error("ERR Unrecognized option '{0}'")]
    ClientInfoOption(Echo),
    #[error("ERR Unknown client type '{0}'")]
    ClientType(Echo),
    #[error("ERR Invalid client ID")]
    ClientId,
    #[error("ERR client-id should be greater than 0")]
    KillId,
    #[error("ERR No such client")]
    NoSuchClient,
    #[error("ERR No such user '{0}'")]
    NoSuchUser(Echo),
    #[error("ERR maxage is not an integer or out of range")]
    MaxAgeNotInteger,
    #[error("ERR maxage should be greater than 0")]
    MaxAgeNotPositive,
    #[error("ERR CLIENT PAUSE mode must be WRITE or ALL")]
    PauseMode,
    #[error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")]
    UnblockReason,
    #[error("ERR CLIENT TRACKING is not in Weir: what clients read is not tracked")]
    NoTracking,
    #[error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
         OPTOUT mode enabled"
    )]
    NotTracking,
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    SettingUnknown(Echo),
    #[error("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")]
    SettingRefused { name: &'static str, why: String },
    #[error(
        "ERR The server is running without a config file that it may write: settings stand in the \
         node's own file"
    )]
    NoRewrite,
    #[error("ERR This instance has cluster support disabled")]
    ClusterDisabled,
    #[error("ERR Invalid slot")]
    InvalidSlot,
    #[error("ERR Invalid slot or number of keys")]
    InvalidSlotOrCount,
    #[error("CROSSSLOT Keys in request don't hash to the same slot")]
    CrossSlot,
    #[error("MOVED {slot} {address}")]
    Moved { slot: u16, address: String },
    #[error("ERR No shutdown in progress.")]
    NoShutdown,
    #[error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")]
    FlushMode,
    #[error("ERR DEBUG command not allowed: this node is built for use")]
    NoDebug,
    #[error("ERR value is not a valid float")]
    NotFloat,
    #[error("ERR count should be greater than or equal to -1")]
    SlowCount,
    #[error("ERR Unknown category '{0}'")]
    NoSuchCategory(Echo),
    #[error(
        "ERR Can't execute '{0}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context"
    )]
    Listening(String),
    #[error("BUSY this connection listens to too much, listen through another one")]
    SubscriptionsFull,
    #[error("ERR the message is too large to be published")]
    MessageTooBig,
    #[error("ERR nothing can be published here")]
    NoBus,
    #[error("ERR value is out of range, value must between 0 and {max}")]
    OutOfRange { max: u32 },
    #[error("ERR DB index is out of range")]
    DbIndex,
    #[error("ERR Invalid command specified")]
    KeysOfUnknown,
    #[error("ERR Invalid number of arguments specified for command")]
    KeysArity,
    #[error("ERR Invalid arguments specified for command")]
    KeysInvalid,
    #[error("ERR The command has no key arguments")]
    KeysNone,

    #[error("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")]
    TrimTwice,
    #[error("ERR The MAXLEN argument must be >= 0.")]
    MaxLenNegative,
    #[error("ERR The LIMIT argument must be >= 0.")]
    LimitNegative,
    #[error("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")]
    LimitWithoutTrim,
    #[error("ERR syntax error, LIMIT cannot be used without the special ~ option")]
    LimitWithoutTilde,
    #[error("ERR syntax error, XTRIM must be called with a trimming strategy")]
    TrimMissing,
    #[error("ERR The ID specified in XADD must be greater than 0-0")]
    AddZero,
    #[error("ERR Elements are too large to be stored")]
    EntryTooBig,
    #[error("ERR entries_added must be positive")]
    EntriesAddedNegative,
    #[error("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")]
    SetIdBelowGivenDeleted,
    #[error("ERR value for ENTRIESREAD must be positive or -1")]
    EntriesRead,
    #[error(
        "ERR Unbalanced '{command}' list of streams: for each stream key {symbols} must be specified."
    )]
    Unbalanced { command: &'static str, symbols: &'static str },
    #[error("ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs")]
    IdmpNeedsAutoId,
    #[error("ERR syntax error, IDMP/IDMPAUTO specified multiple times")]
    IdmpTwice,
    #[error("ERR syntax error, {0} requires a non-empty producer ID")]
    IdmpProducerEmpty(&'static str),
    #[error("ERR syntax error, IDMP requires a non-empty idempotent ID")]
    IdmpIdEmpty,
    #[error("ERR IDMP-DURATION must be between 1 and 86400 seconds")]
    IdmpDuration,
    #[error("ERR IDMP-MAXSIZE must be between 1 and 10000 entries")]
    IdmpMaxSize,
    #[error("ERR {0} specified multiple times")]
    SpecifiedTwice(&'static str),
    #[error("ERR At least one parameter must be specified")]
    ParameterMissing,
    #[error("ERR ERR mode must be SILENT, FAIL, or FATAL")]
    NackMode,
    #[error("ERR ERR number of IDs doesn't match numids")]
    NackIdsCount,
    #[error("ERR ERR syntax error, expected IDS keyword")]
    NackIdsMissing,
    #[error("ERR ERR Invalid RETRYCOUNT value, must be >= 0")]
    NackRetryCount,
    #[error("ERR ERR Unrecognized XNACK option '{0}'")]
    NackUnknownOption(Echo),
    #[error("ERR Number of IDs must be a positive integer")]
    IdsCountNotPositive,
    #[error("ERR The `numids` parameter must match the number of arguments")]
    IdsCountWrong,
    #[error("ERR {0} must be a positive integer")]
    NotPositive(&'static str),
    #[error("ERR MAXCOUNT must be greater than or equal to COUNT")]
    MaxCountBelowCount,
    #[error("ERR min-idle-time is not an integer or out of range")]
    ClaimIdleNotInteger,
    #[error("ERR min-idle-time must be a positive integer")]
    ClaimIdleNegative,
    #[error("ERR Missing GROUP option for XREADGROUP")]
    GroupMissing,
    #[error("ERR The {0} option is only supported by XREADGROUP. You called XREAD instead.")]
    OnlyInGroup(&'static str),
    #[error(
        "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
         <consumer> option."
    )]
    NewWithoutGroup,
    #[error(
        "ERR The {0} ID is meaningless in the context of XREADGROUP: you want to read the history \
         of this consumer by specifying a proper ID, or use the > ID to get new messages. The {0} \
         ID would just return an empty result set."
    )]
    MeaninglessInGroup(char),
    #[error("ERR Invalid min-idle-time argument for {0}")]
    MinIdle(&'static str),
    #[error("ERR Invalid {0} option argument for XCLAIM")]
    ClaimOption(&'static str),
    #[error("ERR Unrecognized XCLAIM option '{0}'")]
    ClaimUnknownOption(Echo),
    #[error("ERR COUNT must be > 0")]
    AutoClaimCount,
}

/// A refusal in Redis's words.
pub(crate) fn refusal_text(refusal: &Refusal) -> Cow<'static, str> {
    Cow::Borrowed(match refusal {
        Refusal::IdNotAbove => {
            "ERR The ID specified in XADD is equal or smaller than the target stream top item"
        }
        Refusal::IdsExhausted => {
            "ERR The stream has exhausted the last possible ID, unable to add more items"
        }
        Refusal::NoKey => "ERR no such key",
        Refusal::GroupNeedsKey => {
            "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may \
             want to use the MKSTREAM option to create an empty stream automatically."
        }
        Refusal::GroupExists => "BUSYGROUP Consumer Group name already exists",
        Refusal::SetIdBelowLast => {
            "ERR The ID specified in XSETID is smaller than the target stream top item"
        }
        Refusal::SetIdBelowDeleted => {
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
        }
        Refusal::SetIdBelowGivenDeleted => {
            "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
        }
        Refusal::SetIdAddedBelowLength => {
            "ERR The entries_added specified in XSETID is smaller than the target stream length"
        }
        Refusal::TooBigToCopy => "ERR the stream is too big to be copied in one step (64 MiB)",
        Refusal::TransactionReadsTooMuch => {
            "ERR the transaction has read as much as one may (64 MiB), read the rest apart"
        }
        Refusal::NoFrequency => {
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take some \
             time to adjust."
        }
        Refusal::Stale => "UNKNOWN the write may have happened: its answer is no longer kept",
        Refusal::TooManyKept => "BUSY too many answers of this node are unconfirmed, try again",
        Refusal::Misplaced => "TRYAGAIN the slot of this key is not of the shard that was asked",
        Refusal::NoGroupForRead { .. }
        | Refusal::NoGroup { .. }
        | Refusal::NoGroupForKey { .. } => {
            return Cow::Owned(no_group_text(refusal));
        }
    })
}

fn no_group_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoGroupForRead { key, group } => format!(
            "NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option",
            Echo::new(key),
            Echo::new(group)
        ),
        Refusal::NoGroupForKey { key, group } => format!(
            "NOGROUP No such consumer group '{}' for key name '{}'",
            Echo::new(group),
            Echo::new(key)
        ),
        Refusal::NoGroup { key, group } => format!(
            "NOGROUP No such key '{}' or consumer group '{}'",
            Echo::new(key),
            Echo::new(group)
        ),
        _ => "NOGROUP No such consumer group".to_owned(),
    }
}

/// What was asked of the shards: it decides what a missing answer may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nothing changes.
    Read,
    /// Something may have changed.
    Write,
}

/// Why there is no answer, beginning with the code that says who must act.
pub(crate) fn propose_error_text(error: &ProposeError, asked: Asked) -> Cow<'static, str> {
    const UNKNOWN: &str = "UNKNOWN the write may have happened: no answer came in the time allowed";
    match (error, asked) {
        (ProposeError::NotLeader { shard, .. }, _) => {
            Cow::Owned(format!("TRYAGAIN shard {shard} is led by another node"))
        }
        (ProposeError::Overloaded(what), _) => Cow::Owned(format!("BUSY {what}, try again later")),
        (ProposeError::DiskFull(node), _) => Cow::Owned(format!(
            "DISKFULL disk space is low on node {node}: only what frees space is taken"
        )),
        (ProposeError::Unknown | ProposeError::Stopped, Asked::Write) => Cow::Borrowed(UNKNOWN),
        (ProposeError::Unknown | ProposeError::Expired, _) => {
            Cow::Borrowed("CLUSTERDOWN no leader in the time allowed, nothing was done")
        }
        (ProposeError::Stopped, Asked::Read) => {
            Cow::Borrowed("CLUSTERDOWN the node is stopping, nothing was done")
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// CVE-2025-67733: an argument with line ends made an error reply say more than one thing.
    #[test]
    fn an_echo_is_short_and_has_no_line_ends() {
        assert_eq!(Echo::new(b"a\r\n+OK\r\n").to_string(), "a  +OK  ");
        assert_eq!(Echo::new(&[b'x'; 1000]).to_string().len(), ECHO_BYTES_MAX);
        assert_eq!(Echo::list(&["bar", "b\nz"]).to_string(), "'bar' 'b z' ");
        let long = Echo::list(&[&[b'x'; 100][..], &[b'y'; 100], &[b'z'; 100]]).to_string();
        assert_eq!(long, format!("'{}' '{}' ", "x".repeat(100), "y".repeat(25)));
        let no_group = Refusal::NoGroup {
            key: Bytes::from(vec![b'\n'; 9999]),
            group: Bytes::from(vec![0xff; 9999]),
        };
        assert!(!refusal_text(&no_group).contains('\n'));
    }

    #[test]
    fn a_missing_answer_to_a_write_is_never_called_nothing_unless_it_surely_was() {
        let code = |error, asked| {
            propose_error_text(&error, asked).split(' ').next().map(str::to_owned).unwrap()
        };
        assert_eq!(code(ProposeError::Unknown, Asked::Write), "UNKNOWN");
        assert_eq!(code(ProposeError::Stopped, Asked::Write), "UNKNOWN");
        assert_eq!(code(ProposeError::Expired, Asked::Write), "CLUSTERDOWN");
        assert_eq!(code(ProposeError::Stopped, Asked::Read), "CLUSTERDOWN");
        assert_eq!(code(ProposeError::Overloaded("memory"), Asked::Write), "BUSY");
        assert_eq!(code(ProposeError::DiskFull(base::NodeId(2)), Asked::Write), "DISKFULL");
    }
}
