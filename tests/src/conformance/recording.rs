//! The text of a recording: requests, and the reply of each server in each protocol, as values.
//! Never what a reply should be.

use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;
use resp::Value;

/// The server whose replies count: the others' lines only say where they differ from it.
const REFERENCE: &str = "7.4";

/// One request and what the reference answered.
pub(super) struct Step {
    pub(super) request: String,
    /// In RESP2 and in RESP3.
    pub(super) replies: [Value; 2],
}

/// Reads a recording.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Step>> {
    let text = std::fs::read_to_string(path)?;
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(request) = line.strip_prefix("> ") {
            let replies = [Value::Null, Value::Null];
            steps.push(Step { request: request.to_owned(), replies });
            continue;
        }
        let step = steps.last_mut().with_context(|| format!("no request before: {line}"))?;
        let (protocol, rest) = line.trim_start().split_once(' ').context("no protocol")?;
        let (server, reply) = rest.split_once(' ').context("no server")?;
        if server != REFERENCE {
            continue;
        }
        let reply = value(reply.trim_start()).with_context(|| line.to_owned())?;
        match protocol {
            "r2" => step.replies = [reply.clone(), reply],
            "r3" => step.replies[1] = reply,
            _ => bail!("neither r2 nor r3: {line}"),
        }
    }
    Ok(steps)
}

/// A whole reply as the recorder writes one.
fn value(text: &str) -> anyhow::Result<Value> {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    if let Some(error) = text.strip_prefix('-') {
        return Ok(Value::Error(bytes(error)));
    }
    if let Some(simple) = text.strip_prefix('+') {
        return Ok(Value::Simple(bytes(simple)));
    }
    let mut rest = text;
    let value = part(&mut rest)?;
    anyhow::ensure!(rest.is_empty(), "more behind the reply: {rest}");
    Ok(value)
}

/// One value that may stand within others.
fn part(text: &mut &str) -> anyhow::Result<Value> {
    if take(text, "_") || take(text, "$-1") {
        return Ok(Value::Null);
    }
    if take(text, "*-1") {
        return Ok(Value::NullArray);
    }
    if take(text, "$'") {
        let (string, rest) = text.split_once('\'').context("a string without an end")?;
        *text = rest;
        return Ok(Value::bulk(string));
    }
    if take(text, ":") {
        return Ok(Value::Integer(number(text)?));
    }
    if take(text, "*") {
        let count = number(text)?;
        return Ok(Value::Array(items(text, count, "[", "]", part)?));
    }
    if take(text, "%") {
        let count = number(text)?;
        return Ok(Value::Map(items(text, count, "{", "}", pair)?));
    }
    bail!("no value: {text}")
}

fn pair(text: &mut &str) -> anyhow::Result<(Value, Value)> {
    let name = part(text)?;
    anyhow::ensure!(take(text, ": "), "no `: ` at: {text}");
    Ok((name, part(text)?))
}

fn items<T>(
    text: &mut &str,
    count: i64,
    open: &str,
    close: &str,
    item: fn(&mut &str) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    anyhow::ensure!(take(text, open), "no `{open}` at: {text}");
    let mut items = Vec::new();
    for at in 0..count {
        anyhow::ensure!(at == 0 || take(text, ", "), "no `, ` at: {text}");
        items.push(item(text)?);
    }
    anyhow::ensure!(take(text, close), "no `{close}` at: {text}");
    Ok(items)
}

fn take(text: &mut &str, prefix: &str) -> bool {
    match text.strip_prefix(prefix) {
        Some(rest) => {
            *text = rest;
            true
        }
        None => false,
    }
}

fn number(text: &mut &str) -> anyhow::Result<i64> {
    let end = text.find(|it: char| it != '-' && !it.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    Ok(digits.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_every_shape_are_read() {
        let check = |text: &str, shown: &str| assert_eq!(value(text).unwrap().to_string(), shown);
        check("-ERR it's [odd], no?", "-ERR it's [odd], no?");
        check("*2[$'a b', *0[]]", "*2['a b', *0[]]");
        check("%2{$'idle': :-1, $'x': *1[_]}", "%2{'idle': :-1, 'x': *1[nil]}");
        check("*1[*-1]", "*1[nil-array]");
        assert!(value("*2[:1]").is_err() && value(":1 ").is_err());
    }
}
