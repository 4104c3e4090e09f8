//! Mailboxes as they are read: listings, counters, snapshots of rows.

use super::{
    Store, StoreError,
    block::{Block, block_of},
    key::Place,
    metadata::Table,
};
use crate::mail::{AccountId, Flag, Flags, Keyword, MailboxId, MessageNumber, ModSeq, SystemFlags, Uid, UidValidity};
use std::sync::Arc;

use super::names::{MailboxEntry, SpecialUse};

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

impl MailboxStatus {
    /// A new mailbox's.
    pub(super) fn empty(uid_validity: UidValidity, modseq: ModSeq) -> Self {
        Self {
            exists: 0,
            unseen: 0,
            deleted: 0,
            octets: 0,
            uid_next: Uid::FIRST,
            uid_validity,
            highest_modseq: modseq,
            keywords: Vec::new(),
        }
    }

    /// The stored form of the header row.
    pub(super) fn encode(&self) -> Vec<u8> {
        let keywords: Vec<&str> = self.keywords.iter().map(Keyword::as_str).collect();
        let row = (
            (self.exists, self.unseen, self.deleted, self.octets),
            (self.uid_next.get(), self.uid_validity.get(), self.highest_modseq.get()),
            keywords,
        );
        postcard::to_allocvec(&row).expect("numbers and texts always encode")
    }

    /// Reads the header row.
    pub(super) fn decode(octets: &[u8]) -> Result<Self, StoreError> {
        type Row<'a> = ((u32, u32, u32, u64), (u32, u32, u64), Vec<&'a str>);
        let damaged = || StoreError::Damaged("the header of a mailbox".to_owned());
        let row: Row<'_> = postcard::from_bytes(octets).map_err(|_| damaged())?;
        let ((exists, unseen, deleted, octets), (uid_next, uid_validity, modseq), keywords) = row;
        Ok(Self {
            exists,
            unseen,
            deleted,
            octets,
            uid_next: Uid::new(uid_next).ok_or_else(damaged)?,
            uid_validity: UidValidity::new(uid_validity).ok_or_else(damaged)?,
            highest_modseq: ModSeq::new(modseq).ok_or_else(damaged)?,
            keywords: keywords
                .into_iter()
                .map(|name| Keyword::new(name).ok_or_else(damaged))
                .collect::<Result<_, _>>()?,
        })
    }
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

/// Header and blocks of a mailbox.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) status: MailboxStatus,
    /// By rising number; no block is empty.
    pub(super) blocks: Vec<(u32, Arc<Block>)>,
}

impl Snapshot {
    /// The counters at that moment.
    pub fn status(&self) -> &MailboxStatus {
        &self.0.status
    }

    /// Every row, by rising UID.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = Row> + '_ {
        self.0.blocks.iter().flat_map(|(_, block)| block.rows.iter().copied())
    }

    /// The row of a UID. O(log messages).
    pub fn row(&self, uid: Uid) -> Option<Row> {
        let block = self.0.block(block_of(uid))?;
        block.rows.get(block.position(uid)?).copied()
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
        let keywords = self.0.status.keywords.iter().enumerate();
        let set = keywords.filter(|(bit, _)| row.keywords >> bit & 1 == 1).map(|(_, keyword)| keyword.clone());
        Flags { system: row.flags, keywords: set.collect() }
    }

    /// The keyword bit of a flag's keyword, where the mailbox has it in use.
    pub fn keyword_bit(&self, flag: &Flag) -> Option<u64> {
        let Flag::Keyword(keyword) = flag else { return None };
        self.0.status.keywords.iter().position(|known| known == keyword).map(|bit| 1 << bit)
    }
}

impl State {
    fn position(&self, block: u32) -> Result<usize, usize> {
        self.blocks.binary_search_by_key(&block, |(number, _)| *number)
    }

    pub(super) fn block(&self, block: u32) -> Option<&Arc<Block>> {
        self.position(block).ok().and_then(|at| self.blocks.get(at)).map(|(_, block)| block)
    }

    /// Puts a block in its place; an empty one takes it away.
    pub(super) fn set_block(&mut self, number: u32, block: Block) {
        match (self.position(number), block.rows.is_empty()) {
            (Ok(at), true) => {
                self.blocks.remove(at);
            }
            (Ok(at), false) => {
                if let Some((_, place)) = self.blocks.get_mut(at) {
                    *place = Arc::new(block);
                }
            }
            (Err(_), true) => {}
            (Err(at), false) => self.blocks.insert(at, (number, Arc::new(block))),
        }
    }

