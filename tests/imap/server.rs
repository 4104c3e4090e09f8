//! An IMAP server on real sockets in this process, and the clients of dialogues.

use super::letters::letter;
use crate::support::dialogue::{Dialogue, Expected, Lines, Peer};
use bytes::Bytes;
use postern::{
    accounts::{Accounts, Password},
    clock::{Clock, UnixMillis},
    imap::{self, ClearLogin, Services, Sessions, TlsMode},
    mail::{AccountId, Address, Domain, Flag, Flags},
    message,
    net::{Drain, Listener, ListenerSettings, Shutdown},
    store::{AccountLimits, Limit, NewMessage, Settings, Store, Target},
    tls::{self, Acceptor, SessionTickets},
};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// The largest message that APPEND takes here.
pub const MESSAGE_OCTETS_MAX: u64 = 200_000;

/// How long a line may take. Generous: the machine may be busy, and nothing waits where all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which listener a client connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// STARTTLS is offered, and logins in the clear are allowed.
    Clear,
    /// STARTTLS is offered, and logins wait for it.
    Strict,
    /// TLS from the first octet.
    Tls,
}

/// The server with its store. Dropping it ends it.
pub struct Server {
    runtime: Runtime,
    pub store: Store,
    pub accounts: Accounts,
    addresses: BTreeMap<&'static str, SocketAddr>,
    drain: Option<Drain>,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts one with an empty store and the domain example.org.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (drain, shutdown) = Shutdown::channel();
        let path = folder.path().to_owned();
        let (store, accounts, addresses) = runtime.block_on(async move {
            let store = Store::open(settings(&path), Clock::real()).await.unwrap();
            let accounts = Accounts::new(store.clone(), Clock::real()).unwrap();
            accounts.add_domain(&domain()).await.unwrap();
            let (certificate, key) = (path.join("certificate.pem"), path.join("key.pem"));
            tls::ensure_self_signed(&certificate, &key, &["localhost".to_owned()]).unwrap();
            let acceptor = Acceptor::load(&certificate, &key, SessionTickets::Send).unwrap();
            let mut addresses = BTreeMap::new();
            let sessions = Sessions::new(&Clock::real());
            for (name, clear_login, mode) in [
                ("clear", ClearLogin::Loopback, TlsMode::StartTls),
                ("strict", ClearLogin::Refused, TlsMode::StartTls),
                ("tls", ClearLogin::Refused, TlsMode::Implicit),
            ] {
                let listener = listener().await;
                addresses.insert(name, listener.address());
                let services = Services {
                    store: store.clone(),
                    accounts: accounts.clone(),
                    clock: Clock::real(),
                    hostname: "mail.example.org".into(),
                    message_octets_max: MESSAGE_OCTETS_MAX,
                    clear_login,
                    sessions: sessions.clone(),
                };
                tokio::spawn(imap::serve(listener, services, acceptor.clone(), mode, shutdown.clone()));
            }
            (store, accounts, addresses)
        });
        Self { runtime, store, accounts, addresses, drain: Some(drain), _folder: folder }
    }

    /// A fresh account alice, with the dialogue's messages.
    pub fn reset(&mut self, dialogue: &Dialogue) {
        let alice = self.fresh_account("alice");
        self.limit(alice, dialogue);
        let mut day = 0;
        for header in dialogue.headers("messages") {
            let mut words = header.split_whitespace();
            let mailbox = words.next().unwrap();
            for word in words {
                let (name, flags) = word.split_once(':').unwrap_or((word, ""));
                let flags = flags.split(',').filter(|flag| !flag.is_empty()).map(|flag| Flag::parse(flag).unwrap());
                self.append(alice, mailbox, &letter(name), Flags::from_iter(flags), day);
                day += 1;
            }
            if dialogue.words("recent").next().is_none() {
                let mut client = self.client(Security::Clear);
                client.login();
                client.command("s", &format!("SELECT {mailbox}"));
            }
        }
    }

    fn limit(&self, account: AccountId, dialogue: &Dialogue) {
        let mut limits = AccountLimits::default();
        for word in dialogue.words("quota") {
            let (resource, limit) = word.split_once('=').unwrap();
            let limit = Limit::AtMost(limit.parse().unwrap());
            match resource {
                "octets" => limits.octets = limit,
                "messages" => limits.messages = limit,
                other => panic!("no such resource: {other}"),
            }
        }
        self.runtime.block_on(self.store.set_account_limits(account, limits)).unwrap();
    }

    /// A fresh account `NAME@example.org` with the password `secret`.
    pub fn fresh_account(&self, name: &str) -> AccountId {
        let address: Address = format!("{name}@example.org").parse().unwrap();
        self.runtime.block_on(async {
            // The first time there is none to remove.
            let _ = self.accounts.remove_account(&address).await;
            self.accounts.add_account(&address, &Password::new(b"secret").unwrap()).await.unwrap().id
        })
    }

    /// Stores a message of 1 January 2024, or so many days later, at 12:34:56 UTC.
    pub fn append(&self, account: AccountId, mailbox: &str, raw: &[u8], flags: Flags, day: i64) {
        let mailbox = self.store.mailbox(account, mailbox).unwrap().id;
        let message = NewMessage {
            raw: Bytes::copy_from_slice(raw),
            analysis: Arc::new(message::analyse(raw)),
            internal_date: UnixMillis((1_704_112_496 + day * 86_400) * 1000),
            repeat: None,
        };
        let target = Target { account, mailbox, flags, trace: Bytes::new(), verdict: None };
        self.runtime.block_on(self.store.append(message, vec![target])).unwrap();
    }

    /// Begins the drain.
    pub fn drain(&mut self) {
        self.drain.take().unwrap().begin();
    }

    /// Clients for a dialogue.
    pub fn peer(&self, security: Security) -> Clients<'_> {
        let mut clients = Clients { server: self, security, open: BTreeMap::new() };
        clients.client(1);
        clients
    }

    /// One client.
    pub fn client(&self, security: Security) -> Client {
        let name = match security {
            Security::Clear => "clear",
            Security::Strict => "strict",
            Security::Tls => "tls",
        };
        let stream = TcpStream::connect(self.addresses[name]).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Client { stream: Some(Stream::Clear(stream)), lines: Lines::default(), ended: false };
        if security == Security::Tls {
            client.start_tls();
        }
        client
    }
}

