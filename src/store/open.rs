//! What is kept in memory of accounts and mailboxes.

use super::{
    Inner, StoreError,
    key::{Place, partition_of},
    mailbox::State,
    names::AccountState,
    partition::Partition,
};
use crate::{
    limits,
    mail::{AccountId, MailboxId},
};
use lru::LruCache;
use parking_lot::Mutex;
use std::{num::NonZeroUsize, sync::Arc};

/// Mailboxes in memory, the least used dropped first once they outweigh the bound. A snapshot
/// that a session holds lives on by itself.
pub(super) struct OpenMailboxes(Mutex<Weighed>);

struct Weighed {
    states: LruCache<(AccountId, MailboxId), Arc<State>>,
    octets: usize,
}

impl OpenMailboxes {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Weighed { states: LruCache::unbounded(), octets: 0 }))
    }

    pub(super) fn get(&self, account: AccountId, mailbox: MailboxId) -> Option<Arc<State>> {
        self.0.lock().states.get(&(account, mailbox)).cloned()
    }

    pub(super) fn put(&self, key: (AccountId, MailboxId), state: Arc<State>) {
        let mut open = self.0.lock();
        open.octets += state.weight();
        if let Some(old) = open.states.put(key, state) {
            open.octets = open.octets.saturating_sub(old.weight());
        }
        while open.octets > limits::OPEN_MAILBOX_OCTETS_MAX && open.states.len() > 1 {
            let Some((_, dropped)) = open.states.pop_lru() else { break };
            open.octets = open.octets.saturating_sub(dropped.weight());
        }
    }

    pub(super) fn remove(&self, key: (AccountId, MailboxId)) {
        let mut open = self.0.lock();
        if let Some(old) = open.states.pop(&key) {
            open.octets = open.octets.saturating_sub(old.weight());
        }
    }

    pub(super) fn remove_account(&self, account: AccountId) {
        let mut open = self.0.lock();
        let gone: Vec<_> = open.states.iter().map(|(key, _)| *key).filter(|(of, _)| *of == account).collect();
        for key in gone {
            if let Some(old) = open.states.pop(&key) {
                open.octets = open.octets.saturating_sub(old.weight());
            }
        }
    }
}

/// A cache of so many decoded rows.
pub(super) fn cache<K: std::hash::Hash + Eq, V>(entries: usize) -> Mutex<LruCache<K, V>> {
    Mutex::new(LruCache::new(NonZeroUsize::new(entries).unwrap_or(NonZeroUsize::MIN)))
}

impl Inner {
    pub(super) fn place(&self, account: AccountId) -> Place {
        Place { partition: partition_of(account, self.partitions), account }
    }

    pub(super) fn partition(&self, account: AccountId) -> Result<Arc<Partition>, StoreError> {
        let number = usize::from(partition_of(account, self.partitions));
        self.writers.lock().get(number).cloned().ok_or(StoreError::Closing)
    }

    /// The account's row, from memory where it was used lately.
    pub(super) fn account(&self, account: AccountId) -> Result<Arc<AccountState>, StoreError> {
        if let Some(state) = self.accounts.lock().get(&account) {
            return Ok(Arc::clone(state));
        }
        let _loading = self.loading.read_recursive();
        let state = Arc::new(AccountState::load(&self.engine, self.place(account))?);
        self.accounts.lock().put(account, Arc::clone(&state));
        Ok(state)
    }

    /// The mailbox, read from its rows where it is not in memory.
    pub(super) fn open_mailbox(&self, account: AccountId, mailbox: MailboxId) -> Result<Arc<State>, StoreError> {
        if let Some(state) = self.open_mailboxes.get(account, mailbox) {
            return Ok(state);
        }
        let _loading = self.loading.read_recursive();
        self.open_mailbox_for_write(account, mailbox)
    }

    /// The same for the partition's writer, which nobody else's commit can overtake.
    pub(super) fn open_mailbox_for_write(
        &self,
        account: AccountId,
        mailbox: MailboxId,
    ) -> Result<Arc<State>, StoreError> {
        if let Some(state) = self.open_mailboxes.get(account, mailbox) {
            return Ok(state);
        }
        let state = Arc::new(State::load(self, self.place(account), mailbox)?);
        self.open_mailboxes.put((account, mailbox), Arc::clone(&state));
        Ok(state)
    }
}
