//! Submission (RFC 6409): 587 with STARTTLS and 465 with implicit TLS (RFC 8314), for logged-in users.

use crate::{mx::Services, net};

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// By STARTTLS.
    StartTls,
    /// At once.
    Implicit,
}

/// Serves submission on a listener until shutdown.
pub async fn serve(
    listener: net::Listener,
    services: Services,
    acceptor: net::Acceptor,
    mode: TlsMode,
    shutdown: net::Shutdown,
) -> std::io::Result<()> {
    let _ = (listener, services, acceptor, mode, shutdown);
    unimplemented!("frame: submission")
}
