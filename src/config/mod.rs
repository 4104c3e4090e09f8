//! `config.toml` and `--set` as checked values. toml's owner.
//!
//! Owns: every setting with its default, the reading of files and of `key=value`, and the checks of values.
//! Promises: defaults, then the file, then the command line; a key that does not exist is an error with its line and
//! the nearest key that does; a [`Config`] that was returned is right as far as that can be known without touching
//! the machine. Never: opens anything but the file it is told to read, and asks the system for its name. Errors name place and key; nothing is logged.
//!
//! `config.toml` at the top of the repository is this module's other half: every key with its default, unit and
//! reason. A test holds the two together.

mod at_most;
mod error;
mod nearest;
mod settings;
mod source;

pub use at_most::AtMost;
pub use error::{ConfigError, Place};
pub use settings::{
    ClearLogin, Config, Control, Dns, Imap, Limits, Log, LogFormat, LogLevel, Metrics, Mx, Server, Spam, Store,
    Submission, Tls,
};

use source::{Override, Source};
use std::path::Path;

/// The settings of this release with their defaults, units and reasons, to be copied.
pub const TEMPLATE: &str = include_str!("../../config.toml");

impl Config {
    /// Reads `file` (where there is one) over the defaults, then `overrides`, each `key=value` with a dotted key and a
    /// value as in TOML; text may do without quotes.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self, ConfigError> {
        let text = match file {
            Some(file) => std::fs::read_to_string(file).map_err(|error| ConfigError::Read(file.to_owned(), error))?,
            None => String::new(),
        };
        Self::from_text(&text, file.unwrap_or(Path::new("")), overrides)
    }

    /// Like [`Config::load`] with the text of a file; `name` is the file's name in errors.
    pub fn from_text(text: &str, name: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let source = Source::parse(text, name)?;
        let overrides: Vec<Override> = overrides.iter().map(|text| Override::parse(text)).collect::<Result<_, _>>()?;
        let config = source.settings(&overrides)?;
        config.check().map_err(|fault| ConfigError::Value {
            place: source.place_of(fault.key, &overrides),
            key: fault.key.to_owned(),
            message: fault.message,
        })?;
        Ok(config)
    }
}
