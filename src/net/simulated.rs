//! A network in memory, whose delays, pieces and cuts follow from a seed.
//!
//! Promises: octets of one direction arrive in order; what a side sent before it closed arrives before the end; a side that
//! goes away with unread octets resets the connection, as a system does for a program. Each direction of each connection
//! has a manner of its own: how long octets are under way, and in what pieces they arrive.

use super::ListenerSettings;
use crate::{clock::Clock, limits};
use bytes::{Buf as _, Bytes};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    future::Future as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
    time::{Instant, Sleep, sleep_until},
};

/// A network in memory. Clones share it.
#[derive(Clone)]
pub struct SimulatedNetwork {
    chance: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    listeners: BTreeMap<SocketAddr, mpsc::Sender<(Pipe, SocketAddr)>>,
    connections: Vec<Weak<Mutex<Connection>>>,
}

/// What a simulated listener takes connections from.
pub(super) type Arrivals = mpsc::Receiver<(Pipe, SocketAddr)>;

impl SimulatedNetwork {
    /// A network without listeners. `chance` draws the manners of connections.
    pub fn new(chance: Clock) -> Self {
        Self { chance, state: Arc::default() }
    }

    /// Listens; takes the place of who listened there before.
    pub fn listen(&self, settings: ListenerSettings) -> super::Listener {
        let (sender, arrivals) = mpsc::channel(limits::SIMULATED_BACKLOG);
        self.state.lock().listeners.insert(settings.address, sender);
        super::Listener::simulated(settings, arrivals)
    }

    /// Connects, or is refused where nobody listens.
    pub fn connect(&self, from: SocketAddr, to: SocketAddr) -> io::Result<Pipe> {
        let connection = Connection { directions: [self.direction(), self.direction()], is_cut: false };
        let connection = Arc::new(Mutex::new(connection));
        let side = |side| Pipe { connection: Arc::clone(&connection), side, timer: None };
        let mut state = self.state.lock();
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        state.listeners.get(&to).ok_or_else(refused)?.try_send((side(1), from)).map_err(|_| refused())?;
        state.connections.retain(|connection| connection.strong_count() > 0);
        state.connections.push(Arc::downgrade(&connection));
        Ok(side(0))
    }

    /// Resets every connection, and nobody listens any more.
    pub fn cut(&self) {
        let State { listeners, connections } = std::mem::take(&mut *self.state.lock());
        drop(listeners);
        connections.iter().filter_map(Weak::upgrade).for_each(|connection| connection.lock().cut());
    }

    fn direction(&self) -> Direction {
        let draw = |of: &[usize]| of.get(self.chance.random_u64() as usize % of.len()).copied().unwrap_or(0);
        Direction {
            arriving: VecDeque::new(),
            octets: 0,
            is_closed: false,
            last: Instant::now(),
            delay_millis: draw(&[0, 0, 0, 1, 10, 40]) as u64,
            piece: draw(&[1, 3, 60, 1460, usize::MAX, usize::MAX]),
            chance: self.chance.clone(),
            reader: None,
            writer: None,
        }
    }
}

/// One side of a simulated connection.
pub struct Pipe {
    connection: Arc<Mutex<Connection>>,
    /// This side writes into the direction of its number and reads from the other.
    side: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

struct Connection {
    directions: [Direction; 2],
    is_cut: bool,
}

struct Direction {
    /// Pieces with their times of arrival, in order.
    arriving: VecDeque<(Instant, Bytes)>,
    octets: usize,
    /// Nothing more will be written.
    is_closed: bool,
    last: Instant,
    delay_millis: u64,
    piece: usize,
    chance: Clock,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Connection {
    fn cut(&mut self) {
        self.is_cut = true;
        for direction in &mut self.directions {
            direction.wake();
        }
    }

    fn direction(&mut self, number: usize) -> &mut Direction {
        let [one, other] = &mut self.directions;
        if number == 0 { one } else { other }
    }
}

impl Direction {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    /// Takes octets as far as there is room, and returns how many.
    fn send(&mut self, octets: &[u8]) -> usize {
        let room = limits::SIMULATED_WINDOW_OCTETS.saturating_sub(self.octets);
        let (taken, _) = octets.split_at_checked(room).unwrap_or((octets, &[]));
        let (small, large) = taken.split_at(taken.len().min(self.piece.saturating_mul(limits::SIMULATED_PIECES_MAX)));
        for piece in small.chunks(self.piece).chain(std::iter::once(large)).filter(|piece| !piece.is_empty()) {
            self.last = self.last.max(Instant::now() + self.delay());
            self.arriving.push_back((self.last, Bytes::copy_from_slice(piece)));
        }
        self.octets += taken.len();
        self.reader.take().into_iter().for_each(Waker::wake);
        taken.len()
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(self.chance.random_u64() % (self.delay_millis + 1))
    }

