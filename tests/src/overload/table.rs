//! What was required, what was measured, and whether that is good.

use std::fmt;

/// One line.
#[derive(Clone, Debug)]
pub struct Row {
    pub what: String,
    /// Empty where nothing is required.
    pub required: String,
    pub measured: String,
    pub good: bool,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
    /// Answers to all that was asked.
    pub answers: u64,
}

impl Table {
    /// Something that must hold.
    pub fn add(&mut self, what: &str, required: &str, measured: String, good: bool) {
        let (what, required) = (what.to_owned(), required.to_owned());
        self.rows.push(Row { what, required, measured, good });
    }

    /// Something that is only told.
    pub fn note(&mut self, what: &str, measured: String) {
        self.add(what, "", measured, true);
    }

    /// The one line of this name.
    pub fn row(&self, what: &str) -> Option<&Row> {
        let mut rows = self.rows.iter().filter(|row| row.what == what);
        rows.next().filter(|_| rows.next().is_none())
    }

    /// How much does not hold.
    pub fn violations(&self) -> u64 {
        self.rows.iter().filter(|row| !row.good).count() as u64
    }

    /// Whether everything holds.
    pub fn is_good(&self) -> bool {
        self.violations() == 0
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<38}{:<20}{:<20}verdict", "", "required", "measured")?;
        for Row { what, required, measured, good } in &self.rows {
            let verdict = match (required.is_empty(), good) {
                (true, _) => "",
                (false, true) => "ok",
                (false, false) => "MISSED",
            };
            writeln!(f, "{what:<38}{required:<20}{measured:<20}{verdict}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_by_its_whole_name_and_what_is_missed_is_counted() {
        let mut table = Table::default();
        table.add("memory", "at most 1", "2".to_owned(), false);
        table.add("memory of all", "at most 3", "2".to_owned(), true);
        table.note("such as", "a".to_owned());
        table.note("such as", "b".to_owned());
        assert!(table.row("memory").is_some_and(|row| !row.good));
        assert!(table.row("mem").is_none() && table.row("such as").is_none());
        assert!(table.violations() == 1 && !table.is_good(), "{table}");
    }
}
