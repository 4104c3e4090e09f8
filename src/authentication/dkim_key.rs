//! Keys to sign with, and the record that publishes them.

use super::signature::{BASE64, without_end};
use crate::mail::Domain;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{self, KeySize},
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::Engine;
use mail_auth::{
    common::{
        crypto::{DkimKey as Signer, Ed25519Key, RsaKey, Sha256},
        headers::HeaderWriter,
    },
    dkim::DkimSigner,
};
use std::fmt;

/// The fields that a signature covers where they are there (RFC 6376 §5.4.1). From stands twice, so that nobody can
/// add a second one; a field that is missing must stay so.
const SIGNED_FIELDS: [&str; 14] = [
    "From",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
const PEM_LINE_CHARACTERS: usize = 64;

/// A private key for DKIM signatures. Its `Debug` does not show it.
pub struct DkimKey {
    kind: Kind,
    /// PKCS #8 (RFC 5208).
    pkcs8: Vec<u8>,
    /// As `p=` has it: the key alone for Ed25519 (RFC 8463 §4), SubjectPublicKeyInfo for RSA.
    public: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ed25519,
    Rsa,
}

/// Why a key cannot be had or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DkimKeyError {
    /// Not the PEM of a PKCS #8 key for Ed25519 or RSA.
    #[error("not a private key for Ed25519 or RSA in PEM (PKCS #8)")]
    NotAKey,
    /// The system gave no key.
    #[error("no key could be generated")]
    NotGenerated,
    /// The message has none of the fields that are signed.
    #[error("the message has no header that could be signed")]
    NothingToSign,
}

impl DkimKey {
    /// A new Ed25519 key (RFC 8463). Not every receiver knows these yet, so sign with an RSA key as well.
    pub fn generate_ed25519() -> Result<Self, DkimKeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| DkimKeyError::NotGenerated)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| DkimKeyError::NotGenerated)?;
        Self::from_pkcs8(der.as_ref().to_vec())
    }

    /// A new RSA key of 2048 bits (RFC 8301 §3.2). Takes some 100 ms of CPU time.
    pub fn generate_rsa() -> Result<Self, DkimKeyError> {
        let pair = rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_| DkimKeyError::NotGenerated)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| DkimKeyError::NotGenerated)?;
        Self::from_pkcs8(der.as_ref().to_vec())
    }

    /// Reads what [`DkimKey::to_pem`] wrote, or any PKCS #8 key in PEM.
    pub fn from_pem(pem: &str) -> Result<Self, DkimKeyError> {
        let inside = pem.trim().strip_prefix(PEM_BEGIN).and_then(|rest| rest.strip_suffix(PEM_END));
        let text: String = inside.ok_or(DkimKeyError::NotAKey)?.split_ascii_whitespace().collect();
        Self::from_pkcs8(BASE64.decode(text).map_err(|_| DkimKeyError::NotAKey)?)
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Result<Self, DkimKeyError> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8) {
            let public = pair.public_key().as_ref().to_vec();
            return Ok(Self { kind: Kind::Ed25519, pkcs8, public });
        }
        let pair = rsa::KeyPair::from_pkcs8(&pkcs8).map_err(|_| DkimKeyError::NotAKey)?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| DkimKeyError::NotAKey)?;
        Ok(Self { kind: Kind::Rsa, public: public.as_ref().to_vec(), pkcs8 })
    }

    /// The key in PEM. Whoever has it can sign for the domain.
    pub fn to_pem(&self) -> String {
        let text = base64::engine::general_purpose::STANDARD.encode(&self.pkcs8);
        let mut pem = format!("{PEM_BEGIN}\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at_checked(PEM_LINE_CHARACTERS).unwrap_or((rest, ""));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem + PEM_END + "\n"
    }

    /// The text of the TXT record at `selector._domainkey.domain` (RFC 6376 §3.6.1). An RSA key's is over 255 octets, so
    /// that a zone file holds it as several strings.
    pub fn dns_record(&self) -> String {
        let kind = match self.kind {
            Kind::Ed25519 => "ed25519",
            Kind::Rsa => "rsa",
        };
        format!("v=DKIM1; k={kind}; p={}", base64::engine::general_purpose::STANDARD.encode(&self.public))
    }

    /// A DKIM-Signature field over a message, with its final CRLF, to stand above the message's header. Relaxed in header
    /// and body. Takes CPU time in proportion to the message, and about a millisecond for RSA.
    pub fn sign(&self, raw: &[u8], domain: &Domain, selector: &str) -> Result<String, DkimKeyError> {
        let signer =
            DkimSigner::from_key(self.signer()?).domain(domain.as_str()).selector(selector).headers(SIGNED_FIELDS);
        let signature = signer.sign(&without_bare_end(raw)).map_err(|_| DkimKeyError::NothingToSign)?;
        Ok(signature.to_header())
    }

    fn signer(&self) -> Result<Signer, DkimKeyError> {
        let not_a_key = |_| DkimKeyError::NotAKey;
        match self.kind {
            Kind::Ed25519 => {
                Ed25519Key::from_pkcs8_maybe_unchecked_der(&self.pkcs8).map(Signer::from).map_err(not_a_key)
            }
            Kind::Rsa => {
                let der = self.pkcs8.as_slice().try_into().map_err(|_| DkimKeyError::NotAKey)?;
                RsaKey::<Sha256>::from_key_der(der).map(Signer::from).map_err(not_a_key)
            }
        }
    }
}

impl fmt::Debug for DkimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DkimKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A message without lines of white space alone at its end, which relaxed canonicalization takes away and mail_auth
/// 0.13 would hash.
fn without_bare_end(raw: &[u8]) -> Vec<u8> {
    let body_start = super::header::header_end(raw).map_or(raw.len(), |(_, body_start)| body_start);
    let (before, body) = raw.split_at_checked(body_start).unwrap_or((raw, b""));
    let body = without_end(body);
    let end: &[u8] = if body.is_empty() { b"" } else { b"\r\n" };
    [before, body, end].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_pem() {
        for key in [DkimKey::generate_ed25519().unwrap(), DkimKey::generate_rsa().unwrap()] {
            let pem = key.to_pem();
            assert!(pem.lines().all(|line| line.len() <= PEM_LINE_CHARACTERS));
            let read = DkimKey::from_pem(&pem).unwrap();
            assert_eq!((read.to_pem(), read.dns_record()), (pem, key.dns_record()));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for pem in ["", PEM_BEGIN, &format!("{PEM_BEGIN}\nAAAA\n{PEM_END}"), &format!("{PEM_BEGIN}\n!\n{PEM_END}")] {
            assert_eq!(DkimKey::from_pem(pem).err(), Some(DkimKeyError::NotAKey), "{pem}");
        }
    }

    #[test]
    fn debug_does_not_show_the_key() {
        let key = DkimKey::generate_ed25519().unwrap();
        assert_eq!(format!("{key:?}"), "DkimKey { kind: Ed25519, .. }");
    }

    #[test]
    fn the_end_of_a_body_is_cut_to_one_line_end() {
        for (raw, expected) in [
            ("A: 1\r\n\r\nb\r\n", "A: 1\r\n\r\nb\r\n"),
            ("A: 1\r\n\r\nb \r\n \r\n\t\r\n", "A: 1\r\n\r\nb\r\n"),
            ("A: 1\r\n\r\n \r\n", "A: 1\r\n\r\n"),
            ("A: 1\r\n", "A: 1\r\n"),
        ] {
            assert_eq!(without_bare_end(raw.as_bytes()), expected.as_bytes(), "{raw:?}");
        }
    }
}
