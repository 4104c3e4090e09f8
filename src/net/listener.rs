//! A listening socket and the places of its connections.

use super::{Stream, simulated::Arrivals};
use crate::limits;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

/// One listening socket with its bounds.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Connections at once; further ones are told so and closed.
    pub connections_max: usize,
    /// Connections at once from one address (IPv6: one /64).
    pub connections_per_address_max: usize,
}

/// A connection that was let in; its permit is held until this is dropped.
pub struct Accepted {
    /// The stream.
    pub stream: Stream,
    /// The client's address.
    pub peer: SocketAddr,
    /// Holds the place in the listener's bounds.
    pub permit: Permit,
}

/// A bound listener.
pub struct Listener {
    socket: Socket,
    address: SocketAddr,
    places: Arc<Places>,
}

/// Where connections come from.
enum Socket {
    Tcp(TcpListener),
    Simulated(Arrivals),
}

impl Socket {
    async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                // A rival without it loses 40 ms on each reply that follows another.
                stream.set_nodelay(true).map_err(|_| io::ErrorKind::ConnectionAborted)?;
                Ok((Stream::Plain(stream), peer))
            }
            Self::Simulated(arrivals) => {
                let (pipe, peer) = arrivals.recv().await.ok_or(io::ErrorKind::NotConnected)?;
                Ok((Stream::Simulated(pipe), peer))
            }
        }
    }
}

impl Listener {
    /// Binds.
    pub async fn bind(settings: ListenerSettings) -> io::Result<Self> {
        let socket = TcpListener::bind(settings.address).await?;
        let address = socket.local_addr()?;
        let places = Arc::new(Places::new(settings));
        Ok(Self { socket: Socket::Tcp(socket), address, places })
    }

    /// Takes connections of a simulated network.
    pub(super) fn simulated(settings: ListenerSettings, arrivals: Arrivals) -> Self {
        let address = settings.address;
        Self { socket: Socket::Simulated(arrivals), address, places: Arc::new(Places::new(settings)) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens on it, also once it is being served.
    pub fn activity(&self) -> Activity {
        Activity(Arc::clone(&self.places))
    }

    /// Waits for a connection within the bounds; those over them get `refusal` and are closed. Cancel-safe.
    pub async fn accept(&mut self, refusal: &'static [u8]) -> io::Result<Accepted> {
        loop {
            let (stream, peer) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.after_failure(error).await?;
                    continue;
                }
            };
            // A listener on [::] sees IPv4 clients as ::ffff:a.b.c.d; everything after here means IPv4.
            let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
            let Some(permit) = Places::take(&self.places, peer.ip()) else {
                tracing::debug!(%peer, listener = %self.address, "connection refused, too many at once");
                self.places.refused.fetch_add(1, Ordering::Relaxed);
                refuse(stream, refusal);
                continue;
            };
            self.places.accepted.fetch_add(1, Ordering::Relaxed);
            return Ok(Accepted { stream, peer, permit });
        }
    }

    /// Passes over what concerns one connection, waits where the process lacks something, and gives up on
    /// anything else.
    async fn after_failure(&self, error: io::Error) -> io::Result<()> {
        const OUT_OF_PROCESS_FILES: i32 = 24;
        const OUT_OF_SYSTEM_FILES: i32 = 23;
        match error.kind() {
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => Ok(()),
            io::ErrorKind::OutOfMemory => self.wait_out(&error).await,
            _ if matches!(error.raw_os_error(), Some(OUT_OF_PROCESS_FILES | OUT_OF_SYSTEM_FILES)) => {
                self.wait_out(&error).await
            }
            _ => Err(error),
        }
    }

    async fn wait_out(&self, error: &io::Error) -> io::Result<()> {
        tracing::warn!(listener = %self.address, %error, "cannot accept, waiting");
        tokio::time::sleep(Duration::from_millis(limits::ACCEPT_RETRY_MILLIS)).await;
        Ok(())
    }
}

/// Says why and closes. The send buffer of a new connection is empty, so the short text always fits and nobody waits.
fn refuse(stream: Stream, refusal: &[u8]) {
    match stream {
        Stream::Plain(stream) => drop(stream.try_write(refusal)),
        Stream::Simulated(pipe) => pipe.send_now(refusal),
        // A connection that was just accepted is in the clear.
        Stream::Tls(_) => {}
    }
}

