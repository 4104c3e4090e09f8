//! What is wrong with a configuration, and where.

use std::{fmt, io, path::PathBuf};

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file, on this line.
    File(PathBuf, usize),
    /// On the command line, as this `key=value`.
    CommandLine(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, line) => write!(f, "{}:{line}", file.display()),
            Self::CommandLine(text) => write!(f, "--set {text}"),
        }
    }
}

/// Why there is no configuration. Each names its place; the administrator mends all of them.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {_1}", _0.display())]
    Read(PathBuf, io::Error),
    /// The text is not TOML, or `--set` has no `=`.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What.
        message: String,
    },
    /// There is no such setting.
    #[error("{place}: there is no setting `{key}`{}", suggestion(.nearest.as_ref()))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key as written, with its section.
        key: String,
        /// The setting that may have been meant.
        nearest: Option<String>,
    },
    /// The value cannot be the setting's.
    #[error("{place}: `{key}` {message}")]
    Value {
        /// Where.
        place: Place,
        /// The setting.
        key: String,
        /// Continues the sentence that begins with the key.
        message: String,
    },
}

fn suggestion(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}
