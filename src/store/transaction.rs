//! A group of writes to one partition, before they are committed together.
//!
//! The states that a group changes are copies; the writer publishes them after the commit, so a reader never
//! sees what is not durable. An operation that fails after it changed something is taken out by running the
//! others of its group again (`partition`), so operations need not undo anything.

use super::{
    Inner, StoreError,
    account_state::{AccountState, Named},
    block::block_of,
    key::{Column, Place, end_of},
    mailbox::{MailboxStatus, Row},
    metadata::{Batch, Domain, Table},
    quota::Usage,
    record::StoredRecord,
    release::{self, Cause, Note},
    state::{Header, State},
    vanished,
};
use crate::{
    clock::UnixMillis,
    limits,
    mail::{AccountId, ContentId, Keyword, MailboxId, MessageNumber, ModSeq, SystemFlags, Uid, UidValidity},
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
};

/// Writes of one group, read back by those that come later in it.
pub(super) struct Transaction<'a> {
    inner: &'a Inner,
    partition: u16,
    batch: Batch,
    /// Values written in this group that it reads again: counts, marks, remembered deliveries.
    written: HashMap<(Table, Vec<u8>), Option<Bytes>>,
    accounts: HashMap<AccountId, AccountState>,
    mailboxes: HashMap<(AccountId, MailboxId), OpenMailbox>,
    published: Published,
    /// How many changes were made: tells whether an operation left something behind.
    changes: u64,
}

/// What the writer publishes once a group is committed.
#[derive(Default)]
pub(super) struct Published {
    pub(super) accounts: HashMap<AccountId, AccountState>,
    pub(super) mailboxes: Vec<((AccountId, MailboxId), Arc<State>)>,
    pub(super) removed_accounts: BTreeSet<AccountId>,
    pub(super) removed_mailboxes: Vec<(AccountId, MailboxId)>,
    /// Accounts with new text to index.
    pub(super) indexed: BTreeSet<AccountId>,
    /// Whether deleted rows were noted.
    pub(super) released: bool,
}

/// A mailbox that the group has read or changed.
struct OpenMailbox {
    state: State,
    /// Whether it has to be written.
    changed: bool,
    /// Blocks that have to be written.
    blocks: BTreeMap<u32, Columns>,
}

