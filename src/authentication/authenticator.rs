//! All checks of a message, side by side and within bounds.

use super::{
    DkimResult, DmarcPolicy, DmarcResult, Outcome, Report, SpfResult, arc,
    dkim::{self, signatures},
    dmarc::{Identifiers, dmarc},
    header::{Author, SignedMessage},
    iprev::iprev,
    public_key::PublicKeys,
    signature::{Body, Verification},
    spf,
};
use crate::{clock::Clock, dns::Resolver, limits, mail::ReversePath, work};
use bytes::Bytes;
use futures_util::FutureExt;
use mail_auth::MessageAuthenticator;
use std::{collections::BTreeSet, net::IpAddr, panic::AssertUnwindSafe, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The connection that a message came over.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// The name it gave in EHLO or HELO, as written.
    pub helo: String,
}

/// Checks senders. Clones share the resolver's cache.
#[derive(Clone)]
pub struct Authenticator {
    resolver: Resolver,
    clock: Clock,
}

/// What the signatures of a message came to.
struct Signatures {
    dkim: Vec<DkimResult>,
    arc: Outcome,
}

impl Authenticator {
    /// Makes an authenticator on this resolver.
    pub fn new(resolver: Resolver, clock: Clock) -> Self {
        Self { resolver, clock }
    }

    /// SPF of one identity (RFC 7208 §4, check_host): `sender` is the reverse path, or
    /// `postmaster@HELO` for a null one.
    pub async fn spf(&self, ip: IpAddr, domain: &str, sender: &str, helo: &str) -> SpfResult {
        self.spf_until(deadline(limits::AUTHENTICATION_SECONDS), self.query(ip, domain, sender, helo)).await
    }

    /// Everything at once, within a bound on time and look-ups. What did not end in time is a
    /// [`Outcome::TempError`]; the rest stands. Dropping the future gives up everything.
    pub async fn verify(&self, client: &Client, reverse_path: &ReversePath, raw: &Bytes) -> Report {
        let until = deadline(limits::AUTHENTICATION_SECONDS);
        let (iprev, (spf_helo, spf_mail_from), signatures) = tokio::join!(
            Box::pin(self.iprev_until(until, client.ip)),
            Box::pin(self.spf_of_both(until, client, reverse_path)),
            Box::pin(self.signatures_until(until, raw)),
        );
        let Signatures { dkim, arc } = signatures;
        let identifiers = Identifiers { spf_mail_from: &spf_mail_from, dkim: &dkim };
        let dmarc = Box::pin(self.dmarc(raw, &identifiers)).await;
        Report { iprev, spf_helo, spf_mail_from, dkim, arc, dmarc }
    }

    async fn iprev_until(&self, until: Instant, ip: IpAddr) -> (Outcome, Option<String>) {
        timeout_at(until, iprev(&self.resolver, ip)).await.unwrap_or((Outcome::TempError, None))
    }

    async fn spf_of_both(&self, until: Instant, client: &Client, reverse_path: &ReversePath) -> (SpfResult, SpfResult) {
        let (ip, helo) = (client.ip, client.helo.as_str());
        let postmaster = format!("postmaster@{helo}");
        let of_helo = self.spf_until(until, self.query(ip, helo, &postmaster, helo));
        let Some(address) = reverse_path.address() else {
            // RFC 7208 §2.4: a null reverse path is the postmaster of the HELO name.
            let result = of_helo.await;
            return (result.clone(), result);
        };
        let sender = address.to_string();
        tokio::join!(of_helo, self.spf_until(until, self.query(ip, address.domain().as_str(), &sender, helo)))
    }

