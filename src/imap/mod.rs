//! The IMAP session (RFC 9051, RFC 3501): one file per command, views, fetch, search; its driver.
//! imap_codec's owner.

use crate::{accounts::Accounts, clock::Clock, net, store::Store};

/// What the IMAP service stands on. Clones share everything.
#[derive(Clone)]
pub struct Services {
    /// Mail.
    pub store: Store,
    /// Logins.
    pub accounts: Accounts,
    /// Time.
    pub clock: Clock,
    /// Our name in the greeting.
    pub hostname: String,
    /// Octets of an APPEND at most.
    pub message_octets_max: u64,
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// By STARTTLS.
    StartTls,
    /// At once.
    Implicit,
}

/// Serves IMAP on a listener until shutdown, then says BYE to every session and returns.
pub async fn serve(
    listener: net::Listener,
    services: Services,
    acceptor: net::Acceptor,
    mode: TlsMode,
    shutdown: net::Shutdown,
) -> std::io::Result<()> {
    let _ = (listener, services, acceptor, mode, shutdown);
    unimplemented!("frame: imap")
}
