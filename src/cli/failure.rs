//! Why a command failed.

use super::exit;
use crate::{
    admin::{AdminError, Failure},
    config::ConfigError,
    server::ServerError,
};
use std::{io, process::ExitCode};

/// Why a command failed, as it is printed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server did not start, or stopped by itself.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The task failed.
    #[error(transparent)]
    Task(#[from] Failure),
    /// The task ended without an answer.
    #[error("the server ended the task without an answer; see its log")]
    NoAnswer,
    /// The tour did not show what it should.
    #[error("quickstart: {0}")]
    Tour(String),
    /// No password was given.
    #[error("{0}")]
    Password(String),
    /// The process lacks threads or files.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

impl From<AdminError> for Failed {
    fn from(error: AdminError) -> Self {
        Self::Task(Failure::from(&error))
    }
}

impl Failed {
    /// A step of the tour that could not be taken.
    pub(super) fn tour(error: io::Error) -> Self {
        Self::Tour(error.to_string())
    }

    /// The code that the process ends with.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_) | Self::Password(_) => exit::USAGE,
            Self::Task(failure) => exit::of(failure.kind),
            Self::Server(_) | Self::Tour(_) | Self::NoAnswer | Self::Runtime(_) => exit::UNAVAILABLE,
        })
    }
}
