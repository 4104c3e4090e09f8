//! The simulated machine: disk, network, clock, and the server on them.

use super::{log::Log, random::Random};
use postern::{
    accounts::{Accounts, Password},
    authentication::Authenticator,
    clock::{Clock, UnixMillis},
    delivery::Delivery,
    dns::Resolver,
    imap,
    mail::{Address, Domain},
    mx::{self, ContentBudget, Counters},
    net::{Drain, ListenerSettings, Shutdown, SimulatedNetwork},
    spam::{Filter, Thresholds},
    store::{MemoryMetadata, MemoryObjects, MetadataAt, ObjectsAt, Settings, Store},
    tls::{self, Acceptor, SessionTickets},
    work,
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tokio::task::JoinHandle;

pub const MX: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1)), 25);
pub const IMAP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1)), 143);
/// Where senders are.
pub const SENDER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 25)), 30_000);
/// The password of every account.
pub const PASSWORD: &str = "correct horse";
/// Accounts; they lie in several partitions.
pub const ACCOUNTS: usize = 3;

const HOSTNAME: &str = "mx.example.org";
const PARTITIONS: u16 = 3;
/// A moment in 2024.
const START: UnixMillis = UnixMillis(1_704_100_000_000);

/// The address of an account.
pub fn address(account: usize) -> String {
    format!("user{account}@example.org")
}

/// What a run has from beginning to end. Clones share it.
#[derive(Clone)]
pub struct World {
    pub clock: Clock,
    pub network: SimulatedNetwork,
    pub log: Log,
    pub metadata: MemoryMetadata,
    pub objects: MemoryObjects,
    folder: Arc<tempfile::TempDir>,
}

impl World {
    /// A machine with the accounts on its disk, and no server running.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let clock = Clock::simulated_with_timers(START, random.next());
        Self {
            network: SimulatedNetwork::new(Clock::simulated(START, random.next())),
            log: Log::new(),
            metadata: Template::get().metadata.copy(),
            objects: MemoryObjects::new(),
            folder: Arc::new(tempfile::tempdir().unwrap()),
            clock,
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            pack_after_seconds: 30,
            metadata: MetadataAt::Memory(self.metadata.clone()),
            objects: ObjectsAt::Memory(self.objects.clone()),
            ..settings(self.folder.path())
        }
    }
}

fn settings(folder: &Path) -> Settings {
    Settings { partitions: PARTITIONS, ..Settings::at(folder) }
}

