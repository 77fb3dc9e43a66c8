//! A TOML file read key by key, so that every error names file, line, key and what is allowed.
//! Environment variables stand above the file. Never knows what the keys mean.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Of a place, and of what is wrong there: more of it helps nobody.
const SHOWN_CHARS_MAX: usize = 1024;
/// A longer name is like none that is known, and to compare it would take long.
const LIKE_BYTES_MAX: usize = 64;

/// Why a configuration is refused: one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {text}")]
pub struct ConfigError {
    place: String,
    text: String,
}

impl ConfigError {
    pub(super) fn new(place: impl fmt::Display, text: impl Into<String>) -> Self {
        Self { place: one_line(&place.to_string()), text: one_line(&text.into()) }
    }
}

/// Keys, values and the names of variables are shown, whatever is in them and however long they are.
fn one_line(text: &str) -> String {
    let shown = text.chars().take(SHOWN_CHARS_MAX);
    shown.map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// Variables of the environment, as handed in.
pub type Environment = [(String, String)];

/// One file, parsed.
pub(super) struct Document<'a> {
    path: &'a Path,
    text: &'a str,
    table: DeTable<'a>,
    environment: &'a Environment,
}

/// One value and where it was found.
pub(super) struct Found {
    scalar: Scalar,
    place: String,
}

enum Scalar {
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<Scalar>),
    Other,
}

/// One `[section]` of a file, its keys known.
pub(super) struct Section<'a> {
    document: &'a Document<'a>,
    name: &'static str,
    known: &'static [&'static str],
    table: Option<&'a DeTable<'a>>,
    line: usize,
    environment: bool,
}

impl<'a> Document<'a> {
    /// Parses the text of `path`; only `sections` may stand in it.
    pub(super) fn parse(
        path: &'a Path,
        text: &'a str,
        sections: &[&'static str],
        environment: &'a Environment,
    ) -> Result<Self, ConfigError> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = line_of(text, error.span().map_or(0, |span| span.start));
            let message = error.message().replace('\n', ", ");
            ConfigError::new(format!("{}:{line}", path.display()), message)
        })?;
        let document = Self { path, text, table: table.into_inner(), environment };
        for (key, value) in &document.table {
            document.check_known(key, "", sections, value.get_ref().type_str())?;
        }
        Ok(document)
    }

    /// A `[name]` table; all of its keys are checked against `known` at once.
    pub(super) fn section(
        &'a self,
        name: &'static str,
        known: &'static [&'static str],
    ) -> Result<Section<'a>, ConfigError> {
        let found = self.table.get(name);
        let table = match found.map(|value| (value, value.get_ref())) {
            None => None,
            Some((_, DeValue::Table(table))) => Some(table),
            Some((value, _)) => {
                let place = self.place(value.span().start);
                return Err(ConfigError::new(place, format!("{name}: write it as [{name}]")));
            }
        };
        let line = found.map_or(1, |value| line_of(self.text, value.span().start));
        self.section_of(name, known, table, line, true)
    }

    /// The `[[name]]` tables, in order.
    pub(super) fn sections(
        &'a self,
        name: &'static str,
        known: &'static [&'static str],
    ) -> Result<Vec<Section<'a>>, ConfigError> {
        let Some(value) = self.table.get(name) else { return Ok(Vec::new()) };
        let wrong = |at: usize| {
            ConfigError::new(self.place(at), format!("{name}: write each as [[{name}]]"))
        };
        let array = value.get_ref().as_array().ok_or_else(|| wrong(value.span().start))?;
        let mut sections = Vec::new();
        for item in array.iter() {
            let at = item.span().start;
            let table = item.get_ref().as_table().ok_or_else(|| wrong(at))?;
            let line = line_of(self.text, at);
            sections.push(self.section_of(name, known, Some(table), line, false)?);
        }
        Ok(sections)
    }

    /// An error at the file as a whole.
    pub(super) fn error(&self, text: impl Into<String>) -> ConfigError {
        ConfigError::new(self.path.display(), text)
    }

    fn section_of(
        &'a self,
        name: &'static str,
        known: &'static [&'static str],
        table: Option<&'a DeTable<'a>>,
        line: usize,
        environment: bool,
    ) -> Result<Section<'a>, ConfigError> {
        for (key, value) in table.into_iter().flatten() {
            self.check_known(key, name, known, value.get_ref().type_str())?;
        }
        Ok(Section { document: self, name, known, table, line, environment })
    }

    fn check_known(
        &self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        section: &str,
        known: &[&'static str],
        kind: &str,
    ) -> Result<(), ConfigError> {
        if known.contains(&key.get_ref().as_ref()) {
            return Ok(());
        }
        let what = match section {
            "" if kind == "table" || kind == "array" => "unknown section",
            "" => "unknown key outside of any section",
            _ => "unknown key",
        };
        let text = format!(
            "{}: {what}; {}",
            dotted(section, key.get_ref()),
            nearest(key.get_ref(), known)
        );
        Err(ConfigError::new(self.place(key.span().start), text))
    }

    fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path.display(), line_of(self.text, at))
    }
}

