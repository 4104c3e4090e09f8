//! Certificates and TLS server configurations. rustls's and rcgen's owner.
//!
//! Owns: reading PEM files into a server configuration, and the self-signed certificate that a fresh
//! installation starts with. Promises: TLS 1.2 and 1.3 only, with one crypto provider (aws-lc-rs); a key file that
//! we write is readable by its owner alone, and a key that exists is never replaced. Never: accepts connections (`net`
//! does) or knows a protocol. Errors name the file at fault; nothing is logged.
//!
//! RFC 5246, RFC 8446. Not implemented: certificates by ACME (RFC 8555), client certificates.

mod self_signed;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::NoServerSessionStorage,
};

pub use self_signed::ensure_self_signed;

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// A file holds no usable certificate or key.
    #[error("{0}: {1}")]
    Certificate(PathBuf, String),
}

/// Whether TLS 1.3 session tickets are sent: never on port 25 (a large sender aborts on them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionTickets {
    /// Send them.
    Send,
    /// Send none.
    Withhold,
}

/// Accepts TLS handshakes. Clones share the certificate.
#[derive(Clone)]
pub struct Acceptor {
    current: Arc<RwLock<tokio_rustls::TlsAcceptor>>,
    tickets: SessionTickets,
}

impl Acceptor {
    /// Reads a PEM certificate chain and key.
    pub fn load(certificate: &Path, key: &Path, tickets: SessionTickets) -> Result<Self, TlsError> {
        let current = Arc::new(RwLock::new(Self::read(certificate, key, tickets)?));
        Ok(Self { current, tickets })
    }

    /// Reads a chain and key for all handshakes from now on. After an error the old ones stay.
    pub fn reload(&self, certificate: &Path, key: &Path) -> Result<(), TlsError> {
        let next = Self::read(certificate, key, self.tickets)?;
        *self.current.write() = next;
        Ok(())
    }

    /// What the next handshake is made with.
    pub(crate) fn current(&self) -> tokio_rustls::TlsAcceptor {
        self.current.read().clone()
    }

    fn read(certificate: &Path, key: &Path, tickets: SessionTickets) -> Result<tokio_rustls::TlsAcceptor, TlsError> {
        let fault = |error: rustls::Error| TlsError::Certificate(certificate.to_owned(), error.to_string());
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(fault)?
            .with_no_client_auth()
            .with_single_cert(chain(certificate)?, private_key(key)?)
            .map_err(fault)?;
        match tickets {
            // Stateless tickets: a client that comes back costs no memory here and no signature.
            SessionTickets::Send => config.ticketer = aws_lc_rs::Ticketer::new().map_err(fault)?,
            SessionTickets::Withhold => {
                config.send_tls13_tickets = 0;
                config.session_storage = Arc::new(NoServerSessionStorage {});
            }
        }
        Ok(Arc::new(config).into())
    }
}

fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    match chain {
        Ok(chain) if chain.is_empty() => Err(TlsError::Certificate(file.to_owned(), "holds no certificate".into())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(read_error(file, error)),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| read_error(file, error))
}

fn read_error(file: &Path, error: pem::Error) -> TlsError {
    match error {
        pem::Error::Io(error) => TlsError::Io(file.to_owned(), error),
        other => TlsError::Certificate(file.to_owned(), other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_and_a_wrong_one_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let load = || Acceptor::load(&certificate, &key, SessionTickets::Send).map(|_| ());
        assert!(matches!(load(), Err(TlsError::Io(file, _)) if file == certificate));

        ensure_self_signed(&certificate, &key, &["mx.example.org".into()]).unwrap();
        load().unwrap();

        let acceptor = Acceptor::load(&certificate, &key, SessionTickets::Send).unwrap();
        acceptor.reload(&certificate, &key).unwrap();

        std::fs::write(&key, "no key").unwrap();
        assert!(matches!(load(), Err(TlsError::Certificate(file, _)) if file == key));
        assert!(acceptor.reload(&certificate, &key).is_err());
    }
    /// How many tickets a client gets that trusts the certificate.
    fn tickets(withheld: SessionTickets) -> u32 {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        ensure_self_signed(&certificate, &key, &["mx.example.org".into()]).unwrap();
        let acceptor = Acceptor::load(&certificate, &key, withheld).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        chain(&certificate).unwrap().into_iter().for_each(|certificate| roots.add(certificate).unwrap());
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = rustls::ClientConnection::new(Arc::new(config), "mx.example.org".try_into().unwrap()).unwrap();
        let mut server = rustls::ServerConnection::new(Arc::clone(acceptor.current().config())).unwrap();
        while client.wants_write() || server.wants_write() {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut there).unwrap();
            }
            server.read_tls(&mut &there[..]).unwrap();
            server.process_new_packets().unwrap();
            while server.wants_write() {
                server.write_tls(&mut back).unwrap();
            }
            client.read_tls(&mut &back[..]).unwrap();
            client.process_new_packets().unwrap();
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        client.tls13_tickets_received()
    }

    #[test]
    fn tickets_are_withheld_where_asked() {
        assert_eq!(tickets(SessionTickets::Withhold), 0);
        assert_ne!(tickets(SessionTickets::Send), 0);
    }
}
