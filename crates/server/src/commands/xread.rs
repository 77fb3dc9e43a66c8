//! XREAD and XREADGROUP: what is read, and how long is waited for it. Never the waiting.

use std::time::Duration;

use bytes::Bytes;
use streams::command::{Most, ReadFrom, ReadGroup};
use streams::query::{After, Query};
use tokio::time::Instant;

use super::arguments::{Args, at_least_zero, id, is_word};
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static XREAD: Doc = Doc {
    summary: "Reads what comes after an id, from one or many streams, of any shards; waits for it \
              where there is nothing yet.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) in the entries read",
};

pub(crate) static XREADGROUP: Doc = Doc {
    summary: "Reads as a member of a group: new entries, or those delivered to it before. \
              Waits where there is nothing new. Streams of different shards are read one by one, \
              each atomically.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) in the entries read",
};

/// How long to wait where there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// 0: for ever.
    ms: u64,
}

impl Block {
    /// When a wait that begins now is over; none where it never is.
    pub(crate) fn deadline(self) -> Option<Instant> {
        (self.ms > 0).then(|| Instant::now().checked_add(Duration::from_millis(self.ms)))?
    }
}

/// What to read, and how long to wait for it if at all.
pub(crate) type MayBlock<T> = Result<(T, Option<Block>), SyntaxError>;

pub(crate) fn read(args: Args<'_>) -> MayBlock<Query> {
    let options = Options::parse(args, false)?;
    let streams = options.each_stream(|id_arg| match id_arg {
        b"$" => Ok(After::Last),
        b"+" => Ok(After::Newest),
        b">" => Err(SyntaxError::NewWithoutGroup),
        exact => id(exact).map(After::Id),
    })?;
    let Options { count, most, block, .. } = options;
    Ok((Query::Read { count, most, streams }, block))
}

pub(crate) fn read_group(args: Args<'_>) -> MayBlock<ReadGroup> {
    let options = Options::parse(args, true)?;
    let (group, consumer) = options.group.clone().ok_or(SyntaxError::GroupMissing)?;
    let streams = options.each_stream(|id_arg| match id_arg {
        b">" => Ok(ReadFrom::New),
        b"$" => Err(SyntaxError::MeaninglessInGroup('$')),
        b"+" => Err(SyntaxError::MeaninglessInGroup('+')),
        exact => id(exact).map(ReadFrom::History),
    })?;
    let Options { count, most, no_ack, claim_idle_ms, block, .. } = options;
    Ok((ReadGroup { group, consumer, count, most, no_ack, claim_idle_ms, streams }, block))
}

/// Where the keys are: what `COMMAND GETKEYS` answers.
pub(crate) fn keys(args: Args<'_>) -> &[Bytes] {
    let mut rest = args.get(1..).unwrap_or_default();
    while let [option, behind @ ..] = rest {
        if is_word(option, "STREAMS") {
            return &behind[..behind.len() / 2];
        }
        // A group may be called STREAMS.
        let values = match option {
            option if is_word(option, "GROUP") => 2,
            option if is_word(option, "NOACK") => 0,
            _ => 1,
        };
        rest = behind.get(values..).unwrap_or_default();
    }
    &[]
}

