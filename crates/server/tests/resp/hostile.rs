//! Every command of the table with arguments that nobody would send who means well, through a real
//! connection: each gets one reply, and an error echoes no line end and little else.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use resp::{Limits, RequestParser, Value};

use crate::client::{Client, request};
use crate::door::Door;
use crate::script::read;

/// The longest of our own words, and what may be echoed.
const ERROR_BYTES_MAX: usize = 512;
/// Bytes of one argument that an error may echo.
const ECHO_BYTES_MAX: usize = 128;
/// Of an argument that is made of one thing: what no error may hold so many of.
const FILLER_COUNT: usize = 300;

/// Requests with such a word answer otherwise than with one reply, take as long as they say, or end or
/// begin something: the fuzz target of the arguments has them.
const LEFT_OUT: [&str; 12] = [
    "MONITOR",
    "MULTI",
    "QUIT",
    "RESET",
    "SHUTDOWN",
    "SUBSCRIBE",
    "BLOCK",
    "PAUSE",
    "SLEEP",
    "REPLY",
    "KILL",
    "WAIT",
];

/// An argument, and what it is made of.
struct Evil {
    bytes: Vec<u8>,
    filler: &'static str,
}

/// One of each kind.
fn evils() -> Vec<Evil> {
    let filled = |before: &[u8], filler: &'static str, after: &[u8]| {
        let bytes = [before, filler.repeat(FILLER_COUNT).as_bytes(), after].concat();
        Evil { bytes, filler }
    };
    let whole = |bytes: &[u8]| Evil { bytes: bytes.to_vec(), filler: "" };
    vec![
        filled(b"\r\n+OK\r\n\0\xff", "x", b"\r\n:1\r\n"),
        // A line end on either side of where an echo is cut.
        filled(&[b'y'; ECHO_BYTES_MAX - 1], "\r\n", b""),
        filled(b"", "\r", b""),
        filled(b"", "\n", b""),
        filled(b"", "\0", b""),
        // Cut in the middle of a letter.
        filled(b"z", "\u{e9}", b""),
        filled(b"'", "'", b"\r\n"),
        Evil { bytes: vec![0xff; FILLER_COUNT], filler: "\u{fffd}" },
        whole(b"5-5\r\n-ERR of somebody else"),
        whole(b"(-\r\n$-1"),
        whole(b"99999999999999999999999999"),
        whole(b"-1"),
        whole(b""),
    ]
}

fn is_left_out(words: &[impl AsRef<[u8]>]) -> bool {
    words.iter().any(|word| {
        let word = word.as_ref().to_ascii_uppercase();
        LEFT_OUT.iter().any(|left_out| word.ends_with(left_out.as_bytes()))
    })
}

/// Every command, and every subcommand behind its container.
async fn rows(client: &mut Client) -> Vec<Vec<String>> {
    client.send(request("COMMAND")).await;
    let reply = client.reply().await.expect("a reply");
    let mut rows = Vec::new();
    for row in reply.as_items().expect("rows") {
        let row = row.as_items().expect("a row");
        let name = |row: &[Value]| -> Vec<String> {
            row[0].as_text().expect("a name").split('|').map(str::to_owned).collect()
        };
        rows.push(name(row));
        let subcommands = row[9].as_items().expect("subcommands");
        rows.extend(subcommands.iter().map(|sub| name(sub.as_items().expect("a row"))));
    }
    rows
}

/// The requests of all commands' scripts.
fn scripted() -> Vec<Vec<Bytes>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/commands");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let limits = Limits::authenticated(1 << 20, 1 << 20);
    let split = |line: String| {
        let (mut input, mut args) = (BytesMut::from(format!("{line}\r\n").as_bytes()), Vec::new());
        RequestParser::new().next(&mut input, &limits, &mut args).unwrap();
        args
    };
    files.flat_map(|file| read(&file)).map(|step| split(step.request)).collect()
}

/// Asks, and looks at every error in the reply. A reply that nobody asked for would be taken for that
/// of the ECHO behind it.
async fn check(client: &mut Client, words: &[&[u8]], evil: &Evil) {
    let mut bytes = BytesMut::new();
    resp::write_request(&mut bytes, words);
    resp::write_request(&mut bytes, &["ECHO", "behind"]);
    client.send(&bytes).await;
    let shown = |word: &&[u8]| word[..word.len().min(20)].escape_ascii().to_string();
    let asked = || words.iter().map(shown).collect::<Vec<_>>();
    let reply = client.reply().await.unwrap_or_else(|| panic!("{:?} closed", asked()));
    check_errors(&reply, evil, &asked);
    assert_eq!(client.said().await, "'behind'", "{:?} had more than one reply", asked());
}

fn check_errors(value: &Value, evil: &Evil, asked: &dyn Fn() -> Vec<String>) {
    if let Some(items) = value.as_items() {
        items.iter().for_each(|item| check_errors(item, evil, asked));
    }
    if let Value::Error(text) = value {
        let text = std::str::from_utf8(text).expect("an error is text");
        assert!(text.len() <= ERROR_BYTES_MAX, "{:?}: {text}", asked());
        assert!(!text.contains(['\r', '\n']), "{:?}: {text}", asked());
        // Our own quotes and spaces may stand around an echo.
        let too_many = evil.filler.replace(['\r', '\n'], " ").repeat(ECHO_BYTES_MAX + 8);
        assert!(too_many.is_empty() || !text.contains(&too_many), "{:?}: {text}", asked());
    }
}

/// What was sent became a reply of its own.
#[tokio::test]
async fn cve_2025_67733_no_error_echoes_a_line_end_or_more_than_a_little() {
    let door = Door::open();
    let mut client = door.client().await;
    let rows = rows(&mut client).await;
    let mut asked = 0;
    for evil in evils() {
        for name in rows.iter().filter(|name| !is_left_out(name)) {
            for count in 0..6 {
                let words = name.iter().map(|word| word.as_bytes());
                let evil_words = std::iter::repeat_n(&evil.bytes[..], count);
                let words: Vec<&[u8]> = words.chain(evil_words).collect();
                check(&mut client, &words, &evil).await;
                asked += 1;
            }
        }
    }
    assert!(asked > 5_000, "only {asked} requests");
}

/// The same, where everything else is as it should be: so that what is wrong is found late, and by
/// the shards, too.
#[tokio::test]
async fn cve_2025_67733_one_hostile_argument_among_good_ones_is_echoed_no_more() {
    let door = Door::open();
    let mut client = door.client().await;
    for asked in ["XADD s 1-1 f 1", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c STREAMS s >"] {
        client.ask(asked).await;
    }
    let scripted = scripted();
    let mut asked = 0;
    for evil in evils() {
        for words in scripted.iter().filter(|words| !is_left_out(words)) {
            for at in 0..words.len() {
                let mut words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
                words[at] = &evil.bytes;
                check(&mut client, &words, &evil).await;
                asked += 1;
            }
        }
    }
    assert!(asked > 20_000, "only {asked} requests");
}
