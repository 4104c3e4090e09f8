//! Logins that were right a moment ago.

use super::{Password, password::ArgonHash};
use crate::{
    clock::{Clock, UnixMillis},
    limits,
    mail::AccountId,
};
use lru::LruCache;
use parking_lot::Mutex;
use std::num::NonZeroUsize;

/// Remembers successes, so that a client that reconnects does not pay for Argon2id again. A key covers
/// account, password and the stored hash: a changed password is forgotten with it, a wrong one is never found.
///
/// Kept are hashes under a key that lives as long as the process and is nowhere else.
pub(super) struct Remembered {
    key: [u8; 32],
    until: Mutex<LruCache<[u8; 32], UnixMillis>>,
}

/// One login, as remembered.
#[derive(Clone, Copy)]
pub(super) struct Login([u8; 32]);

impl Remembered {
    pub(super) fn new(clock: &Clock) -> Self {
        let mut key = [0; 32];
        clock.fill_random(&mut key);
        let capacity = NonZeroUsize::new(limits::LOGINS_REMEMBERED_MAX).unwrap_or(NonZeroUsize::MIN);
        Self { key, until: Mutex::new(LruCache::new(capacity)) }
    }

    pub(super) fn login(&self, account: AccountId, hash: &ArgonHash, password: &Password) -> Login {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&account.get().to_be_bytes()).update(hash.octets()).update(password.octets());
        Login(*hasher.finalize().as_bytes())
    }

    pub(super) fn holds(&self, login: Login, now: UnixMillis) -> bool {
        self.until.lock().get(&login.0).is_some_and(|until| now < *until)
    }

    pub(super) fn remember(&self, login: Login, now: UnixMillis) {
        self.until.lock().put(login.0, UnixMillis(now.0 + limits::LOGIN_REMEMBERED_SECONDS * 1000));
    }
}
