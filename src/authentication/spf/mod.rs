//! SPF (RFC 7208), evaluated by ourselves.
//!
//! Owns: records, macros and check_host. Promises: the results of RFC 7208, bounded look-ups (10 terms, 2 void answers, 10 hosts of
//! an `mx`, 10 names of an address), no evaluation of a record with a syntax error anywhere in it. Never: looks at type 99
//! records (RFC 7208 §3.1); takes an answer for one address family for the other. A name server that does not answer is
//! [`TempError`](super::Outcome::TempError).
//!
//! RFC 7208 §3 to §7. Deviates from RFC 7208 §4.6.4: the address look-ups of an `mx`'s or an address's hosts do not count as void:
//! a domain's mail hosts without IPv6 are no fault of its record, and their number is bounded anyway.
//! Not implemented: RFC 7208 §9 (Received-SPF); Authentication-Results says the same.

mod evaluate;
mod macro_string;
mod record;

pub use record::{Record, RecordError};

use super::SpfResult;
use crate::{clock::UnixMillis, dns::Resolver};
use evaluate::Evaluation;
use std::net::IpAddr;

/// Whose mail is checked, in the words of RFC 7208 §4.1.
pub(super) struct Query<'a> {
    /// The client.
    pub(super) ip: IpAddr,
    /// The domain whose record counts first.
    pub(super) domain: &'a str,
    /// The reverse path, or the HELO name.
    pub(super) sender: &'a str,
    /// The name in EHLO or HELO.
    pub(super) helo: &'a str,
    /// Ourselves, for explanations.
    pub(super) receiver: &'a str,
    /// The time, for explanations.
    pub(super) now: UnixMillis,
}

/// check_host() (RFC 7208 §4).
pub(super) async fn check_host(resolver: &Resolver, query: &Query<'_>) -> SpfResult {
    let mut evaluation = Evaluation::new(resolver, query);
    let (outcome, explanation) = evaluation.check_host().await;
    SpfResult { outcome, domain: query.domain.to_owned(), explanation }
}
