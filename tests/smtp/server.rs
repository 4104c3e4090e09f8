//! A server of its parts on ports of the system's choice: MX and submission over one store.

use super::client::Client;
use postern::{
    accounts::{Accounts, Alias, Password},
    authentication::Authenticator,
    clock::Clock,
    delivery::Delivery,
    dns::{self, Resolver, ZoneServer},
    limits,
    mail::{AccountId, Address},
    mx::{self, ContentBudget, Services},
    net::{Acceptor, Drain, Listener, ListenerSettings, Shutdown},
    spam::{Filter, Thresholds},
    store::{self, Store},
    submission::{self, TlsMode},
    tls::{self, SessionTickets},
};
use std::{io, net::SocketAddr, path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// The account that every test server has.
pub const ALICE: &str = "alice@example.org";
/// Its password.
pub const PASSWORD: &str = "correct horse";

/// Names of senders. The rest of the world does not exist.
const ZONE: &str = "\
$ORIGIN example.net.
@           300 IN TXT \"v=spf1 -all\"
strict      300 IN TXT \"v=spf1 -all\"
_dmarc.strict 300 IN TXT \"v=DMARC1; p=reject\"
careful     300 IN TXT \"v=spf1 -all\"
_dmarc.careful 300 IN TXT \"v=DMARC1; p=quarantine\"
";

/// What differs between test servers.
pub struct Options {
    /// Octets of a message at most.
    pub message_octets_max: u64,
    /// Octets of all messages in memory.
    pub content_octets_max: u64,
    /// Connections from one address.
    pub connections_per_address_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            message_octets_max: limits::MESSAGE_OCTETS_MAX_DEFAULT,
            content_octets_max: limits::CONTENT_OCTETS_IN_FLIGHT_MAX,
            connections_per_address_max: 100,
        }
    }
}

/// A running server; its folder is gone with it.
pub struct Server {
    pub store: Store,
    pub alice: AccountId,
    services: Services,
    connections_per_address_max: usize,
    folder: TempDir,
    drain: Drain,
    shutdown: Shutdown,
    tasks: Vec<JoinHandle<io::Result<()>>>,
    _names: ZoneServer,
}

impl Server {
    /// Starts one.
    pub async fn start(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::real();
        let settings = store::Settings {
            partitions: 2,
            pack_after_seconds: 3600,
            cache_octets: 1 << 20,
            ..store::Settings::at(folder.path().join("store"))
        };
        let store = Store::open(settings, clock.clone()).await.unwrap();
        let accounts = Accounts::new(store.clone(), clock.clone()).unwrap();
        let alice: Address = ALICE.parse().unwrap();
        accounts.add_domain(alice.domain()).await.unwrap();
        let alice = accounts.add_account(&alice, &Password::new(PASSWORD.as_bytes()).unwrap()).await.unwrap().id;

        let names = ZoneServer::start(ZONE).await.unwrap();
        let dns = dns::Settings {
            servers: vec![names.address()],
            timeout: Duration::from_secs(5),
            attempts: 1,
            cache_entries: 100,
        };
        let authenticator = Authenticator::new(Resolver::new(&dns).unwrap(), clock.clone());
        // Nothing is spam here: what these tests send is too short to be judged.
        let filter = Filter::shipped(Thresholds { junk: 1.1, reject: 1.1 }).unwrap();
        let hostname = "mx.example.org".to_owned();
        let services = Services {
            delivery: Delivery::new(store.clone(), clock.clone(), hostname.clone()),
            accounts,
            authenticator,
            filter,
            clock,
            hostname,
            message_octets_max: options.message_octets_max,
            content_budget: ContentBudget::new(options.content_octets_max),
            counters: mx::Counters::default(),
        };
        let (drain, shutdown) = Shutdown::channel();
        let connections_per_address_max = options.connections_per_address_max;
        let server = Self {
            store,
            alice,
            services,
            connections_per_address_max,
            folder,
            drain,
            shutdown,
            tasks: Vec::new(),
            _names: names,
        };
        let names = [server.services.hostname.clone()];
        tls::ensure_self_signed(&server.certificate(), &server.key(), &names).unwrap();
        server
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    async fn listener(&self) -> (Listener, Acceptor) {
        let settings = ListenerSettings {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            connections_max: 100,
            connections_per_address_max: self.connections_per_address_max,
        };
        let listener = Listener::bind(settings).await.unwrap();
        (listener, Acceptor::load(&self.certificate(), &self.key(), SessionTickets::Withhold).unwrap())
    }

    /// Opens another MX port, for messages of this size.
    pub async fn mx_for(&mut self, message_octets_max: u64) -> SocketAddr {
        let (listener, acceptor) = self.listener().await;
        let address = listener.address();
        let services = Services { message_octets_max, ..self.services.clone() };
        self.tasks.push(tokio::spawn(mx::serve(listener, services, acceptor, self.shutdown.clone())));
        address
    }

    /// Opens an MX port.
    pub async fn mx(&mut self) -> SocketAddr {
        self.mx_for(self.services.message_octets_max).await
    }

    /// Opens a submission port.
    pub async fn submission(&mut self, mode: TlsMode) -> SocketAddr {
        let (listener, acceptor) = self.listener().await;
        let address = listener.address();
        let services = self.services.clone();
        self.tasks.push(tokio::spawn(submission::serve(listener, services, acceptor, mode, self.shutdown.clone())));
        address
    }

    /// Connects to a port.
    pub async fn connect(&self, address: SocketAddr) -> Client {
        Client::connect(address, &self.certificate()).await
    }

    /// Another account.
    pub async fn add_account(&self, address: &str) -> AccountId {
        let password = Password::new(PASSWORD.as_bytes()).unwrap();
        self.services.accounts.add_account(&address.parse().unwrap(), &password).await.unwrap().id
    }

    /// An alias of accounts.
    pub async fn add_alias(&self, name: &str, targets: &[&str]) {
        let targets = targets.iter().map(|target| target.parse().unwrap()).collect();
        self.services.accounts.add_alias(&Alias { name: name.parse().unwrap(), targets }).await.unwrap();
    }

    /// Begins the drain.
    pub fn begin_drain(&self) {
        self.drain.begin();
    }

    /// Waits for the end of every port.
    pub async fn end(self) {
        self.begin_drain();
        for task in self.tasks {
            task.await.unwrap().unwrap();
        }
        self.store.close().await;
    }

    /// The messages of one of Alice's mailboxes, trace fields included.
    pub async fn messages(&self, mailbox: &str) -> Vec<String> {
        let mailbox = self.store.mailbox(self.alice, mailbox).unwrap();
        let mut messages = Vec::new();
        for row in self.store.snapshot(self.alice, mailbox.id).unwrap().rows() {
            let record = self.store.record(self.alice, row.number).unwrap();
            let octets = self.store.read(&record, 0..record.octets()).await.unwrap();
            messages.push(String::from_utf8_lossy(&octets).into_owned());
        }
        messages
    }
}
