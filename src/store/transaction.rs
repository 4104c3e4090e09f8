//! A group of writes to one partition, before they are committed together.
//!
//! The states that a group changes are copies; the writer publishes them after the commit, so a reader never
//! sees what is not durable. Operations check everything before they change anything, so one that
//! fails leaves the group as it was.

use super::{
    Inner, StoreError,
    block::{Block, block_of},
    key::{Column, Place, end_of},
    mailbox::{MailboxStatus, Row, State},
    metadata::{Batch, Table},
    names::AccountState,
    record::StoredRecord,
};
use crate::{
    clock::UnixMillis,
    limits,
    mail::{AccountId, ContentId, Keyword, MailboxId, MessageNumber, ModSeq, SystemFlags, Uid, UidValidity},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// A mailbox that the group has changed, with the blocks that are to be written.
struct Changed {
    state: State,
    blocks: BTreeMap<u32, Touched>,
}

/// Which values of a block have to be written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    Variable,
    Both,
}

/// Writes of one group, read back by those that come later in it.
pub(super) struct Transaction<'a> {
    inner: &'a Inner,
    batch: Batch,
    accounts: HashMap<AccountId, AccountState>,
    mailboxes: HashMap<(AccountId, MailboxId), Changed>,
    removed_accounts: Vec<AccountId>,
    removed_mailboxes: Vec<(AccountId, MailboxId)>,
    record_rows: HashMap<(AccountId, MessageNumber), u32>,
    references: HashMap<(AccountId, ContentId), u64>,
    /// Records added in this group, which the engine does not show yet.
    records: HashMap<(AccountId, MessageNumber), Vec<ContentId>>,
    repeats: HashMap<super::RepeatKey, Vec<u8>>,
    indexed: BTreeSet<AccountId>,
}

/// What the writer publishes once a group is committed.
pub(super) struct Published {
    pub(super) accounts: HashMap<AccountId, AccountState>,
    pub(super) mailboxes: Vec<((AccountId, MailboxId), Arc<State>)>,
    pub(super) removed_accounts: Vec<AccountId>,
    pub(super) removed_mailboxes: Vec<(AccountId, MailboxId)>,
    /// Accounts with new text to index.
    pub(super) indexed: BTreeSet<AccountId>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(inner: &'a Inner) -> Self {
        Self {
            inner,
            batch: Batch::default(),
            accounts: HashMap::new(),
            mailboxes: HashMap::new(),
            removed_accounts: Vec::new(),
            removed_mailboxes: Vec::new(),
            record_rows: HashMap::new(),
            references: HashMap::new(),
            records: HashMap::new(),
            repeats: HashMap::new(),
            indexed: BTreeSet::new(),
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

    /// The batch, for rows that nothing in the group reads back.
    pub(super) fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Octets gathered so far.
    pub(super) fn octets(&self) -> usize {
        self.batch.octets()
    }

    pub(super) fn account(&mut self, account: AccountId) -> Result<&AccountState, StoreError> {
        self.account_mut(account).map(|state| &*state)
    }

    pub(super) fn account_mut(&mut self, account: AccountId) -> Result<&mut AccountState, StoreError> {
        if self.removed_accounts.contains(&account) {
            return Err(StoreError::NoAccount);
        }
        match self.accounts.entry(account) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                Ok(entry.insert(self.inner.account(account)?.as_ref().clone()))
            }
        }
    }

    pub(super) fn insert_account(&mut self, account: AccountId, state: AccountState) {
        self.accounts.insert(account, state);
    }

    pub(super) fn forget_account(&mut self, account: AccountId) {
        self.accounts.remove(&account);
        self.mailboxes.retain(|(of, _), _| *of != account);
        self.removed_accounts.push(account);
    }

    /// The mailbox with what the group has done to it.
    pub(super) fn mailbox(&mut self, account: AccountId, mailbox: MailboxId) -> Result<&State, StoreError> {
        self.changed(account, mailbox).map(|changed| &changed.state)
    }

