//! Whether an address's name leads back to it (RFC 8601 §3).
//!
//! Of our own, and not mail_auth's: it asks through the one cache, looks at as many names as SPF does, and
//! gives the name that was confirmed.

use super::Outcome;
use crate::{
    dns::{DnsError, Resolver},
    limits,
};
use std::net::IpAddr;

/// The outcome, and the name that leads back, or else the first name that the address has.
pub(super) async fn iprev(resolver: &Resolver, ip: IpAddr) -> (Outcome, Option<String>) {
    let ip = ip.to_canonical();
    let names = match resolver.ptr(ip).await {
        Ok(names) => names,
        Err(DnsError::Temporary) => return (Outcome::TempError, None),
        // RFC 8601 §3: no name at all is a permanent error.
        Err(DnsError::NoName | DnsError::NoRecord | DnsError::BadName) => return (Outcome::PermError, None),
    };
    let mut outcome = Outcome::Fail;
    for name in names.iter().take(limits::SPF_NAMES_MAX) {
        match addresses(resolver, ip, name).await {
            Ok(addresses) if addresses.contains(&ip) => return (Outcome::Pass, Some(name.clone())),
            Err(DnsError::Temporary) => outcome = Outcome::TempError,
            Ok(_) | Err(DnsError::NoName | DnsError::NoRecord | DnsError::BadName) => {}
        }
    }
    (outcome, names.into_iter().next())
}

async fn addresses(resolver: &Resolver, ip: IpAddr, name: &str) -> Result<Vec<IpAddr>, DnsError> {
    match ip {
        IpAddr::V4(_) => Ok(resolver.ipv4(name).await?.into_iter().map(IpAddr::V4).collect()),
        IpAddr::V6(_) => Ok(resolver.ipv6(name).await?.into_iter().map(IpAddr::V6).collect()),
    }
}
