//! Name look-ups with a cache. hickory's owner.
//!
//! Every failure has a defined outcome: [`DnsError`] says whether the name does not exist or the
//! answer could not be had.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

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

/// A caching resolver. Clones share the cache.
#[derive(Clone)]
pub struct Resolver(());

impl Resolver {
    /// Makes a resolver; does not ask anything yet.
    pub fn new(settings: &Settings) -> std::io::Result<Self> {
        let _ = settings;
        unimplemented!("frame: dns")
    }

    /// TXT records, the strings of each joined (RFC 7208 §3.3).
    pub async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        let _ = name;
        unimplemented!("frame: dns")
    }

    /// A records.
    pub async fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, DnsError> {
        let _ = name;
        unimplemented!("frame: dns")
    }

    /// AAAA records.
    pub async fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, DnsError> {
        let _ = name;
        unimplemented!("frame: dns")
    }

    /// MX records by preference.
    pub async fn mx(&self, name: &str) -> Result<Vec<MailExchange>, DnsError> {
        let _ = name;
        unimplemented!("frame: dns")
    }

    /// Names of an address (PTR), without a final dot.
    pub async fn ptr(&self, ip: IpAddr) -> Result<Vec<String>, DnsError> {
        let _ = ip;
        unimplemented!("frame: dns")
    }
}

/// A small authoritative name server over a zone file, on UDP and TCP of a loopback port: for tests
/// and for the quickstart tour, so that both ask real questions in real packets.
pub struct ZoneServer(());

impl ZoneServer {
    /// Reads the zone (RFC 1035 §5 master file) and serves it on `127.0.0.1` until dropped; names
    /// outside it get NXDOMAIN.
    pub async fn start(zone: &str) -> std::io::Result<Self> {
        let _ = zone;
        unimplemented!("frame: dns")
    }

    /// The address to put into [`Settings::servers`].
    pub fn address(&self) -> SocketAddr {
        unimplemented!("frame: dns")
    }
}
