//! Requests as the slow log keeps them and monitoring clients see them: cut to a bounded length.
//! Never what a client says to authenticate.

use std::fmt::Write;

use bytes::Bytes;

use super::limits;
use super::table::Spec;

/// Whether a request may be shown to others at all: passwords may not.
pub(super) fn is_public(spec: &Spec) -> bool {
    !spec.flags.no_auth
}

/// The arguments as the slow log keeps them: those left out are counted.
pub(super) fn kept(args: &[Bytes]) -> Vec<Bytes> {
    let cut = |arg: &Bytes| shortened(arg, limits::SLOW_ARG_BYTES_MAX);
    match args.len() {
        count if count > limits::SLOW_ARGS_MAX => {
            let shown = limits::SLOW_ARGS_MAX - 1;
            let rest = format!("... ({} more arguments)", count - shown);
            args[..shown].iter().map(cut).chain([rest.into()]).collect()
        }
        _ => args.iter().map(cut).collect(),
    }
}

/// A copy, so that a small argument doesn't hold the buffer of a large request.
fn shortened(arg: &[u8], bytes_max: usize) -> Bytes {
    if arg.len() <= bytes_max {
        return Bytes::copy_from_slice(arg);
    }
    let rest = format!("... ({} more bytes)", arg.len() - bytes_max);
    [&arg[..bytes_max], rest.as_bytes()].concat().into()
}

/// A line for monitoring clients: when, who, and what.
pub(super) fn line(wall_ms: u64, from: std::net::SocketAddr, args: &[Bytes]) -> String {
    let mut line = format!("{}.{:03}000 [0 {from}]", wall_ms / 1000, wall_ms % 1000);
    for arg in args.iter().take(limits::MONITORED_ARGS_MAX) {
        line.push(' ');
        quote(&mut line, &shortened(arg, limits::MONITORED_ARG_BYTES_MAX));
    }
    if let Some(more @ 1..) = args.len().checked_sub(limits::MONITORED_ARGS_MAX) {
        line.push_str(&format!(" \"... ({more} more arguments)\""));
    }
    line
}

/// In quotes, with everything that isn't plain text escaped.
fn quote(line: &mut String, arg: &[u8]) {
    line.push('"');
    for byte in arg {
        match byte {
            b'"' | b'\\' => line.extend(['\\', char::from(*byte)]),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x07 => line.push_str("\\a"),
            0x08 => line.push_str("\\b"),
            b' '..=b'~' => line.push(char::from(*byte)),
            byte => write!(line, "\\x{byte:02x}").expect("a string takes what is written to it"),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_says_what_is_missing() {
        let args = vec![Bytes::from(vec![b'x'; 200]); 40];
        let kept = kept(&args);
        assert_eq!(kept.len(), 32);
        assert_eq!(kept[0], format!("{}... (72 more bytes)", "x".repeat(128)));
        assert_eq!(kept[31], "... (9 more arguments)");
        assert_eq!(super::kept(&args[..2])[1].len(), 128 + "... (72 more bytes)".len());
    }

    #[test]
    fn a_line_quotes_what_is_not_text() {
        let from = "127.0.0.1:5".parse().unwrap();
        let args = [&b"XADD"[..], b"a\"\\\r\n\t\x07\x08\xff b"].map(Bytes::from_static);
        let expected = r#"1700000000.005000 [0 127.0.0.1:5] "XADD" "a\"\\\r\n\t\a\b\xff b""#;
        assert_eq!(line(1_700_000_000_005, from, &args), expected);
        let long = vec![Bytes::from(vec![0; 1 << 16]); 1000];
        let long = line(0, from, &long);
        assert!(long.len() < 200_000 && long.ends_with("\"... (936 more arguments)\""));
    }
}
