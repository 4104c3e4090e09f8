//! A client on a socket, for dialogues with a whole server and for what they cannot say.

use crate::support::dialogue::{Expected, Lines, Peer};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Handle,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

/// How long an answer may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// A connection.
pub struct Client {
    socket: Option<Box<dyn Socket>>,
    lines: Lines,
    is_closed: bool,
    tls: TlsConnector,
}

impl Client {
    /// Connects; trusts the certificate in `certificate` alone.
    pub async fn connect(address: SocketAddr, certificate: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = TcpStream::connect(address).await.unwrap();
        let tls = TlsConnector::from(Arc::new(config));
        Self { socket: Some(Box::new(socket)), lines: Lines::default(), is_closed: false, tls }
    }

    /// Goes over to TLS.
    pub async fn start_tls(&mut self) {
        let name = ServerName::try_from("mx.example.org").unwrap();
        let socket = self.socket.take().unwrap();
        self.socket = Some(Box::new(self.tls.connect(name, socket).await.unwrap()));
    }

    /// Sends octets; those that a closed connection does not take are lost.
    pub async fn send(&mut self, octets: &[u8]) {
        let socket = self.socket.as_mut().unwrap();
        if socket.write_all(octets).await.and(socket.flush().await).is_err() {
            self.is_closed = true;
        }
    }

    /// The next line; `None` at the end of the connection.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.lines.next() {
                return Some(line);
            }
            let mut octets = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, self.socket.as_mut().unwrap().read(&mut octets));
            match read.await.expect("the server answers in time") {
                Ok(0) | Err(_) => {
                    self.is_closed = true;
                    return None;
                }
                Ok(count) => self.lines.extend(&octets[..count]),
            }
        }
    }

    /// Every line of the next reply; the last one returned alone.
    pub async fn reply(&mut self) -> String {
        loop {
            let line = self.line().await.expect("a reply");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    /// Sends a line and returns the reply's last line.
    pub async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    /// Says lines and expects a positive reply to each.
    pub async fn say_all(&mut self, lines: &[&str]) {
        for line in lines {
            let reply = self.say(line).await;
            assert!(reply.starts_with(['2', '3']), "{line}: {reply}");
        }
    }
}

/// A client as the peer of a dialogue, which waits for each line.
pub struct SocketPeer {
    pub client: Client,
    pub runtime: Handle,
}

impl Peer for SocketPeer {
    fn send(&mut self, connection: usize, octets: &[u8]) {
        assert_eq!(connection, 1, "SMTP sessions know nothing of each other");
        self.runtime.block_on(self.client.send(octets));
    }

    fn line(&mut self, _: usize, expected: Expected) -> Option<String> {
        match expected {
            Expected::Line => self.runtime.block_on(self.client.line()),
            Expected::Nothing => self.client.lines.next(),
        }
    }

    fn start_tls(&mut self, _: usize) {
        self.runtime.block_on(self.client.start_tls());
    }

    fn is_closed(&mut self, _: usize) -> bool {
        self.runtime.block_on(self.client.line()).is_none()
    }
}
