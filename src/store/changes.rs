//! Change notification: level-triggered, lossless (P8).

use super::{Inner, Store, StoreError, recovery::Part, transaction::Published};
use crate::{
    mail::{AccountId, ModSeq},
    work::Mark,
};
use std::sync::Arc;

/// Above every mod-sequence: the account is gone.
const REMOVED: u64 = u64::MAX;

/// Wakes when something in an account changed. Carries no news of its own: compare
/// `MailboxStatus::highest_modseq` and read the difference.
pub struct Watch {
    highest: Arc<Mark>,
    seen: u64,
}

impl Watch {
    /// Waits until the account's highest mod-sequence is above what the last call returned (or above
    /// what it was when the watch began). Cancel-safe: a change that comes meanwhile is seen by the next call.
    /// `NoAccount` once the account is removed.
    pub async fn changed(&mut self) -> Result<ModSeq, StoreError> {
        let highest = self.highest.above(self.seen).await;
        if highest == REMOVED {
            return Err(StoreError::NoAccount);
        }
        self.seen = highest;
        ModSeq::new(highest).ok_or(StoreError::NoAccount)
    }
}

impl Store {
    /// Watches an account; every change committed after this call is seen.
    pub fn watch(&self, account: AccountId) -> Result<Watch, StoreError> {
        // The mark is found or made first, so that a commit in between is not missed.
        let highest = {
            let mut watches = self.inner.watches.lock();
            watches.retain(|_, mark| Arc::strong_count(mark) > 1);
            Arc::clone(watches.entry(account).or_default())
        };
        let seen = self.inner.account(account)?.highest_modseq();
        Ok(Watch { highest, seen })
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
        if let Some(mark) = inner.watches.lock().remove(&account) {
            mark.raise(REMOVED);
        }
        inner.spare.note(Part::Mailboxes(inner.place(account).partition));
    }
    for (account, state) in published.accounts {
        if state.warning_due(&inner.quotas.policy).is_some() {
            inner.quotas.note_crossing(account);
        }
        if inner.accounts.get(&account).is_none_or(|before| !before.has_names_of(&state)) {
            inner.spare.note(Part::Mailboxes(inner.place(account).partition));
        }
        let highest = state.highest_modseq();
        inner.accounts.put(account, Arc::new(state));
        if let Some(mark) = inner.watches.lock().get(&account) {
            mark.raise(highest);
        }
    }
    for account in published.indexed {
        inner.indexes.enqueue(account);
    }
}
