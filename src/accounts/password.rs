//! Passwords and what is kept of them. argon2's owner.

use super::{AccountsError, scram_keys::ScramRow};
use crate::{clock::Clock, limits, work};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;

/// A password, prepared for comparison (RFC 4013 §2): of two spellings that look alike both are right. It has no
/// `Debug`.
#[derive(Clone)]
pub struct Password(Box<[u8]>);

impl Password {
    /// Takes 1 to 1024 octets. Text that is not UTF-8 is taken as it is.
    pub fn new(octets: &[u8]) -> Result<Self, AccountsError> {
        let prepared = match str::from_utf8(octets) {
            Ok(text) if !text.is_ascii() => text.chars().filter_map(mapped).nfkc().collect::<String>().into_bytes(),
            Ok(_) | Err(_) => octets.to_vec(),
        };
        if octets.len() > limits::PASSWORD_OCTETS_MAX || prepared.is_empty() {
            return Err(AccountsError::Password);
        }
        Ok(Self(prepared.into()))
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }
}

/// RFC 4013 §2.1: other spaces become U+0020, and what has no shape goes.
fn mapped(character: char) -> Option<char> {
    match character {
        '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => None,
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => Some(' '),
        other => Some(other),
    }
}

/// An Argon2id hash with what it was made with, so that old ones stay right when the parameters rise.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ArgonHash {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; limits::SALT_OCTETS],
    hash: [u8; 32],
}

impl ArgonHash {
    fn of(password: &Password, salt: [u8; limits::SALT_OCTETS]) -> Result<Self, AccountsError> {
        let mut made = Self::impossible();
        made.salt = salt;
        made.hash = made.hash_of(password)?;
        Ok(made)
    }

    /// A hash that no password has, for the work that an unknown name costs.
    pub(super) fn impossible() -> Self {
        Self {
            memory_kib: limits::ARGON2_MEMORY_KIB,
            passes: limits::ARGON2_PASSES,
            lanes: limits::ARGON2_LANES,
            salt: [0; limits::SALT_OCTETS],
            hash: [0; 32],
        }
    }

    /// The hash itself, which changes with every change of the password.
    pub(super) fn octets(&self) -> &[u8; 32] {
        &self.hash
    }

    fn hash_of(&self, password: &Password) -> Result<[u8; 32], AccountsError> {
        let mut hash = [0; 32];
        let parameters = Params::new(self.memory_kib, self.passes, self.lanes, Some(hash.len())).map_err(failed)?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(password.octets(), &self.salt, &mut hash)
            .map_err(failed)?;
        Ok(hash)
    }

    fn is_of(&self, password: &Password) -> Result<bool, AccountsError> {
        Ok(constant_time::verify_slices_are_equal(&self.hash_of(password)?, &self.hash).is_ok())
    }
}

fn failed(error: argon2::Error) -> AccountsError {
    AccountsError::NotDone(error.to_string())
}

/// What is kept of a password.
pub(super) struct Credentials {
    pub(super) argon: ArgonHash,
    pub(super) scram: ScramRow,
}

/// Hashes passwords off the reactor, as many at once as there are processors: each takes
/// [`limits::ARGON2_MEMORY_KIB`] and a processor for its time.
#[derive(Clone)]
pub(super) struct Hasher(Arc<Semaphore>);

impl Hasher {
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new(processors)))
    }

    /// Makes credentials with fresh salts.
    pub(super) async fn credentials(&self, password: Password, clock: &Clock) -> Result<Credentials, AccountsError> {
        let (mut argon_salt, mut scram_salt) = ([0; limits::SALT_OCTETS], [0; limits::SALT_OCTETS]);
        clock.fill_random(&mut argon_salt);
        clock.fill_random(&mut scram_salt);
        self.run(
            || true,
            move || {
                let argon = ArgonHash::of(&password, argon_salt)?;
                Ok(Credentials { argon, scram: ScramRow::of(&password, scram_salt) })
            },
        )
        .await?
        .ok_or_else(|| AccountsError::NotDone("not run".to_owned()))
    }

    /// Whether the password is the hash's. `None` where `still_needed` says so once its turn has come.
    pub(super) async fn verify(
        &self,
        password: Password,
        hash: ArgonHash,
        still_needed: impl FnOnce() -> bool,
    ) -> Result<Option<bool>, AccountsError> {
        self.run(still_needed, move || hash.is_of(&password)).await
    }

    /// Runs `work` when its turn has come. A future that is dropped before leaves nothing behind; after that the work
    /// runs to its end and keeps its place until then.
    async fn run<T: Send + 'static>(
        &self,
        still_needed: impl FnOnce() -> bool,
        work: impl FnOnce() -> Result<T, AccountsError> + Send + 'static,
    ) -> Result<Option<T>, AccountsError> {
        let place = Arc::clone(&self.0).acquire_owned().await.expect("the semaphore is never closed");
        if !still_needed() {
            return Ok(None);
        }
        let worked = work::blocking(move || {
            let _place = place;
            work()
        });
        worked.await.map_err(|error| AccountsError::NotDone(error.to_string()))?.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str) -> Vec<u8> {
        Password::new(text.as_bytes()).ok().unwrap().octets().to_vec()
    }

    #[test]
    fn spellings_that_look_alike_are_one_password() {
        assert_eq!(prepared("cafe\u{301} au\u{a0}lait"), "café au lait".as_bytes());
        assert_eq!(prepared("pass\u{ad}wört"), "passwört".as_bytes());
        assert_eq!(prepared("a  b"), b"a  b");
        assert_eq!(Password::new(b"\xff\xfe").ok().unwrap().octets(), b"\xff\xfe");
    }

    #[test]
    fn empty_and_endless_ones_are_refused() {
        for refused in [&b""[..], "\u{ad}".as_bytes(), &[b'x'; limits::PASSWORD_OCTETS_MAX + 1]] {
            assert!(matches!(Password::new(refused), Err(AccountsError::Password)));
        }
        assert!(Password::new(&[b'x'; limits::PASSWORD_OCTETS_MAX]).is_ok());
    }

    #[test]
    fn a_hash_knows_its_password() {
        let password = |text: &str| Password::new(text.as_bytes()).ok().unwrap();
        let hash = ArgonHash::of(&password("correct horse"), [7; limits::SALT_OCTETS]).ok().unwrap();
        assert!(hash.is_of(&password("correct horse")).ok().unwrap());
        assert!(!hash.is_of(&password("correct horsf")).ok().unwrap());
    }
}
