//! The rows of one account, read past damage.

use crate::{
    mail::{AccountId, MailboxId, MessageNumber, ModSeq, Uid, UidValidity},
    store::{
        AccountLimits, Store, StoreError,
        account_state::{Counters, Named},
        block::Block,
        inner::Inner,
        key::{Place, places_in, releases},
        mailbox::Row,
        metadata::{Table, View},
        off_the_reactor,
        release::{Note, Stamp},
        state::Header,
        vanished,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A row that should be there.
#[derive(Debug)]
pub(super) enum Read<T> {
    Good(T),
    Damaged,
    Missing,
}

impl<T> Read<T> {
    pub(super) fn of(value: Option<&[u8]>, decode: impl FnOnce(&[u8]) -> Option<T>) -> Self {
        match value {
            Some(value) => decode(value).map_or(Self::Damaged, Self::Good),
            None => Self::Missing,
        }
    }

    pub(super) fn good(&self) -> Option<&T> {
        if let Self::Good(value) = self { Some(value) } else { None }
    }
}

/// Everything that the tables of mailboxes say of an account, from one view.
pub(super) struct AccountRows {
    pub(super) place: Place,
    pub(super) counters: Read<Counters>,
    /// Whether the row of its quota's limits can be read, where there is one.
    pub(super) limits_readable: bool,
    pub(super) names: BTreeMap<String, Named>,
    /// Keys of names and subscriptions that cannot be read.
    pub(super) bad_names: Vec<Vec<u8>>,
    /// Headers; `Missing` where only rows or a name know of the mailbox.
    pub(super) headers: BTreeMap<MailboxId, Read<Header>>,
    pub(super) mailboxes: BTreeMap<MailboxId, MailboxRows>,
    /// Messages whose records have a row less than their count says, until the release is worked off.
    pub(super) released: Vec<MessageNumber>,
    /// Keys of releases that cannot be read.
    pub(super) bad_releases: Vec<Vec<u8>>,
    /// The highest of each number that any row names.
    pub(super) highest: Highest,
}

/// The rows and the change log of one mailbox.
#[derive(Default)]
pub(super) struct MailboxRows {
    /// By rising UID.
    pub(super) rows: Vec<Row>,
    /// Blocks that cannot be read, with what is left of the value that never changes.
    pub(super) bad_blocks: BTreeMap<u32, Option<Vec<u8>>>,
    pub(super) log_rows: u32,
    /// Keys of rows of the log that cannot be read, with their mod-sequences.
    pub(super) bad_log: Vec<(Vec<u8>, Option<ModSeq>)>,
    /// The highest UID that ever vanished, as far as the log goes back.
    pub(super) last_vanished: Option<Uid>,
    pub(super) highest_modseq: Option<ModSeq>,
}

/// The highest of the numbers that an account gives out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Highest {
    pub(super) modseq: u64,
    pub(super) number: u32,
    pub(super) mailbox: u64,
    pub(super) uid_validity: u32,
}

impl Highest {
    fn row(&mut self, row: &Row) {
        self.number = self.number.max(row.number.get());
        self.modseq = self.modseq.max(row.modseq.get());
    }
}

impl MailboxRows {
    /// The UID behind every one that was ever seen here.
    pub(super) fn uid_next(&self) -> Uid {
        let highest = self.rows.iter().map(|row| row.uid).chain(self.last_vanished).max();
        highest.and_then(Uid::next).unwrap_or(Uid::FIRST)
    }
}

impl AccountRows {
    pub(super) fn read(view: &View<'_>, place: Place) -> Result<Self, StoreError> {
        let counters = view.get(Table::Mailbox, place.counters())?;
        let limits = view.get(Table::Mailbox, place.limits())?;
        let mut rows = Self {
            place,
            limits_readable: limits.is_none_or(|row| AccountLimits::decode(&row).is_some()),
            counters: Read::of(counters.as_deref(), Counters::decode),
            names: BTreeMap::new(),
            bad_names: Vec::new(),
            headers: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            released: Vec::new(),
            bad_releases: Vec::new(),
            highest: Highest::default(),
        };
        rows.read_names(view)?;
        rows.read_headers(view)?;
        rows.read_blocks(view)?;
        rows.read_log(view)?;
        rows.read_releases(view)?;
        rows.read_numbers(view)?;
        for id in rows.names.values().map(|named| named.id).chain(rows.mailboxes.keys().copied()) {
            rows.headers.entry(id).or_insert(Read::Missing);
        }
        for id in rows.headers.keys() {
            rows.mailboxes.entry(*id).or_default();
        }
        rows.highest.mailbox = rows.headers.keys().map(|id| id.get()).max().unwrap_or(0);
        Ok(rows)
    }

    /// How a mailbox is called in findings.
    pub(super) fn mailbox_place(&self, mailbox: MailboxId) -> String {
        match self.names.iter().find(|(_, named)| named.id == mailbox) {
            Some((name, _)) => format!("mailbox {name}"),
            None => format!("mailbox {mailbox}"),
        }
    }

    fn read_names(&mut self, view: &View<'_>) -> Result<(), StoreError> {
        let place = self.place;
        view.scan_prefix(Table::Mailbox, &place.name(""), |key, value| {
            match (place.name_of(key), Named::decode(value)) {
                (Some(name), Some(named)) => drop(self.names.insert(name.to_owned(), named)),
                _ => self.bad_names.push(key.to_vec()),
            }
            true
        })?;
        view.scan_prefix(Table::Mailbox, &place.subscription(""), |key, _| {
            if place.name_of(key).is_none() {
                self.bad_names.push(key.to_vec());
            }
            true
        })
    }

    fn read_headers(&mut self, view: &View<'_>) -> Result<(), StoreError> {
        let prefix = [&*self.place.prefix(), b"h"].concat();
        view.scan_prefix(Table::Mailbox, &prefix, |key, value| {
            if let Some((id, [])) = split_id(key, &prefix) {
                let header = Read::of(Some(value), |value| Header::decode(value).ok());
                if let Read::Good(header) = &header {
                    let status = &header.status;
                    self.highest.modseq = self.highest.modseq.max(status.highest_modseq.get());
                    self.highest.uid_validity = self.highest.uid_validity.max(status.uid_validity.get());
                }
                self.headers.insert(id, header);
            }
            true
        })
    }

    fn read_blocks(&mut self, view: &View<'_>) -> Result<(), StoreError> {
        let prefix = self.place.prefix();
        let mut fixed: Option<(MailboxId, u32, Vec<u8>)> = None;
        view.scan_prefix(Table::Row, &prefix, |key, value| {
            let Some((id, rest)) = split_id(key, &prefix) else { return true };
            let Some((block, column)) = rest.split_first_chunk::<4>() else { return true };
            let block = u32::from_be_bytes(*block);
            let before = fixed.take();
            match (column, before) {
                (b"f", before) => {
                    self.bad_block(before);
                    fixed = Some((id, block, value.to_vec()));
                }
                (b"v", Some((of, number, octets))) if (of, number) == (id, block) => {
                    self.block(id, block, octets, value);
                }
                (_, before) => {
                    self.bad_block(before);
                    self.mailboxes.entry(id).or_default().bad_blocks.entry(block).or_insert(None);
                }
            }
            true
        })?;
        self.bad_block(fixed);
        Ok(())
    }

    fn block(&mut self, mailbox: MailboxId, number: u32, fixed: Vec<u8>, variable: &[u8]) {
        let found = self.mailboxes.entry(mailbox).or_default();
        match Block::read(number, &fixed, variable) {
            Ok(block) => {
                block.rows.iter().for_each(|row| self.highest.row(row));
                found.highest_modseq = found.highest_modseq.max(block.highest);
                found.rows.extend(block.rows);
            }
            Err(_) => drop(found.bad_blocks.insert(number, Some(fixed))),
        }
    }

    /// A block whose second value is missing.
    fn bad_block(&mut self, fixed: Option<(MailboxId, u32, Vec<u8>)>) {
        if let Some((mailbox, number, fixed)) = fixed {
            self.mailboxes.entry(mailbox).or_default().bad_blocks.insert(number, Some(fixed));
        }
    }

    fn read_log(&mut self, view: &View<'_>) -> Result<(), StoreError> {
        let prefix = self.place.prefix();
        view.scan_prefix(Table::Change, &prefix, |key, value| {
            let Some((id, rest)) = split_id(key, &prefix) else { return true };
            let modseq = rest.first_chunk().and_then(|octets| ModSeq::new(u64::from_be_bytes(*octets)));
            let found = self.mailboxes.entry(id).or_default();
            let mut uids = Vec::new();
            match (modseq, vanished::read(value, &mut uids)) {
                (Some(modseq), Some(())) => {
                    found.log_rows += 1;
                    found.highest_modseq = found.highest_modseq.max(Some(modseq));
                    found.last_vanished = found.last_vanished.max(uids.into_iter().max());
                    self.highest.modseq = self.highest.modseq.max(modseq.get());
                }
                _ => found.bad_log.push((key.to_vec(), modseq)),
            }
            true
        })
    }

    fn read_releases(&mut self, view: &View<'_>) -> Result<(), StoreError> {
        view.scan_prefix(Table::Outbox, &releases(self.place.partition), |key, value| {
            if Stamp::of_key(key).is_some_and(|stamp| stamp.account == self.place.account) {
                match Note::read(value) {
                    Some(note) => self.released.extend(note.rows.iter().map(|row| row.number)),
                    None => self.bad_releases.push(key.to_vec()),
                }
            }
            true
        })
    }

    /// The highest number that a record has: a message that was expunged may have had it.
    fn read_numbers(&mut self, view: &View<'_>) -> Result<(), StoreError> {
        let prefix = self.place.prefix();
        for table in [Table::Record, Table::Tail] {
            view.scan_prefix(table, &prefix, |key, _| {
                let number = key.get(prefix.len()..).and_then(<[u8]>::first_chunk);
                let number = number.map_or(0, |octets| u32::from_be_bytes(*octets));
                self.highest.number = self.highest.number.max(number);
                true
            })?;
        }
        let released = self.released.iter().map(|number| number.get()).max();
        self.highest.number = self.highest.number.max(released.unwrap_or(0));
        Ok(())
    }
}

/// The mailbox in a key, and what stands behind it.
fn split_id<'k>(key: &'k [u8], prefix: &[u8]) -> Option<(MailboxId, &'k [u8])> {
    let (id, rest) = key.get(prefix.len()..)?.split_first_chunk::<8>()?;
    Some((MailboxId::new(u64::from_be_bytes(*id))?, rest))
}

