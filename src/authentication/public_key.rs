//! Public keys from the DNS (RFC 6376 §3.6), and the answers that mail_auth is given.

use super::{Outcome, signature::Flaw, tag_list::TagList};
use crate::{
    dns::{DnsError, Resolver},
    limits,
};
use futures_util::{StreamExt, stream};
use mail_auth::{
    DnsError as Failure, Error, ResolverCache, Txt,
    common::{crypto::Algorithm, parse::TxtRecordParser, verify::DomainKey},
    hickory_resolver::proto::op::ResponseCode,
};
use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
    time::Instant,
};

/// The keys that the signatures of one message name.
#[derive(Default)]
pub(super) struct PublicKeys(HashMap<String, Result<PublicKey, Flaw>>);

#[derive(Clone)]
struct PublicKey {
    key: Arc<DomainKey>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa { bits: usize },
    Ed25519,
}

/// The name of a key in the DNS, as mail_auth asks for it.
pub(super) fn key_name(selector: &str, domain: &str) -> String {
    format!("{selector}._domainkey.{domain}.").to_lowercase()
}

impl PublicKeys {
    /// Asks for keys, several at a time, until `deadline`.
    pub(super) async fn fetch(resolver: &Resolver, names: BTreeSet<String>, deadline: tokio::time::Instant) -> Self {
        let asked = names.into_iter().map(|name| async move {
            let answer = tokio::time::timeout_at(deadline, resolver.txt(&name)).await;
            let key = read(answer.unwrap_or(Err(DnsError::Temporary)));
            (name, key)
        });
        Self(stream::iter(asked).buffer_unordered(limits::KEY_LOOKUPS_AT_ONCE).collect().await)
    }

    /// The key that a signature names, where it is fit for the algorithm.
    pub(super) fn key(&self, name: &str, algorithm: Algorithm) -> Result<Arc<DomainKey>, Flaw> {
        let key = self.0.get(name).cloned().unwrap_or(Err(Flaw::malformed("there is no key")))?;
        match (key.kind, algorithm) {
            (Kind::Ed25519, Algorithm::Ed25519Sha256) => Ok(key.key),
            (Kind::Rsa { bits }, Algorithm::RsaSha256) => match bits {
                0 => Err(Flaw::malformed("the key record is malformed")),
                // RFC 8301 §3.2.
                1..limits::RSA_KEY_BITS_MIN => Err(Flaw::unacceptable("the key has less than 1024 bits")),
                limits::RSA_KEY_BITS_MIN..=limits::RSA_KEY_BITS_MAX => Ok(key.key),
                _ => Err(Flaw::unacceptable("the key has more than 4096 bits")),
            },
            _ => Err(Flaw::malformed("the key is for another algorithm")),
        }
    }
}

/// The key among the TXT records of a name.
fn read(answer: Result<Vec<Vec<u8>>, DnsError>) -> Result<PublicKey, Flaw> {
    match answer {
        Err(DnsError::Temporary) => Err(Flaw { outcome: Outcome::TempError, reason: "the key could not be asked for" }),
        Err(DnsError::NoName | DnsError::NoRecord | DnsError::BadName) => Err(Flaw::malformed("there is no key")),
        // RFC 6376 §3.6.2.2 leaves open what several records mean; the first that is a key counts.
        Ok(records) => {
            let mut flaw = Flaw::malformed("there is no key");
            for record in records {
                match parse(&record) {
                    Ok(key) => return Ok(key),
                    Err(other) => flaw = other,
                }
            }
            Err(flaw)
        }
    }
}

/// RFC 6376 §3.6.1, RFC 8463 §4.
fn parse(record: &[u8]) -> Result<PublicKey, Flaw> {
    const MALFORMED: Flaw = Flaw::malformed("the key record is malformed");
    let tags = TagList::parse(record).ok_or(MALFORMED)?;
    if tags.get("v").is_some_and(|version| version != "DKIM1" || tags.first_name() != Some("v")) {
        return Err(MALFORMED);
    }
    let lists =
        |name, wanted: &[&str]| tags.parts(name).is_none_or(|parts| parts.iter().any(|part| wanted.contains(part)));
    if !lists("h", &["sha256"]) {
        return Err(Flaw::malformed("the key is for another hash"));
    }
    if !lists("s", &["*", "email"]) {
        return Err(Flaw::malformed("the key is for another service"));
    }
    match tags.compact("p").as_deref() {
        None => return Err(MALFORMED),
        Some("") => return Err(Flaw::malformed("the key has been revoked")),
        Some(_) => {}
    }
    // A parser that is not ours reads what strangers publish, on the reactor: a panic of it is a record that cannot be read.
    let key = std::panic::catch_unwind(|| DomainKey::parse(record)).map_err(|_| MALFORMED)?.map_err(|_| MALFORMED)?;
    let kind = match tags.get("k").unwrap_or("rsa") {
        "rsa" => Kind::Rsa { bits: key.p.public_key_bits() },
        "ed25519" => Kind::Ed25519,
        _ => return Err(Flaw::malformed("the key is of an unknown kind")),
    };
    Ok(PublicKey { key: Arc::new(key), kind })
}

