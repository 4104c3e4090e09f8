//! What is tried again, how often and how long, and what an error means.

use crate::{limits, store::StoreError};
use object_store::Error;
use std::{io, time::Duration};

/// How patient a place wants us to be.
#[derive(Clone, Copy)]
pub(super) enum Tries {
    /// A folder: its errors do not pass by themselves, and what was begun cannot be given up.
    One,
    /// Anything that may be busy or out of reach for a moment: several, this long after the first.
    Several { pause: Duration },
}

/// Tries under way.
pub(super) struct Tried {
    left: u32,
    pause: Duration,
    first: bool,
}

impl Tries {
    pub(super) fn start(self) -> Tried {
        let (left, pause) = match self {
            Self::One => (0, Duration::ZERO),
            Self::Several { pause } => (limits::OBJECT_TRIES_MAX - 1, pause),
        };
        Tried { left, pause, first: true }
    }

    /// Runs something that may be repeated, until it is done or refused.
    pub(super) async fn run<T, F>(self, octets: u64, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut tried = self.start();
        loop {
            let error = match self.within(octets, attempt()).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if !tried.again(&error).await {
                return Err(error);
            }
        }
    }

    /// One try, given up when it takes too long for its octets.
    pub(super) async fn within<T>(
        self,
        octets: u64,
        attempt: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match self {
            Self::One => attempt.await,
            Self::Several { .. } => {
                let seconds = limits::OBJECT_TRY_SECONDS + octets / limits::OBJECT_OCTETS_PER_SECOND_MIN;
                let late = |_| Err(transient("no answer in time"));
                tokio::time::timeout(Duration::from_secs(seconds), attempt).await.unwrap_or_else(late)
            }
        }
    }
}

impl Tried {
    /// Whether nothing was tried before.
    pub(super) fn is_first(&self) -> bool {
        self.first
    }

    /// Waits where the error may pass and there are tries left.
    pub(super) async fn again(&mut self, error: &Error) -> bool {
        if self.left == 0 || !may_pass(error) {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.left -= 1;
        self.pause *= limits::OBJECT_PAUSE_FACTOR;
        self.first = false;
        true
    }
}

/// Whether the same request may succeed later.
fn may_pass(error: &Error) -> bool {
    let refused = matches!(
        error,
        Error::NotFound { .. }
            | Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. }
            | Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::UnknownConfigurationKey { .. }
    );
    !refused && io_cause(error).is_none_or(|io| io.kind() != io::ErrorKind::StorageFull)
}

/// An error that may pass.
pub(super) fn transient(what: &'static str) -> Error {
    Error::Generic { store: "object store", source: what.into() }
}

/// A read that ended before its last octet.
pub(super) fn ended_early() -> Error {
    transient("the answer ended early")
}

/// `None` for an object that is missing.
pub(super) fn found<T>(read: Result<T, Error>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(from_object(error)),
    }
}

/// An error of the object store. Its chain of causes tells a full disk.
pub(super) fn from_object(error: Error) -> StoreError {
    match io_cause(&error) {
        Some(io) => from_io(io),
        None => StoreError::Failed(error.to_string()),
    }
}

fn io_cause(error: &Error) -> Option<&io::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return Some(io);
        }
        cause = current.source();
    }
    None
}

pub(super) fn from_io(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        io::ErrorKind::UnexpectedEof => StoreError::Damaged("an object is too short".to_owned()),
        _ => StoreError::Failed(error.to_string()),
    }
}
