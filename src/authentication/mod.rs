//! Who sent a message: iprev, SPF, DKIM, DMARC, ARC, and the Authentication-Results field that says so.
//!
//! mail_auth's owner (DKIM, DMARC, ARC); SPF (RFC 7208) is an evaluator of our own.

use crate::{
    clock::Clock,
    dns::Resolver,
    mail::{Domain, ReversePath},
};
use std::net::IpAddr;

/// The outcome of one check (RFC 8601 §2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing to check.
    None,
    /// Checked, and right.
    Pass,
    /// Checked, and wrong.
    Fail,
    /// Wrong, but the domain asks for leniency (SPF `~all`).
    SoftFail,
    /// The domain says nothing either way (SPF `?all`, DKIM not acceptable by policy).
    Neutral,
    /// A name server did not answer; another try may give another outcome.
    TempError,
    /// The published record or the message cannot be evaluated.
    PermError,
}

/// What a DMARC policy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcPolicy {
    /// Only reports.
    None,
    /// Treat with suspicion.
    Quarantine,
    /// Refuse.
    Reject,
}

/// The connection that a message came over.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// The name it gave in EHLO or HELO, as written.
    pub helo: String,
}

/// SPF for one identity.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SpfResult {
    /// The outcome.
    pub outcome: Outcome,
    /// The domain whose record was looked for.
    pub domain: String,
    /// The explanation of a fail, where the domain gives one.
    pub explanation: Option<String>,
}

/// One DKIM signature.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DkimResult {
    /// The outcome.
    pub outcome: Outcome,
    /// `d=`
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// Why it did not pass.
    pub reason: Option<String>,
}

/// DMARC (RFC 9989).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DmarcResult {
    /// The outcome.
    pub outcome: Outcome,
    /// The policy that applies where it failed.
    pub policy: DmarcPolicy,
    /// The domain of the From field; `None` where it has none or several authors.
    pub header_from: Option<String>,
}

/// Everything found out about a message's origin. It is kept with the message.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// Whether the address's name leads back to the address (RFC 8601 §3), and the name.
    pub iprev: (Outcome, Option<String>),
    /// SPF of the EHLO name.
    pub spf_helo: SpfResult,
    /// SPF of the reverse path.
    pub spf_mail_from: SpfResult,
    /// Each DKIM signature, as far as the bound on their number goes.
    pub dkim: Vec<DkimResult>,
    /// The ARC chain.
    pub arc: Outcome,
    /// DMARC.
    pub dmarc: DmarcResult,
}

impl Report {
    /// The value of an Authentication-Results field (RFC 8601 §2.2), folded, without the field name and final CRLF.
    pub fn authentication_results(&self, authserv_id: &str, client: &Client, reverse_path: &ReversePath) -> String {
        let _ = (authserv_id, client, reverse_path);
        unimplemented!("frame: authentication")
    }
}

/// Checks senders. Clones share the resolver's cache.
#[derive(Clone)]
pub struct Authenticator {
    resolver: Resolver,
    clock: Clock,
}

impl Authenticator {
    /// Makes an authenticator on this resolver.
    pub fn new(resolver: Resolver, clock: Clock) -> Self {
        Self { resolver, clock }
    }

    /// SPF of one identity (RFC 7208 §4, check_host): `sender` is the reverse path, or
    /// `postmaster@HELO` for a null one.
    pub async fn spf(&self, ip: IpAddr, domain: &str, sender: &str, helo: &str) -> SpfResult {
        let _ = (&self.resolver, &self.clock, ip, domain, sender, helo);
        unimplemented!("frame: authentication")
    }

    /// Everything at once, within a bound on time and look-ups.
    pub async fn verify(&self, client: &Client, reverse_path: &ReversePath, raw: &[u8]) -> Report {
        let _ = (client, reverse_path, raw);
        unimplemented!("frame: authentication")
    }
}

/// The domain of the single author in From, where there is exactly one.
pub fn header_from_domain(raw_header: &[u8]) -> Option<Domain> {
    let _ = raw_header;
    unimplemented!("frame: authentication")
}