/// Everything but the ids.
#[derive(Default)]
struct Options<'a> {
    group: Option<(Bytes, Bytes)>,
    count: u64,
    most: Most,
    no_ack: bool,
    claim_idle_ms: Option<u64>,
    block: Option<Block>,
    /// All keys, then all ids.
    streams: &'a [Bytes],
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>, in_group: bool) -> Result<Self, SyntaxError> {
        let mut options = Self::default();
        let mut rest = &args[1..];
        while let [option, behind @ ..] = rest {
            if is_word(option, "STREAMS") && !behind.is_empty() {
                options.streams = behind;
                break;
            }
            rest = &behind[options.take(option, behind, in_group)?..];
        }
        match options.streams.len() {
            0 => Err(SyntaxError::Syntax),
            length if length % 2 == 1 => Err(match in_group {
                true => SyntaxError::Unbalanced { command: "xreadgroup", symbols: "an ID or '>'" },
                false => {
                    SyntaxError::Unbalanced { command: "xread", symbols: "an ID, '+', or '$'" }
                }
            }),
            _ if options.most.entries.is_some_and(|most| most < options.count) => {
                Err(SyntaxError::MaxCountBelowCount)
            }
            _ => Ok(options),
        }
    }

    /// Takes one option, and says how many arguments behind its name belong to it.
    fn take(
        &mut self,
        option: &[u8],
        behind: &[Bytes],
        in_group: bool,
    ) -> Result<usize, SyntaxError> {
        match behind {
            [value, ..] if is_word(option, "BLOCK") => {
                self.block = Some(block(value)?);
                Ok(1)
            }
            [value, ..] if is_word(option, "COUNT") => {
                self.count = at_least_zero(value)?;
                Ok(1)
            }
            [value, ..] if is_word(option, "MAXCOUNT") => {
                self.most.entries = Some(positive(value, "MAXCOUNT")?);
                Ok(1)
            }
            [value, ..] if is_word(option, "MAXSIZE") => {
                self.most.bytes = Some(positive(value, "MAXSIZE")?);
                Ok(1)
            }
            [_, ..] if is_word(option, "CLAIM") && !in_group => {
                Err(SyntaxError::OnlyInGroup("CLAIM"))
            }
            [value, ..] if is_word(option, "CLAIM") => {
                self.claim_idle_ms = Some(min_idle(value)?);
                Ok(1)
            }
            [_, _, ..] if is_word(option, "GROUP") && !in_group => {
                Err(SyntaxError::OnlyInGroup("GROUP"))
            }
            [group, consumer, ..] if is_word(option, "GROUP") => {
                self.group = Some((group.clone(), consumer.clone()));
                Ok(2)
            }
            _ if is_word(option, "NOACK") && !in_group => Err(SyntaxError::OnlyInGroup("NOACK")),
            _ if is_word(option, "NOACK") => {
                self.no_ack = true;
                Ok(0)
            }
            _ => Err(SyntaxError::Syntax),
        }
    }

    fn each_stream<T>(
        &self,
        from: impl Fn(&[u8]) -> Result<T, SyntaxError>,
    ) -> Result<Vec<(Bytes, T)>, SyntaxError> {
        let (keys, ids) = self.streams.split_at(self.streams.len() / 2);
        keys.iter().zip(ids).map(|(key, id)| Ok((key.clone(), from(id)?))).collect()
    }
}

fn positive(value: &[u8], name: &'static str) -> Result<u64, SyntaxError> {
    let value = resp::signed(value).and_then(|value| u64::try_from(value).ok());
    value.filter(|value| *value > 0).ok_or(SyntaxError::NotPositive(name))
}

fn min_idle(value: &[u8]) -> Result<u64, SyntaxError> {
    let value = resp::signed(value).ok_or(SyntaxError::ClaimIdleNotInteger)?;
    u64::try_from(value).map_err(|_| SyntaxError::ClaimIdleNegative)
}

pub(super) fn block(value: &[u8]) -> Result<Block, SyntaxError> {
    let ms = resp::signed(value).ok_or(SyntaxError::TimeoutNotInteger)?;
    let ms = u64::try_from(ms).map_err(|_| SyntaxError::TimeoutNegative)?;
    Ok(Block { ms })
}

#[cfg(test)]
mod tests {
    use streams::id::EntryId;

    use super::*;
    use crate::commands::args;

    #[test]
    fn streams_are_read_in_the_order_given() {
        let streams = vec![
            ("a".into(), After::Id(EntryId::new(5, 0))),
            ("b".into(), After::Last),
            ("a".into(), After::Newest),
        ];
        let line = "XREAD block 5 COUNT 2 STREAMS a b a 5 $ +";
        let most = Most::default();
        let block = Some(Block { ms: 5 });
        assert_eq!(read(&args(line)), Ok((Query::Read { count: 2, most, streams }, block)));
        assert_eq!(keys(&args(line)), args("a b a"));
        let negative = read(&args("XREAD COUNT -2 STREAMS a 0"));
        assert!(matches!(negative, Ok((Query::Read { count: 0, .. }, None))));
    }

