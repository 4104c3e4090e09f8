//! A metadata store made again from packs and spare copies, where the old one is gone or cannot be read.
//!
//! Promises: every message that a readable pack names comes back into its account and the mailbox that it was delivered
//! to, octet for octet, its date and trace fields with it, by rising number; mailboxes get another UIDVALIDITY, since the
//! UIDs that were given out are not known (P4). The new store is made beside the old one and takes its place at the end,
//! so a crash leaves the old one, and the next run begins again; the old one is moved aside under a dated name and never
//! written to. What is lost: flags, keywords, moves, copies, what was judged of a message; removals, as far as packs
//! still hold what was removed; messages that were not packed when the metadata was lost (`limits::PACK_WAIT_MILLIS`).

use super::{
    account::take_uid_validity,
    mailboxes::RECOVERED,
    spare::{self, identity_of},
};
use crate::{
    clock::Clock,
    limits,
    mail::{AccountId, MailboxId, MessageNumber, ModSeq, SystemFlags},
    message,
    store::{
        Settings, Store, StoreError,
        account::{FIRST_MAILBOXES, NEXT_ACCOUNT},
        account_state::{AccountState, Counters, Named},
        append::{day_of, trace_text, write_text},
        blob::{Objects, OwnedBody},
        index::Indexes,
        inner::{Inner, METADATA},
        key::{Place, Task, outbox},
        mailbox::Row,
        metadata::{Batch, Domain, Durability, Table},
        off_the_reactor,
        record::StoredRecord,
        state::Header,
        transaction::Transaction,
    },
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The folder in which a new metadata store is made.
pub(super) const UNFINISHED: &str = "metadata.new";

/// Messages that are put back in one commit.
const GROUP: usize = 64;

/// What came back from packs.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FromPacks {
    /// Accounts.
    pub accounts: u64,
    /// Messages put back into them.
    pub messages: u64,
    /// Messages whose octets are damaged or in no pack.
    pub damaged: u64,
    /// Messages of accounts that were removed; they stay away.
    pub removed: u64,
    /// Packs whose index cannot be read.
    pub damaged_packs: u64,
    /// Whether domains, addresses and passwords are back.
    pub directory: bool,
    /// Where the old metadata is now, where there was any.
    pub old_metadata: Option<PathBuf>,
}

/// How far it is: messages put back, and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FromPacksProgress {
    /// Messages put back.
    pub done: u64,
    /// Messages found in packs.
    pub total: u64,
}

impl Store {
    /// Makes the metadata of a store again from its packs, and puts it in the place of the old. No other process may
    /// have the store open.
    pub async fn rebuild_from_packs(
        settings: Settings,
        clock: Clock,
        mut progress: impl FnMut(FromPacksProgress) + Send,
    ) -> Result<FromPacks, StoreError> {
        let old = settings.path.join(METADATA);
        let _lock = lock(&old)?;
        let new = settings.path.join(UNFINISHED);
        remove_folder(&new)?;
        let (options, ticking) = (settings.clone(), clock.clone());
        let objects = off_the_reactor(move || Objects::open(&options.objects, &options.path)).await??;
        let identity = identity_of(&objects).await?.ok_or_else(no_identity)?;
        drop(objects);
        let inner = off_the_reactor(move || Inner::open_known(&settings, UNFINISHED, &identity, ticking)).await??;
        let store = Self { inner: Arc::new(inner) };
        let mut rebuilt = store.put_everything_back(&mut progress).await?;
        store.close().await;
        drop(store);
        rebuilt.old_metadata = replace(&old, &new, clock.now().seconds())?;
        Ok(rebuilt)
    }

    async fn put_everything_back(
        &self,
        progress: &mut (impl FnMut(FromPacksProgress) + Send),
    ) -> Result<FromPacks, StoreError> {
        let inner = &self.inner;
        let back = spare::put_back(inner.blobs.objects(), &inner.engine, inner.partitions()).await?;
        let mut rebuilt = FromPacks { directory: back.directory, ..FromPacks::default() };
        self.renew_accounts(&back.known).await?;
        pass_account_ids(inner)?;
        rebuilt.damaged_packs = self.rebuild_locations().await?.damaged;
        let total = self.note_bodies(&back.known, &mut rebuilt).await?;
        self.start_writers()?;
        for place in self.places().await? {
            while self.put_group_back(place, &mut rebuilt).await? {
                progress(FromPacksProgress { done: rebuilt.messages, total });
            }
        }
        rebuilt.accounts = self.account_ids()?.len() as u64;
        self.make_durable().await?;
        Ok(rebuilt)
    }

