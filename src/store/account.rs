//! Accounts as the store knows them (an id and its data), and the directory kept for `accounts`.

use super::{
    SpecialUse, Store, StoreError,
    account_state::AccountState,
    failpoint,
    metadata::{Batch, Durability, Table},
};
use crate::mail::AccountId;
use bytes::Bytes;
use std::sync::Arc;

/// The counter of account ids in `Table::System`.
const NEXT_ACCOUNT: &[u8] = b"next account";

/// What the outbox rows of removed accounts begin with, whose index is still there.
const REMOVAL: &[u8] = b"x";

fn removal(account: AccountId) -> Vec<u8> {
    [REMOVAL, &account.get().to_be_bytes()].concat()
}

/// What every account begins with; the ids of these mailboxes are 1 to 6.
pub(super) const FIRST_MAILBOXES: [(&str, Option<SpecialUse>); 6] = [
    ("INBOX", None),
    ("Archive", Some(SpecialUse::Archive)),
    ("Drafts", Some(SpecialUse::Drafts)),
    ("Junk", Some(SpecialUse::Junk)),
    ("Sent", Some(SpecialUse::Sent)),
    ("Trash", Some(SpecialUse::Trash)),
];

/// A small ordered table for domains, addresses and credentials, with atomic synced batches.
pub struct Directory<'a> {
    store: &'a Store,
}

impl Directory<'_> {
    /// Reads one value.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.store.inner.engine.get(Table::Directory, key)
    }

    /// Every pair whose key begins with `prefix`, in key order.
    pub fn scan(&self, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let mut pairs = Vec::new();
        self.store.inner.engine.scan_prefix(Table::Directory, prefix, |key, value| {
            pairs.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            true
        })?;
        Ok(pairs)
    }

    /// Applies the changes together, durably: `Some` puts, `None` deletes. Where `expect` names a
    /// pair that has changed since, nothing is written and `false` is returned.
    pub async fn commit(
        &self,
        expect: &[(Vec<u8>, Option<Bytes>)],
        changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<bool, StoreError> {
        let (inner, expect) = (Arc::clone(&self.store.inner), expect.to_vec());
        super::off_the_reactor(move || {
            let _one_at_a_time = inner.directory.lock();
            for (key, value) in expect {
                if inner.engine.get(Table::Directory, key)? != value {
                    return Ok(false);
                }
            }
            let mut batch = Batch::default();
            for (key, value) in changes {
                match value {
                    Some(value) => batch.put(Table::Directory, key, value),
                    None => batch.delete(Table::Directory, key),
                }
            }
            inner.engine.commit(batch, Durability::Synced).map(|()| true)
        })
        .await?
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
        let account = self.next_account_id().await?;
        failpoint::reach("account.after_id");
        self.write(account, move |transaction| {
            transaction.insert_account(account, AccountState::new());
            for (name, special_use) in FIRST_MAILBOXES {
                transaction.make_mailbox(account, name, special_use)?;
                transaction.subscribe(account, name)?;
            }
            Ok(account)
        })
        .await
    }

    /// Removes an account and all that is in it. Its id is never used again.
    pub async fn remove_account(&self, account: AccountId) -> Result<(), StoreError> {
        self.write(account, move |transaction| {
            transaction.put(Table::Outbox, removal(account), Bytes::new());
            transaction.drop_account(account)
        })
        .await?;
        failpoint::reach("account.after_removal");
        self.forget_index(account).await
    }

    /// Removes the index of a removed account, then the row that says that it has to go.
    async fn forget_index(&self, account: AccountId) -> Result<(), StoreError> {
        self.inner.indexes.forget(account).await?;
        self.write(account, move |transaction| {
            transaction.delete(Table::Outbox, removal(account));
            Ok(())
        })
        .await
    }

    /// Finishes removals that a crash left half done.
    pub(super) async fn finish_removals(&self) -> Result<(), StoreError> {
        let mut accounts = Vec::new();
        self.inner.engine.scan_prefix(Table::Outbox, REMOVAL, |key, _| {
            accounts.extend(key.split_last_chunk().and_then(|(_, id)| AccountId::new(u64::from_be_bytes(*id))));
            true
        })?;
        for account in accounts {
            self.forget_index(account).await?;
        }
        Ok(())
    }

    /// Every account that has data, by rising id.
    pub fn account_ids(&self) -> Result<Vec<AccountId>, StoreError> {
        let mut ids = Vec::new();
        self.inner.engine.scan_prefix(Table::Mailbox, b"", |key, _| {
            if let (Some((id, b"a")), 11) = (key.get(2..).and_then(<[u8]>::split_first_chunk::<8>), key.len()) {
                ids.extend(AccountId::new(u64::from_be_bytes(*id)));
            }
            true
        })?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// Takes an id and remembers, durably, that it is taken.
    async fn next_account_id(&self) -> Result<AccountId, StoreError> {
        let inner = Arc::clone(&self.inner);
        super::off_the_reactor(move || {
            let _one_at_a_time = inner.directory.lock();
            let stored = inner.engine.get(Table::System, NEXT_ACCOUNT)?;
            let next = stored.and_then(|value| value.first_chunk().copied()).map_or(1, u64::from_be_bytes);
            let mut batch = Batch::default();
            batch.put(Table::System, NEXT_ACCOUNT, (next + 1).to_be_bytes());
            inner.engine.commit(batch, Durability::Synced)?;
            AccountId::new(next).ok_or_else(|| StoreError::Failed("account ids are used up".to_owned()))
        })
        .await?
    }
}
