//! Sender authentication against the suites of others, against our own name server's whims, and against hostile mail.

mod arc_suite;
mod spf_suite;

use postern::{
    authentication::Authenticator,
    clock::{Clock, UnixMillis},
    dns::{Resolver, Settings, ZoneServer},
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
    Authenticator::new(resolver(server), Clock::simulated(NOW, 1))
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
