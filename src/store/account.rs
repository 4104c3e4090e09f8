//! Accounts as the store knows them (an id and its data), and the directory kept for `accounts`.

use super::{
    Inner, SpecialUse, Store, StoreError,
    account_state::AccountState,
    failpoint,
    key::{Task, outbox},
    metadata::{Batch, Domain, Durability, Table},
    recovery::Part,
};
use crate::{clock::UnixMillis, mail::AccountId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The counter of account ids in `Table::System`.
pub(super) const NEXT_ACCOUNT: &[u8] = b"next account";

/// Version of these rows' encoding; their first octet. A row without octets is of an account whose rows are gone.
const VERSION: u8 = 1;

/// An account that was removed and can be brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredAccount {
    /// Its id.
    pub account: AccountId,
    /// When it was removed.
    pub at: UnixMillis,
    /// What [`Store::retire_account`] was given.
    pub keepsake: Bytes,
}

#[derive(Serialize, Deserialize)]
struct RetiredRow<'a> {
    seconds: i64,
    keepsake: &'a [u8],
}

impl RetiredAccount {
    fn encode(seconds: i64, keepsake: &[u8]) -> Vec<u8> {
        postcard::to_extend(&RetiredRow { seconds, keepsake }, vec![VERSION]).expect("numbers and octets always encode")
    }

    fn decode(account: AccountId, row: &[u8]) -> Option<Self> {
        let row = postcard::from_bytes::<RetiredRow<'_>>(row.strip_prefix(&[VERSION])?).ok()?;
        let (at, keepsake) = (UnixMillis(row.seconds.saturating_mul(1000)), Bytes::copy_from_slice(row.keepsake));
        Some(Self { account, at, keepsake })
    }
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
            let mut batch = Batch::of(Domain::Installation);
            for (key, value) in changes {
                match value {
                    Some(value) => batch.put(Table::Directory, key, value),
                    None => batch.delete(Table::Directory, key),
                }
            }
            failpoint::reach("directory.before_commit");
            inner.engine.commit(batch, Durability::Synced)?;
            inner.spare.note(Part::Directory);
            Ok(true)
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

    /// Removes an account and all that is in it, at once. Its id is never used again.
    pub async fn remove_account(&self, account: AccountId) -> Result<(), StoreError> {
        self.write(account, move |transaction| {
            transaction.account(account)?;
            let removal = transaction.place(account).removal();
            transaction.put(Table::Outbox, removal, Bytes::new());
            transaction.drop_account(account)
        })
        .await?;
        failpoint::reach("account.after_removal");
        self.forget_index(account).await
    }

    /// Removes an account, and all that is in it once the grace time is over (`Settings::undelete_days`): until then
    /// nobody sees it, its sessions end, and [`Store::bring_account_back`] brings it back as it was. The keepsake is
    /// the caller's, for what else belongs to the account; it goes with the account's mail.
    pub async fn retire_account(&self, account: AccountId, keepsake: Bytes) -> Result<(), StoreError> {
        if self.inner.undelete_seconds == 0 {
            return self.remove_account(account).await;
        }
        self.write(account, move |transaction| {
            let counters = transaction.account(account)?.encode_counters();
            let place = transaction.place(account);
            let row = RetiredAccount::encode(transaction.now().seconds(), &keepsake);
            transaction.put(Table::Outbox, place.removal(), row);
            // Without counters there is no account: whatever looks for it finds none.
            transaction.put(Table::Mailbox, place.retired_counters(), counters);
            transaction.delete(Table::Mailbox, place.counters());
            transaction.hide_account(account);
            failpoint::reach("account.before_retirement");
            Ok(())
        })
        .await
    }

    /// Accounts that were removed and can be brought back, by rising id.
    pub fn retired_accounts(&self) -> Result<Vec<RetiredAccount>, StoreError> {
        Ok(self.removals()?.into_iter().filter_map(|(_, retired)| retired).collect())
    }

