//! Mailboxes as they are read: listings, counters, snapshots of rows.

use super::{
    Store, StoreError,
    block::block_of,
    metadata::Table,
    names::{MailboxEntry, SpecialUse, canonical},
    state::{Header, State},
};
use crate::mail::{AccountId, Flag, Flags, Keyword, MailboxId, MessageNumber, ModSeq, SystemFlags, Uid, UidValidity};
use std::sync::Arc;

/// The counters of a mailbox, read in O(1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxStatus {
    /// Messages.
    pub exists: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Octets of these (RFC 9208 §4.1.4).
    pub deleted_octets: u64,
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
    /// Its number in the account. A copy within the account shares it.
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
#[derive(Clone, Debug)]
pub struct Snapshot(pub(super) Arc<State>);

impl Snapshot {
    /// The counters at that moment.
    pub fn status(&self) -> &MailboxStatus {
        &self.0.header.status
    }

    /// Every row, by rising UID.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = Row> + '_ {
        self.0.rows().copied()
    }

    /// The row of a UID. O(log messages).
    pub fn row(&self, uid: Uid) -> Option<Row> {
        self.0.row(uid).copied()
    }

    /// The rows with `start <= uid <= end`, by rising UID.
    pub fn rows_between(&self, start: Uid, end: Uid) -> impl DoubleEndedIterator<Item = Row> + '_ {
        let blocks = &self.0.blocks;
        let first = blocks.partition_point(|(number, _)| *number < block_of(start));
        let last = blocks.partition_point(|(number, _)| *number <= block_of(end));
        let inside = blocks.get(first..last.max(first)).unwrap_or_default();
        inside
            .iter()
            .flat_map(|(_, block)| block.rows.iter().copied())
            .filter(move |row| row.uid >= start && row.uid <= end)
    }

    /// The rows changed after `modseq`, by rising UID. Skips blocks that did not change.
    pub fn rows_changed_since(&self, modseq: Option<ModSeq>) -> impl Iterator<Item = Row> + '_ {
        let blocks = self.0.blocks.iter().filter(move |(_, block)| block.highest > modseq);
        blocks.flat_map(|(_, block)| block.rows.iter().copied()).filter(move |row| Some(row.modseq) > modseq)
    }

    /// The flags of a row by name.
    pub fn flags(&self, row: &Row) -> Flags {
        flags_of(row, &self.0.header.status.keywords)
    }

    /// The keyword bit of a flag's keyword, where the mailbox has it in use.
    pub fn keyword_bit(&self, flag: &Flag) -> Option<u64> {
        let Flag::Keyword(keyword) = flag else { return None };
        self.0.header.status.keywords.iter().position(|known| known == keyword).map(|bit| 1 << bit)
    }
}

/// The flags of a row by name, where its mailbox has these keywords.
pub(super) fn flags_of(row: &Row, keywords: &[Keyword]) -> Flags {
    let set = keywords.iter().enumerate().filter(|(bit, _)| row.keywords >> bit & 1 == 1);
    Flags { system: row.flags, keywords: set.map(|(_, keyword)| keyword.clone()).collect() }
}

impl Store {
    /// All mailboxes of an account, by name.
    pub fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxEntry>, StoreError> {
        Ok(self.inner.account(account)?.entries().collect())
    }

    /// Names that are subscribed, whether or not a mailbox bears them (RFC 9051 §6.3.7).
    pub fn subscriptions(&self, account: AccountId) -> Result<Vec<String>, StoreError> {
        Ok(self.inner.account(account)?.names().subscriptions.iter().cloned().collect())
    }

    /// Finds a mailbox; INBOX in any case (RFC 9051 §5.1).
    pub fn mailbox(&self, account: AccountId, name: &str) -> Result<MailboxEntry, StoreError> {
        self.inner.account(account)?.find(&canonical(name)).ok_or(StoreError::NoMailbox)
    }

    /// The mailbox of a special use, where there is one.
    pub fn mailbox_for(&self, account: AccountId, special_use: SpecialUse) -> Result<Option<MailboxEntry>, StoreError> {
        Ok(self.inner.account(account)?.entries().find(|entry| entry.special_use == Some(special_use)))
    }

    /// The counters of a mailbox, in O(1).
    pub fn status(&self, account: AccountId, mailbox: MailboxId) -> Result<MailboxStatus, StoreError> {
        let open = || self.inner.mailboxes.get(&(account, mailbox)).map(|open| open.header.status.clone());
        if let Some(status) = open() {
            return Ok(status);
        }
        // The rows of a removed account may still be there.
        if matches!(self.inner.account(account), Err(StoreError::NoAccount)) {
            return Err(StoreError::NoMailbox);
        }
        let header = self.inner.engine.get(Table::Mailbox, self.inner.place(account).header(mailbox))?;
        // Whoever opened it meanwhile decides what is shown, so that counters never go back.
        match open() {
            Some(status) => Ok(status),
            None => Ok(Header::decode(&header.ok_or(StoreError::NoMailbox)?)?.status),
        }
    }

    /// The mailbox as it is now. Reads its rows where no session has it open: some milliseconds for 100,000 messages.
    pub fn snapshot(&self, account: AccountId, mailbox: MailboxId) -> Result<Snapshot, StoreError> {
        self.inner.open_mailbox(account, mailbox).map(Snapshot)
    }
}
