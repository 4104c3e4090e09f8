//! The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without accounts and without I/O.
//!
//! Not implemented: channel binding (SCRAM-SHA-256-PLUS), so a client that asks for it is refused, and one that says
//! it would have liked to (`y`) is right that it was not offered (RFC 5802 §6).

use super::ScramKeys;
use aws_lc_rs::{constant_time, digest, hmac};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

/// A message is not one of this mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The client's first message (RFC 5802 §7, client-first-message).
#[derive(Debug)]
pub(super) struct ClientFirst {
    gs2_header: String,
    bare: String,
    /// Who the client says it is.
    pub(super) login: String,
    nonce: String,
}

impl ClientFirst {
    /// Reads it.
    pub(super) fn parse(message: &[u8]) -> Result<Self, Malformed> {
        let message = std::str::from_utf8(message).map_err(|_| Malformed)?;
        let mut parts = message.splitn(3, ',');
        let (flag, authorization, bare) = (parts.next(), parts.next(), parts.next().ok_or(Malformed)?);
        let (Some("n" | "y"), Some(authorization)) = (flag, authorization) else { return Err(Malformed) };
        let mut attributes = bare.split(',');
        let login = attributes.next().and_then(|text| text.strip_prefix("n=")).ok_or(Malformed)?;
        let nonce = attributes.next().and_then(|text| text.strip_prefix("r=")).ok_or(Malformed)?;
        let login = name(login)?;
        // Acting for somebody else is not offered; naming oneself twice is harmless.
        if !authorization.is_empty() && name(authorization.strip_prefix("a=").ok_or(Malformed)?)? != login {
            return Err(Malformed);
        }
        if nonce.is_empty() || !nonce.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(Malformed);
        }
        let gs2_header = message.strip_suffix(bare).ok_or(Malformed)?.to_owned();
        Ok(Self { gs2_header, bare: bare.to_owned(), login, nonce: nonce.to_owned() })
    }

    /// Answers it, with `nonce` as our share of the nonce.
    pub(super) fn answer(self, keys: ScramKeys, nonce: &str) -> Challenged {
        let nonce = self.nonce + nonce;
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&keys.salt), keys.iterations);
        Challenged { gs2_header: self.gs2_header, client_first_bare: self.bare, server_first, nonce, keys }
    }
}

/// saslname (RFC 5802 §7): `,` and `=` come as `=2C` and `=3D`.
fn name(text: &str) -> Result<String, Malformed> {
    let mut pieces = text.split('=');
    let mut name = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (character, rest) = match piece.split_at_checked(2) {
            Some(("2C", rest)) => (',', rest),
            Some(("3D", rest)) => ('=', rest),
            _ => return Err(Malformed),
        };
        name.push(character);
        name.push_str(rest);
    }
    if name.is_empty() || name.contains('\0') { Err(Malformed) } else { Ok(name) }
}

/// The server has sent its first message.
pub(super) struct Challenged {
    gs2_header: String,
    client_first_bare: String,
    server_first: String,
    nonce: String,
    keys: ScramKeys,
}

/// Whether the client knew the password.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// It did; the server's final message proves the same to the client.
    Right(Vec<u8>),
    /// It did not.
    Wrong,
}

impl Challenged {
    /// The server's first message.
    pub(super) fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Checks the client's final message (RFC 5802 §3).
    pub(super) fn check(&self, client_final: &[u8]) -> Result<Proof, Malformed> {
        let message = std::str::from_utf8(client_final).map_err(|_| Malformed)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|text| text.strip_prefix("c=")).ok_or(Malformed)?;
        let nonce = attributes.next().and_then(|text| text.strip_prefix("r=")).ok_or(Malformed)?;
        // The header is repeated under the proof, so that nobody in between can have changed it (RFC 5802 §6).
        if BASE64.decode(binding).map_err(|_| Malformed)? != self.gs2_header.as_bytes() || nonce != self.nonce {
            return Err(Malformed);
        }
        let proof = BASE64.decode(proof).map_err(|_| Malformed)?;
        let signed = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        Ok(if self.proves(&proof, signed.as_bytes()) {
            Proof::Right(self.server_final(signed.as_bytes()))
        } else {
            Proof::Wrong
        })
    }

    fn proves(&self, proof: &[u8], signed: &[u8]) -> bool {
        let signature = sign(&self.keys.stored_key, signed);
        let client_key: Vec<u8> =
            proof.iter().zip(signature.as_ref()).map(|(proof, signature)| proof ^ signature).collect();
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        proof.len() == self.keys.stored_key.len()
            && constant_time::verify_slices_are_equal(stored_key.as_ref(), &self.keys.stored_key).is_ok()
    }

    fn server_final(&self, signed: &[u8]) -> Vec<u8> {
        format!("v={}", BASE64.encode(sign(&self.keys.server_key, signed))).into_bytes()
    }
}

fn sign(key: &[u8], signed: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::pbkdf2;
    use std::num::NonZeroU32;

    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

    /// Keys of RFC 7677 §3: password "pencil".
    fn keys() -> ScramKeys {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::new(4096).unwrap(), &salt, b"pencil", &mut salted);
        let stored_key = digest::digest(&digest::SHA256, sign(&salted, b"Client Key").as_ref());
        ScramKeys {
            salt,
            iterations: 4096,
            stored_key: stored_key.as_ref().try_into().unwrap(),
            server_key: sign(&salted, b"Server Key").as_ref().try_into().unwrap(),
        }
    }

    fn challenged() -> Challenged {
        ClientFirst::parse(FIRST).unwrap().answer(keys(), NONCE)
    }

    #[test]
    fn the_exchange_of_rfc_7677_holds() {
        let challenged = challenged();
        assert_eq!(
            challenged.server_first(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let right = Proof::Right(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_vec());
        assert_eq!(challenged.check(last.as_bytes()), Ok(right));

        let wrong = last.replace("p=dHz", "p=dHy");
        assert_eq!(challenged.check(wrong.as_bytes()), Ok(Proof::Wrong));
        for malformed in
            [last.replace("biws", "eSws"), last.replace("$k0", "$k1"), last.replace(",p=", ",q="), String::new()]
        {
            assert_eq!(challenged.check(malformed.as_bytes()), Err(Malformed), "{malformed}");
        }
        let short = last.replace("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "dHzb");
        assert_eq!(challenged.check(short.as_bytes()), Ok(Proof::Wrong));
    }

    #[test]
    fn names_are_unescaped_and_odd_messages_refused() {
        assert_eq!(ClientFirst::parse(b"y,a=a=2Cb=3Dc,n=a=2Cb=3Dc,r=x").unwrap().login, "a,b=c");
        for message in [
            "",
            "n,,",
            "n,,n=,r=x",
            "n,,n=a",
            "n,,n=a,r=",
            "p=tls-unique,,n=a,r=x",
            "n,a=b,n=a,r=x",
            "n,,m=1,n=a,r=x",
            "n,,n=a=2,r=x",
            "n,,n=a\0,r=x",
            "x,,n=a,r=x",
        ] {
            assert_eq!(ClientFirst::parse(message.as_bytes()).map(|first| first.login), Err(Malformed), "{message}");
        }
    }
}