/// A running server.
pub struct Server {
    pub store: Store,
    drain: Drain,
    tasks: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Server {
    /// Starts it. `None` where it died on the way.
    pub async fn start(world: &World) -> Option<Self> {
        let starting = world.clone();
        let started = work::spawn(async move { Self::open(&starting).await }).await;
        match started {
            Ok(server) => Some(server),
            Err(error) if error.is_cancelled() => None,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn open(world: &World) -> Self {
        let clock = world.clock.clone();
        let store = Store::open(world.settings(), clock.clone()).await.unwrap();
        let accounts = Accounts::new(store.clone(), clock.clone()).unwrap();
        accounts.finish_removals().await.unwrap();
        let (drain, shutdown) = Shutdown::channel();
        let listener = |address| {
            let settings = ListenerSettings { address, connections_max: 100, connections_per_address_max: 100 };
            world.network.listen(settings)
        };
        let template = Template::get();
        let mx = mx::Services {
            accounts: accounts.clone(),
            authenticator: Authenticator::new(template.resolver.clone(), clock.clone()),
            filter: template.filter.clone(),
            delivery: Delivery::new(store.clone(), clock.clone(), HOSTNAME.to_owned()),
            clock: clock.clone(),
            hostname: HOSTNAME.to_owned(),
            message_octets_max: 10_000_000,
            content_budget: ContentBudget::new(50_000_000),
            counters: Counters::default(),
        };
        let imap = imap::Services {
            store: store.clone(),
            accounts,
            sessions: imap::Sessions::new(&clock),
            clock,
            hostname: HOSTNAME.to_owned(),
            message_octets_max: 10_000_000,
            clear_login: imap::ClearLogin::Loopback,
        };
        let acceptor = || template.acceptor.clone();
        let tasks = vec![
            work::spawn(mx::serve(listener(MX), mx, acceptor(), shutdown.clone())),
            work::spawn(imap::serve(listener(IMAP), imap, acceptor(), imap::TlsMode::StartTls, shutdown)),
        ];
        Self { store, drain, tasks }
    }

    /// Stops it in good order. `false` where it died on the way.
    pub async fn stop(self) -> bool {
        let Self { store, drain, tasks } = self;
        drain.begin();
        for task in tasks {
            match task.await {
                Ok(ended) => ended.unwrap(),
                Err(error) if error.is_cancelled() => return false,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        work::spawn(async move { store.close().await }).await.is_ok()
    }
}

/// What every run has in common: made once, since hashing passwords takes long.
struct Template {
    metadata: MemoryMetadata,
    acceptor: Acceptor,
    filter: Filter,
    resolver: Resolver,
}

impl Template {
    fn get() -> &'static Self {
        static TEMPLATE: OnceLock<Template> = OnceLock::new();
        // Each run is on a thread of its own runtime already; this needs one that is not simulated.
        TEMPLATE.get_or_init(|| std::thread::spawn(Self::make).join().unwrap())
    }

    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        tls::ensure_self_signed(&certificate, &key, &[HOSTNAME.to_owned()]).unwrap();
        Self {
            metadata: accounts(folder.path().join("store")),
            acceptor: Acceptor::load(&certificate, &key, SessionTickets::Withhold).unwrap(),
            // What these letters say is not the question: none is junk.
            filter: Filter::shipped(Thresholds { junk: 1.1, reject: 1.1 }).unwrap(),
            resolver: Resolver::simulated(ZONE.parse().unwrap()).unwrap(),
        }
    }
}

/// The sender's domain says where its mail comes from.
const ZONE: &str = "\
$TTL 60
example.net. SOA ns.example.net. admin.example.net. 1 2 3 4 5
example.net. TXT \"v=spf1 ip4:192.0.2.0/24 -all\"
client.example.net. A 192.0.2.25
25.2.0.192.in-addr.arpa. PTR client.example.net.
_dmarc.example.net. TXT \"v=DMARC1; p=none\"
";

fn accounts(folder: PathBuf) -> MemoryMetadata {
    let metadata = MemoryMetadata::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::simulated(START, 1);
        let settings = Settings {
            metadata: MetadataAt::Memory(metadata.clone()),
            objects: ObjectsAt::Memory(MemoryObjects::new()),
            ..settings(&folder)
        };
        let store = Store::open(settings, clock.clone()).await.unwrap();
        let accounts = Accounts::new(store.clone(), clock).unwrap();
        accounts.add_domain(&"example.org".parse::<Domain>().unwrap()).await.unwrap();
        for number in 0..ACCOUNTS {
            let password = Password::new(PASSWORD.as_bytes()).ok().unwrap();
            let address = address(number).parse::<Address>().unwrap();
            let id = accounts.add_account(&address, &password).await.unwrap().id;
            for mailbox in super::model::MAILBOXES {
                // Some are there from the start.
                let _ = store.create_mailbox(id, mailbox, None).await;
            }
        }
        store.close().await;
    });
    metadata
}

/// Runs a future as one simulation, on a runtime of its own whose time moves when nothing else is left to do.
pub fn simulate<T>(seed: u64, run: impl AsyncFnOnce(World, &work::Simulation) -> T) -> T {
    Template::get();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let simulation = work::Simulation::begin(seed);
    runtime.block_on(async {
        let world = World::new(seed);
        run(world, &simulation).await
    })
}

/// Lets everything that is under way come to rest.
pub async fn rest() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// A death that takes everything with it that was not on stable storage.
pub fn death(world: &World, random: &mut Random) -> (impl FnOnce() + 'static, Arc<Mutex<bool>>) {
    let (world, chance) = (world.clone(), Clock::simulated(START, random.next()));
    let died = Arc::new(Mutex::new(false));
    let says = Arc::clone(&died);
    let death = move || {
        world.log.say("server", "dies");
        world.metadata.crash_in_part(&chance);
        world.network.cut();
        *says.lock().unwrap() = true;
    };
    (death, died)
}
