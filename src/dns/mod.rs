//! Name look-ups with a cache, and a small name server for tests and the tour.
//!
//! Owns: hickory; every question that the server asks the DNS. Promises: a question ends within the settings' time-out times
//! attempts; an answer cut short by UDP is asked for again by TCP; each failure has one meaning, a [`DnsError`], so that the
//! protocols above can say what follows from it; what a name server puts into an answer beside the question (records of other
//! names) is not believed. Positive and negative answers are kept for as long as their zone says, failures never. Never: uses
//! `/etc/hosts` or search domains, since mail names are absolute; validates DNSSEC. Nothing is logged.
//!
//! RFC 1034, RFC 1035 §4 and §5 (master files: $ORIGIN, $TTL, A, AAAA, CNAME, MX, NS, PTR, SOA, TXT), RFC 2308 (negative answers),
//! RFC 3596, RFC 6891 (payload size), RFC 7505. Not implemented: RFC 4033 (DNSSEC), RFC 1035 §5.1 $INCLUDE, RFC 4592 (wildcards).

mod master_file;
mod name;
mod resolver;
mod zone;
mod zone_server;

pub use master_file::ZoneError;
pub use resolver::Resolver;
pub use zone::Zone;
pub use zone_server::{Failure, ZoneServer, ZoneServerBuilder};

use std::{net::SocketAddr, time::Duration};

/// Where and how names are asked for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Resolvers with their ports; empty means those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// How long one query waits.
    pub timeout: Duration,
    /// How often a query is sent before it counts as failed.
    pub attempts: usize,
    /// Answers kept.
    pub cache_entries: u64,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name does not exist (NXDOMAIN).
    #[error("no such name")]
    NoName,
    /// The name exists and has no record of this type.
    #[error("no record of this type")]
    NoRecord,
    /// Timed out, SERVFAIL or refused: another try may succeed.
    #[error("the name servers did not answer")]
    Temporary,
    /// What was asked for is no domain name.
    #[error("not a domain name")]
    BadName,
}

/// One MX record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailExchange {
    /// Preference; lower is tried first.
    pub preference: u16,
    /// Host, without a final dot. Empty for a null MX (RFC 7505).
    pub host: String,
}
