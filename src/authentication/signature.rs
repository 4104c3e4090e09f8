//! What DKIM signatures and ARC's have in common: their tags (RFC 6376 §3.5), the body they hash, and why one may not count.

use super::{Outcome, header::SignedMessage, public_key::PublicKeys, tag_list::TagList};
use crate::{limits, mail::Domain};
use aws_lc_rs::digest;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use mail_auth::{
    AuthenticatedMessage, MessageAuthenticator,
    common::{
        crypto::{Algorithm, HashAlgorithm},
        headers::{Writable, Writer},
    },
    dkim::Canonicalization,
};

/// Why a signature does not count, with the outcome that this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) outcome: Outcome,
    pub(super) reason: &'static str,
}

impl Flaw {
    /// It cannot be evaluated.
    pub(super) const fn malformed(reason: &'static str) -> Self {
        Self { outcome: Outcome::PermError, reason }
    }

    /// It could be evaluated, and would prove too little.
    pub(super) const fn unacceptable(reason: &'static str) -> Self {
        Self { outcome: Outcome::Neutral, reason }
    }
}

/// The tags of a signature over a message that is well formed.
#[derive(Clone, Debug)]
pub(super) struct SignatureTags {
    pub(super) algorithm: Algorithm,
    pub(super) signature: Vec<u8>,
    pub(super) body_hash: Vec<u8>,
    pub(super) header_canonicalization: Canonicalization,
    pub(super) body_canonicalization: Canonicalization,
    pub(super) domain: String,
    pub(super) selector: String,
    /// The fields it covers.
    pub(super) names: Vec<String>,
    /// Octets of the body it covers, where it says so.
    pub(super) body_octets: Option<u64>,
}

impl SignatureTags {
    /// Reads the tags that DKIM-Signature and ARC-Message-Signature share, and judges them at a time in seconds since 1970.
    pub(super) fn read(tags: &TagList<'_>, now: i64) -> Result<Self, Flaw> {
        let (header_canonicalization, body_canonicalization) = canonicalizations(tags)?;
        check_times(tags, now)?;
        Ok(Self {
            algorithm: algorithm(tags)?,
            signature: base64(tags, "b")?,
            body_hash: base64(tags, "bh")?,
            header_canonicalization,
            body_canonicalization,
            domain: domain(tags)?,
            selector: selector(tags)?,
            names: names(tags)?,
            body_octets: number(tags, "l")?,
        })
    }
}

/// The algorithm. SHA-1 proves nothing any more (RFC 8301 §3.1).
pub(super) fn algorithm(tags: &TagList<'_>) -> Result<Algorithm, Flaw> {
    match tags.get("a").and_then(|name| Algorithm::parse(name.as_bytes())) {
        Some(Algorithm::RsaSha1) => Err(Flaw::unacceptable("rsa-sha1 is not accepted")),
        Some(algorithm @ (Algorithm::RsaSha256 | Algorithm::Ed25519Sha256)) => Ok(algorithm),
        None => Err(Flaw::malformed("a= is missing or unknown")),
    }
}

/// Octets in base64, with white space anywhere; empty ones are none.
pub(super) fn base64(tags: &TagList<'_>, name: &str) -> Result<Vec<u8>, Flaw> {
    let decoded = tags.compact(name).and_then(|text| BASE64.decode(text).ok());
    decoded.filter(|octets| !octets.is_empty()).ok_or(Flaw::malformed("b= or bh= is missing or no base64"))
}

/// Senders leave padding out, or leave bits in the last character.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

pub(super) fn domain(tags: &TagList<'_>) -> Result<String, Flaw> {
    let domain = tags.get("d").and_then(|domain| domain.parse::<Domain>().ok());
    let domain = domain.filter(|domain| domain.literal().is_none());
    Ok(domain.ok_or(Flaw::malformed("d= is missing or no domain"))?.as_str().to_owned())
}

pub(super) fn selector(tags: &TagList<'_>) -> Result<String, Flaw> {
    let selector = tags.get("s").and_then(|selector| selector.parse::<Domain>().ok());
    let selector = selector.filter(|selector| selector.literal().is_none());
    Ok(selector.ok_or(Flaw::malformed("s= is missing or no selector"))?.as_str().to_owned())
}

