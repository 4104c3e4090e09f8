//! The IMAP session: IMAP4rev1 and IMAP4rev2 (RFC 3501, RFC 9051) over the store. imap_codec's owner.
//!
//! ```text
//!  octets ─▶ frame ─▶ command::parse ─▶ Command ─▶ session ─▶ command/*.rs ─▶ wire.out ─▶ octets
//!            lines,     own parser,                 states,     one file each,  bounded,
//!            literals   codec for what              reports     view, fetch,    flushed with
//!                       nothing extends                         search          back-pressure
//! ```
//!
//! Owns: framing, commands, responses, the view that each client has of its mailbox. Promises: commands are answered in
//! order, each by one tagged line; sequence numbers move only when the client is told; pushes are lossless
//! because they come from comparing snapshots (P8); BODY[] gives the octets that were stored (P3), NUL octets
//! excepted, which a string cannot hold; an unknown peer costs bounded memory and time (P11); damaged messages are left out and named
//! (P12). Never: holds a snapshot or lock while a client takes its time; answers before the store has. Errors become
//! responses in `response.rs` alone; faults of the store are logged there.
//!
//! Not implemented: RFC 7162 §3.2 (QRESYNC), RFC 3502 (MULTIAPPEND).

mod capability;
mod codec;
mod command;
mod connection;
mod date;
mod fetch;
mod frame;
mod mailbox_name;
mod parser;
mod places;
mod recent;
mod response;
mod search;
mod selected;
mod sequence;
mod session;
mod view;
mod wire;
mod write;

use crate::{accounts::Accounts, clock::Clock, limits, net, store::Store};
use std::{sync::Arc, time::Duration};

/// What the IMAP service stands on. Clones share everything.
#[derive(Clone)]
pub struct Services {
    /// Mail.
    pub store: Store,
    /// Logins.
    pub accounts: Accounts,
    /// Time.
    pub clock: Clock,
    /// Our name in the greeting.
    pub hostname: String,
    /// Octets of an APPEND at most.
    pub message_octets_max: u64,
    /// Who may log in outside TLS.
    pub clear_login: ClearLogin,
    /// What sessions of all listeners have in common.
    pub sessions: Sessions,
}

/// What sessions of all listeners have in common: how many each account has, and which messages nobody was told of.
#[derive(Clone, Debug)]
pub struct Sessions {
    places: places::Places,
    recent: recent::Recent,
}

impl Sessions {
    /// No session, and nothing arrived yet.
    pub fn new(clock: &Clock) -> Self {
        Self { places: places::Places::default(), recent: recent::Recent::new(clock.now()) }
    }
}

/// Who may log in outside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClearLogin {
    /// Nobody.
    Refused,
    /// Clients on the same machine.
    Loopback,
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// By STARTTLS.
    StartTls,
    /// At once.
    Implicit,
}

/// What a connection over the bounds is told.
const REFUSAL: &[u8] = b"* BYE [UNAVAILABLE] too many connections, try again later\r\n";

/// Serves IMAP on a listener until shutdown, then says BYE to every session and returns.
pub async fn serve(
    listener: net::Listener,
    services: Services,
    acceptor: net::Acceptor,
    mode: TlsMode,
    shutdown: net::Shutdown,
) -> std::io::Result<()> {
    let shared = session::Shared { services: Arc::new(services), shutdown: shutdown.clone() };
    let drain = Duration::from_secs(limits::DRAIN_SECONDS);
    net::serve(listener, REFUSAL, shutdown, drain, |accepted| {
        connection::run(shared.clone(), accepted, acceptor.clone(), mode)
    })
    .await
}

/// Whether octets are one whole command: a line with its literals and the final CRLF, as the parser sees it.
pub fn is_command(octets: &[u8]) -> bool {
    command::parse(octets).outcome.is_ok()
}
