//! Why a server does not start, and what to do about it.

use crate::{accounts::AccountsError, spam::ModelError, store::StoreError, tls::TlsError};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    path::PathBuf,
};

/// Why a server did not start or ended early, or why a task on its data was not done.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A listener cannot be bound.
    #[error("cannot listen on {_1} ({_0}): {_2}{}", listen_hint(_0, _2))]
    Listen(&'static str, SocketAddr, io::Error),
    /// The data folder cannot be made.
    #[error("cannot make the data folder {}: {_1}; choose another with --data FOLDER or server.data", _0.display())]
    Folder(PathBuf, io::Error),
    /// The store cannot be opened.
    #[error("cannot open the store in {}: {_1}{}", _0.display(), store_hint(_1))]
    Store(PathBuf, StoreError),
    /// The control socket cannot be made.
    #[error("cannot make the control socket {}: {_1}; choose another with control.socket", _0.display())]
    Control(PathBuf, io::Error),
    /// Accounts cannot be read or changed.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// No certificate.
    #[error("{0}; see tls.certificate and tls.key")]
    Tls(#[from] TlsError),
    /// No resolver.
    #[error("cannot look up names: {0}; name resolvers in dns.servers")]
    Resolver(io::Error),
    /// No model.
    #[error("cannot read the spam model: {0}; see spam.model")]
    Model(#[from] ModelError),
    /// The process gets no signals.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    /// A service ended.
    #[error("{0} failed: {1}")]
    Service(&'static str, io::Error),
}

fn listen_hint(setting: &str, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "; ports below 1024 need root or CAP_NET_BIND_SERVICE, or choose others: --set '{setting}=[\"127.0.0.1:2525\"]'"
        ),
        ErrorKind::AddrInUse => {
            format!("; another program listens there, or choose another address with --set {setting}")
        }
        ErrorKind::AddrNotAvailable | ErrorKind::Unsupported => {
            format!("; this machine has no such address: set {setting}, for example to 0.0.0.0 with the port")
        }
        _ => String::new(),
    }
}

fn store_hint(error: &StoreError) -> &'static str {
    match error {
        StoreError::InUse => "; stop that server first, or name another folder with --data",
        _ => "",
    }
}