    fn changed(&mut self, account: AccountId, mailbox: MailboxId) -> Result<&mut Changed, StoreError> {
        if !self.account(account)?.has(mailbox) {
            return Err(StoreError::NoMailbox);
        }
        match self.mailboxes.entry((account, mailbox)) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let state = self.inner.open_mailbox_for_write(account, mailbox)?.as_ref().clone();
                Ok(entry.insert(Changed { state, blocks: BTreeMap::new() }))
            }
        }
    }

    pub(super) fn new_mailbox(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uid_validity: UidValidity,
        modseq: ModSeq,
    ) {
        let state = State { status: MailboxStatus::empty(uid_validity, modseq), blocks: Vec::new() };
        self.mailboxes.insert((account, mailbox), Changed { state, blocks: BTreeMap::new() });
    }

    /// Removes a mailbox that its account names no more, and every message in it.
    pub(super) fn drop_mailbox(&mut self, account: AccountId, mailbox: MailboxId) -> Result<(), StoreError> {
        let state = match self.mailboxes.remove(&(account, mailbox)) {
            Some(changed) => changed.state,
            None => self.inner.open_mailbox_for_write(account, mailbox)?.as_ref().clone(),
        };
        for (_, block) in &state.blocks {
            for row in &block.rows {
                self.release_record(account, row.number)?;
            }
        }
        let place = self.place(account);
        let prefix = place.blocks(mailbox);
        self.batch.delete_range(Table::Row, &prefix, end_of(prefix.clone()));
        self.batch.delete_range(Table::Change, &prefix, end_of(prefix.clone()));
        self.batch.delete(Table::Mailbox, place.header(mailbox));
        self.removed_mailboxes.push((account, mailbox));
        Ok(())
    }

    /// Adds a row under the next UID.
    pub(super) fn add_row(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        row: impl FnOnce(Uid) -> Row,
    ) -> Result<Row, StoreError> {
        let changed = self.changed(account, mailbox)?;
        let uid = changed.state.status.uid_next;
        let next = uid.next().ok_or_else(|| StoreError::Failed("the UIDs of a mailbox are used up".to_owned()))?;
        let row = row(uid);
        changed.state.status.uid_next = next;
        count(&mut changed.state.status, &row, Count::In);
        changed.edit(block_of(uid), Touched::Both, |rows| rows.push(row));
        changed.state.status.highest_modseq = row.modseq;
        Ok(row)
    }

    /// Replaces rows of a mailbox by others with the same UIDs and fixed values.
    pub(super) fn set_rows(&mut self, account: AccountId, mailbox: MailboxId, rows: &[Row]) -> Result<(), StoreError> {
        let changed = self.changed(account, mailbox)?;
        for of_block in rows.chunk_by(|one, other| block_of(one.uid) == block_of(other.uid)) {
            let Some(first) = of_block.first() else { continue };
            let block = changed.state.block(block_of(first.uid)).cloned().unwrap_or_default();
            for row in of_block {
                if let Some(old) = block.position(row.uid).and_then(|at| block.rows.get(at)) {
                    count(&mut changed.state.status, old, Count::Out);
                    count(&mut changed.state.status, row, Count::In);
                }
                let highest = changed.state.status.highest_modseq.max(row.modseq);
                changed.state.status.highest_modseq = highest;
            }
            changed.edit(block_of(first.uid), Touched::Variable, |kept| {
                for row in of_block {
                    if let Ok(at) = kept.binary_search_by_key(&row.uid, |kept| kept.uid)
                        && let Some(place) = kept.get_mut(at)
                    {
                        *place = *row;
                    }
                }
            });
        }
        Ok(())
    }

    /// Removes rows and notes their UIDs as vanished at `modseq`. The records they name lose a row each.
    pub(super) fn remove_rows(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        rows: &[Row],
        modseq: ModSeq,
    ) -> Result<(), StoreError> {
        let place = self.place(account);
        let changed = self.changed(account, mailbox)?;
        for of_block in rows.chunk_by(|one, other| block_of(one.uid) == block_of(other.uid)) {
            let Some(first) = of_block.first() else { continue };
            let gone: BTreeSet<Uid> = of_block.iter().map(|row| row.uid).collect();
            of_block.iter().for_each(|row| count(&mut changed.state.status, row, Count::Out));
            changed.edit(block_of(first.uid), Touched::Both, |kept| kept.retain(|row| !gone.contains(&row.uid)));
        }
        if !rows.is_empty() {
            changed.state.status.highest_modseq = changed.state.status.highest_modseq.max(modseq);
        }
        for row in rows {
            self.batch.put(Table::Change, place.vanished(mailbox, modseq, row.uid), b"");
        }
        Ok(())
    }

    /// The bit of a keyword, given to it where it is new.
    pub(super) fn keyword_bits<'k>(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        keywords: impl Iterator<Item = &'k Keyword> + Clone,
    ) -> Result<u64, StoreError> {
        let known = &mut self.changed(account, mailbox)?.state.status.keywords;
        let new: Vec<&Keyword> = keywords.clone().filter(|keyword| !known.contains(keyword)).collect();
        if known.len() + new.len() > limits::MAILBOX_KEYWORDS_MAX {
            return Err(StoreError::TooManyKeywords);
        }
        known.extend(new.into_iter().cloned());
        Ok(keywords
            .filter_map(|keyword| known.iter().position(|known| known == keyword))
            .fold(0, |bits, bit| bits | 1 << bit))
    }

    /// Adds a record, named by one row, and its references.
    pub(super) fn add_record(
        &mut self,
        account: AccountId,
        number: MessageNumber,
        record: &StoredRecord,
    ) -> Result<(), StoreError> {
        let place = self.place(account);
        let contents = record.manifest.contents();
        for content in &contents {
            self.change_reference(account, *content, 1)?;
        }
        record.write(place, number, &mut self.batch);
        self.records.insert((account, number), contents);
        self.indexed.insert(account);
        Ok(())
    }

    /// One more row names a record.
    pub(super) fn retain_record(&mut self, account: AccountId, number: MessageNumber) -> Result<(), StoreError> {
        let rows = self.rows_of_record(account, number)?.saturating_add(1);
        self.set_rows_of_record(account, number, rows);
        Ok(())
    }

    /// One row less names a record; the last one takes the record and its references with it.
    pub(super) fn release_record(&mut self, account: AccountId, number: MessageNumber) -> Result<(), StoreError> {
        let rows = self.rows_of_record(account, number)?.saturating_sub(1);
        self.set_rows_of_record(account, number, rows);
        if rows > 0 {
            return Ok(());
        }
        let place = self.place(account);
        let contents = match self.records.remove(&(account, number)) {
            Some(contents) => contents,
            None => StoredRecord::read(&self.inner.engine, place, number)?.manifest.contents(),
        };
        for content in contents {
            self.change_reference(account, content, -1)?;
        }
        let prefix = place.record(number);
        self.batch.delete_range(Table::Record, &prefix, end_of(prefix.clone()));
        let tail = super::index::Indexes::tail_key(place, number);
        self.batch.delete_range(Table::Tail, &tail, end_of(tail.clone()));
        Ok(())
    }

    fn rows_of_record(&self, account: AccountId, number: MessageNumber) -> Result<u32, StoreError> {
        if let Some(rows) = self.record_rows.get(&(account, number)) {
            return Ok(*rows);
        }
        let key = self.place(account).record_rows(number);
        let value = self.inner.engine.get(Table::Record, key)?;
        Ok(value.and_then(|value| value.first_chunk().copied()).map_or(1, u32::from_be_bytes))
    }

    fn set_rows_of_record(&mut self, account: AccountId, number: MessageNumber, rows: u32) {
        let key = self.place(account).record_rows(number);
        self.record_rows.insert((account, number), rows);
        match rows {
            0 | 1 => self.batch.delete(Table::Record, key),
            _ => self.batch.put(Table::Record, key, rows.to_be_bytes()),
        }
    }

    fn change_reference(&mut self, account: AccountId, content: ContentId, by: i64) -> Result<(), StoreError> {
        let key = self.place(account).reference(content);
        let known = match self.references.get(&(account, content)) {
            Some(count) => *count,
            None => {
                let value = self.inner.engine.get(Table::Reference, &key)?;
                value.and_then(|value| value.first_chunk().copied()).map_or(0, u64::from_be_bytes)
            }
        };
        let count = known.saturating_add_signed(by);
        self.references.insert((account, content), count);
        match count {
            0 => self.batch.delete(Table::Reference, key),
            _ => self.batch.put(Table::Reference, key, count.to_be_bytes()),
        }
        Ok(())
    }

    /// What was given out for a delivery that its sender may repeat.
    pub(super) fn repeat(&self, key: super::RepeatKey) -> Result<Option<Vec<u8>>, StoreError> {
        match self.repeats.get(&key) {
            Some(value) => Ok(Some(value.clone())),
            None => Ok(self.inner.engine.get(Table::Repeat, key.0)?.map(|value| value.to_vec())),
        }
    }

    pub(super) fn remember_repeat(&mut self, key: super::RepeatKey, value: Vec<u8>) {
        self.batch.put(Table::Repeat, key.0, &value);
        self.repeats.insert(key, value);
    }

    /// Adds every changed row to the batch.
    pub(super) fn finish(mut self) -> (Batch, Published) {
        for (account, state) in &mut self.accounts {
            state.write(self.inner.place(*account), &mut self.batch);
        }
        let mut mailboxes = Vec::with_capacity(self.mailboxes.len());
        for ((account, mailbox), changed) in self.mailboxes {
            changed.write(self.inner.place(account), mailbox, &mut self.batch);
            mailboxes.push(((account, mailbox), Arc::new(changed.state)));
        }
        let published = Published {
            accounts: self.accounts,
            mailboxes,
            removed_accounts: self.removed_accounts,
            removed_mailboxes: self.removed_mailboxes,
            indexed: self.indexed,
        };
        (self.batch, published)
    }
}

impl Changed {
    fn edit(&mut self, number: u32, touched: Touched, edit: impl FnOnce(&mut Vec<Row>)) {
        let mut rows = self.state.block(number).map(|block| block.rows.clone()).unwrap_or_default();
        edit(&mut rows);
        self.state.set_block(number, Block::new(rows));
        let before = self.blocks.entry(number).or_insert(touched);
        *before = touched.max(*before);
    }

    fn write(&self, place: Place, mailbox: MailboxId, batch: &mut Batch) {
        for (number, touched) in &self.blocks {
            let (fixed, variable) =
                (place.block(mailbox, *number, Column::Fixed), place.block(mailbox, *number, Column::Variable));
            let Some(block) = self.state.block(*number) else {
                batch.delete(Table::Row, fixed);
                batch.delete(Table::Row, variable);
                continue;
            };
            if *touched == Touched::Both {
                batch.put(Table::Row, fixed, block.fixed());
            }
            batch.put(Table::Row, variable, block.variable());
        }
        batch.put(Table::Mailbox, place.header(mailbox), self.state.status.encode());
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
    status.octets = match which {
        Count::In => status.octets.saturating_add(row.octets),
        Count::Out => status.octets.saturating_sub(row.octets),
    };
}