impl Section<'_> {
    /// A value, from the environment or the file.
    pub(super) fn get(&self, key: &'static str) -> Option<Found> {
        debug_assert!(self.known.contains(&key), "{key} stands in the list of known keys");
        if let Some(found) = self.environment.then(|| self.overridden(key)).flatten() {
            return Some(found);
        }
        let value = self.table?.get(key)?;
        let place = self.document.place(value.span().start);
        let place = format!("{place}: {}", dotted(self.name, key));
        Some(Found { scalar: scalar(value.get_ref()), place })
    }

    /// A value that must be there.
    pub(super) fn require(&self, key: &'static str) -> Result<Found, ConfigError> {
        self.get(key).ok_or_else(|| self.missing(key))
    }

    /// The error of a key that must be there and is not.
    fn missing(&self, key: &str) -> ConfigError {
        let place = format!("{}:{}", self.document.path.display(), self.line);
        ConfigError::new(place, format!("{}: is missing", dotted(self.name, key)))
    }

    fn overridden(&self, key: &str) -> Option<Found> {
        let name = variable(self.name, key);
        let (_, value) = self.document.environment.iter().find(|(found, _)| *found == name)?;
        Some(Found { scalar: Scalar::Text(value.clone()), place: name })
    }
}

impl Found {
    /// An error about this value.
    pub(super) fn refuse(&self, allowed: impl Into<String>) -> ConfigError {
        ConfigError::new(&self.place, allowed)
    }

    /// Text.
    pub(super) fn text(&self) -> Result<String, ConfigError> {
        match &self.scalar {
            Scalar::Text(text) => Ok(text.clone()),
            _ => Err(self.refuse("must be a text in quotes")),
        }
    }

    /// A whole number of `range`.
    pub(super) fn number(&self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let allowed = || {
            self.refuse(format!("must be a whole number from {} to {}", range.start(), range.end()))
        };
        self.scalar.number().filter(|number| range.contains(number)).ok_or_else(allowed)
    }

    /// A yes or no.
    pub(super) fn flag(&self) -> Result<bool, ConfigError> {
        match &self.scalar {
            Scalar::Flag(flag) => Ok(*flag),
            Scalar::Text(text) if text == "true" => Ok(true),
            Scalar::Text(text) if text == "false" => Ok(false),
            _ => Err(self.refuse("must be true or false")),
        }
    }

    /// A size in bytes of `range`, as a number or as text such as `64MiB`.
    pub(super) fn bytes(&self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let size = match &self.scalar {
            Scalar::Text(text) => text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64()),
            scalar => scalar.number(),
        };
        let shown = |bytes: &u64| bytesize::ByteSize::b(*bytes).display().iec().to_string();
        size.filter(|size| range.contains(size)).ok_or_else(|| {
            let (least, most) = (shown(range.start()), shown(range.end()));
            self.refuse(format!("must be a size such as \"64MiB\", from {least} to {most}"))
        })
    }

    /// Two whole numbers, the first below the second.
    pub(super) fn span(&self, range: RangeInclusive<u64>) -> Result<(u64, u64), ConfigError> {
        let numbers: Option<Vec<u64>> = match &self.scalar {
            Scalar::List(list) => list.iter().map(Scalar::number).collect(),
            Scalar::Text(text) => {
                let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
                inner.split(',').map(|part| part.trim().parse().ok()).collect()
            }
            _ => None,
        };
        match numbers.as_deref() {
            Some(&[low, high]) if low < high && range.contains(&low) && range.contains(&high) => {
                Ok((low, high))
            }
            _ => Err(self.refuse(format!(
                "must be two whole numbers [low, high] from {} to {}, the first below the second",
                range.start(),
                range.end()
            ))),
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let found = self.text().ok();
        let hit = words.iter().find(|(word, _)| found.as_deref() == Some(*word));
        hit.map(|(_, value)| *value).ok_or_else(|| {
            let quoted: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.refuse(format!("must be {}", quoted.join(" or ")))
        })
    }

    /// A path; a relative one is taken from `base`.
    pub(super) fn path(&self, base: &Path) -> Result<PathBuf, ConfigError> {
        let text = self.text()?;
        if text.is_empty() { Err(self.refuse("must name a path")) } else { Ok(base.join(text)) }
    }
}

impl Scalar {
    fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => u64::try_from(*number).ok(),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

fn scalar(value: &DeValue<'_>) -> Scalar {
    match value {
        DeValue::String(text) => Scalar::Text(text.to_string()),
        DeValue::Boolean(flag) => Scalar::Flag(*flag),
        DeValue::Integer(number) => {
            i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
                .map_or(Scalar::Other, Scalar::Number)
        }
        DeValue::Array(list) => {
            Scalar::List(list.iter().map(|item| scalar(item.get_ref())).collect())
        }
        _ => Scalar::Other,
    }
}

/// The variable that stands above `section.key`.
pub(super) fn variable(section: &str, key: &str) -> String {
    format!("WEIR_{}__{}", section.to_uppercase(), key.to_uppercase())
}

/// `did you mean ...` where a known word is near, else all of them.
pub(super) fn nearest(key: &str, known: &[&str]) -> String {
    let best = known
        .iter()
        .filter(|_| key.len() <= LIKE_BYTES_MAX)
        .map(|word| (strsim::damerau_levenshtein(key, word), *word))
        .min()
        .filter(|(distance, word)| *distance <= word.len().max(key.len()) / 2);
    match best {
        Some((_, word)) => format!("did you mean `{word}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
