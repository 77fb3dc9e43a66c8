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
pub struct Table(Vec<Row>);

impl Table {
    /// Something that must hold.
    pub fn add(&mut self, what: &str, required: &str, measured: String, good: bool) {
        let (what, required) = (what.to_owned(), required.to_owned());
        self.0.push(Row { what, required, measured, good });
    }

    /// Something that is only told.
    pub fn note(&mut self, what: &str, measured: String) {
        self.add(what, "", measured, true);
    }

    /// The lines whose names begin so.
    pub fn rows<'a>(&'a self, begin: &'a str) -> impl Iterator<Item = &'a Row> {
        self.0.iter().filter(move |row| row.what.starts_with(begin))
    }

    /// Whether everything holds.
    pub fn is_good(&self) -> bool {
        self.0.iter().all(|row| row.good)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<38}{:<20}{:<20}verdict", "", "required", "measured")?;
        for Row { what, required, measured, good } in &self.0 {
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
