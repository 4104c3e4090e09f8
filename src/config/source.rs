//! Where settings come from: the text of a file with the place of each key, and `key=value`.

use super::{Config, ConfigError, Place, nearest::nearest};
use std::{
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
};
use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

/// The text of a configuration file.
pub(super) struct Source<'a> {
    text: &'a str,
    file: PathBuf,
    /// Every key that is no section, with the octets of key and value.
    keys: Vec<(String, Range<usize>)>,
}

impl<'a> Source<'a> {
    /// Reads the keys and refuses those that do not exist.
    pub(super) fn parse(text: &'a str, file: &Path) -> Result<Self, ConfigError> {
        let mut source = Self { text, file: file.to_owned(), keys: Vec::new() };
        let table = DeTable::parse(text).map_err(|error| source.syntax(&error))?;
        source.walk(table.get_ref(), "", &known_keys())?;
        Ok(source)
    }

    fn walk(&mut self, table: &DeTable<'_>, section: &str, known: &BTreeSet<String>) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = join(section, name.get_ref());
            let is_section = known.iter().any(|known| known.starts_with(&format!("{key}.")));
            if !is_section && !known.contains(&key) {
                return Err(unknown(self.place(name.span().start), key, value_keys(value.get_ref()), known));
            }
            match value.get_ref() {
                DeValue::Table(inner) if is_section => self.walk(inner, &key, known)?,
                _ => self.keys.push((key, name.span().start..value.span().end)),
            }
        }
        Ok(())
    }

    /// The settings of file and command line together.
    pub(super) fn settings(&self, overrides: &[Override]) -> Result<Config, ConfigError> {
        let from_file: Config = toml::from_str(self.text).map_err(|error| self.value_error(&error))?;
        let mut table = Table::try_from(&from_file).expect("settings are values of TOML");
        for wanted in overrides {
            wanted.apply(&mut table)?;
        }
        Ok(table.try_into().expect("each override was tried"))
    }

    /// Where a setting got its value from.
    pub(super) fn place_of(&self, key: &str, overrides: &[Override]) -> Place {
        if let Some(last) = overrides.iter().rfind(|wanted| wanted.key == key) {
            return Place::CommandLine(last.text.clone());
        }
        let written = self.keys.iter().find(|(written, _)| written == key);
        match (written, overrides.last()) {
            // A check that compares two settings may blame one that was left at its default.
            (None, Some(last)) => Place::CommandLine(last.text.clone()),
            _ => self.place(written.map_or(0, |(_, octets)| octets.start)),
        }
    }

    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        Place::File(self.file.clone(), before.matches('\n').count() + 1)
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        ConfigError::Syntax {
            place: self.place(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        }
    }

    fn value_error(&self, error: &toml::de::Error) -> ConfigError {
        let offset = error.span().map_or(0, |span| span.start);
        let key = self.keys.iter().find(|(_, octets)| octets.contains(&offset));
        match key {
            Some((key, _)) => value_error(self.place(offset), key, error),
            None => self.syntax(error),
        }
    }
}

/// One `key=value` of the command line.
pub(super) struct Override {
    key: String,
    value: String,
    text: String,
}

impl Override {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let place = || Place::CommandLine(text.to_owned());
        let Some((key, value)) = text.split_once('=') else {
            let message = "must be key=value, such as mx.listen=[\"127.0.0.1:2525\"]".to_owned();
            return Err(ConfigError::Syntax { place: place(), message });
        };
        let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
        let known = known_keys();
        if !known.contains(&key) {
            return Err(unknown(place(), key, Vec::new(), &known));
        }
        Ok(Self { key, value, text: text.to_owned() })
    }

    /// Puts the value into the table: as TOML reads it, or else as text.
    fn apply(&self, table: &mut Table) -> Result<(), ConfigError> {
        let place = || Place::CommandLine(self.text.clone());
        let as_text = Value::String(self.value.clone());
        let as_toml = self.value.parse::<Value>().unwrap_or_else(|_| as_text.clone());
        let tried = with(table, &self.key, as_toml).or_else(|error| with(table, &self.key, as_text).map_err(|_| error));
        *table = tried.map_err(|error| value_error(place(), &self.key, &error))?;
        Ok(())
    }
}

/// The table with one value replaced, where the settings can be read from it.
fn with(table: &Table, key: &str, value: Value) -> Result<Table, toml::de::Error> {
    let mut changed = table.clone();
    if let Some((section, name)) = key.split_once('.')
        && let Some(Value::Table(section)) = changed.get_mut(section)
    {
        section.insert(name.to_owned(), value);
    }
    changed.clone().try_into::<Config>().map(|_| changed)
}

/// Every setting as `section.name`, from the defaults.
pub(super) fn known_keys() -> BTreeSet<String> {
    let defaults = Table::try_from(Config::default()).expect("settings are values of TOML");
    defaults
        .iter()
        .filter_map(|(section, value)| Some((section, value.as_table()?)))
        .flat_map(|(section, table)| table.keys().map(move |name| join(section, name)))
        .collect()
}

fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// The names in a table that stands where it should not, which say what was meant.
fn value_keys(value: &DeValue<'_>) -> Vec<String> {
    value.as_table().map_or_else(Vec::new, |table| table.keys().map(|key| key.get_ref().to_string()).collect())
}

fn unknown(place: Place, key: String, inside: Vec<String>, known: &BTreeSet<String>) -> ConfigError {
    let sections: BTreeSet<&str> = known.iter().filter_map(|known| known.split('.').next()).collect();
    let keys = || known.iter().map(String::as_str);
    let nearest_section = || nearest(&key, sections.into_iter());
    let nearest = if key.contains('.') {
        nearest(&key, keys())
    } else {
        nearest_section().or_else(|| nearest(&key, keys())).or_else(|| {
            let inside = inside.first()?;
            nearest(&join(&key, inside), keys())
        })
    };
    ConfigError::UnknownKey { place, nearest: nearest.map(str::to_owned), key }
}

fn value_error(place: Place, key: &str, error: &toml::de::Error) -> ConfigError {
    ConfigError::Value { place, key: key.to_owned(), message: wanted(key, error.message()) }
}

/// What a setting wants, from its default and from what serde says of the value, such as `unknown variant`.
fn wanted(key: &str, complaint: &str) -> String {
    if let Some((given, variants)) =
        complaint.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected "))
    {
        return format!("must be {}, not {given}", variants.trim_start_matches("one of ").trim_end());
    }
    let defaults = Table::try_from(Config::default()).expect("settings are values of TOML");
    let (section, name) = key.split_once('.').unwrap_or((key, ""));
    let default = defaults.get(section).and_then(|section| section.get(name));
    match default {
        Some(Value::Integer(_)) if complaint.starts_with("invalid value") => "is out of range".to_owned(),
        Some(Value::Integer(_)) => "must be a whole number".to_owned(),
        Some(Value::Float(_)) => "must be a number".to_owned(),
        Some(Value::Array(_)) => "must be a list of addresses with ports, such as [\"127.0.0.1:2525\"]".to_owned(),
        Some(Value::String(_)) => "must be text in quotes".to_owned(),
        None => "is a section, and holds settings of its own".to_owned(),
        Some(Value::Boolean(_) | Value::Datetime(_) | Value::Table(_)) => format!("cannot be read: {complaint}"),
    }
}