    /// Waits until all that was written so far is on stable storage, as a synced write behind it is.
    async fn make_durable(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        off_the_reactor(move || {
            let mut batch = Batch::of(Domain::Installation);
            batch.put(Table::System, NEXT_ACCOUNT, inner.next_account()?.to_be_bytes());
            inner.engine.commit(batch, Durability::Synced)
        })
        .await?
    }

    /// Gives accounts numbers above all that they may have given out, and their mailboxes empty headers.
    async fn renew_accounts(&self, known: &BTreeSet<u16>) -> Result<(), StoreError> {
        for place in self.places().await? {
            if known.contains(&place.partition) {
                let inner = Arc::clone(&self.inner);
                off_the_reactor(move || renew_account(&inner, place)).await??;
            }
        }
        Ok(())
    }

    /// Notes every message that packs name, once, where its account is known or nobody can know; returns how many.
    async fn note_bodies(&self, known: &BTreeSet<u16>, rebuilt: &mut FromPacks) -> Result<u64, StoreError> {
        let mut notes = Notes {
            inner: &self.inner,
            known,
            accounts: self.account_ids()?.into_iter().collect(),
            removed: BTreeSet::new(),
            batches: BTreeMap::new(),
        };
        let mut outcome = Ok(());
        let visit = |body: OwnedBody| {
            if outcome.is_ok() {
                outcome = notes.note(&body);
            }
        };
        self.inner.blobs.visit_bodies(visit).await?;
        outcome?;
        rebuilt.removed = notes.removed.len() as u64;
        notes.end()
    }

    /// Puts the next messages of an account back; `false` where there is none left.
    async fn put_group_back(&self, place: Place, rebuilt: &mut FromPacks) -> Result<bool, StoreError> {
        let bodies = self.found(place)?;
        if bodies.is_empty() {
            return Ok(false);
        }
        let (mut group, mut done) = (Vec::with_capacity(bodies.len()), Vec::with_capacity(bodies.len()));
        for (key, body) in bodies {
            done.push(key);
            let Some(body) = body else { continue };
            let mailbox = body.owner.mailbox;
            match self.letter_of(body).await {
                Ok(letter) => group.push(Returning { mailbox, ..letter }),
                Err(StoreError::Damaged(what)) => {
                    tracing::warn!(account = %place.account, %what, "a message that a pack names cannot be read");
                    rebuilt.damaged += 1;
                }
                Err(other) => return Err(other),
            }
        }
        rebuilt.messages += group.len() as u64;
        self.write(place.account, move |transaction| {
            group.iter().try_for_each(|letter| letter.put_back(transaction, place.account))?;
            done.iter().for_each(|key| transaction.delete(Table::Outbox, key.clone()));
            Ok(())
        })
        .await?;
        Ok(true)
    }

    /// The next bodies of an account, by rising number; `None` for one whose row cannot be read.
    #[expect(clippy::type_complexity, reason = "rows with their keys")]
    fn found(&self, place: Place) -> Result<Vec<(Vec<u8>, Option<OwnedBody>)>, StoreError> {
        let mut found = Vec::with_capacity(GROUP);
        let prefix = found_prefix(place);
        self.inner.engine.scan_prefix(Table::Outbox, &prefix, |key, row| {
            let number = key.get(prefix.len()..).and_then(|number| number.try_into().ok()).map(u32::from_be_bytes);
            let body = number
                .and_then(MessageNumber::new)
                .and_then(|number| OwnedBody::decode_owned(place.account, number, row));
            found.push((key.to_vec(), body));
            found.len() < GROUP
        })?;
        Ok(found)
    }

    async fn letter_of(&self, body: OwnedBody) -> Result<Returning, StoreError> {
        let (number, mailbox) = (body.owner.number, body.owner.mailbox);
        let manifest = body.manifest.clone();
        let record = self.record_of(body).await?;
        let raw = self.inner.blobs.read(&manifest, 0..record.raw_octets).await?;
        off_the_reactor(move || {
            let damaged = || StoreError::Damaged("an analysis that was just made".to_owned());
            let analysis = message::Analysis::from_stored(&record.analysis).ok_or_else(damaged)?;
            let text = Indexes::tail_value(&message::search_text(&raw, &analysis));
            let text = [trace_text(&record.trace), text].concat().into();
            Ok(Returning { number, mailbox, sent_day: analysis.sent_day, record, text })
        })
        .await?
    }
}

