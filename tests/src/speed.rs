//! Loads and figures: the same requests to Weir and to Redis, one after the other in one run. Never
//! a verdict on what is fast enough: it counts, times and prints.

pub mod appends;
pub mod commands;
pub mod cycle;
pub mod groups;
pub mod load;
pub mod range;
pub mod side;
pub mod table;
pub mod wake;

use std::time::Duration;

pub use load::{Load, Measured, Turn};
pub use side::Side;
pub use table::Table;
use table::{ms, rate, ratio};

/// How much is done, and between whom.
pub struct Plan<'a> {
    /// In the order in which each round asks them; the last one is what the ratio is of.
    pub sides: &'a [Side],
    /// Each round asks every side; the medians are shown.
    pub rounds: usize,
    /// Of each connection, where each turn takes something away.
    pub turns: usize,
    /// One measurement takes so long, or as long as there are turns.
    pub limit: Duration,
    /// Where there are many at a time.
    pub connections: usize,
    /// Groups of the stream that has many.
    pub groups: usize,
}

impl Plan<'_> {
    /// Measures each side in every round, and gives each side's median; `None` for a side that
    /// does not have what is asked.
    ///
    /// # Errors
    /// A connection broke, or an answer was not what it should be.
    pub fn medians(
        &self,
        what: &str,
        mut measure: impl FnMut(&Side) -> anyhow::Result<Option<Measured>>,
    ) -> anyhow::Result<Vec<Option<Measured>>> {
        let mut all = vec![Vec::new(); self.sides.len()];
        for round in 1..=self.rounds {
            for (side, found) in self.sides.iter().zip(&mut all) {
                tell(&format!("{what}, round {round} of {}: {}", self.rounds, side.name));
                found.extend(measure(side)?);
            }
        }
        Ok(all.iter().map(|found| Measured::median(found)).collect())
    }

    /// The same, as a row for each side that has what is asked: these names, the side, its figures,
    /// and their ratio to those of the first side.
    ///
    /// # Errors
    /// As of [`Plan::medians`].
    fn compare(
        &self,
        table: &mut Table,
        what: &str,
        names: &[&str],
        measure: impl FnMut(&Side) -> anyhow::Result<Option<Measured>>,
    ) -> anyhow::Result<()> {
        let found = self.medians(what, measure)?;
        let base = found.first().copied().flatten().map(|it| it.per_second);
        for (at, (side, found)) in self.sides.iter().zip(&found).enumerate() {
            let Some(found) = found else { continue };
            let against = (at > 0).then(|| ratio(Some(found.per_second), base));
            let mut row: Vec<String> = names.iter().copied().map(str::to_owned).collect();
            row.extend([
                side.name.to_owned(),
                rate(Some(found.per_second)),
                ms(found.p50_ms),
                ms(found.p99_ms),
                rate(Some(found.cpu_us)),
                against.unwrap_or_default(),
            ]);
            table.rows.push(row);
        }
        Ok(())
    }
}

/// Progress, for whoever waits.
pub fn tell(line: &str) {
    use std::io::Write;
    drop(writeln!(std::io::stderr(), "{line}"));
}
