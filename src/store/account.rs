//! Accounts as the store knows them (an id and its data), and the directory kept for `accounts`.

use super::{Store, StoreError};
use crate::mail::AccountId;
use bytes::Bytes;

/// A small ordered table for domains, addresses and credentials, with atomic synced batches.
pub struct Directory<'a> {
    store: &'a Store,
}

impl Directory<'_> {
    /// Reads one value.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let _ = (self.store, key);
        unimplemented!("frame: store")
    }

    /// Every pair whose key begins with `prefix`, in key order.
    pub fn scan(&self, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let _ = prefix;
        unimplemented!("frame: store")
    }

    /// Applies the changes together, durably: `Some` puts, `None` deletes. Where `expect` names a
    /// pair that has changed since, nothing is written and `false` is returned.
    pub async fn commit(
        &self,
        expect: &[(Vec<u8>, Option<Bytes>)],
        changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<bool, StoreError> {
        let _ = (expect, changes);
        unimplemented!("frame: store")
    }
}

impl Store {
    /// The directory.
    pub fn directory(&self) -> Directory<'_> {
        Directory { store: self }
    }

    /// Makes an account with its mailboxes: INBOX, Drafts, Sent, Junk, Trash, Archive with their special uses
    /// (RFC 6154), subscribed. The id was never used before.
    pub async fn create_account(&self) -> Result<AccountId, StoreError> {
        unimplemented!("frame: store")
    }

    /// Removes an account and all that is in it. Its id is never used again.
    pub async fn remove_account(&self, account: AccountId) -> Result<(), StoreError> {
        let _ = account;
        unimplemented!("frame: store")
    }
}