/// A message on its way back into its mailbox.
struct Returning {
    number: MessageNumber,
    mailbox: MailboxId,
    sent_day: Option<i32>,
    record: StoredRecord,
    text: Bytes,
}

impl Returning {
    fn put_back(&self, transaction: &mut Transaction<'_>, account: AccountId) -> Result<(), StoreError> {
        let mailbox = self.mailbox(transaction, account)?;
        let state = transaction.account_mut(account)?;
        state.pass_number(self.number);
        let modseq = state.take_modseq()?;
        let internal_seconds = self.record.internal_date.seconds();
        transaction.add_row(account, mailbox, |uid| Row {
            uid,
            number: self.number,
            modseq,
            flags: SystemFlags::default(),
            keywords: 0,
            octets: self.record.raw_octets + self.record.trace.len() as u64,
            internal_seconds,
            sent_day: self.sent_day.unwrap_or_else(|| day_of(internal_seconds)),
            saved_seconds: internal_seconds,
        })?;
        let text_chunks = write_text(transaction, account, self.number, &self.text);
        transaction.add_record(account, self.number, &StoredRecord { text_chunks, ..self.record.clone() })
    }

    /// The mailbox that it was delivered to, or where that is gone or its name was never written, one for it.
    fn mailbox(&self, transaction: &mut Transaction<'_>, account: AccountId) -> Result<MailboxId, StoreError> {
        if transaction.account(account)?.has(self.mailbox) {
            return Ok(self.mailbox);
        }
        let name = format!("{RECOVERED}/{}", self.mailbox);
        if let Some(there) = transaction.account(account)?.names().get(&name) {
            return Ok(there.id);
        }
        transaction.make_mailbox(account, &name, None)
    }
}

/// Messages that packs name, on their way into the outbox.
struct Notes<'a> {
    inner: &'a Inner,
    known: &'a BTreeSet<u16>,
    accounts: BTreeSet<AccountId>,
    removed: BTreeSet<(AccountId, MessageNumber)>,
    /// By partition.
    batches: BTreeMap<u16, Batch>,
}

impl Notes<'_> {
    fn note(&mut self, body: &OwnedBody) -> Result<(), StoreError> {
        let (place, number) = (self.inner.place(body.owner.account), body.owner.number);
        if !self.accounts.contains(&place.account) {
            if self.known.contains(&place.partition) {
                self.removed.insert((place.account, number));
                return Ok(());
            }
            make_account(self.inner, place)?;
            self.accounts.insert(place.account);
        }
        let of_partition = || Batch::of(Domain::Partition(place.partition));
        let batch = self.batches.entry(place.partition).or_insert_with(of_partition);
        let key = [&*found_prefix(place), &number.get().to_be_bytes()].concat();
        batch.put(Table::Outbox, key, body.encode());
        self.inner.engine.commit_beyond(limits::DOCTOR_BATCH_OCTETS, batch, Durability::Buffered)
    }

    /// Writes what is left and counts the messages.
    fn end(self) -> Result<u64, StoreError> {
        for batch in self.batches.into_values() {
            self.inner.engine.commit(batch, Durability::Buffered)?;
        }
        let mut total = 0;
        for partition in self.inner.partition_numbers() {
            self.inner.engine.scan_prefix(Table::Outbox, &outbox(partition, Task::Found), |_, _| {
                total += 1;
                true
            })?;
        }
        Ok(total)
    }
}

fn found_prefix(place: Place) -> Vec<u8> {
    [&*outbox(place.partition, Task::Found), &place.account.get().to_be_bytes()].concat()
}

/// An account whose names nobody knows any more, with the mailboxes that every account begins with.
fn make_account(inner: &Inner, place: Place) -> Result<(), StoreError> {
    let mut counters = Counters { next_mailbox: limits::DOCTOR_NUMBERS_SKIPPED, ..Counters::FIRST };
    let mut batch = Batch::of(Domain::Partition(place.partition));
    for (id, (name, special_use)) in (1..).zip(FIRST_MAILBOXES) {
        let Some(id) = MailboxId::new(id) else { continue };
        batch.put(Table::Mailbox, place.name(name), Named { id, special_use }.encode());
        batch.put(Table::Mailbox, place.subscription(name), b"");
        new_header(inner, place, id, &mut counters, &mut batch)?;
    }
    batch.put(Table::Mailbox, place.counters(), counters.encode());
    inner.engine.commit(batch, Durability::Buffered)?;
    let next = inner.next_account()?.max(place.account.get().saturating_add(1));
    let mut batch = Batch::of(Domain::Installation);
    batch.put(Table::System, NEXT_ACCOUNT, next.to_be_bytes());
    inner.engine.commit(batch, Durability::Buffered)
}

