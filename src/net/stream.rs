//! A client's connection, in the clear or inside TLS.

use super::Pipe;
use crate::tls::Acceptor;
use std::{
    io,
    os::fd::AsFd as _,
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
    /// In the clear, over a network in memory.
    Simulated(Pipe),
}

impl Stream {
    /// Performs a TLS handshake on a clear stream. What the client sent ahead of it in the clear must have
    /// been thrown away by the caller (command injection). An error where TLS is already on, and in a simulation, which has none.
    pub async fn start_tls(self, acceptor: &Acceptor, deadline: Duration) -> io::Result<Self> {
        let Self::Plain(stream) = self else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS is on already, or simulated"));
        };
        let handshake = tokio::time::timeout(deadline, acceptor.current().accept(stream));
        let stream = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(Self::Tls(Box::new(stream)))
    }

    /// Whether it is inside TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether the client of a clear stream has sent octets that nobody has read yet, without waiting for any. Inside TLS
    /// this is not known, and `false`.
    pub fn has_unread(&self) -> bool {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Simulated(pipe) => return pipe.has_unread(),
            Self::Tls(_) => return false,
        };
        // Asks the system itself, by a second descriptor: tokio learns of the first octets only on its next turn.
        let peek = stream.as_fd().try_clone_to_owned().and_then(|fd| std::net::TcpStream::from(fd).peek(&mut [0]));
        matches!(peek, Ok(1..))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Simulated(pipe) => Pin::new(pipe).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Simulated(pipe) => Pin::new(pipe).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Simulated(pipe) => Pin::new(pipe).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Simulated(pipe) => Pin::new(pipe).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Listener, ListenerSettings},
        *,
    };
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_client_that_speaks_first_is_noticed_and_still_heard() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = ListenerSettings { address, connections_max: 9, connections_per_address_max: 9 };
        let mut listener = Listener::bind(settings).await.unwrap();
        let mut early = TcpStream::connect(listener.address()).await.unwrap();
        early.write_all(b"EHLO").await.unwrap();
        let mut stream = listener.accept(b"").await.unwrap().stream;
        assert!(stream.has_unread());
        let mut octets = [0; 4];
        stream.read_exact(&mut octets).await.unwrap();
        assert_eq!(&octets, b"EHLO");
        assert!(!stream.has_unread());

        let _silent = TcpStream::connect(listener.address()).await.unwrap();
        assert!(!listener.accept(b"").await.unwrap().stream.has_unread());
    }
}