/// Who is connected to one listener.
#[derive(Debug)]
struct Places {
    settings: ListenerSettings,
    taken: Mutex<Taken>,
    accepted: AtomicU64,
    refused: AtomicU64,
}

/// Figures of one listener. Clones share them.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Places>);

impl Activity {
    /// Connections now.
    pub fn open(&self) -> usize {
        self.0.taken.lock().total
    }

    /// Connections that were let in since the start.
    pub fn accepted(&self) -> u64 {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// Connections that found no place.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    /// Only addresses with a connection, so it holds `connections_max` entries at most.
    by_network: HashMap<IpAddr, usize>,
}

impl Places {
    fn new(settings: ListenerSettings) -> Self {
        Self { settings, taken: Mutex::default(), accepted: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    fn take(places: &Arc<Self>, ip: IpAddr) -> Option<Permit> {
        let network = network(ip);
        let mut taken = places.taken.lock();
        let here = taken.by_network.get(&network).copied().unwrap_or(0);
        if taken.total >= places.settings.connections_max || here >= places.settings.connections_per_address_max {
            return None;
        }
        taken.total += 1;
        taken.by_network.insert(network, here + 1);
        Some(Permit { places: Arc::clone(places), network })
    }
}

/// What counts as one address: an IPv6 host has a whole /64 to itself.
fn network(ip: IpAddr) -> IpAddr {
    const HOST_BITS: u32 = 64;
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> HOST_BITS << HOST_BITS)),
    }
}

/// A place among a listener's connections. Dropping it gives the place back.
#[derive(Debug)]
pub struct Permit {
    places: Arc<Places>,
    network: IpAddr,
}

impl Permit {
    /// Whether more than three quarters of the listener's places are taken, so that a client that keeps
    /// others waiting may be given less time.
    pub fn places_are_scarce(&self) -> bool {
        self.places.taken.lock().total > self.places.settings.connections_max / 4 * 3
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.total -= 1;
        if let Some(here) = taken.by_network.get_mut(&self.network) {
            *here -= 1;
            if *here == 0 {
                taken.by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{io::AsyncReadExt as _, net::TcpStream};

    fn places(connections_max: usize, connections_per_address_max: usize) -> Arc<Places> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = ListenerSettings { address, connections_max, connections_per_address_max };
        Arc::new(Places::new(settings))
    }

    #[test]
    fn one_network_cannot_take_every_place() {
        let places = places(3, 2);
        let take = |ip: &str| Places::take(&places, ip.parse().unwrap());
        let first = take("2001:db8::1");
        let second = take("2001:db8::2:1");
        assert!(first.is_some() && second.is_some());
        assert!(take("2001:db8::3").is_none(), "the same /64");
        let third = take("2001:db8:0:1::1").expect("another /64");
        assert!(take("192.0.2.1").is_none(), "no place left");
        assert!(third.places_are_scarce());

        drop((first, second, third));
        assert!(places.taken.lock().by_network.is_empty());
        assert!(take("192.0.2.1").is_some());
    }

    #[tokio::test]
    async fn a_connection_over_the_bounds_is_told_and_closed() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = ListenerSettings { address, connections_max: 1, connections_per_address_max: 1 };
        let mut listener = Listener::bind(settings).await.unwrap();
        let (address, activity) = (listener.address(), listener.activity());

        let first = TcpStream::connect(address).await.unwrap();
        let held = listener.accept(b"").await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        let accepting =
            tokio::spawn(async move { listener.accept(b"421 busy\r\n").await.map(|accepted| accepted.peer) });
        let mut told = Vec::new();
        second.read_to_end(&mut told).await.unwrap();
        assert_eq!(told, b"421 busy\r\n");
        assert_eq!((activity.open(), activity.accepted(), activity.refused()), (1, 1, 1));

        drop((first, held));
        let third = TcpStream::connect(address).await.unwrap();
        assert_eq!(accepting.await.unwrap().unwrap(), third.local_addr().unwrap());
    }
}
