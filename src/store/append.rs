//! Appending messages: the one write path that a 250 or an OK stands on.

use super::{
    Appended, NewMessage, RepeatKey, Store, StoreError, Target,
    blob::{Owner, Split},
    failpoint,
    index::Indexes,
    mailbox::Row,
    metadata::{Batch, Durability, Table},
    outbox,
    record::StoredRecord,
    transaction::Transaction,
};
use crate::{
    limits,
    mail::{AccountId, MailboxId, ModSeq, Uid, UidValidity},
    message::{self, SearchText},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// A message ready to be written, whoever it is for.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) message: NewMessage,
    split: Arc<Split>,
    /// The folded text, as the tail row keeps it.
    text: Bytes,
}

impl Prepared {
    pub(super) fn record(&self, target: &Target) -> StoredRecord {
        StoredRecord {
            raw_id: self.split.raw_id,
            raw_octets: self.message.raw.len() as u64,
            trace: target.trace.clone(),
            internal_date: self.message.internal_date,
            analysis: Arc::clone(&self.message.analysis),
            verdict: target.verdict.clone(),
            manifest: self.split.manifest.clone(),
        }
    }
}

/// What a repeat is answered with.
#[derive(Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) seconds: i64,
    given: Vec<Given>,
}

#[derive(Serialize, Deserialize)]
struct Given {
    account: u64,
    mailbox: u64,
    uid_validity: u32,
    uid: u32,
    number: u32,
    modseq: u64,
}

impl Store {
    /// Appends one message to each target and returns what was given, in the order of `targets`.
    ///
    /// Durable once this returns. A crash before that leaves nothing visible, or all of it. Dropping
    /// the future does not undo it: the message is then stored or not, never half.
    pub async fn append(&self, message: NewMessage, targets: Vec<Target>) -> Result<Vec<Appended>, StoreError> {
        let Some(account) = targets.first().map(|target| target.account) else { return Ok(Vec::new()) };
        self.inner.check_free_space()?;
        let prepared = self.prepare(message).await?;
        failpoint::reach("append.after_stage");
        let home = self.inner.place(account).partition;
        if targets.iter().all(|target| self.inner.place(target.account).partition == home) {
            return self.write(account, move |transaction| append_group(transaction, &[(prepared, targets)])).await;
        }
        self.append_to_partitions(account, prepared, targets).await
    }

    /// The delivery to several partitions: home first, the others from its outbox row.
    async fn append_to_partitions(
        &self,
        account: AccountId,
        prepared: Prepared,
        targets: Vec<Target>,
    ) -> Result<Vec<Appended>, StoreError> {
        let home = self.inner.place(account).partition;
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            targets.into_iter().enumerate().partition(|(_, target)| self.inner.place(target.account).partition == home);
        let mut given = BTreeMap::new();
        let delivery = outbox::Delivery::new(&self.inner, &prepared, &elsewhere);
        let home_targets: Vec<Target> = here.iter().map(|(_, target)| target.clone()).collect();
        let row = delivery.clone();
        let appended = self
            .write(account, move |transaction| {
                let appended = append_group(transaction, &[(prepared, home_targets)])?;
                if appended.iter().all(|copy| !copy.repeated) {
                    row.remember(transaction.batch());
                }
                Ok(appended)
            })
            .await?;
        failpoint::reach("append.before_outbox");
        let repeated = appended.iter().any(|copy| copy.repeated);
        given.extend(here.iter().map(|(index, _)| *index).zip(appended));
        if repeated && !delivery.is_remembered(&self.inner)? {
            // The first try got as far as its home partition; the others were finished from its outbox row.
            return Ok(given.into_values().collect());
        }
        given.extend(delivery.apply(self).await?);
        Ok(given.into_values().collect())
    }

