//! Listeners, connection permits, streams with TLS upgrade, shutdown.

pub use crate::tls::Acceptor;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A client's connection, in the clear or inside TLS. TCP_NODELAY is set.
pub enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// Inside TLS.
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

impl Stream {
    /// Performs a TLS handshake on a clear stream. What the client sent ahead of it in the clear must have
    /// been thrown away by the caller (command injection). An error where TLS is already on.
    pub async fn start_tls(self, acceptor: &Acceptor, deadline: Duration) -> io::Result<Self> {
        let _ = (acceptor, deadline);
        unimplemented!("frame: net")
    }

    /// Whether it is inside TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

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

/// Tells everyone that the server drains. Clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown(tokio::sync::watch::Receiver<bool>);

impl Shutdown {
    /// A pair: sending `true` begins the drain.
    pub fn channel() -> (tokio::sync::watch::Sender<bool>, Self) {
        let (sender, receiver) = tokio::sync::watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns once the drain has begun. Cancel-safe.
    pub async fn begun(&mut self) {
        // A sender that is gone means that the server is gone: drain as well.
        let _ = self.0.wait_for(|begun| *begun).await;
    }
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

/// A place among a listener's connections.
pub struct Permit(());

/// A bound listener.
pub struct Listener(());

impl Listener {
    /// Binds.
    pub async fn bind(settings: ListenerSettings) -> io::Result<Self> {
        let _ = settings;
        unimplemented!("frame: net")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        unimplemented!("frame: net")
    }

    /// Waits for a connection within the bounds; those over them get `refusal` and are closed. Cancel-safe.
    pub async fn accept(&mut self, refusal: &'static [u8]) -> io::Result<Accepted> {
        let _ = refusal;
        unimplemented!("frame: net")
    }
}