/// Which values of a block have to be written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Columns {
    Variable,
    Both,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(inner: &'a Inner, partition: u16) -> Self {
        Self {
            inner,
            partition,
            batch: Batch::of(Domain::Partition(partition)),
            written: HashMap::new(),
            accounts: HashMap::new(),
            mailboxes: HashMap::new(),
            published: Published::default(),
            changes: 0,
        }
    }

    pub(super) fn inner(&self) -> &'a Inner {
        self.inner
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.inner.clock.now()
    }

    pub(super) fn place(&self, account: AccountId) -> Place {
        self.inner.place(account)
    }

    /// Grows with every change.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The partition whose accounts it changes.
    pub(super) fn partition(&self) -> u16 {
        self.partition
    }

    /// Octets gathered so far; of blocks, which are written last, about.
    pub(super) fn octets(&self) -> usize {
        self.batch.octets() + self.mailboxes.values().map(OpenMailbox::octets).sum::<usize>()
    }

    /// The batch, for rows that nothing in the group reads back.
    pub(super) fn batch(&mut self) -> &mut Batch {
        self.changes += 1;
        &mut self.batch
    }

    /// A value as the group has left it.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.written.get(&(table, key.to_vec())) {
            Some(value) => Ok(value.clone()),
            None => self.inner.engine.get(table, key),
        }
    }

    /// Sets a value that the group may read again.
    pub(super) fn put(&mut self, table: Table, key: Vec<u8>, value: impl Into<Bytes>) {
        let value = value.into();
        self.batch().put(table, &key, &value);
        self.written.insert((table, key), Some(value));
    }

    /// Removes a value that the group may read again.
    pub(super) fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.batch().delete(table, &key);
        self.written.insert((table, key), None);
    }

    /// The account as the group has left it.
    pub(super) fn account(&self, account: AccountId) -> Result<AccountRef<'_>, StoreError> {
        if self.published.removed_accounts.contains(&account) {
            return Err(StoreError::NoAccount);
        }
        match self.accounts.get(&account) {
            Some(state) => Ok(AccountRef::Changed(state)),
            None => self.inner.account(account).map(AccountRef::Committed),
        }
    }

    /// The account, to be changed.
    pub(super) fn account_mut(&mut self, account: AccountId) -> Result<&mut AccountState, StoreError> {
        if self.published.removed_accounts.contains(&account) {
            return Err(StoreError::NoAccount);
        }
        self.changes += 1;
        match self.accounts.entry(account) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(self.inner.account(account)?.as_ref().clone())),
        }
    }

    pub(super) fn insert_account(&mut self, account: AccountId, state: AccountState) {
        self.changes += 1;
        self.accounts.insert(account, state);
    }

    /// Removes all rows that an account has. The objects of its index are the caller's.
    pub(super) fn drop_account(&mut self, account: AccountId) -> Result<(), StoreError> {
        let place = self.place(account);
        for table in
            [Table::Mailbox, Table::Row, Table::Record, Table::Change, Table::Reference, Table::Tail, Table::Segment]
        {
            self.batch().delete_range(table, place.prefix(), end_of(place.prefix()));
        }
        for note in release::keys_of(self.inner, place)? {
            self.delete(Table::Outbox, note);
        }
        self.mailboxes.retain(|(of, _), _| *of != account);
        self.hide_account(account);
        Ok(())
    }

    /// Takes an account out of sight; its rows stay.
    pub(super) fn hide_account(&mut self, account: AccountId) {
        self.changes += 1;
        self.accounts.remove(&account);
        self.published.removed_accounts.insert(account);
    }

    /// The mailbox as the group has left it.
    pub(super) fn mailbox(&mut self, account: AccountId, mailbox: MailboxId) -> Result<&State, StoreError> {
        self.open_mailbox(account, mailbox).map(|open| &open.state)
    }

    fn open_mailbox(&mut self, account: AccountId, mailbox: MailboxId) -> Result<&mut OpenMailbox, StoreError> {
        if !self.account(account)?.has(mailbox) {
            return Err(StoreError::NoMailbox);
        }
        match self.mailboxes.entry((account, mailbox)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let state = self.inner.open_mailbox(account, mailbox)?.as_ref().clone();
                Ok(entry.insert(OpenMailbox { state, changed: false, blocks: BTreeMap::new() }))
            }
        }
    }

    fn mailbox_mut(&mut self, account: AccountId, mailbox: MailboxId) -> Result<&mut OpenMailbox, StoreError> {
        self.changes += 1;
        let open = self.open_mailbox(account, mailbox)?;
        open.changed = true;
        Ok(open)
    }

    pub(super) fn new_mailbox(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uid_validity: UidValidity,
        modseq: ModSeq,
    ) {
        self.changes += 1;
        let state = State::new(Header::new(uid_validity, modseq));
        self.mailboxes.insert((account, mailbox), OpenMailbox { state, changed: true, blocks: BTreeMap::new() });
    }

    /// Removes a mailbox that its account names no more, and every message in it.
    pub(super) fn drop_mailbox(&mut self, account: AccountId, name: &str, named: Named) -> Result<(), StoreError> {
        let mailbox = named.id;
        let state = match self.mailboxes.remove(&(account, mailbox)) {
            Some(open) => open.state,
            None => self.inner.open_mailbox(account, mailbox)?.as_ref().clone(),
        };
        let modseq = self.account_mut(account)?.take_modseq()?;
        self.count_out(account, usage_of(state.rows()))?;
        let (name, keywords) = (name.to_owned(), state.header.status.keywords.clone());
        let rows = state.rows().copied().collect();
        let cause = Cause::MailboxDeleted(named.special_use);
        self.release(account, modseq, Note { mailbox, name, cause, keywords, rows });
        let place = self.place(account);
        let prefix = place.blocks(mailbox);
        for table in [Table::Row, Table::Change] {
            self.batch().delete_range(table, &prefix, end_of(prefix.clone()));
        }
        self.batch().delete(Table::Mailbox, place.header(mailbox));
        self.published.removed_mailboxes.push((account, mailbox));
        Ok(())
    }

    /// Adds a row under the next UID.
    pub(super) fn add_row(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        row: impl FnOnce(Uid) -> Row,
    ) -> Result<Row, StoreError> {
        let open = self.mailbox_mut(account, mailbox)?;
        let status = &mut open.state.header.status;
        let uid = status.uid_next;
        let next = uid.next().ok_or_else(|| StoreError::Failed("the UIDs of a mailbox are used up".to_owned()))?;
        let row = row(uid);
        status.uid_next = next;
        status.highest_modseq = status.highest_modseq.max(row.modseq);
        count(status, &row, Count::In);
        open.edit(block_of(uid), Columns::Both, |rows| rows.push(row));
        self.account_mut(account)?.set_usage(|usage| usage.plus(Usage::of_message(row.octets)));
        Ok(row)
    }

    /// Replaces rows of a mailbox, by rising UID, by others with the same UIDs and fixed values.
    pub(super) fn set_rows(&mut self, account: AccountId, mailbox: MailboxId, rows: &[Row]) -> Result<(), StoreError> {
        let open = self.mailbox_mut(account, mailbox)?;
        for row in rows {
            let old = open.state.row(row.uid).copied();
            let status = &mut open.state.header.status;
            old.iter().for_each(|old| count(status, old, Count::Out));
            count(status, row, Count::In);
            status.highest_modseq = status.highest_modseq.max(row.modseq);
        }
        for of_block in by_block(rows) {
            let Some(first) = of_block.first() else { continue };
            open.edit(block_of(first.uid), Columns::Variable, |kept| replace(kept, of_block));
        }
        Ok(())
    }

    /// Removes rows of a mailbox, by rising UID, and notes their UIDs as vanished at `modseq`. The
    /// records that they name are the caller's.
    pub(super) fn remove_rows(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        rows: &[Row],
        modseq: ModSeq,
    ) -> Result<(), StoreError> {
        let open = self.mailbox_mut(account, mailbox)?;
        for of_block in by_block(rows) {
            let Some(first) = of_block.first() else { continue };
            let is_gone = |uid: Uid| of_block.binary_search_by_key(&uid, |row| row.uid).is_ok();
            open.edit(block_of(first.uid), Columns::Both, |kept| kept.retain(|row| !is_gone(row.uid)));
        }
        let header = &mut open.state.header;
        rows.iter().for_each(|row| count(&mut header.status, row, Count::Out));
        header.status.highest_modseq = header.status.highest_modseq.max(modseq);
        let uids: Vec<Uid> = rows.iter().map(|row| row.uid).collect();
        let log = vanished::rows(&uids);
        header.log.rows = header.log.rows.saturating_add(u32::try_from(log.len()).unwrap_or(u32::MAX));
        let place = self.place(account);
        for (first, value) in log {
            self.batch().put(Table::Change, place.vanished(mailbox, modseq, first), value);
        }
        self.count_out(account, usage_of(rows.iter()))?;
        self.bound_log(account, mailbox)
    }

    /// Cuts the older half off a change log that has grown too long.
    fn bound_log(&mut self, account: AccountId, mailbox: MailboxId) -> Result<(), StoreError> {
        let (inner, place) = (self.inner, self.place(account));
        let log = &mut self.mailbox_mut(account, mailbox)?.state.header.log;
        if log.rows <= limits::CHANGE_LOG_ROWS_MAX {
            return Ok(());
        }
        let prefix = place.blocks(mailbox);
        let Some((last, gone)) = vanished::cut(inner, &prefix, limits::CHANGE_LOG_ROWS_MAX / 2)? else {
            return Ok(());
        };
        log.rows = log.rows.saturating_sub(gone);
        log.behind = Some(last);
        let end = [&*prefix, &last.get().saturating_add(1).to_be_bytes()].concat();
        self.batch().delete_range(Table::Change, &prefix, end);
        Ok(())
    }

    /// The bits of keywords, given to those that are new to the mailbox.
    pub(super) fn keyword_bits<'k>(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        keywords: impl Iterator<Item = &'k Keyword> + Clone,
    ) -> Result<u64, StoreError> {
        let known = &self.mailbox(account, mailbox)?.header.status.keywords;
        let mut new: Vec<Keyword> = keywords.clone().filter(|keyword| !known.contains(keyword)).cloned().collect();
        if known.len() + new.len() > limits::MAILBOX_KEYWORDS_MAX {
            return Err(StoreError::TooManyKeywords);
        }
        if !new.is_empty() {
            self.mailbox_mut(account, mailbox)?.state.header.status.keywords.append(&mut new);
        }
        self.known_keyword_bits(account, mailbox, keywords)
    }

    /// The bits of those keywords that the mailbox has.
    pub(super) fn known_keyword_bits<'k>(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        keywords: impl Iterator<Item = &'k Keyword>,
    ) -> Result<u64, StoreError> {
        let known = &self.mailbox(account, mailbox)?.header.status.keywords;
        let bits = keywords.filter_map(|keyword| known.iter().position(|known| known == keyword));
        Ok(bits.fold(0, |bits, bit| bits | 1 << bit))
    }

    /// Adds a record, named by one row, and its references.
    pub(super) fn add_record(
        &mut self,
        account: AccountId,
        number: MessageNumber,
        record: &StoredRecord,
    ) -> Result<(), StoreError> {
        for content in record.manifest.contents() {
            self.change_count(Table::Reference, self.place(account).reference(content), 0, 1)?;
        }
        let place = self.place(account);
        record.write(place, number, self.batch());
        self.published.indexed.insert(account);
        Ok(())
    }

    /// One more row names a record.
    pub(super) fn retain_record(&mut self, account: AccountId, number: MessageNumber) -> Result<(), StoreError> {
        self.change_count(Table::Record, self.place(account).record_rows(number), 1, 1).map(|_| ())
    }

    /// Notes that rows of a mailbox were expunged at a mod-sequence.
    pub(super) fn release_expunged(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        rows: &[Row],
        modseq: ModSeq,
    ) -> Result<(), StoreError> {
        let keywords = self.mailbox(account, mailbox)?.header.status.keywords.clone();
        let name = self.account(account)?.names().name_of(mailbox).ok_or(StoreError::NoMailbox)?.to_owned();
        self.release(account, modseq, Note { mailbox, name, cause: Cause::Expunged, keywords, rows: rows.to_vec() });
        Ok(())
    }

    /// Notes that a row less names each of these records; they are looked after in later groups ([`release`]),
    /// so that emptying a large mailbox does not hold up the partition, and once the rows cannot be brought back.
    fn release(&mut self, account: AccountId, modseq: ModSeq, note: Note) {
        let (place, seconds) = (self.place(account), self.now().seconds());
        for (chunk, value) in (0..).zip(note.values()) {
            self.batch().put(Table::Outbox, place.release(seconds, modseq, chunk), value);
            self.published.released = true;
        }
    }

    /// One row less names a record; the last one takes the record and its references with it.
    pub(super) fn release_record(&mut self, account: AccountId, number: MessageNumber) -> Result<(), StoreError> {
        let place = self.place(account);
        if self.change_count(Table::Record, place.record_rows(number), 1, -1)? > 0 {
            return Ok(());
        }
        let record = StoredRecord::read(&self.inner.engine, place, number)?;
        for content in record.manifest.contents() {
            self.change_reference(account, content)?;
        }
        record.delete(place, number, self.batch());
        Ok(())
    }

    fn change_reference(&mut self, account: AccountId, content: ContentId) -> Result<(), StoreError> {
        self.change_count(Table::Reference, self.place(account).reference(content), 0, -1).map(|_| ())
    }

    /// Changes a count and returns it. A count of `unwritten` has no row, and a count of zero has none either.
    fn change_count(&mut self, table: Table, key: Vec<u8>, unwritten: u64, by: i64) -> Result<u64, StoreError> {
        let known = self.get(table, &key)?.and_then(|value| value.first_chunk().copied());
        let count = known.map_or(unwritten, u64::from_be_bytes).saturating_add_signed(by);
        if count == unwritten || count == 0 {
            self.delete(table, key);
        } else {
            self.put(table, key, count.to_be_bytes().to_vec());
        }
        Ok(count)
    }

    /// Adds every changed row to the batch.
    pub(super) fn finish(mut self) -> (Batch, Published) {
        for (account, state) in &self.accounts {
            self.batch.put(Table::Mailbox, self.inner.place(*account).counters(), state.encode_counters());
        }
        for ((account, mailbox), open) in self.mailboxes.into_iter().filter(|(_, open)| open.changed) {
            open.write(self.inner.place(account), mailbox, &mut self.batch);
            self.published.mailboxes.push(((account, mailbox), Arc::new(open.state)));
        }
        self.published.accounts = self.accounts;
        (self.batch, self.published)
    }
}