    /// Appends several messages to one account (import, MULTIAPPEND), all or none, with one fsync. The
    /// messages together should not exceed `limits::GROUP_OCTETS_MAX`.
    pub async fn append_all(&self, messages: Vec<(NewMessage, Target)>) -> Result<Vec<Appended>, StoreError> {
        let Some(account) = messages.first().map(|(_, target)| target.account) else { return Ok(Vec::new()) };
        self.inner.check_free_space()?;
        let mut group = Vec::with_capacity(messages.len());
        for (message, target) in messages {
            if target.account != account {
                return Err(StoreError::Failed("append_all takes messages of one account".to_owned()));
            }
            group.push((self.prepare(message).await?, vec![target]));
        }
        self.write(account, move |transaction| append_group(transaction, &group)).await
    }

    /// Forgets a repeat key: the sender has shown that it saw our reply, so the same octets again
    /// are meant as a second copy. Does not wait for stable storage.
    pub fn acknowledge(&self, repeat: RepeatKey) {
        let mut batch = Batch::default();
        batch.delete(Table::Repeat, repeat.0);
        if let Err(error) = self.inner.engine.commit(batch, Durability::Buffered) {
            tracing::warn!(%error, "a repeat key was not forgotten");
        }
    }

    /// Everything that can be done before the writer's turn: splitting, extraction, staging.
    async fn prepare(&self, message: NewMessage) -> Result<Prepared, StoreError> {
        let blobs = self.inner.blobs.clone();
        let work = move || {
            let split = blobs.split(&message.raw, &message.analysis.root);
            let text = message::search_text(&message.raw, &message.analysis);
            (split, Indexes::tail_value(&text), message)
        };
        let (split, text, message) = super::off_the_reactor(work).await?;
        self.inner.blobs.stage_large(&split).await?;
        Ok(Prepared { message, split: Arc::new(split), text: text.into() })
    }
}

/// Appends messages with all their targets, after checking that each can be.
fn append_group(
    transaction: &mut Transaction<'_>,
    group: &[(Prepared, Vec<Target>)],
) -> Result<Vec<Appended>, StoreError> {
    let mut appended = Vec::new();
    for (prepared, targets) in group {
        if let Some(repeated) = repeated(transaction, prepared.message.repeat)? {
            appended.extend(repeated);
            continue;
        }
        for target in targets {
            transaction.mailbox(target.account, target.mailbox)?;
        }
    }
    if !appended.is_empty() {
        return Ok(appended);
    }
    for (prepared, targets) in group {
        let copies = append_copies(transaction, prepared, targets)?;
        remember(transaction, prepared.message.repeat, &copies);
        appended.extend(copies);
    }
    Ok(appended)
}

/// Appends one message to targets of one partition; its octets come with it.
fn append_copies(
    transaction: &mut Transaction<'_>,
    prepared: &Prepared,
    targets: &[Target],
) -> Result<Vec<Appended>, StoreError> {
    let (mut copies, mut owners) = (Vec::with_capacity(targets.len()), Vec::with_capacity(targets.len()));
    for target in targets {
        let record = prepared.record(target);
        let copy = append_copy(transaction, target, &record, &prepared.text)?;
        owners.push(owner(&copy, &record));
        copies.push(copy);
    }
    let blobs = transaction.inner().blobs.clone();
    blobs.add_to(&prepared.split, &owners, transaction.batch())?;
    Ok(copies)
}

/// One row, one record and one tail row, without the octets.
pub(super) fn append_copy(
    transaction: &mut Transaction<'_>,
    target: &Target,
    record: &StoredRecord,
    text: &[u8],
) -> Result<Appended, StoreError> {
    let (account, mailbox) = (target.account, target.mailbox);
    let keywords = transaction.keyword_bits(account, mailbox, target.flags.keywords.iter())?;
    let state = transaction.account_mut(account)?;
    let (modseq, number) = (state.take_modseq()?, state.take_number()?);
    let internal_seconds = record.internal_date.seconds();
    let saved_seconds = transaction.now().seconds();
    let row = transaction.add_row(account, mailbox, |uid| Row {
        uid,
        number,
        modseq,
        flags: target.flags.system,
        keywords,
        octets: record.raw_octets + record.trace.len() as u64,
        internal_seconds,
        sent_day: record.analysis.sent_day.unwrap_or_else(|| day_of(internal_seconds)),
        saved_seconds,
    })?;
    transaction.add_record(account, number, record)?;
    write_text(transaction, account, number, &[&trace_text(&record.trace), text].concat());
    let uid_validity = transaction.mailbox(account, mailbox)?.status.uid_validity;
    Ok(Appended { account, mailbox, uid_validity, uid: row.uid, number, modseq, repeated: false })
}

