//! Why a task failed, here and on the wire.

use super::QueryError;
use crate::{accounts::AccountsError, store::StoreError};
use serde::{Deserialize, Serialize};
use std::{io, path::PathBuf};

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// What was asked of accounts cannot be.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file or folder cannot be used.
    #[error("{}: {_1}", _0.display())]
    File(PathBuf, io::Error),
    /// A mailbox cannot be made.
    #[error("mailbox {0}: {1}")]
    Mailbox(String, StoreError),
    /// The query is not understood.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A time is not understood.
    #[error("{0:?} is no time: write 2026-11-25, 2026-11-25T05:01:49Z (UTC), or how long ago as 90m, 12h, 3d, 2w")]
    Time(String),
    /// That is no content's name.
    #[error("`{0}` is not the name of a content: 64 hexadecimal digits, as `blob verify` prints them")]
    ContentName(String),
    /// A corpus or model cannot be read; the text names the file.
    #[error("{0}")]
    Corpus(String),
    /// What was exported does not read back as it was written.
    #[error("{} does not read back as it was written", .0.display())]
    ReadBack(PathBuf),
    /// There is no server and the store cannot be opened either.
    #[error("data folder {}: {_1}", _0.display())]
    Open(PathBuf, StoreError),
    /// The control socket does not answer as it should.
    #[error("control socket {}: {_1}", _0.display())]
    Control(PathBuf, String),
    /// There is nothing to examine.
    #[error("{}: there is no store; is --data or server.data right?", .0.display())]
    NoStore(PathBuf),
    /// A store that is open for the doctor alone does nothing else.
    #[error("{0}: the store is open for `doctor` alone")]
    Idle(&'static str),
    /// The server that has the store open may not be passed over.
    #[error("the server is running: stop it first, or mend only what it can (--only locations,index)")]
    Serving,
    /// Nobody waits for the outcome any more.
    #[error("stopped, since nobody waits for it any more")]
    Stopped,
}

/// A failure as it travels: what kind it is decides the exit code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// For the administrator.
    pub message: String,
}

/// Kinds of failures that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What was asked for cannot be: it exists, is still in use, or is not allowed.
    Refused,
    /// It does not exist.
    NotFound,
    /// Stored data is damaged.
    Damaged,
    /// Server, store or file cannot be used.
    Unavailable,
}

impl From<&AdminError> for Failure {
    fn from(error: &AdminError) -> Self {
        let kind = match error {
            AdminError::Accounts(error) => accounts_kind(error),
            AdminError::Store(error) | AdminError::Open(_, error) | AdminError::Mailbox(_, error) => store_kind(error),
            AdminError::File(_, error) if error.kind() == io::ErrorKind::NotFound => Kind::NotFound,
            AdminError::NoStore(_) => Kind::NotFound,
            AdminError::Query(_) | AdminError::ContentName(_) => Kind::Refused,
            AdminError::Time(_) | AdminError::Serving | AdminError::Idle(_) => Kind::Refused,
            AdminError::File(_, error) if error.kind() == io::ErrorKind::AlreadyExists => Kind::Refused,
            AdminError::ReadBack(_) => Kind::Damaged,
            AdminError::File(..) | AdminError::Corpus(_) | AdminError::Control(..) | AdminError::Stopped => {
                Kind::Unavailable
            }
        };
        Self { kind, message: error.to_string() }
    }
}

fn accounts_kind(error: &AccountsError) -> Kind {
    match error {
        AccountsError::NoDomain(_)
        | AccountsError::NoAccount(_)
        | AccountsError::NoAlias(_)
        | AccountsError::NotRemoved(_) => Kind::NotFound,
        AccountsError::Exists(_)
        | AccountsError::NotEmpty(_)
        | AccountsError::InUse(..)
        | AccountsError::NoTarget(_)
        | AccountsError::Loop(_)
        | AccountsError::Targets(_)
        | AccountsError::Password
        | AccountsError::Conflict => Kind::Refused,
        AccountsError::Damaged(_) => Kind::Damaged,
        AccountsError::NotDone(_) => Kind::Unavailable,
        AccountsError::Store(error) => store_kind(error),
    }
}

fn store_kind(error: &StoreError) -> Kind {
    match error {
        StoreError::NoAccount | StoreError::NoMailbox | StoreError::NoMessage => Kind::NotFound,
        StoreError::MailboxExists
        | StoreError::MailboxName
        | StoreError::TooManyKeywords
        | StoreError::TooManyMailboxes
        | StoreError::OverQuota(_)
        | StoreError::LargerThanQuota(_)
        | StoreError::Limit(_) => Kind::Refused,
        StoreError::Damaged(_) => Kind::Damaged,
        StoreError::Full | StoreError::Failed(_) | StoreError::Closing | StoreError::Objects(_) | StoreError::InUse => {
            Kind::Unavailable
        }
    }
}
