//! `\Recent` (RFC 3501 §2.3.2): which messages no session was told of yet.
//!
//! Owns: for each mailbox the first UID that no session has claimed. Promises: a message is recent in at most one
//! session that may claim it, whatever listener it came through. Never: writes to the store.
//!
//! Deviates from RFC 3501 §2.3.2: what came in before the server started is not recent, although nobody may have been
//! told of it. The flag would cost a write for each message, and all clients mark new mail by `\Seen`; IMAP4rev2 has dropped it.

use super::selected::Access;
use crate::{
    clock::UnixMillis,
    limits,
    mail::{AccountId, MailboxId, Uid},
    store::Snapshot,
};
use lru::LruCache;
use parking_lot::Mutex;
use std::{num::NonZeroUsize, sync::Arc};

/// What is recent, for all mailboxes. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Recent(Arc<Marks>);

#[derive(Debug)]
struct Marks {
    started_seconds: i64,
    first: Mutex<LruCache<(AccountId, MailboxId), Uid>>,
}

impl Recent {
    /// What comes in from now on is recent.
    pub(crate) fn new(started: UnixMillis) -> Self {
        let most = NonZeroUsize::new(limits::IMAP_RECENT_MAILBOXES_MAX).expect("the number of mailboxes is not zero");
        let first = Mutex::new(LruCache::new(most));
        Self(Arc::new(Marks { started_seconds: started.seconds(), first }))
    }

    /// The first recent UID of a mailbox: its UIDNEXT where nothing is recent.
    pub(crate) fn first(&self, account: AccountId, mailbox: MailboxId, snapshot: &Snapshot) -> Uid {
        let known = self.0.first.lock().peek(&(account, mailbox)).copied();
        known.unwrap_or_else(|| self.arrived_since_start(snapshot))
    }

    /// As [`Recent::first`], for a session that shows the messages to its client: one that may write claims them.
    pub(crate) fn claim(&self, account: AccountId, mailbox: MailboxId, access: Access, snapshot: &Snapshot) -> Uid {
        let mut marks = self.0.first.lock();
        let known = marks.get(&(account, mailbox)).copied();
        let first = known.unwrap_or_else(|| self.arrived_since_start(snapshot));
        if access == Access::ReadWrite {
            marks.put((account, mailbox), first.max(snapshot.status().uid_next));
        }
        first
    }

    /// Messages come into a mailbox in the order of their UIDs, so only the last ones are looked at.
    fn arrived_since_start(&self, snapshot: &Snapshot) -> Uid {
        let arrived = snapshot.rows().rev().take_while(|row| row.saved_seconds >= self.0.started_seconds);
        arrived.last().map_or(snapshot.status().uid_next, |row| row.uid)
    }
}