    /// Moves octets that have arrived. `None` where there are none yet.
    fn receive(&mut self, buf: &mut ReadBuf<'_>) -> Option<()> {
        let (_, piece) = self.arriving.front_mut().filter(|(arrives, _)| *arrives <= Instant::now())?;
        let count = piece.len().min(buf.remaining());
        buf.put_slice(&piece.split_to(count));
        if !piece.has_remaining() {
            self.arriving.pop_front();
        }
        self.octets -= count;
        self.writer.take().into_iter().for_each(Waker::wake);
        Some(())
    }
}

impl Pipe {
    /// Resets the connection, as a broken network would.
    pub fn cut(&self) {
        self.connection.lock().cut();
    }

    /// Whether octets have arrived that nobody has read yet.
    pub(super) fn has_unread(&self) -> bool {
        let mut connection = self.connection.lock();
        let front = connection.direction(1 - self.side).arriving.front();
        front.is_some_and(|(arrives, _)| *arrives <= Instant::now())
    }

    /// Sends a short text without waiting.
    pub(super) fn send_now(&self, octets: &[u8]) {
        self.connection.lock().direction(self.side).send(octets);
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let shared = Arc::clone(&self.connection);
            let mut connection = shared.lock();
            if connection.is_cut {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            let direction = connection.direction(1 - self.side);
            if direction.receive(buf).is_some() {
                return Poll::Ready(Ok(()));
            }
            direction.reader = Some(cx.waker().clone());
            let Some((arrives, _)) = direction.arriving.front() else {
                return if direction.is_closed { Poll::Ready(Ok(())) } else { Poll::Pending };
            };
            let timer = self.timer.insert(Box::pin(sleep_until(*arrives)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut connection = self.connection.lock();
        if connection.is_cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let direction = connection.direction(self.side);
        if direction.is_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match direction.send(buf) {
            0 if !buf.is_empty() => {
                direction.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            sent => Poll::Ready(Ok(sent)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut connection = self.connection.lock();
        let direction = connection.direction(self.side);
        direction.is_closed = true;
        direction.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut connection = self.connection.lock();
        let has_unread = !connection.direction(1 - self.side).arriving.is_empty();
        if has_unread {
            connection.cut();
        }
        let other = 1 - self.side;
        // Nobody reads what the other side still writes.
        for number in [self.side, other] {
            let direction = connection.direction(number);
            direction.is_closed = true;
            direction.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 25);

    fn network(seed: u64) -> SimulatedNetwork {
        SimulatedNetwork::new(Clock::simulated(UnixMillis(0), seed))
    }

    fn settings() -> ListenerSettings {
        ListenerSettings { address: SERVER, connections_max: 9, connections_per_address_max: 9 }
    }

    #[tokio::test(start_paused = true)]
    async fn octets_arrive_whole_and_in_order_however_they_travel() {
        for seed in 0..40 {
            let network = network(seed);
            let mut listener = network.listen(settings());
            let mut client = network.connect(SERVER, SERVER).unwrap();
            let sent: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
            let octets = sent.clone();
            let sending = tokio::spawn(async move {
                client.write_all(&octets).await.unwrap();
                client.shutdown().await.unwrap();
                let mut answer = String::new();
                client.read_to_string(&mut answer).await.unwrap();
                answer
            });
            let mut server = listener.accept(b"").await.unwrap().stream;
            let mut received = Vec::new();
            server.read_to_end(&mut received).await.unwrap();
            assert!(received == sent, "seed {seed}");
            server.write_all(b"thanks").await.unwrap();
            drop(server);
            assert_eq!(sending.await.unwrap(), "thanks");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_without_reading_resets_the_connection() {
        let network = network(1);
        let mut listener = network.listen(settings());
        let client = network.connect(SERVER, SERVER).unwrap();
        let mut server = listener.accept(b"").await.unwrap().stream;
        server.write_all(b"250 stored\r\n").await.unwrap();
        drop(client);
        let error = server.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_wakes_both_sides_and_closes_the_listeners() {
        let network = network(2);
        let mut listener = network.listen(settings());
        let mut client = network.connect(SERVER, SERVER).unwrap();
        let mut server = listener.accept(b"").await.unwrap().stream;
        let waiting = tokio::spawn(async move { (client.read_u8().await.is_err(), server.read_u8().await.is_err()) });
        tokio::task::yield_now().await;
        network.cut();
        assert_eq!(waiting.await.unwrap(), (true, true));
        assert!(network.connect(SERVER, SERVER).is_err());
        assert!(listener.accept(b"").await.is_err());
    }
}