/// TXT answers that mail_auth is given before it asks. Implements its cache, and keeps nothing.
pub(super) struct Answers {
    known: HashMap<Box<str>, Txt>,
    otherwise: Otherwise,
}

/// What mail_auth does about a name that is not among the answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// There is no such name. So it never waits, and may run outside of the reactor.
    Nothing,
    /// It asks by itself, through the same resolver.
    Ask,
}

impl Answers {
    pub(super) fn new(otherwise: Otherwise) -> Self {
        Self { known: HashMap::new(), otherwise }
    }

    pub(super) fn insert(&mut self, name: &str, answer: Txt) {
        self.known.insert(name.into(), answer);
    }

    /// The answer that there is no such name.
    pub(super) fn nothing() -> Txt {
        Txt::Error(Error::Dns(Failure::RecordNotFound(ResponseCode::NXDomain)))
    }

    /// The answer that a name server did not answer.
    pub(super) fn temporary() -> Txt {
        Txt::Error(Error::Dns(Failure::Resolver("no answer".to_owned())))
    }
}

impl ResolverCache<Box<str>, Txt> for Answers {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let known = self.known.get(name).cloned();
        known.or_else(|| (self.otherwise == Otherwise::Nothing).then(Self::nothing))
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;

    const ED25519: &str = "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn flaw(record: &str) -> Option<&'static str> {
        parse(record.as_bytes()).err().map(|flaw| flaw.reason)
    }

    #[test]
    fn key_records_are_judged_before_their_key_is_used() {
        for record in
            ["v=DKIM1; k=ed25519; ", "k=ed25519; s=*; h=sha1 : sha256; t=y; ", "k=ed25519; s=tlsrpt:email; n=note; "]
        {
            assert_eq!(flaw(&format!("{record}{ED25519}")), None, "{record}");
        }
        for (record, reason) in [
            ("v=DKIM2; k=ed25519; ", "the key record is malformed"),
            ("k=ed25519; v=DKIM1; ", "the key record is malformed"),
            ("k=ed25519; h=sha1; ", "the key is for another hash"),
            ("k=ed25519; s=tlsrpt; ", "the key is for another service"),
            ("k=dsa; ", "the key record is malformed"),
        ] {
            assert_eq!(flaw(&format!("{record}{ED25519}")), Some(reason), "{record}");
        }
        assert_eq!(flaw("v=DKIM1; p="), Some("the key has been revoked"));
        assert_eq!(flaw("v=DKIM1"), Some("the key record is malformed"));
        assert_eq!(flaw("v=spf1 -all"), Some("the key record is malformed"));
    }

    #[test]
    fn a_key_is_not_used_with_another_algorithm() {
        let answer = Ok(vec![b"v=spf1 -all".to_vec(), format!("k=ed25519; {ED25519}").into_bytes()]);
        let keys = PublicKeys(HashMap::from([("a".to_owned(), read(answer))]));
        assert!(keys.key("a", Algorithm::Ed25519Sha256).is_ok());
        assert_eq!(
            keys.key("a", Algorithm::RsaSha256).err(),
            Some(Flaw::malformed("the key is for another algorithm"))
        );
        assert_eq!(keys.key("b", Algorithm::RsaSha256).err(), Some(Flaw::malformed("there is no key")));
    }

    /// An RSA key record with a modulus of this many bits.
    fn rsa(bits: usize) -> Vec<u8> {
        let length = |octets: usize| [0x82, u8::try_from(octets >> 8).unwrap(), u8::try_from(octets & 0xff).unwrap()];
        let modulus = [vec![0], vec![0xff; bits / 8]].concat();
        let numbers = [&[2][..], &length(modulus.len()), &modulus, &[2, 3, 1, 0, 1]].concat();
        let key = [&[0x30][..], &length(numbers.len()), &numbers].concat();
        format!("v=DKIM1; p={}", base64::engine::general_purpose::STANDARD.encode(key)).into_bytes()
    }

    #[test]
    fn rsa_keys_have_bounds() {
        for (bits, outcome) in [
            (512, Some(Outcome::Neutral)),
            (1016, Some(Outcome::Neutral)),
            (1024, None),
            (2048, None),
            (4096, None),
            (4104, Some(Outcome::Neutral)),
            (16_384, Some(Outcome::Neutral)),
        ] {
            let keys = PublicKeys(HashMap::from([("a".to_owned(), read(Ok(vec![rsa(bits)])))]));
            assert_eq!(keys.key("a", Algorithm::RsaSha256).err().map(|flaw| flaw.outcome), outcome, "{bits}");
        }
    }
}
