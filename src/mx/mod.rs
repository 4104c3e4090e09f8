//! The MX: drives the inbound path from connection to 250. `receive.rs` shows it on one page.

mod budget;

use crate::{accounts::Accounts, authentication::Authenticator, clock::Clock, delivery::Delivery, net, spam::Filter};

pub use budget::ContentBudget;

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
}

/// Serves SMTP on a listener until shutdown, then drains: sessions end after their current transaction. Does
/// not return before the last session has ended or `drain` has passed.
pub async fn serve(
    listener: net::Listener,
    services: Services,
    acceptor: net::Acceptor,
    shutdown: net::Shutdown,
) -> std::io::Result<()> {
    let _ = (listener, services, acceptor, shutdown);
    unimplemented!("frame: mx")
}
