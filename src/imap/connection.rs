//! One connection: TLS, deadlines, and the loop from frame to session.
//!
//! Promises: what a client sent in the clear behind STARTTLS is thrown away (RFC 9051 §11.1, CVE-2011-0411); a connection that
//! does not log in is closed in time, however it trickles. Logs a session's end at debug level.

use super::{
    ClearLogin, TlsMode,
    capability::{Privacy, StartTls},
    frame::Frame,
    response::DRAINING,
    session::{Next, Session, Shared},
    wire::Wire,
};
use crate::{
    limits,
    net::{Accepted, Acceptor, Stream},
};
use std::{io, net::IpAddr, time::Duration};
use tokio::time::{Instant, timeout_at};

/// Runs a session from the first octet to the last.
pub(super) async fn run(shared: Shared, accepted: Accepted, acceptor: Acceptor, mode: TlsMode) {
    let Accepted { stream, peer, permit: _permit } = accepted;
    let id = shared.services.clock.random_u64();
    tracing::debug!(session = id, %peer, "imap connection");
    match converse(&shared, stream, peer.ip(), &acceptor, mode, id).await {
        Ok(()) => tracing::debug!(session = id, "imap session ended"),
        Err(error) => tracing::debug!(session = id, %error, "imap connection lost"),
    }
}

async fn converse(
    shared: &Shared,
    stream: Stream,
    peer: IpAddr,
    acceptor: &Acceptor,
    mode: TlsMode,
    id: u64,
) -> io::Result<()> {
    let login_by = Instant::now() + Duration::from_secs(limits::IMAP_LOGIN_SECONDS_MAX);
    if mode == TlsMode::Implicit {
        return inside_tls(shared, stream, acceptor, Greeting::Sent, login_by, id).await;
    }
    let privacy = match shared.services.clear_login {
        ClearLogin::Loopback if peer.is_loopback() => Privacy::ClearAllowed,
        ClearLogin::Loopback | ClearLogin::Refused => Privacy::Clear,
    };
    let mut stream = stream;
    let mut session = Session::new(shared, privacy, StartTls::Offered, id);
    let next = exchange(&mut session, &mut Wire::new(&mut stream), Greeting::Sent, login_by).await?;
    if next == Next::StartTls {
        return inside_tls(shared, stream, acceptor, Greeting::Left, login_by, id).await;
    }
    Ok(())
}

/// Whether a session begins with a greeting: one after STARTTLS does not (RFC 9051 §6.2.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Sent,
    Left,
}

/// Everything that was said before is forgotten (RFC 9051 §6.2.1).
async fn inside_tls(
    shared: &Shared,
    stream: Stream,
    acceptor: &Acceptor,
    greeting: Greeting,
    login_by: Instant,
    id: u64,
) -> io::Result<()> {
    let mut stream = stream.start_tls(acceptor, login_by.saturating_duration_since(Instant::now())).await?;
    let mut session = Session::new(shared, Privacy::Tls, StartTls::Absent, id);
    exchange(&mut session, &mut Wire::new(&mut stream), greeting, login_by).await.map(|_| ())
}

/// Exchanges commands and responses until the session ends or TLS begins.
async fn exchange(
    session: &mut Session,
    wire: &mut Wire<'_>,
    greeting: Greeting,
    login_by: Instant,
) -> io::Result<Next> {
    if greeting == Greeting::Sent {
        session.greet(wire);
    }
    loop {
        let next = match wire.frame(session.bounds()) {
            Frame::More => {
                wire.flush().await?;
                wait(session, wire, login_by).await?
            }
            Frame::Continue => {
                wire.out.extend_from_slice(b"+ send the literal\r\n");
                Next::Command
            }
            Frame::Command(octets) => session.command(&octets, wire).await?,
            Frame::Append(head, literal) => session.append(&head, literal, wire).await?,
            Frame::Oversized { tag } => session.oversized(tag.as_deref(), wire).await?,
            Frame::Hopeless => {
                wire.out.extend_from_slice(b"* BYE the command is too long\r\n");
                Next::Close
            }
        };
        match next {
            Next::Command => wire.flush_if_full().await?,
            Next::StartTls => {
                wire.flush().await?;
                return Ok(next);
            }
            Next::Close => {
                wire.flush().await?;
                wire.shutdown().await;
                return Ok(next);
            }
        }
    }
}

/// Waits for octets; says BYE where none come in time or the server goes down.
async fn wait(session: &Session, wire: &mut Wire<'_>, login_by: Instant) -> io::Result<Next> {
    wire.rest();
    let deadline = match session.is_authenticated() {
        true => Instant::now() + Duration::from_secs(limits::IMAP_IDLE_SECONDS_MAX),
        false => login_by,
    };
    let mut shutdown = session.shutdown.clone();
    let arrived = tokio::select! {
        biased;
        arrived = timeout_at(deadline, wire.fill()) => arrived,
        () = shutdown.begun() => {
            wire.out.extend_from_slice(DRAINING);
            return Ok(Next::Close);
        }
    };
    match arrived {
        Ok(arrived) => arrived.map(|()| Next::Command),
        Err(_) => {
            wire.out.extend_from_slice(b"* BYE idle for too long\r\n");
            Ok(Next::Close)
        }
    }
}
