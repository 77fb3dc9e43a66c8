//! Makes a sequence that differs as short as it can be. Never decides what a difference is.

use std::fmt::Write;

use resp::Value;

use super::explained;
use super::sequence::Request;
use crate::conformance::Kind;

/// Sequences that are tried at most.
const TRIES_MAX: usize = 300;

/// Theirs and ours.
type Both = (Vec<Value>, Vec<Value>);
type Ask<'a> = &'a mut dyn FnMut(&[Request]) -> anyhow::Result<Both>;

/// The shortest sequence found that still differs, with the replies where it does.
pub(super) fn transcript(
    kind: Kind,
    requests: Vec<Request>,
    ask: Ask<'_>,
) -> anyhow::Result<String> {
    let requests = shrink(kind, requests, ask)?;
    let (theirs, ours) = ask(&requests)?;
    let mut text = String::new();
    for (at, request) in requests.iter().enumerate() {
        writeln!(text, "{request}")?;
        if explained::differs(kind, request, &theirs[at], &ours[at]) {
            writeln!(text, "     {kind}: {}\n     Weir: {}", theirs[at], ours[at])?;
        }
    }
    Ok(text)
}

fn shrink(kind: Kind, mut requests: Vec<Request>, ask: Ask<'_>) -> anyhow::Result<Vec<Request>> {
    let (theirs, ours) = ask(&requests)?;
    if let Some(first) = explained::difference(kind, &requests, &theirs, &ours) {
        requests.truncate(first + 1);
    }
    let mut tries = 0;
    let mut size = requests.len() / 2;
    while size > 0 && tries < TRIES_MAX {
        let mut at = 0;
        while at < requests.len() && tries < TRIES_MAX {
            let mut fewer = requests.clone();
            fewer.drain(at..(at + size).min(requests.len()));
            tries += 1;
            let (theirs, ours) = ask(&fewer)?;
            match explained::difference(kind, &fewer, &theirs, &ours) {
                Some(first) => {
                    fewer.truncate(first + 1);
                    requests = fewer;
                }
                None => at += size,
            }
        }
        size /= 2;
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::super::sequence::Arg;
    use super::*;

    #[test]
    fn what_does_not_matter_goes() {
        let request = |number| Request { number, args: vec![Arg::Text(number.to_string())] };
        let requests: Vec<Request> = (0..100).map(request).collect();
        let mut asked = 0;
        // The answer to 70 is another once 13 came before.
        let mut ask = |requests: &[Request]| {
            asked += 1;
            let has = |number| requests.iter().any(|it| it.number == number);
            let reply =
                |it: &Request, ours| Value::Integer(i64::from(ours && it.number == 70 && has(13)));
            let all = |ours| requests.iter().map(|it| reply(it, ours)).collect();
            Ok((all(false), all(true)))
        };
        let shrunk = shrink(Kind::Valkey, requests, &mut ask).unwrap();
        let numbers: Vec<usize> = shrunk.iter().map(|it| it.number).collect();
        assert_eq!(numbers, [13, 70]);
        assert!(asked < 100, "{asked} tries");
    }
}