/// Account ids that were given out after the spare copy was written are not given out again.
fn pass_account_ids(inner: &Inner) -> Result<(), StoreError> {
    let mut batch = Batch::of(Domain::Installation);
    let next = inner.next_account()?.saturating_add(limits::DOCTOR_NUMBERS_SKIPPED);
    batch.put(Table::System, NEXT_ACCOUNT, next.to_be_bytes());
    inner.engine.commit(batch, Durability::Buffered)
}

fn renew_account(inner: &Inner, place: Place) -> Result<(), StoreError> {
    let state: Arc<AccountState> = inner.account(place.account)?;
    let known = state.counters();
    let skipped = limits::DOCTOR_NUMBERS_SKIPPED;
    let mut counters = Counters {
        next_modseq: known.next_modseq.saturating_add(skipped),
        // The highest number that a pack names decides: they are given out to nobody else.
        next_number: known.next_number.saturating_add(skipped as u32),
        next_mailbox: known.next_mailbox.saturating_add(skipped),
        ..Counters::FIRST
    };
    counters.last_uid_validity = known.last_uid_validity;
    let mut batch = Batch::of(Domain::Partition(place.partition));
    for entry in state.entries() {
        new_header(inner, place, entry.id, &mut counters, &mut batch)?;
    }
    batch.put(Table::Mailbox, place.counters(), counters.encode());
    inner.engine.commit(batch, Durability::Buffered)?;
    inner.forget_cached(place.account);
    Ok(())
}

fn new_header(
    inner: &Inner,
    place: Place,
    id: MailboxId,
    counters: &mut Counters,
    batch: &mut Batch,
) -> Result<(), StoreError> {
    let used_up = || StoreError::Failed("a range of numbers is used up".to_owned());
    let uid_validity = take_uid_validity(counters, inner.clock.now().seconds()).ok_or_else(used_up)?;
    let modseq = ModSeq::new(counters.next_modseq).ok_or_else(used_up)?;
    counters.next_modseq += 1;
    batch.put(Table::Mailbox, place.header(id), Header::new(uid_validity, modseq).encode());
    Ok(())
}

fn no_identity() -> StoreError {
    StoreError::Damaged(
        "the spare copy of the store's identity (recovery/identity among its objects) is gone, and without it no content \
         can be read"
            .to_owned(),
    )
}

fn failed(path: &Path) -> impl Fn(io::Error) -> StoreError + '_ {
    move |error| StoreError::Failed(format!("{}: {error}", path.display()))
}

/// Keeps every other process from opening the metadata; `InUse` where one has. RocksDB takes the same lock.
pub(super) fn lock(metadata: &Path) -> Result<Option<File>, StoreError> {
    let path = metadata.join("LOCK");
    let Ok(file) = File::options().write(true).open(&path) else { return Ok(None) };
    match rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(_) => Err(StoreError::InUse),
    }
}

/// Removes what an earlier run has left.
pub(super) fn remove_folder(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(folder)(error)),
        _ => Ok(()),
    }
}

/// Moves the old metadata aside, under a name of its own, and the new in its place; returns where the old is.
pub(super) fn replace(old: &Path, new: &Path, now_seconds: i64) -> Result<Option<PathBuf>, StoreError> {
    let parent = old.parent().unwrap_or(Path::new("."));
    let aside = (0..u32::MAX).map(|turn| parent.join(format!("{METADATA}.old-{}", now_seconds + i64::from(turn))));
    let aside = if old.exists() { aside.into_iter().find(|path| !path.exists()) } else { None };
    if let Some(aside) = &aside {
        fs::rename(old, aside).map_err(failed(old))?;
    }
    crate::store::failpoint::reach("doctor.moved_aside");
    fs::rename(new, old).map_err(failed(new))?;
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed(parent))?;
    Ok(aside)
}
