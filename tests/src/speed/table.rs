//! A table for people and, as one line of JSON, for programs. The text is what a document takes.

use serde_json::{Value, json};

/// Cells under their columns.
#[derive(Clone, Debug)]
pub struct Table {
    pub title: String,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one.
    pub fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    /// The table with columns lined up.
    pub fn text(&self) -> String {
        let width = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.len());
            cells.max().unwrap_or(0).max(self.columns[at].len())
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: Vec<&str>| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
        };
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        let mut lines = vec![self.title.clone(), String::new(), line(self.columns.clone())];
        lines.push(line(rule.iter().map(String::as_str).collect()));
        let rows = self.rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
        lines.extend(rows);
        lines.join("\n")
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let row = |row: &Vec<String>| -> Value {
            let cells = self.columns.iter().zip(row);
            cells.map(|(name, cell)| ((*name).to_owned(), json!(cell))).collect()
        };
        json!({ "title": self.title, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

/// A rate for a cell; nothing where there was none.
pub fn rate(per_second: Option<f64>) -> String {
    per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"))
}

/// One rate by another.
pub fn ratio(of: Option<f64>, to: Option<f64>) -> String {
    match (of, to) {
        (Some(of), Some(to)) if to > 0.0 => format!("{:.2}", of / to),
        _ => "-".to_owned(),
    }
}

/// Milliseconds.
pub fn ms(value: f64) -> String {
    format!("{value:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_keeps_its_names_for_programs() {
        let mut table = Table::new("t", &["command", "a second"]);
        table.rows.push(vec!["XLEN".into(), rate(Some(12.4))]);
        table.rows.push(vec!["XAUTOCLAIM".into(), rate(None)]);
        let lines = [
            "| command    | a second |",
            "| ---------- | -------- |",
            "| XLEN       | 12       |",
            "| XAUTOCLAIM | -        |",
        ];
        assert_eq!(table.text(), format!("t\n\n{}", lines.join("\n")));
        assert_eq!(table.json()["rows"][0]["a second"], "12");
    }

    #[test]
    fn a_ratio_needs_both() {
        assert_eq!(ratio(Some(3.0), Some(2.0)), "1.50");
        assert_eq!(ratio(Some(3.0), None), "-");
    }
}
