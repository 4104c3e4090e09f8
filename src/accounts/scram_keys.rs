//! SCRAM keys of passwords, and made-up ones for logins that do not exist.

use super::{Password, ScramKeys};
use crate::limits;
use aws_lc_rs::{digest, hmac, pbkdf2};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Keys as stored. The password cannot be had from them but by trying.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ScramRow {
    salt: [u8; limits::SALT_OCTETS],
    iterations: u32,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

impl ScramRow {
    /// SaltedPassword, StoredKey and ServerKey of RFC 5802 §3. Costs some tens of milliseconds.
    pub(super) fn of(password: &Password, salt: [u8; limits::SALT_OCTETS]) -> Self {
        let mut salted = [0; 32];
        let iterations = NonZeroU32::new(limits::SCRAM_ITERATIONS).expect("the number of iterations is not zero");
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password.octets(), &mut salted);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        Self {
            salt,
            iterations: limits::SCRAM_ITERATIONS,
            stored_key: octets(stored_key.as_ref()),
            server_key: sign(&salted, b"Server Key"),
        }
    }

    /// In the form of the exchange.
    pub(super) fn keys(&self) -> ScramKeys {
        ScramKeys {
            salt: self.salt.to_vec(),
            iterations: self.iterations,
            stored_key: self.stored_key,
            server_key: self.server_key,
        }
    }
}

/// Keys that no password has. The same login gets the same salt each time, as an account would (RFC 5802 §9).
pub(super) fn made_up(secret: &[u8; 32], login: &str) -> ScramKeys {
    let mut salt = vec![0; limits::SALT_OCTETS];
    let made = blake3::Hasher::new_keyed(secret).update(login.to_lowercase().as_bytes()).finalize();
    salt.iter_mut().zip(made.as_bytes()).for_each(|(salt, made)| *salt = *made);
    let stored_key = *blake3::keyed_hash(secret, made.as_bytes()).as_bytes();
    ScramKeys { salt, iterations: limits::SCRAM_ITERATIONS, stored_key, server_key: stored_key }
}

fn sign(key: &[u8], text: &[u8]) -> [u8; 32] {
    octets(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref())
}

fn octets(hash: &[u8]) -> [u8; 32] {
    hash.try_into().expect("SHA-256 has 32 octets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_keys_look_like_an_account_and_stay() {
        let one = made_up(&[1; 32], "Nobody@example.org");
        assert_eq!(one.salt.len(), limits::SALT_OCTETS);
        assert_eq!(one.iterations, limits::SCRAM_ITERATIONS);
        assert_eq!(one.salt, made_up(&[1; 32], "nobody@example.org").salt);
        assert_ne!(one.salt, made_up(&[1; 32], "nobodi@example.org").salt);
        assert_ne!(one.salt, made_up(&[2; 32], "nobody@example.org").salt);
    }
}