/// A number, where the tag is there.
pub(super) fn number(tags: &TagList<'_>, name: &str) -> Result<Option<u64>, Flaw> {
    let Some(digits) = tags.get(name) else { return Ok(None) };
    let valid = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    let number = valid.then(|| digits.parse().ok()).flatten();
    number.map(Some).ok_or(Flaw::malformed("a number is none"))
}

fn canonicalizations(tags: &TagList<'_>) -> Result<(Canonicalization, Canonicalization), Flaw> {
    let one = |word: &str| match word.to_ascii_lowercase().as_str() {
        "simple" => Ok(Canonicalization::Simple),
        "relaxed" => Ok(Canonicalization::Relaxed),
        _ => Err(Flaw::malformed("c= is unknown")),
    };
    match tags.get("c") {
        None => Ok((Canonicalization::Simple, Canonicalization::Simple)),
        Some(words) => match words.split_once('/') {
            Some((header, body)) => Ok((one(header)?, one(body)?)),
            None => Ok((one(words)?, Canonicalization::Simple)),
        },
    }
}

fn check_times(tags: &TagList<'_>, now: i64) -> Result<(), Flaw> {
    let (signed, expires) = (number(tags, "t")?, number(tags, "x")?);
    let Some(expires) = expires else { return Ok(()) };
    if signed.is_some_and(|signed| expires <= signed) {
        return Err(Flaw::malformed("x= is not after t="));
    }
    if i64::try_from(expires).is_ok_and(|expires| expires <= now) {
        return Err(Flaw::unacceptable("the signature has expired"));
    }
    Ok(())
}

fn names(tags: &TagList<'_>) -> Result<Vec<String>, Flaw> {
    let names = tags.parts("h").ok_or(Flaw::malformed("h= is missing"))?;
    if names.len() > limits::SIGNED_NAMES_MAX {
        return Err(Flaw::malformed("h= has too many names"));
    }
    Ok(names.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// What the signatures of one message are verified with.
pub(super) struct Verification<'a> {
    pub(super) message: &'a SignedMessage<'a>,
    pub(super) body: Body<'a>,
    pub(super) keys: &'a PublicKeys,
    pub(super) authenticator: &'a MessageAuthenticator,
    /// Seconds since 1970.
    pub(super) now: i64,
}

impl<'a> Verification<'a> {
    /// The message as mail_auth takes it, without any signature.
    pub(super) fn for_mail_auth(&mut self, form: Canonicalization) -> AuthenticatedMessage<'a> {
        AuthenticatedMessage {
            headers: self.message.fields.clone(),
            body_hashes: vec![(form, HashAlgorithm::Sha256, 0, self.body.hash(form))],
            ..AuthenticatedMessage::default()
        }
    }
}

/// A body, and what it hashes to in each form, worked out once at most.
pub(super) struct Body<'a> {
    octets: &'a [u8],
    simple: Option<(u64, Vec<u8>)>,
    relaxed: Option<(u64, Vec<u8>)>,
}

impl<'a> Body<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self { octets, simple: None, relaxed: None }
    }

    /// Checks that a signature covers all of the body: what it leaves out, anybody may have added (RFC 6376 §8.2).
    pub(super) fn check(&mut self, tags: &SignatureTags) -> Result<(), Flaw> {
        let (octets, hash) = self.canonical(tags.body_canonicalization);
        match tags.body_octets {
            Some(covered) if covered < *octets => {
                return Err(Flaw::unacceptable("l= leaves a part of the body unsigned"));
            }
            Some(covered) if covered > *octets => return Err(Flaw::malformed("l= is more than the body has")),
            Some(_) | None => {}
        }
        if *hash == tags.body_hash {
            Ok(())
        } else {
            Err(Flaw { outcome: Outcome::Fail, reason: "the body hash does not match" })
        }
    }

    /// What mail_auth is to compare with.
    pub(super) fn hash(&mut self, form: Canonicalization) -> Vec<u8> {
        self.canonical(form).1.clone()
    }

    fn canonical(&mut self, form: Canonicalization) -> &(u64, Vec<u8>) {
        let octets = self.octets;
        match form {
            Canonicalization::Simple => self.simple.get_or_insert_with(|| canonical(form, octets)),
            // mail_auth 0.13 keeps lines of white space alone at the end of the body, which RFC 6376 §3.4.4 takes away.
            Canonicalization::Relaxed => self.relaxed.get_or_insert_with(|| canonical(form, without_end(octets))),
        }
    }
}

