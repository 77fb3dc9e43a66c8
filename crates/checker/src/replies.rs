//! What replies say, in the words of a history. Never what they should have said.

use resp::Value;

use crate::history::{Id, Outcome, Seen};

/// What a reply to a change says; none came where the connection broke. Only errors that don't call the outcome
/// unknown promise that nothing happened.
pub fn judge<T>(reply: Option<&Value>, found: impl Fn(&Value) -> Option<T>) -> Outcome<T> {
    let Some(reply) = reply else { return Outcome::Unknown };
    match (reply.as_error(), found(reply)) {
        (None, Some(found)) => Outcome::Ok(found),
        (Some(error), _) if !error.starts_with("UNKNOWN") => Outcome::Fail,
        _ => Outcome::Unknown,
    }
}

/// `ms-seq`
pub fn id_of(value: &Value) -> Option<Id> {
    let (ms, seq) = value.as_text()?.split_once('-')?;
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

/// As it is written.
pub fn text_of((ms, seq): Id) -> String {
    format!("{ms}-{seq}")
}

/// A number that can't be negative.
pub fn count_of(value: &Value) -> Option<u64> {
    u64::try_from(value.as_integer()?).ok()
}

/// `[[id, [name, value, ...]], ...]`: none where it is anything else. `read` gives what an entry's names and values
/// stand for.
pub fn entries_of(value: &Value, read: impl Fn(&[Value]) -> Option<u64>) -> Option<Vec<Seen>> {
    let entry = |entry: &Value| {
        let [id, fields] = entry.as_items()? else { return None };
        Some((id_of(id)?, read(fields.as_items()?)?))
    };
    value.as_items()?.iter().map(entry).collect()
}

/// The entries of the first stream of an answer to several; no entries where there is nothing.
pub fn first_of(value: &Value, read: impl Fn(&[Value]) -> Option<u64>) -> Option<Vec<Seen>> {
    match value.as_items() {
        None | Some([]) => Some(Vec::new()),
        Some([stream, ..]) => entries_of(stream.as_items()?.get(1)?, read),
    }
}

/// Of the first group that a stream tells of: its last delivered id, and how many entries it has read.
pub fn group_of(reply: &Value) -> Option<(Id, u64)> {
    let fields = reply.as_items()?.first()?.as_items()?;
    let field = |name: &str| {
        fields.chunks_exact(2).find(|pair| pair[0].as_text() == Some(name)).map(|pair| &pair[1])
    };
    Some((id_of(field("last-delivered-id")?)?, count_of(field("entries-read")?)?))
}

/// The ids in the lines about pending entries.
pub fn pending_of(reply: &Value) -> Option<Vec<Id>> {
    reply.as_items()?.iter().map(|line| id_of(line.as_items()?.first()?)).collect()
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn reply(text: &str) -> Value {
        let mut input = BytesMut::from(text);
        resp::ReplyParser::new().next(&mut input).unwrap().unwrap()
    }

    fn number(fields: &[Value]) -> Option<u64> {
        fields.get(1)?.as_text()?.parse().ok()
    }

    #[test]
    fn only_an_error_that_is_sure_says_that_nothing_happened() {
        let judged = |text: &str| judge(Some(&reply(text)), id_of);
        assert_eq!(judged("+7-1\r\n"), Outcome::Ok((7, 1)));
        assert_eq!(judged("-BUSY later\r\n"), Outcome::Fail);
        assert_eq!(judged("-UNKNOWN whether\r\n"), Outcome::Unknown);
        assert_eq!(judged("+what\r\n"), Outcome::Unknown);
        assert_eq!(judge(None, id_of), Outcome::Unknown);
    }

    #[test]
    fn an_entry_that_nobody_can_have_written_spoils_the_whole_answer() {
        let whole = "*2\r\n*2\r\n+1-0\r\n*2\r\n+v\r\n+5\r\n*2\r\n+2-0\r\n*2\r\n+v\r\n+6\r\n";
        assert_eq!(entries_of(&reply(whole), number), Some(vec![((1, 0), 5), ((2, 0), 6)]));
        assert_eq!(entries_of(&reply(&whole.replace("+6", "+x")), number), None);
        assert_eq!(first_of(&reply("*-1\r\n"), number), Some(Vec::new()));
    }
}
