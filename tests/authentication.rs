//! Sender authentication against the suites of others, against our own name server's whims, and against hostile mail.

mod arc_suite;
mod dkim;
mod dmarc;
mod dns_failures;
mod hostile;
mod signer;
mod spf_suite;
mod vectors;

use bytes::Bytes;
use postern::{
    authentication::{Authenticator, Client, Report},
    clock::{Clock, UnixMillis},
    dns::{Resolver, Settings, ZoneServer},
    mail::ReversePath,
};
use std::time::Duration;

/// A time after every signature of the suites was made.
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// A resolver that asks this server alone.
fn resolver(server: &ZoneServer) -> Resolver {
    let settings = Settings {
        servers: vec![server.address()],
        timeout: Duration::from_millis(200),
        attempts: 1,
        cache_entries: 1000,
    };
    Resolver::new(&settings).unwrap()
}

/// An authenticator that asks this server alone, at a fixed time.
fn authenticator(server: &ZoneServer) -> Authenticator {
    authenticator_at(server, NOW)
}

fn authenticator_at(server: &ZoneServer, now: UnixMillis) -> Authenticator {
    Authenticator::new(resolver(server), Clock::simulated(now, 1))
}

/// Text as a string of a master file, any octet in it.
fn quoted(octets: &[u8]) -> String {
    let escaped: String = octets.iter().map(|octet| format!("\\{octet:03}")).collect();
    format!("\"{escaped}\"")
}

/// A TXT record of any length.
fn txt(name: &str, octets: &[u8]) -> String {
    let strings: Vec<String> =
        if octets.is_empty() { vec![quoted(b"")] } else { octets.chunks(255).map(quoted).collect() };
    format!("{name}. TXT {}\n", strings.join(" "))
}

/// Verifies a message that comes from `mx.example.net` for `bob@example.net`.
async fn verify(server: &ZoneServer, raw: impl Into<Bytes>) -> Report {
    verify_with(&authenticator(server), raw).await
}

async fn verify_with(authenticator: &Authenticator, raw: impl Into<Bytes>) -> Report {
    let client = Client { ip: "192.0.2.1".parse().unwrap(), helo: "mx.example.net".to_owned() };
    let reverse_path = ReversePath::Address("bob@example.net".parse().unwrap());
    authenticator.verify(&client, &reverse_path, &raw.into()).await
}