/// An account to be read.
pub(super) enum AccountRef<'t> {
    Changed(&'t AccountState),
    Committed(Arc<AccountState>),
}

impl std::ops::Deref for AccountRef<'_> {
    type Target = AccountState;

    fn deref(&self) -> &AccountState {
        match self {
            Self::Changed(state) => state,
            Self::Committed(state) => state,
        }
    }
}

impl OpenMailbox {
    fn edit(&mut self, number: u32, columns: Columns, edit: impl FnOnce(&mut Vec<Row>)) {
        self.state.edit(number, edit);
        let before = self.blocks.entry(number).or_insert(columns);
        *before = columns.max(*before);
    }

    /// Octets of the blocks that have to be written, with some room.
    fn octets(&self) -> usize {
        let of_block = |(number, columns): (&u32, &Columns)| {
            let rows = self.state.block(*number).map_or(0, |block| block.rows.len());
            let of_row = if *columns == Columns::Both { 40 } else { 14 };
            64 + rows * of_row
        };
        self.blocks.iter().map(of_block).sum()
    }

    fn write(&self, place: Place, mailbox: MailboxId, batch: &mut Batch) {
        for (number, columns) in &self.blocks {
            let (fixed, variable) =
                (place.block(mailbox, *number, Column::Fixed), place.block(mailbox, *number, Column::Variable));
            let Some(block) = self.state.block(*number) else {
                batch.delete(Table::Row, fixed);
                batch.delete(Table::Row, variable);
                continue;
            };
            if *columns == Columns::Both {
                batch.put(Table::Row, fixed, block.fixed());
            }
            batch.put(Table::Row, variable, block.variable());
        }
        batch.put(Table::Mailbox, place.header(mailbox), self.state.header.encode());
    }
}