    /// Octets that it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        256 + self.blocks.len() * 64 + self.status.exists as usize * size_of::<Row>()
    }

    /// Reads a mailbox from its rows.
    pub(super) fn load(store: &super::Inner, place: Place, mailbox: MailboxId) -> Result<Self, StoreError> {
        let header = store.engine.get(Table::Mailbox, place.header(mailbox))?.ok_or(StoreError::NoMailbox)?;
        let status = MailboxStatus::decode(&header)?;
        let prefix = place.blocks(mailbox);
        let (mut blocks, mut fixed, mut fault) = (Vec::new(), None, None);
        store.engine.scan_prefix(Table::Row, &prefix, |key, value| {
            let Some((number, column)) = key.get(prefix.len()..).and_then(<[u8]>::split_first_chunk::<4>) else {
                return true;
            };
            let number = u32::from_be_bytes(*number);
            match (column, fixed.take()) {
                (b"f", _) => fixed = Some((number, value.to_vec())),
                (b"v", Some((of, fixed))) if of == number => match Block::read(number, &fixed, value) {
                    Ok(block) => blocks.push((number, Arc::new(block))),
                    Err(error) => fault = Some(error),
                },
                (_, _) => fault = Some(StoreError::Damaged(format!("block {number} of rows has lost a column"))),
            }
            fault.is_none()
        })?;
        match fault {
            Some(fault) => Err(fault),
            None => Ok(Self { status, blocks }),
        }
    }
}

impl Store {
    /// All mailboxes of an account, by name.
    pub fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxEntry>, StoreError> {
        Ok(self.inner.account(account)?.entries())
    }

    /// Names that are subscribed, whether or not a mailbox bears them (RFC 9051 §6.3.7).
    pub fn subscriptions(&self, account: AccountId) -> Result<Vec<String>, StoreError> {
        Ok(self.inner.account(account)?.subscriptions().cloned().collect())
    }

    /// Finds a mailbox; INBOX in any case (RFC 9051 §5.1).
    pub fn mailbox(&self, account: AccountId, name: &str) -> Result<MailboxEntry, StoreError> {
        self.inner.account(account)?.find(name).ok_or(StoreError::NoMailbox)
    }

    /// The mailbox of a special use, where there is one.
    pub fn mailbox_for(&self, account: AccountId, special_use: SpecialUse) -> Result<Option<MailboxEntry>, StoreError> {
        let entries = self.inner.account(account)?.entries();
        Ok(entries.into_iter().find(|entry| entry.special_use == Some(special_use)))
    }

    /// The counters of a mailbox, in O(1).
    pub fn status(&self, account: AccountId, mailbox: MailboxId) -> Result<MailboxStatus, StoreError> {
        if let Some(open) = self.inner.open_mailboxes.get(account, mailbox) {
            return Ok(open.status.clone());
        }
        let key = self.inner.place(account).header(mailbox);
        MailboxStatus::decode(&self.inner.engine.get(Table::Mailbox, key)?.ok_or(StoreError::NoMailbox)?)
    }

    /// The mailbox as it is now. Reads its rows where no session has it open: some milliseconds for 100,000 messages.
    pub fn snapshot(&self, account: AccountId, mailbox: MailboxId) -> Result<Snapshot, StoreError> {
        self.inner.open_mailbox(account, mailbox).map(Snapshot)
    }

    /// UIDs expunged after `modseq`, by rising UID; `None` where the log no longer reaches back so
    /// far and the client must compare (RFC 7162 §3.2.5.2). The log is kept whole for now.
    pub fn vanished_since(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        modseq: ModSeq,
    ) -> Result<Option<Vec<Uid>>, StoreError> {
        let prefix = self.inner.place(account).blocks(mailbox);
        let (mut start, end) = (prefix.clone(), super::key::end_of(prefix));
        start.extend(modseq.get().saturating_add(1).to_be_bytes());
        let mut uids = Vec::new();
        let range = (std::ops::Bound::Included(&*start), std::ops::Bound::Excluded(&*end));
        self.inner.engine.scan(Table::Change, range, |key, _| {
            let uid = key.split_last_chunk::<4>().and_then(|(_, uid)| Uid::new(u32::from_be_bytes(*uid)));
            uids.extend(uid);
            true
        })?;
        uids.sort_unstable();
        Ok(Some(uids))
    }
}
