//! Places for connections of one account (RFC 5530, LIMIT).
//!
//! Owns: how many sessions of each account are logged in at one listener. Promises: a place is given back
//! when its guard is dropped, however the session ends.

use crate::{limits, mail::AccountId};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// Counts sessions by account. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Mutex<HashMap<AccountId, u32>>>);

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    account: AccountId,
}

impl Places {
    /// Takes a place; `None` where the account has as many as it may.
    pub(crate) fn take(&self, account: AccountId) -> Option<Place> {
        let mut counts = self.0.lock();
        let count = counts.entry(account).or_default();
        if *count >= limits::IMAP_CONNECTIONS_PER_ACCOUNT_MAX {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), account })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.0.lock();
        if let Some(count) = counts.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let (places, account) = (Places::default(), AccountId::FIRST);
        let taken: Vec<_> =
            (0..limits::IMAP_CONNECTIONS_PER_ACCOUNT_MAX).map(|_| places.take(account).unwrap()).collect();
        assert!(places.take(account).is_none());
        assert!(places.take(account.next().unwrap()).is_some());
        drop(taken);
        assert!(places.take(account).is_some());
        assert!(places.0.lock().is_empty());
    }
}
