//! Mailboxes: names, headers with O(1) counters, and blocks of rows.

use super::{Store, StoreError};
use crate::mail::{AccountId, Flags, Keyword, MailboxId, MessageNumber, ModSeq, SystemFlags, Uid, UidValidity};

/// What a mailbox is for (RFC 6154 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialUse {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

/// A mailbox in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxEntry {
    /// Its id.
    pub id: MailboxId,
    /// Its name in UTF-8 with `/` between levels; `INBOX` in capitals.
    pub name: String,
    /// Its special use.
    pub special_use: Option<SpecialUse>,
    /// Whether its name is subscribed.
    pub subscribed: bool,
}

/// The counters of a mailbox, read in O(1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxStatus {
    /// Messages.
    pub exists: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Octets of all messages, trace fields included (RFC 8438).
    pub octets: u64,
    /// The next UID.
    pub uid_next: Uid,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// HIGHESTMODSEQ.
    pub highest_modseq: ModSeq,
    /// Keywords in use; a row's keyword bit n is the n-th.
    pub keywords: Vec<Keyword>,
}

/// One message of a mailbox, in columns that FETCH FLAGS and SEARCH need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its UID.
    pub uid: Uid,
    /// Its number in the account.
    pub number: MessageNumber,
    /// When its flags last changed.
    pub modseq: ModSeq,
    /// System flags.
    pub flags: SystemFlags,
    /// Keywords, as bits of the mailbox's keyword table.
    pub keywords: u64,
    /// RFC822.SIZE: trace fields and octets as received.
    pub octets: u64,
    /// INTERNALDATE in seconds since 1970.
    pub internal_seconds: i64,
    /// `Analysis::sent_day`; the day of INTERNALDATE in UTC where there is no readable Date field.
    pub sent_day: i32,
    /// When the message came into this mailbox, in seconds since 1970 (RFC 8514).
    pub saved_seconds: i64,
}

/// A mailbox at one moment; later changes do not show. Cheap to clone, shares its blocks with all
/// other snapshots.
#[derive(Clone)]
pub struct Snapshot(());

impl Snapshot {
    /// The counters at that moment.
    pub fn status(&self) -> &MailboxStatus {
        unimplemented!("frame: store")
    }

    /// Every row, by rising UID.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = Row> + '_ {
        std::iter::empty()
    }

    /// The row of a UID. O(log messages).
    pub fn row(&self, uid: Uid) -> Option<Row> {
        let _ = uid;
        unimplemented!("frame: store")
    }

    /// The rows with `start <= uid <= end`, by rising UID.
    pub fn rows_between(&self, start: Uid, end: Uid) -> impl DoubleEndedIterator<Item = Row> + '_ {
        let _ = (start, end);
        std::iter::empty()
    }

    /// The rows changed after `modseq`, by rising UID. Skips blocks that did not change.
    pub fn rows_changed_since(&self, modseq: Option<ModSeq>) -> impl Iterator<Item = Row> + '_ {
        let _ = modseq;
        std::iter::empty()
    }

    /// The flags of a row by name.
    pub fn flags(&self, row: &Row) -> Flags {
        let _ = row;
        unimplemented!("frame: store")
    }
}

impl Store {
    /// All mailboxes of an account, by name.
    pub fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxEntry>, StoreError> {
        let _ = account;
        unimplemented!("frame: store")
    }

    /// Names that are subscribed, whether or not a mailbox bears them (RFC 9051 §6.3.7).
    pub fn subscriptions(&self, account: AccountId) -> Result<Vec<String>, StoreError> {
        let _ = account;
        unimplemented!("frame: store")
    }

    /// Finds a mailbox; INBOX in any case (RFC 9051 §5.1).
    pub fn mailbox(&self, account: AccountId, name: &str) -> Result<MailboxEntry, StoreError> {
        let _ = (account, name);
        unimplemented!("frame: store")
    }

    /// The mailbox of a special use, where there is one.
    pub fn mailbox_for(&self, account: AccountId, special_use: SpecialUse) -> Result<Option<MailboxEntry>, StoreError> {
        let _ = (account, special_use);
        unimplemented!("frame: store")
    }

    /// Makes a mailbox and the levels above it that are missing (RFC 9051 §6.3.4).
    pub async fn create_mailbox(
        &self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxEntry, StoreError> {
        let _ = (account, name, special_use);
        unimplemented!("frame: store")
    }

    /// Deletes a mailbox and its messages; mailboxes below it stay. INBOX cannot be deleted.
    pub async fn delete_mailbox(&self, account: AccountId, name: &str) -> Result<(), StoreError> {
        let _ = (account, name);
        unimplemented!("frame: store")
    }

    /// Renames a mailbox and those below it. Renaming INBOX moves its messages into a new mailbox
    /// and leaves INBOX empty (RFC 9051 §6.3.6).
    pub async fn rename_mailbox(&self, account: AccountId, from: &str, to: &str) -> Result<(), StoreError> {
        let _ = (account, from, to);
        unimplemented!("frame: store")
    }

    /// Subscribes a name, whether or not a mailbox bears it.
    pub async fn subscribe(&self, account: AccountId, name: &str) -> Result<(), StoreError> {
        let _ = (account, name);
        unimplemented!("frame: store")
    }

    /// Unsubscribes a name; one that was not subscribed is no error.
    pub async fn unsubscribe(&self, account: AccountId, name: &str) -> Result<(), StoreError> {
        let _ = (account, name);
        unimplemented!("frame: store")
    }

    /// The counters of a mailbox, in O(1).
    pub fn status(&self, account: AccountId, mailbox: MailboxId) -> Result<MailboxStatus, StoreError> {
        let _ = (account, mailbox);
        unimplemented!("frame: store")
    }

    /// The mailbox as it is now.
    pub fn snapshot(&self, account: AccountId, mailbox: MailboxId) -> Result<Snapshot, StoreError> {
        let _ = (account, mailbox);
        unimplemented!("frame: store")
    }

    /// UIDs expunged after `modseq`, by rising UID; `None` where the log no longer reaches back so
    /// far and the client must compare (RFC 7162 §3.2.5.2).
    pub fn vanished_since(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        modseq: ModSeq,
    ) -> Result<Option<Vec<Uid>>, StoreError> {
        let _ = (account, mailbox, modseq);
        unimplemented!("frame: store")
    }
}
