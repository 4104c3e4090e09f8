//! Certificates and TLS server configurations. rustls's and rcgen's owner.

use std::path::Path;

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    Io(std::path::PathBuf, std::io::Error),
    /// A file holds no usable certificate or key.
    #[error("{0}: {1}")]
    Certificate(std::path::PathBuf, String),
}

/// Whether TLS 1.3 session tickets are sent: never on port 25 (a large sender aborts on them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionTickets {
    /// Send them.
    Send,
    /// Send none.
    Withhold,
}

/// Accepts TLS handshakes.
#[derive(Clone)]
pub struct Acceptor(pub(crate) tokio_rustls::TlsAcceptor);

impl Acceptor {
    /// Reads a PEM certificate chain and key.
    pub fn load(certificate: &Path, key: &Path, tickets: SessionTickets) -> Result<Self, TlsError> {
        let _ = (certificate, key, tickets);
        unimplemented!("frame: tls")
    }
}

/// Writes a self-signed ECDSA P-256 certificate for these names and addresses, and its key (mode
/// 0600), unless both files exist.
pub fn ensure_self_signed(certificate: &Path, key: &Path, names: &[String]) -> Result<(), TlsError> {
    let _ = (certificate, key, names);
    unimplemented!("frame: tls")
}