impl Store {
    /// Every account that any table knows of, by partition and id.
    pub(super) async fn places(&self) -> Result<Vec<Place>, StoreError> {
        let inner = Arc::clone(&self.inner);
        off_the_reactor(move || inner.all_places()).await?
    }
}

impl Inner {
    fn all_places(&self) -> Result<Vec<Place>, StoreError> {
        let mut accounts = BTreeSet::new();
        for table in [Table::Mailbox, Table::Row, Table::Record, Table::Reference] {
            accounts.extend(places_in(&self.engine, table)?.into_iter().map(|place| place.account));
        }
        // A removed account that may be brought back is as it was left, and is examined once it is back.
        let mut present = Vec::with_capacity(accounts.len());
        for place in accounts.into_iter().map(|account| self.place(account)) {
            if self.engine.get(Table::Mailbox, place.retired_counters())?.is_none() {
                present.push(place);
            }
        }
        Ok(present)
    }

    /// Drops what memory holds of an account, after its rows were changed beside its writer.
    pub(super) fn forget_cached(&self, account: AccountId) {
        if !self.is_idle() {
            return;
        }
        self.accounts.remove(&account);
        self.mailboxes.remove_if(|(of, _)| *of == account);
        self.records.remove_if(|(of, _)| *of == account);
    }
}

/// Takes a UIDVALIDITY that the account never had.
pub(super) fn take_uid_validity(counters: &mut Counters, now_seconds: i64) -> Option<UidValidity> {
    let next = counters.last_uid_validity.checked_add(1)?;
    counters.last_uid_validity = u32::try_from(now_seconds).unwrap_or(0).max(next);
    UidValidity::new(counters.last_uid_validity)
}
