//! Prometheus's text format. Never what is counted.

use std::fmt::Write;

/// A page that grows line by line. Lines of one metric follow each other.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
    /// The metric whose head was written last: it is written once.
    headed: String,
}

impl Page {
    /// A value that only grows.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        self.line(name, "", value);
    }

    /// A value that goes up and down. `labels` are made by [`label`], joined by commas.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, labels: &str, value: u64) {
        self.head(name, help, "gauge");
        self.line(name, labels, value);
    }

    /// `counts` has one more than `bounds`: what is above them all.
    pub(crate) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) {
        self.head(name, help, "histogram");
        let mut below = 0;
        for (index, count) in counts.iter().enumerate() {
            below += count;
            let bound = bounds.get(index).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            self.line(&format!("{name}_bucket"), &label("le", &bound), below);
        }
        self.line(&format!("{name}_sum"), "", sum);
        self.line(&format!("{name}_count"), "", below);
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        if self.headed != name {
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            name.clone_into(&mut self.headed);
        }
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = match labels {
            "" => writeln!(self.text, "{name} {value}"),
            labels => writeln!(self.text, "{name}{{{labels}}} {value}"),
        };
    }
}

/// `name="value"`, escaped.
pub(crate) fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}
