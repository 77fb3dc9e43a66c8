//! What a person or a pipe reads: lines to stdout, complaints to stderr. A reader that went away
//! is no error.

use std::io::Write;

/// A line to stdout.
pub(crate) fn say(line: impl std::fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    drop(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}

/// A line to stderr: what goes on, while stdout is kept for the result.
pub(crate) fn note(line: impl std::fmt::Display) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// A line to stderr, from the program.
pub(crate) fn complain(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "weir: {line}"));
}

/// Rows under a head, in columns as wide as their widest cell; numbers to the right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            let number = cell.starts_with(|first: char| first.is_ascii_digit())
                && cell.chars().all(|c| c.is_ascii_digit() || ",.%".contains(c));
            let padding = " ".repeat(width - cell.chars().count());
            line +=
                &if number { format!("{padding}{cell}  ") } else { format!("{cell}{padding}  ") };
        }
        line.trim_end().to_owned()
    };
    let mut lines = vec![line(&mut head.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["a".to_owned(), "1,000".to_owned()], vec!["bcd".into(), "7".into()]];
        assert_eq!(table(&["name", "n"], &rows), "name  n\na     1,000\nbcd       7");
    }
}