fn usage_of<'r>(rows: impl Iterator<Item = &'r Row>) -> Usage {
    rows.map(|row| Usage::of_message(row.octets)).sum()
}

fn by_block(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|one, other| block_of(one.uid) == block_of(other.uid))
}

fn replace(kept: &mut [Row], rows: &[Row]) {
    for row in rows {
        let at = kept.binary_search_by_key(&row.uid, |kept| kept.uid).ok();
        if let Some(place) = at.and_then(|at| kept.get_mut(at)) {
            *place = *row;
        }
    }
}

/// Whether a row comes into a mailbox's counters or leaves them.
#[derive(Clone, Copy)]
enum Count {
    In,
    Out,
}

fn count(status: &mut MailboxStatus, row: &Row, which: Count) {
    let change = |counter: &mut u32, by: bool| {
        let by = u32::from(by);
        *counter = match which {
            Count::In => counter.saturating_add(by),
            Count::Out => counter.saturating_sub(by),
        };
    };
    change(&mut status.exists, true);
    change(&mut status.unseen, !row.flags.contains(SystemFlags::SEEN));
    change(&mut status.deleted, row.flags.contains(SystemFlags::DELETED));
    let change = |counter: &mut u64, octets: u64| {
        *counter = match which {
            Count::In => counter.saturating_add(octets),
            Count::Out => counter.saturating_sub(octets),
        };
    };
    change(&mut status.octets, row.octets);
    let is_deleted = row.flags.contains(SystemFlags::DELETED);
    change(&mut status.deleted_octets, if is_deleted { row.octets } else { 0 });
}