/// Octets and hash of a body in canonical form.
fn canonical(form: Canonicalization, octets: &[u8]) -> (u64, Vec<u8>) {
    let mut hashing = Hashing { octets: 0, context: digest::Context::new(&digest::SHA256) };
    form.canonical_body(octets, 0).write(&mut hashing);
    (hashing.octets, hashing.context.finish().as_ref().to_vec())
}

/// Counts and hashes what is written.
struct Hashing {
    octets: u64,
    context: digest::Context,
}

impl Writer for Hashing {
    fn write(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        self.context.update(octets);
    }
}

/// A body without the white space and line ends at its end; relaxed canonicalization puts one line end back.
pub(super) fn without_end(body: &[u8]) -> &[u8] {
    let end = body.iter().rposition(|octet| !matches!(octet, b' ' | b'\t' | b'\r' | b'\n'));
    end.and_then(|end| body.get(..=end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SignatureTags, Flaw> {
        SignatureTags::read(&TagList::parse(text.as_bytes()).unwrap(), 1_000)
    }

    const GOOD: &str = "a=rsa-sha256; b=AA==; bh=AA==; d=example.org; s=s1; h=From";

    #[test]
    fn absent_tags_have_their_defaults() {
        let tags = read(GOOD).unwrap();
        assert_eq!(tags.body_canonicalization, Canonicalization::Simple);
        assert_eq!(tags.header_canonicalization, Canonicalization::Simple);
        assert_eq!((tags.body_octets, tags.names), (None, vec!["From".to_owned()]));
        let tags = read(&format!("{GOOD}; c=relaxed")).unwrap();
        assert_eq!(tags.header_canonicalization, Canonicalization::Relaxed);
        assert_eq!(tags.body_canonicalization, Canonicalization::Simple);
    }

    #[test]
    fn flaws_have_their_outcomes() {
        let outcome = |text: String| read(&text).unwrap_err().outcome;
        for missing in ["a=rsa-sha256; ", "b=AA==; ", "bh=AA==; ", "d=example.org; ", "s=s1; ", "; h=From"] {
            assert_eq!(outcome(GOOD.replace(missing, "")), Outcome::PermError, "{missing}");
        }
        for extra in ["c=loose", "c=relaxed/loose", "l=-1", "l=1x", "t=5; x=5", "x=99999999999999999999"] {
            assert_eq!(outcome(format!("{GOOD}; {extra}")), Outcome::PermError, "{extra}");
        }
        assert_eq!(outcome(GOOD.replace("sha256", "sha1")), Outcome::Neutral);
        assert_eq!(outcome(format!("{GOOD}; x=1000")), Outcome::Neutral);
        assert!(read(&format!("{GOOD}; x=1001")).is_ok());
    }

    #[test]
    fn the_body_must_be_covered_whole() {
        let mut body = Body::new(b"ab\r\n \r\n");
        let check = |body: &mut Body<'_>, tag: &str| {
            let hash = base64::engine::general_purpose::STANDARD.encode(body.hash(Canonicalization::Relaxed));
            let text = format!("{GOOD}; c=relaxed/relaxed{tag}").replace("bh=AA==", &format!("bh={hash}"));
            body.check(&read(&text).unwrap()).map_err(|flaw| flaw.outcome)
        };
        assert_eq!(check(&mut body, ""), Ok(()));
        assert_eq!(check(&mut body, "; l=4"), Ok(()));
        assert_eq!(check(&mut body, "; l=3"), Err(Outcome::Neutral));
        assert_eq!(check(&mut body, "; l=0"), Err(Outcome::Neutral));
        assert_eq!(check(&mut body, "; l=5"), Err(Outcome::PermError));
        assert_eq!(body.check(&read(GOOD).unwrap()).unwrap_err().outcome, Outcome::Fail);
    }
}