fn settings(path: &std::path::Path) -> Settings {
    Settings { partitions: 2, pack_after_seconds: 3600, cache_octets: 8 << 20, ..Settings::at(path.join("store")) }
}

fn domain() -> Domain {
    "example.org".parse().unwrap()
}

async fn listener() -> Listener {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    Listener::bind(ListenerSettings { address, connections_max: 500, connections_per_address_max: 500 }).await.unwrap()
}

/// The connections of a dialogue.
pub struct Clients<'a> {
    server: &'a Server,
    security: Security,
    open: BTreeMap<usize, Client>,
}

impl Clients<'_> {
    fn client(&mut self, connection: usize) -> &mut Client {
        let (server, security) = (self.server, self.security);
        self.open.entry(connection).or_insert_with(|| server.client(security))
    }
}

impl Peer for Clients<'_> {
    fn send(&mut self, connection: usize, octets: &[u8]) {
        self.client(connection).send(octets);
    }

    fn line(&mut self, connection: usize, expected: Expected) -> Option<String> {
        let client = self.client(connection);
        match expected {
            Expected::Line => client.line(),
            Expected::Nothing => client.arrived_line(),
        }
    }

    fn start_tls(&mut self, connection: usize) {
        self.client(connection).start_tls();
    }

    fn is_closed(&mut self, connection: usize) -> bool {
        self.client(connection).is_closed()
    }
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Clear(stream) => stream,
            Self::Tls(stream) => stream.get_ref(),
        }
    }

    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(octets),
            Self::Tls(stream) => stream.read(octets),
        }
    }
}

/// One connection of a client.
pub struct Client {
    stream: Option<Stream>,
    lines: Lines,
    ended: bool,
}