    /// Brings an account back as it was when it was removed. `NoAccount` where it is gone for good, or back already.
    pub async fn bring_account_back(&self, account: AccountId) -> Result<(), StoreError> {
        self.write(account, move |transaction| {
            let place = transaction.place(account);
            let counters = transaction.get(Table::Mailbox, &place.retired_counters())?.ok_or(StoreError::NoAccount)?;
            transaction.put(Table::Mailbox, place.counters(), counters);
            transaction.delete(Table::Mailbox, place.retired_counters());
            transaction.delete(Table::Outbox, place.removal());
            failpoint::reach("account.before_return");
            Ok(())
        })
        .await?;
        self.inner.spare.note(Part::Mailboxes(self.inner.place(account).partition));
        Ok(())
    }

    /// Removes a retired account's rows, then what is left of it.
    async fn end_retirement(&self, account: AccountId) -> Result<(), StoreError> {
        self.write(account, move |transaction| {
            // It may have come back meanwhile.
            let place = transaction.place(account);
            transaction.get(Table::Mailbox, &place.retired_counters())?.ok_or(StoreError::NoAccount)?;
            transaction.put(Table::Outbox, place.removal(), Bytes::new());
            transaction.drop_account(account)
        })
        .await?;
        failpoint::reach("account.after_removal");
        self.forget_index(account).await
    }

    /// Removes the index of a removed account, then the row that says that it has to go.
    async fn forget_index(&self, account: AccountId) -> Result<(), StoreError> {
        self.inner.indexes.forget(account).await?;
        failpoint::reach("account.index_forgotten");
        self.write(account, move |transaction| {
            let removal = transaction.place(account).removal();
            transaction.delete(Table::Outbox, removal);
            Ok(())
        })
        .await
    }

    /// Finishes removals that a crash left half done, and those whose grace is over.
    pub(super) async fn finish_removals(&self) -> Result<(), StoreError> {
        let oldest = self.inner.clock.now().seconds().saturating_sub(self.inner.undelete_seconds);
        for (account, retired) in self.removals()? {
            let finished = match retired {
                None => self.forget_index(account).await,
                Some(retired) if retired.at.seconds() <= oldest => self.end_retirement(account).await,
                Some(_) => Ok(()),
            };
            match finished {
                Ok(()) | Err(StoreError::NoAccount) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Every removed account of which something is still there; what it was, where it can be brought back.
    fn removals(&self) -> Result<Vec<(AccountId, Option<RetiredAccount>)>, StoreError> {
        let (mut removals, mut intact) = (Vec::new(), true);
        for partition in self.inner.partition_numbers() {
            self.inner.engine.scan_prefix(Table::Outbox, &outbox(partition, Task::Removal), |key, row| {
                let account = key.split_last_chunk().and_then(|(_, id)| AccountId::new(u64::from_be_bytes(*id)));
                let retired = account.and_then(|account| RetiredAccount::decode(account, row));
                intact &= account.is_some() && retired.is_some() != row.is_empty();
                removals.extend(account.map(|account| (account, retired)));
                intact
            })?;
        }
        removals.sort_unstable_by_key(|(account, _)| *account);
        if intact { Ok(removals) } else { Err(StoreError::Damaged("the row of a removed account".to_owned())) }
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
            let next = inner.next_account()?;
            let mut batch = Batch::of(Domain::Installation);
            batch.put(Table::System, NEXT_ACCOUNT, (next + 1).to_be_bytes());
            failpoint::reach("account.before_id");
            inner.engine.commit(batch, Durability::Synced)?;
            inner.spare.note(Part::Directory);
            AccountId::new(next).ok_or_else(|| StoreError::Failed("account ids are used up".to_owned()))
        })
        .await?
    }
}

impl Inner {
    /// The id that the next account gets.
    pub(super) fn next_account(&self) -> Result<u64, StoreError> {
        let stored = self.engine.get(Table::System, NEXT_ACCOUNT)?;
        Ok(stored.and_then(|value| value.first_chunk().copied()).map_or(1, u64::from_be_bytes))
    }
}