    fn query<'a>(&self, ip: IpAddr, domain: &'a str, sender: &'a str, helo: &'a str) -> spf::Query<'a> {
        spf::Query { ip, domain, sender, helo, receiver: "unknown", now: self.clock.now() }
    }

    async fn spf_until(&self, until: Instant, query: spf::Query<'_>) -> SpfResult {
        let late = || SpfResult { outcome: Outcome::TempError, domain: query.domain.to_owned(), explanation: None };
        timeout_at(until, spf::check_host(&self.resolver, &query)).await.unwrap_or_else(|_| late())
    }

    /// DKIM and ARC: the keys are asked for here, everything that takes CPU time is done elsewhere.
    async fn signatures_until(&self, until: Instant, raw: &Bytes) -> Signatures {
        let now = self.clock.now().seconds();
        let names = match SignedMessage::read(raw) {
            None => return Signatures::unread("the header is too large"),
            Some(message) if !has_signatures(&message) => return Signatures { dkim: Vec::new(), arc: Outcome::None },
            Some(message) => key_names(&message, now),
        };
        let keys = PublicKeys::fetch(&self.resolver, names, until).await;
        let (raw, authenticator) = (raw.clone(), self.mail_auth());
        // A panic of a parser that is not ours ends this task alone.
        let verified = work::blocking(move || verify_signatures(&raw, &keys, &authenticator, now)).await;
        verified.unwrap_or_else(|_| Signatures::unread("the signatures cannot be verified"))
    }

    async fn dmarc(&self, raw: &[u8], identifiers: &Identifiers<'_>) -> DmarcResult {
        let author = Author::of(raw);
        let authenticator = self.mail_auth();
        let evaluated = AssertUnwindSafe(dmarc(&self.resolver, &authenticator, &author, identifiers)).catch_unwind();
        let without_answer = |outcome| DmarcResult {
            outcome,
            policy: DmarcPolicy::None,
            header_from: if let Author::Of(domain) = &author { Some(domain.to_string()) } else { None },
        };
        match timeout_at(deadline(limits::DMARC_SECONDS), evaluated).await {
            Ok(Ok(result)) => result,
            // A parser that is not ours reads what strangers publish.
            Ok(Err(_panic)) => without_answer(Outcome::PermError),
            Err(_late) => without_answer(Outcome::TempError),
        }
    }

    /// mail_auth on our resolver, so that there is one cache.
    fn mail_auth(&self) -> MessageAuthenticator {
        MessageAuthenticator(self.resolver.hickory())
    }
}

impl Signatures {
    fn unread(reason: &str) -> Self {
        let (domain, selector) = (String::new(), String::new());
        let result = DkimResult { outcome: Outcome::PermError, domain, selector, reason: Some(reason.to_owned()) };
        Self { dkim: vec![result], arc: Outcome::PermError }
    }
}

fn deadline(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// Whether there is a signature or a part of a chain, well formed or not.
fn has_signatures(message: &SignedMessage<'_>) -> bool {
    let names = ["DKIM-Signature", "ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"];
    names.iter().any(|name| message.named(name).next().is_some())
}

/// The names of the keys that a message's signatures need.
fn key_names(message: &SignedMessage<'_>, now: i64) -> BTreeSet<String> {
    let mut names: BTreeSet<String> =
        signatures(message, now).iter().filter_map(dkim::DkimSignature::key_name).collect();
    if let Ok(Some(chain)) = arc::Chain::read(message, now) {
        names.extend(chain.key_names());
    }
    names
}

fn verify_signatures(raw: &[u8], keys: &PublicKeys, authenticator: &MessageAuthenticator, now: i64) -> Signatures {
    let Some(message) = SignedMessage::read(raw) else { return Signatures::unread("the header is too large") };
    let body = Body::new(message.body);
    let mut verification = Verification { message: &message, body, keys, authenticator, now };
    let (dkim, arc) = (dkim::verify(&mut verification), arc::verify(&mut verification));
    Signatures { dkim, arc }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::UnixMillis,
        dns::{Failure, Settings, ZoneServer},
    };

    const NAMES: [&str; 3] = ["1.2.0.192.in-addr.arpa", "example.net", "s1._domainkey.example.org"];

    /// A server that is silent about everything asked for, and would be waited for an hour.
    async fn silent() -> (ZoneServer, Authenticator) {
        let mut builder = ZoneServer::builder();
        for name in NAMES {
            builder = builder.failing(name, Failure::Silence).unwrap();
        }
        let server = builder.start().await.unwrap();
        let timeout = Duration::from_secs(3600);
        let settings = Settings { servers: vec![server.address()], timeout, attempts: 1, cache_entries: 10 };
        let clock = Clock::simulated(UnixMillis(0), 1);
        (server, Authenticator::new(Resolver::new(&settings).unwrap(), clock))
    }

    #[tokio::test]
    async fn what_does_not_end_in_time_is_a_temporary_error() {
        let (_server, authenticator) = silent().await;
        let until = Instant::now() + Duration::from_millis(20);
        let ip = "192.0.2.1".parse().unwrap();
        assert_eq!(authenticator.iprev_until(until, ip).await, (Outcome::TempError, None));
        let spf = authenticator.spf_until(until, authenticator.query(ip, "example.net", "bob@example.net", "mx")).await;
        assert_eq!((spf.outcome, spf.domain.as_str()), (Outcome::TempError, "example.net"));
        let raw = "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s1; h=From; b=AAAA;\r\n \
                   bh=frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=\r\nFrom: a@example.org\r\n\r\n";
        let signatures = authenticator.signatures_until(until, &Bytes::from(raw)).await;
        assert_eq!(signatures.dkim[0].outcome, Outcome::TempError, "{:?}", signatures.dkim[0].reason);
    }
}