impl Client {
    /// Sends octets. A server that has closed already is found out by what is read.
    pub fn send(&mut self, octets: &[u8]) {
        let _ = match self.stream.as_mut().unwrap() {
            Stream::Clear(stream) => stream.write_all(octets),
            Stream::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
        };
    }

    /// The next line; `None` where the connection ended or none came in time.
    pub fn line(&mut self) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.lines.next() {
                return Some(line);
            }
            if self.ended || Instant::now() > deadline {
                return None;
            }
            self.read_within(Duration::from_millis(500));
        }
    }

    /// The next line among what has arrived.
    pub fn arrived_line(&mut self) -> Option<String> {
        if self.lines.is_empty() && !self.ended {
            self.read_within(Duration::ZERO);
        }
        self.lines.next()
    }

    /// Sends a command and returns its responses, the tagged one last.
    pub fn command(&mut self, tag: &str, command: &str) -> Vec<String> {
        self.send(format!("{tag} {command}\r\n").as_bytes());
        self.until(tag)
    }

    /// Lines up to the tagged one.
    pub fn until(&mut self, tag: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().unwrap_or_else(|| panic!("no answer to {tag}, only {lines:?}"));
            let tagged = line.split(' ').next() == Some(tag);
            lines.push(line);
            if tagged {
                return lines;
            }
        }
    }

    /// Octets up to the tagged line, which is the last.
    pub fn raw_until(&mut self, tag: &str) -> Vec<u8> {
        let (mut octets, end) = (Vec::new(), format!("\r\n{tag} "));
        let deadline = Instant::now() + PATIENCE;
        let mut piece = [0; 64 * 1024];
        self.block_for(Duration::from_secs(1));
        loop {
            let tail = &octets[octets.len().saturating_sub(200)..];
            let tagged = tail.windows(end.len()).any(|window| window == end.as_bytes())
                || tail.starts_with(&end.as_bytes()[2..]);
            if tagged && octets.ends_with(b"\r\n") {
                return octets;
            }
            match self.stream.as_mut().unwrap().read(&mut piece) {
                Ok(0) => panic!("the connection ended after {} octets", octets.len()),
                Ok(length) => octets.extend_from_slice(&piece[..length]),
                Err(error) => assert!(Instant::now() < deadline, "{error} after {} octets", octets.len()),
            }
        }
    }

    fn block_for(&self, time: Duration) {
        let socket = self.stream.as_ref().unwrap().socket();
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(time)).unwrap();
    }

    /// Logs alice in.
    pub fn login(&mut self) {
        self.line().unwrap();
        let answer = self.command("login", "LOGIN alice@example.org secret");
        assert!(answer[0].starts_with("login OK"), "{answer:?}");
    }

    /// Whether the server closes the connection without another line.
    pub fn is_closed(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while !self.ended && self.lines.is_empty() && Instant::now() < deadline {
            self.read_within(Duration::from_millis(500));
        }
        self.ended && self.lines.is_empty()
    }

    fn read_within(&mut self, time: Duration) {
        let stream = self.stream.as_mut().unwrap();
        stream.socket().set_nonblocking(time.is_zero()).unwrap();
        stream.socket().set_read_timeout(Some(time).filter(|time| !time.is_zero())).unwrap();
        let mut octets = [0; 16 * 1024];
        match stream.read(&mut octets) {
            Ok(0) => self.ended = true,
            Ok(length) => self.lines.extend(&octets[..length]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => self.ended = true,
        }
        stream.socket().set_nonblocking(false).unwrap();
    }

    /// Performs the TLS handshake.
    pub fn start_tls(&mut self) {
        let Some(Stream::Clear(mut stream)) = self.stream.take() else { panic!("TLS is on already") };
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = "localhost".try_into().unwrap();
        let mut connection = rustls::ClientConnection::new(trusting(), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).unwrap();
        }
        self.stream = Some(Stream::Tls(Box::new(rustls::StreamOwned::new(connection, stream))));
    }
}

/// A client that takes any certificate: what is tested is IMAP.
fn trusting() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let verifier = Arc::new(AnyCertificate(provider));
    Arc::new(config.unwrap().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
