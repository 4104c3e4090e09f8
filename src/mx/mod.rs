//! The MX: drives the inbound path from connection to 250. `receive.rs` shows it on one page.
//!
//! Owns: connections on port 25 with their deadlines, the order of checks on a message, what becomes of it, and every reply
//! that depends on accounts or on the message. `submission` uses the same connection with another service. Promises: a
//! 250 means stored for every recipient; whatever is refused is refused in the session, and nothing is bounced or
//! dropped; memory is bounded by the listener's places and one [`ContentBudget`]. Never: changes a message's octets; believes
//! what a message says of itself (a forged Authentication-Results or X-Spam field is read by nobody). Each message has one log
//! line at its outcome; sessions are logged at debug level only.
//!
//! RFC 5321, RFC 7372 (authentication failure codes). Not implemented: DNS lists, greylisting.

mod budget;
pub(crate) mod connection;
mod counters;
mod deadline;
mod deliver;
mod disposition;
mod log;
mod receive;
mod reply;

use crate::{
    accounts::Accounts,
    authentication::Authenticator,
    clock::Clock,
    delivery::Delivery,
    limits,
    mail::{AccountId, ForwardPath, ReversePath},
    net,
    smtp::{Authentication, Reply, Settings},
    spam::Filter,
};
use connection::{Incoming, Login, Service, Shared, Taken, TlsStart};
use std::{sync::Arc, time::Duration};

pub use budget::ContentBudget;
pub use counters::{Counted, Counters};
pub(crate) use {deliver::deliver, deliver::off_reactor, log::Line, reply::accounts_failed, reply::not_delivered};

/// What the MX and submission services stand on. Clones share everything.
#[derive(Clone)]
pub struct Services {
    /// Addresses.
    pub accounts: Accounts,
    /// Sender checks.
    pub authenticator: Authenticator,
    /// The spam filter.
    pub filter: Filter,
    /// Delivery.
    pub delivery: Delivery,
    /// Time.
    pub clock: Clock,
    /// Our name in greeting and trace fields.
    pub hostname: String,
    /// Octets of a message at most.
    pub message_octets_max: u64,
    /// Octets of messages in memory at once, over every listener that shares it.
    pub content_budget: ContentBudget,
    /// Counts of what came of messages.
    pub counters: Counters,
}

/// Said to a client that finds no place.
pub(crate) const REFUSAL: &[u8] = b"421 4.7.0 too many connections, try again later\r\n";

impl Services {
    /// What the connections of one listener have in common.
    pub(crate) fn shared(
        &self,
        acceptor: net::Acceptor,
        shutdown: net::Shutdown,
        authentication: Authentication,
    ) -> Shared {
        let settings =
            Settings { hostname: self.hostname.clone(), message_octets_max: self.message_octets_max, authentication };
        Shared {
            settings: Arc::new(settings),
            acceptor,
            delivery: self.delivery.clone(),
            budget: self.content_budget.clone(),
            counters: self.counters.clone(),
            clock: self.clock.clone(),
            shutdown,
        }
    }
}

/// Serves SMTP on a listener until shutdown, then drains: sessions end after their current transaction. Does
/// not return before the last session has ended or `drain` has passed.
pub async fn serve(
    listener: net::Listener,
    services: Services,
    acceptor: net::Acceptor,
    shutdown: net::Shutdown,
) -> std::io::Result<()> {
    let shared = services.shared(acceptor, shutdown.clone(), Authentication::NotOffered);
    let drain = Duration::from_secs(limits::DRAIN_SECONDS);
    net::serve(listener, REFUSAL, shutdown, drain, |accepted| {
        connection::run(shared.clone(), accepted, TlsStart::ByCommand, Strangers(services.clone()))
    })
    .await
}

/// The service of port 25: anybody may send to our own addresses.
struct Strangers(Services);

impl Service for Strangers {
    fn mail(&self, _: &ReversePath) -> Reply {
        Reply::SENDER_OK
    }

    fn recipient(&self, path: &ForwardPath) -> Result<Vec<AccountId>, Reply> {
        reply::recipient(self.0.accounts.resolve(path), path)
    }

    fn room(&self, accounts: &[AccountId], announced: Option<u64>) -> Result<(), Reply> {
        self.0.delivery.has_room(accounts, announced).map_err(|error| reply::not_delivered(&error))
    }

    async fn message(&self, incoming: Incoming) -> Taken {
        receive::receive(&self.0, incoming).await
    }

    async fn authenticate(&mut self, _: &str, _: Option<Vec<u8>>) -> Login {
        Login::Refused(Reply::NOT_IMPLEMENTED)
    }

    async fn authentication_message(&mut self, _: Vec<u8>) -> Login {
        Login::Refused(Reply::NOT_IMPLEMENTED)
    }

    fn forget_login(&mut self) {}
}