    #[test]
    fn a_group_reads_what_is_new_or_what_it_had() {
        let expected = ReadGroup {
            group: "g".into(),
            consumer: "c".into(),
            count: 1,
            most: Most { entries: Some(3), bytes: Some(1024) },
            no_ack: true,
            claim_idle_ms: Some(0),
            streams: vec![
                ("a".into(), ReadFrom::New),
                ("b".into(), ReadFrom::History(EntryId::new(7, 1))),
            ],
        };
        let line =
            "XREADGROUP GROUP g c COUNT 1 maxcount 3 MAXSIZE 1024 CLAIM 0 NOACK STREAMS a b > 7-1";
        assert_eq!(read_group(&args(line)), Ok((expected, None)));
    }

    #[test]
    fn wrong_requests_are_refused_in_redis_order() {
        use SyntaxError as E;
        let xread_unbalanced = E::Unbalanced { command: "xread", symbols: "an ID, '+', or '$'" };
        let read_errors = [
            ("XREAD STREAMS s >", E::NewWithoutGroup),
            ("XREAD COUNT x STREAMS s", E::NotInteger),
            ("XREAD BLOCK -1 STREAMS s $", E::TimeoutNegative),
            ("XREAD BLOCK abc STREAMS s $", E::TimeoutNotInteger),
            ("XREAD GROUP g c STREAMS s >", E::OnlyInGroup("GROUP")),
            ("XREAD NOACK STREAMS s 0", E::OnlyInGroup("NOACK")),
            ("XREAD STREAMS s s 0", xread_unbalanced.clone()),
            ("XREAD FOO STREAMS s 0", E::Syntax),
            ("XREAD CLAIM x STREAMS s 0", E::OnlyInGroup("CLAIM")),
            ("XREAD MAXCOUNT 0 STREAMS s 0", E::NotPositive("MAXCOUNT")),
            ("XREAD MAXCOUNT x STREAMS s 0", E::NotPositive("MAXCOUNT")),
            ("XREAD MAXSIZE -1 STREAMS s 0", E::NotPositive("MAXSIZE")),
            ("XREAD MAXCOUNT 2 COUNT 3 STREAMS s x", E::MaxCountBelowCount),
            ("XREAD MAXCOUNT 2 COUNT 3 STREAMS s", xread_unbalanced),
            ("XREAD COUNT 1 BLOCK 1", E::Syntax),
            ("XREAD COUNT 1 STREAMS", E::Syntax),
            ("XREAD STREAMS s x", E::InvalidId),
        ];
        for (line, error) in read_errors {
            assert_eq!(read(&args(line)), Err(error), "{line}");
        }
        let group_errors = [
            ("XREADGROUP STREAMS s > COUNT 1 BLOCK 1", E::GroupMissing),
            ("XREADGROUP GROUP g c STREAMS s $", E::MeaninglessInGroup('$')),
            ("XREADGROUP GROUP g c STREAMS s +", E::MeaninglessInGroup('+')),
            ("XREADGROUP GROUP g STREAMS s >", E::Syntax),
            ("XREADGROUP GROUP g c CLAIM x STREAMS s >", E::ClaimIdleNotInteger),
            ("XREADGROUP GROUP g c CLAIM -1 STREAMS s >", E::ClaimIdleNegative),
            (
                "XREADGROUP GROUP g c STREAMS s > CLAIM",
                E::Unbalanced { command: "xreadgroup", symbols: "an ID or '>'" },
            ),
            (
                "XREADGROUP GROUP g c STREAMS a b >",
                E::Unbalanced { command: "xreadgroup", symbols: "an ID or '>'" },
            ),
        ];
        for (line, error) in group_errors {
            assert_eq!(read_group(&args(line)), Err(error), "{line}");
        }
    }
}
