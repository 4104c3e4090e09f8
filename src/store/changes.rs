//! Change notification: level-triggered, lossless (P8).

use super::{Inner, Store, StoreError, transaction::Published};
use crate::mail::{AccountId, ModSeq};
use std::sync::Arc;
use tokio::sync::watch;

/// Wakes when something in an account changed. Carries no news of its own: compare
/// `MailboxStatus::highest_modseq` and read the difference.
pub struct Watch {
    receiver: watch::Receiver<u64>,
    seen: u64,
}

impl Watch {
    /// Waits until the account's highest mod-sequence is above what the last call returned (or above
    /// what it was when the watch began). Cancel-safe: a change that comes meanwhile is seen by the next call.
    /// `NoAccount` once the account is removed.
    pub async fn changed(&mut self) -> Result<ModSeq, StoreError> {
        let seen = self.seen;
        let highest = *self.receiver.wait_for(|highest| *highest > seen).await.map_err(|_| StoreError::NoAccount)?;
        self.seen = highest;
        ModSeq::new(highest).ok_or(StoreError::NoAccount)
    }
}

impl Store {
    /// Watches an account; every change committed after this call is seen.
    pub fn watch(&self, account: AccountId) -> Result<Watch, StoreError> {
        // The sender is found or made first, so that a commit in between is not missed.
        let receiver = {
            let mut watches = self.inner.watches.lock();
            watches.retain(|_, sender| !sender.is_closed());
            watches.entry(account).or_insert_with(|| watch::channel(0).0).subscribe()
        };
        let highest = self.inner.account(account)?.highest_modseq();
        Ok(Watch { receiver, seen: highest })
    }
}

/// Makes the states of a committed group visible and wakes who watches.
pub(super) fn publish(inner: &Inner, published: Published) {
    for (key, state) in published.mailboxes {
        inner.mailboxes.put(key, state);
    }
    published.removed_mailboxes.iter().for_each(|key| inner.mailboxes.remove(key));
    for account in published.removed_accounts {
        inner.mailboxes.remove_if(|(of, _)| *of == account);
        inner.records.remove_if(|(of, _)| *of == account);
        inner.accounts.remove(&account);
        inner.watches.lock().remove(&account);
    }
    for (account, state) in published.accounts {
        let policy = &inner.quotas.policy;
        if policy.level(&state.quota(policy)) > state.warned() {
            inner.quotas.note_crossing(account);
        }
        let highest = state.highest_modseq();
        inner.accounts.put(account, Arc::new(state));
        if let Some(sender) = inner.watches.lock().get(&account) {
            sender.send_if_modified(|known| std::mem::replace(known, highest.max(*known)) < highest);
        }
    }
    for account in published.indexed {
        inner.indexes.enqueue(account);
    }
}