fn day_of(seconds: i64) -> i32 {
    i32::try_from(seconds.div_euclid(86_400)).unwrap_or(0)
}

/// The text of our trace fields: they are part of the header that a search looks at.
fn trace_text(trace: &[u8]) -> Vec<u8> {
    Indexes::tail_value(&SearchText { headers: message::header_texts(trace), body: String::new() })
}

/// The tail rows of a text: the tail key and a chunk number.
fn write_text(transaction: &mut Transaction<'_>, account: AccountId, number: crate::mail::MessageNumber, text: &[u8]) {
    // One empty chunk stands for a text that is too long: the index extracts it from the stored message.
    let text = if text.len() > limits::TAIL_VALUE_OCTETS_MAX { &[][..] } else { text };
    let chunks = if text.is_empty() { vec![text] } else { text.chunks(limits::VALUE_OCTETS_MAX).collect() };
    for (index, chunk) in (0_u16..).zip(chunks) {
        let mut key = Indexes::tail_key(transaction.place(account), number);
        key.extend(index.to_be_bytes());
        transaction.batch().put(Table::Tail, key, chunk);
    }
}

pub(super) fn owner(copy: &Appended, record: &StoredRecord) -> Owner {
    Owner {
        account: copy.account,
        number: copy.number,
        mailbox: copy.mailbox,
        internal_date: record.internal_date,
        tag: record.trace.slice(..record.trace.len().min(32 * 1024)),
    }
}

fn repeated(transaction: &Transaction<'_>, key: Option<RepeatKey>) -> Result<Option<Vec<Appended>>, StoreError> {
    let Some(key) = key else { return Ok(None) };
    let Some(value) = transaction.repeat(key)? else { return Ok(None) };
    let remembered: Remembered =
        postcard::from_bytes(&value).map_err(|_| StoreError::Damaged("a remembered delivery".to_owned()))?;
    let now = transaction.now().seconds();
    if now - remembered.seconds > limits::REPEAT_DAYS * 86_400 {
        return Ok(None);
    }
    Ok(remembered.given.iter().map(Given::appended).collect())
}

fn remember(transaction: &mut Transaction<'_>, key: Option<RepeatKey>, copies: &[Appended]) {
    let Some(key) = key else { return };
    let given = copies.iter().map(Given::of).collect();
    let remembered = Remembered { seconds: transaction.now().seconds(), given };
    let value = postcard::to_allocvec(&remembered).expect("numbers always encode");
    transaction.remember_repeat(key, value);
}

impl Given {
    fn of(copy: &Appended) -> Self {
        Self {
            account: copy.account.get(),
            mailbox: copy.mailbox.get(),
            uid_validity: copy.uid_validity.get(),
            uid: copy.uid.get(),
            number: copy.number.get(),
            modseq: copy.modseq.get(),
        }
    }

    fn appended(&self) -> Option<Appended> {
        Some(Appended {
            account: AccountId::new(self.account)?,
            mailbox: MailboxId::new(self.mailbox)?,
            uid_validity: UidValidity::new(self.uid_validity)?,
            uid: Uid::new(self.uid)?,
            number: crate::mail::MessageNumber::new(self.number)?,
            modseq: ModSeq::new(self.modseq)?,
            repeated: true,
        })
    }
}
