//! Octets to and from one client, with back-pressure.
//!
//! Owns: the buffer of responses, the framer, and the connection's clocks. Promises: responses wait in memory
//! up to `IMAP_WRITE_OCTETS` and one more piece; while nothing is under way no buffer is held. Never:
//! reads ahead of what is being worked on by more than one read. Reading is cancel-safe: octets that
//! arrived are kept. Sending is not, and is never raced against anything but its own deadline.

use super::frame::{Bounds, Frame, Framer, Literal};
use crate::limits;
use bytes::{Bytes, BytesMut};
use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::timeout,
};

/// A connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Both directions of a connection.
pub(crate) struct Wire<'s> {
    stream: &'s mut dyn Duplex,
    framer: Framer,
    /// Responses that were not sent yet.
    pub(crate) out: Vec<u8>,
    sent: u64,
}

impl<'s> Wire<'s> {
    /// Nothing was sent or received.
    pub(crate) fn new(stream: &'s mut dyn Duplex) -> Self {
        Self { stream, framer: Framer::new(), out: Vec::new(), sent: 0 }
    }

    /// The next frame among what has arrived; [`Frame::More`] asks for [`Wire::fill`].
    pub(crate) fn frame(&mut self, bounds: Bounds) -> Frame {
        self.framer.next(bounds)
    }

    /// The next line that is no command, among what has arrived.
    pub(crate) fn arrived_line(&mut self, octets_max: usize) -> Option<Vec<u8>> {
        self.framer.line(octets_max)
    }

    /// Waits for the next line that is no command, within the time for a transfer.
    pub(crate) async fn line(&mut self, octets_max: usize) -> io::Result<Vec<u8>> {
        loop {
            if let Some(line) = self.framer.line(octets_max) {
                return Ok(line);
            }
            self.fill_within(Duration::from_secs(limits::IMAP_TRANSFER_SECONDS_MAX)).await?;
        }
    }

    /// Waits for octets and takes them in; the end of the connection is an error. Cancel-safe.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        let (stream, framer) = (&mut *self.stream, &mut self.framer);
        poll_fn(|cx| poll_fill(stream, framer, cx)).await
    }

    async fn fill_within(&mut self, time: Duration) -> io::Result<()> {
        timeout(time, self.fill()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads the message of an APPEND.
    pub(crate) async fn literal(&mut self, literal: Literal) -> io::Result<Bytes> {
        // Memory grows with what arrives, not with what was announced.
        let mut message = BytesMut::new();
        loop {
            let left = literal.octets - message.len() as u64;
            message.extend_from_slice(self.framer.take_raw(usize::try_from(left).unwrap_or(usize::MAX)));
            if message.len() as u64 == literal.octets {
                return Ok(message.freeze());
            }
            self.fill_within(Duration::from_secs(limits::IMAP_TRANSFER_SECONDS_MAX)).await?;
        }
    }

    /// Skips a message that is not wanted, and the rest of its command.
    pub(crate) fn skip_literal(&mut self, literal: Literal) {
        self.framer.skip_literal(literal.octets);
    }

    /// Octets sent so far; tells whether what stands in `out` can still be taken back.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends what has been collected.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let sending = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        let deadline = Duration::from_secs(limits::IMAP_TRANSFER_SECONDS_MAX);
        timeout(deadline, sending).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        self.sent += self.out.len() as u64;
        self.out.clear();
        Ok(())
    }

    /// Sends once enough has been collected.
    pub(crate) async fn flush_if_full(&mut self) -> io::Result<()> {
        if self.out.len() >= limits::IMAP_WRITE_OCTETS { self.flush().await } else { Ok(()) }
    }

    /// Frees buffers; for a connection that falls idle.
    pub(crate) fn rest(&mut self) {
        self.framer.shrink();
        if self.out.is_empty() && self.out.capacity() > limits::IMAP_IDLE_BUFFER_OCTETS {
            self.out = Vec::new();
        }
    }

    /// Says goodbye on the level below: TLS close_notify, FIN.
    pub(crate) async fn shutdown(&mut self) {
        // The session is over either way.
        let _ = timeout(Duration::from_secs(5), self.stream.shutdown()).await;
    }
}

/// The buffer lives on the stack of one poll, so that a connection that waits holds none.
fn poll_fill(stream: &mut dyn Duplex, framer: &mut Framer, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut octets = [MaybeUninit::<u8>::uninit(); limits::IMAP_READ_OCTETS];
    let mut buffer = ReadBuf::uninit(&mut octets);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    if buffer.filled().is_empty() {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    framer.push(buffer.filled());
    Poll::Ready(Ok(()))
}
