//! An inline request's line to its arguments, with the quoting of `redis-cli`. Never sees the
//! line's end.

use bytes::Bytes;

/// The quotes of a line don't match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unbalanced;

/// Splits at blanks. Double quotes know `\n \r \t \b \a \" \\ \xHH`, single quotes only `\'`; a
/// closing quote must end the argument. An argument without quotes shares the line's bytes.
pub(crate) fn split(line: &Bytes, args: &mut Vec<Bytes>) -> Result<(), Unbalanced> {
    let mut at = 0;
    loop {
        at += line[at..].iter().take_while(|byte| is_blank(**byte)).count();
        if at == line.len() {
            return Ok(());
        }
        let plain = line[at..].iter().take_while(|byte| !ends_plain(**byte)).count();
        match line.get(at + plain) {
            Some(b'"' | b'\'') => args.push(quoted(line, &mut at)?),
            _ => {
                args.push(line.slice(at..at + plain));
                at += plain;
            }
        }
    }
}

/// An argument with quotes somewhere in it.
fn quoted(line: &[u8], at: &mut usize) -> Result<Bytes, Unbalanced> {
    let mut arg = Vec::new();
    while let Some(byte) = line.get(*at).copied() {
        *at += 1;
        match byte {
            byte if is_blank(byte) => break,
            b'"' | b'\'' => {
                in_quotes(line, at, byte, &mut arg)?;
                match line.get(*at) {
                    Some(next) if !is_blank(*next) => return Err(Unbalanced),
                    _ => break,
                }
            }
            byte => arg.push(byte),
        }
    }
    Ok(arg.into())
}

/// What stands between quotes; leaves `at` behind the closing one.
fn in_quotes(line: &[u8], at: &mut usize, quote: u8, arg: &mut Vec<u8>) -> Result<(), Unbalanced> {
    loop {
        let rest = &line[*at..];
        let (byte, length) = match (quote, rest) {
            (_, []) => return Err(Unbalanced),
            (b'"', [b'\\', b'x', high, low, ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), 4)
            }
            (b'"', [b'\\', byte, ..]) => (escaped(*byte), 2),
            (b'\'', [b'\\', b'\'', ..]) => (b'\'', 2),
            (_, [byte, ..]) if *byte == quote => {
                *at += 1;
                return Ok(());
            }
            (_, [byte, ..]) => (*byte, 1),
        };
        arg.push(byte);
        *at += length;
    }
}

fn escaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'\0' | 0x0b | 0x0c)
}

fn ends_plain(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b'"' | b'\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<&[&[u8]], Unbalanced>) {
        let mut args = Vec::new();
        let got = split(&Bytes::copy_from_slice(line.as_bytes()), &mut args).map(|()| args);
        let expected =
            expected.map(|args| args.iter().copied().map(Bytes::copy_from_slice).collect());
        assert_eq!(got, expected, "{line}");
    }

    #[test]
    fn a_line_splits_as_in_redis_cli() {
        check("", Ok(&[]));
        check("   ", Ok(&[]));
        check("PING", Ok(&[b"PING"]));
        check("  a  b\tc ", Ok(&[b"a", b"b", b"c"]));
        check(r#"set "a b" 'c d'"#, Ok(&[b"set", b"a b", b"c d"]));
        check(r#""""#, Ok(&[b""]));
        check(r#""\x41\n\"\\\q""#, Ok(&[b"A\n\"\\q"]));
        check(r#""\xzz""#, Ok(&[b"xzz"]));
        check(r"'a\'b\n'", Ok(&[b"a'b\\n"]));
        check(r#"ab"c d" e"#, Ok(&[b"abc d", b"e"]));
    }

    #[test]
    fn quotes_must_match_and_end_the_argument() {
        for line in [r#""a"#, "'a", r#""a"b"#, "'a'b", r#""a\"#, r#"x "a\""#, "'"] {
            check(line, Err(Unbalanced));
        }
    }
}
