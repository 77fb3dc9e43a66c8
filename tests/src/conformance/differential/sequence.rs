//! A sequence of requests that may name ids which the server chose. Each server chooses its own, so
//! they are put in before sending and taken out of the replies again.

use std::collections::BTreeMap;
use std::fmt;

use bytes::BytesMut;
use resp::{Value, write_request};

use super::generate::ALL_KEYS;
use crate::client::Client;

/// Bytes of an argument that a transcript shows.
const SHOWN_BYTES_MAX: usize = 60;

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arg {
    Text(String),
    /// A key: each lane has its own of this name.
    Key(&'static str),
    /// The id that the server chose for this request, behind a prefix.
    IdOf(&'static str, usize),
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) if text.is_empty() => f.write_str("\"\""),
            Self::Text(text) if text.len() > SHOWN_BYTES_MAX => {
                write!(f, "({} bytes)", text.len())
            }
            Self::Text(text) => f.write_str(text),
            Self::Key(name) => f.write_str(name),
            Self::IdOf(prefix, number) => write!(f, "{prefix}<id of {number}>"),
        }
    }
}

/// One command.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Its place in the sequence as it was drawn.
    pub(super) number: usize,
    pub(super) args: Vec<Arg>,
}

impl Request {
    /// Its name, in upper case.
    pub(super) fn name(&self) -> String {
        self.args.first().map(|name| name.to_string().to_ascii_uppercase()).unwrap_or_default()
    }

    /// Whether it says this word, in any case.
    pub(super) fn says(&self, word: &str) -> bool {
        self.args.iter().any(|arg| match arg {
            Arg::Text(text) => text.eq_ignore_ascii_case(word),
            Arg::Key(name) => *name == word,
            Arg::IdOf(..) => false,
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<String> = self.args.iter().map(Arg::to_string).collect();
        write!(f, "{:>3}> {}", self.number, args.join(" "))
    }
}

fn key(lane: usize, name: &str) -> String {
    format!("{name}:{lane}")
}

/// The ids that one server chose, both ways.
#[derive(Default)]
struct Ids {
    by_number: BTreeMap<usize, String>,
    by_id: BTreeMap<String, usize>,
}

impl Ids {
    fn learn(&mut self, request: &Request, reply: &Value) {
        let chosen = request.says("*") && request.name() == "XADD";
        if let Some(id) = reply.as_text().filter(|id| chosen && is_of_the_clock(id)) {
            self.by_number.insert(request.number, id.to_owned());
            self.by_id.insert(id.to_owned(), request.number);
        }
    }

    fn put_in(&self, lane: usize, request: &Request) -> Vec<String> {
        let text = |arg: &Arg| match arg {
            Arg::Text(text) => text.clone(),
            Arg::Key(name) => key(lane, name),
            Arg::IdOf(prefix, number) => {
                let id = self.by_number.get(number).map_or("1-1", String::as_str);
                format!("{prefix}{id}")
            }
        };
        request.args.iter().map(text).collect()
    }

    fn take_out(&self, reply: Value) -> Value {
        match reply {
            Value::Bulk(text) => match std::str::from_utf8(&text) {
                Ok(id) if is_of_the_clock(id) => match self.by_id.get(id) {
                    Some(number) => Value::bulk(&format!("<id of {number}>")),
                    None => Value::bulk("<id of the clock>"),
                },
                _ => Value::Bulk(text),
            },
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.take_out(item)).collect())
            }
            Value::Map(pairs) => {
                let both = |(name, value)| (self.take_out(name), self.take_out(value));
                Value::Map(pairs.into_iter().map(both).collect())
            }
            other => other,
        }
    }
}

/// Whether an id was made from the time of these years, and so is another on each server.
fn is_of_the_clock(id: &str) -> bool {
    let ms = id.split_once('-').and_then(|(ms, _)| ms.parse::<u64>().ok());
    ms.is_some_and(|ms| (1_577_836_800_000..2_208_988_800_000).contains(&ms))
}

/// The reply to the removal of the lane's keys, then those to all requests, on these keys. Sent in
/// pipelines that end where a request needs an id which has yet to be chosen.
pub(super) fn ask(
    client: &mut Client,
    lane: usize,
    requests: &[Request],
) -> anyhow::Result<Vec<Value>> {
    let keys = ALL_KEYS.iter().map(|name| key(lane, name));
    let mut ids = Ids::default();
    let mut replies = Vec::with_capacity(1 + requests.len());
    replies.push(client.call(&["DEL".to_owned()].into_iter().chain(keys).collect::<Vec<_>>())?);
    let mut rest = requests;
    while !rest.is_empty() {
        let waits = |request: &Request| {
            let sent = |number: &usize| rest.iter().any(|it| it.number == *number);
            let needs = |arg: &Arg| matches!(arg, Arg::IdOf(_, number) if sent(number));
            request.args.iter().any(needs)
        };
        let end = rest.iter().position(waits).unwrap_or(rest.len()).max(1);
        let (batch, later) = rest.split_at(end);
        let mut output = BytesMut::new();
        batch.iter().for_each(|request| write_request(&mut output, &ids.put_in(lane, request)));
        client.send(&output)?;
        for request in batch {
            let reply = client.reply()?;
            ids.learn(request, &reply);
            replies.push(reply);
        }
        rest = later;
    }
    Ok(replies.into_iter().map(|reply| ids.take_out(reply)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_clock_are_taken_out_and_put_in() {
        let text = |text: &str| Arg::Text(text.to_owned());
        let args = ["XADD", "*", "f", "v"].map(text).to_vec();
        let mut ids = Ids::default();
        let id = Value::bulk("1790000000000-3");
        ids.learn(&Request { number: 4, args }, &id);
        let args = vec![Arg::Key("k"), Arg::IdOf("(", 4), Arg::IdOf("", 5)];
        assert_eq!(ids.put_in(1, &Request { number: 6, args }), ["k:1", "(1790000000000-3", "1-1"]);
        let shown = ids.take_out(Value::Array(vec![id, Value::bulk("5-1")])).to_string();
        assert_eq!(shown, "*2['<id of 4>', '5-1']");
    }
}
