//! Deliveries to several partitions, or to more recipients than one batch takes: an outbox row that
//! names the further ones, applied at most once in each.
//!
//! The first commit, in the home partition, carries the octets, its own recipients and the row. The others are
//! applied in steps of one partition, each with a mark of the delivery's id and the step. When all are done, row
//! and marks go together. A restart applies every row that is left; a mark says what was applied already.

use super::{
    Appended, Inner, RepeatKey, Store, StoreError, Target,
    append::{Copy, Letter, append_copies},
    failpoint,
    index::Indexes,
    metadata::{Batch, Engine, Table},
    quota::Admission,
    record::StoredRecord,
    repeat,
    transaction::Transaction,
};
use crate::{
    limits,
    mail::{AccountId, ContentId, DeliveryId, Flag, MailboxId},
    message::{self, Analysis},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use tracing::error;

/// Version of a row's encoding; its first octet.
const VERSION: u8 = 1;

/// What is left to be done of a delivery, as the outbox row keeps it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delivery {
    id: u64,
    repeat: Option<[u8; 16]>,
    /// The record without what is each recipient's own.
    record: Vec<u8>,
    /// By partition, and within one in the order of the targets.
    steps: Vec<Step>,
}

/// Copies that one commit takes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    partition: u16,
    copies: Vec<Pending>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    /// Its place in the delivery's list of targets.
    index: usize,
    account: u64,
    mailbox: u64,
    flags: Vec<String>,
    trace: Vec<u8>,
    verdict: Option<Vec<u8>>,
}

impl Delivery {
    pub(super) fn new(inner: &Inner, letter: &Letter, repeat: Option<RepeatKey>, mut copies: Vec<Copy>) -> Self {
        let id = match repeat {
            // A repeat goes on with the row that the first try left.
            Some(RepeatKey(key)) => key.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets)),
            None => inner.clock.random_u64(),
        };
        let partition = |copy: &Copy| inner.place(copy.target.account).partition;
        copies.sort_by_key(partition);
        let steps = copies
            .chunk_by(|one, other| partition(one) == partition(other))
            .flat_map(|there| there.chunks(letter.copies_max()))
            .filter_map(|step| {
                let partition = partition(step.first()?);
                Some(Step { partition, copies: step.iter().map(Pending::of).collect() })
            })
            .collect();
        let id = DeliveryId::new(id).unwrap_or(DeliveryId::FIRST).get();
        Self { id, repeat: repeat.map(|key| key.0), record: letter.record.encode(), steps }
    }

    /// The numbers of the steps.
    pub(super) fn step_numbers(&self) -> Vec<u16> {
        (0..).zip(&self.steps).map(|(number, _)| number).collect()
    }

    fn key(&self) -> Vec<u8> {
        [&b"d"[..], &self.id.to_be_bytes()].concat()
    }

    fn mark(&self, step: u16) -> Vec<u8> {
        [&b"m"[..], &self.id.to_be_bytes(), &step.to_be_bytes()].concat()
    }

    fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION]).expect("numbers and octets always encode")
    }

    fn decode(octets: &[u8]) -> Option<Self> {
        postcard::from_bytes(octets.strip_prefix(&[VERSION])?).ok()
    }

    /// Adds the row to the home partition's batch, in chunks.
    pub(super) fn remember(&self, batch: &mut Batch) {
        let octets = self.encode();
        for (index, chunk) in (0_u16..).zip(octets.chunks(limits::VALUE_OCTETS_MAX)) {
            batch.put(Table::Outbox, [&*self.key(), &index.to_be_bytes()].concat(), chunk);
        }
    }

    /// Applies what is left, all steps at once, and forgets the row.
    pub(super) async fn apply(&self, store: &Store, letter: &Letter) -> Result<Vec<(usize, Appended)>, StoreError> {
        let applied = (0..).zip(&self.steps).map(|(number, step)| self.apply_step(store, number, step, letter.clone()));
        let given = futures_util::future::try_join_all(applied).await?;
        failpoint::reach("outbox.before_forget");
        self.forget(store);
        Ok(given.into_iter().flatten().collect())
    }

    /// Appends the copies of one step, once.
    async fn apply_step(
        &self,
        store: &Store,
        number: u16,
        step: &Step,
        letter: Letter,
    ) -> Result<Vec<(usize, Appended)>, StoreError> {
        let copies: Vec<Copy> = step.copies.iter().filter_map(Pending::copy).collect();
        let (mark, row) = (self.mark(number), self.repeat.map(|key| repeat::Row::further(RepeatKey(key), number)));
        let apply = move |transaction: &mut Transaction<'_>| {
            if let Some(given) = transaction.recall(row)? {
                return Ok(given);
            }
            if transaction.get(Table::Outbox, &mark)?.is_some() {
                return Ok(Vec::new());
            }
            let given = append_elsewhere(transaction, &letter, &copies)?;
            transaction.remember(row, &[], &given);
            transaction.put(Table::Outbox, mark.clone(), Bytes::new());
            Ok(given)
        };
        let given = store.inner.partition(step.partition)?.write(apply).await?;
        failpoint::reach("outbox.after_step");
        Ok(given)
    }

    /// Removes row and marks. Where a crash undoes it, the marks are back with the row.
    fn forget(&self, store: &Store) {
        let chunks = u16::try_from(self.encode().len() / limits::VALUE_OCTETS_MAX).unwrap_or(u16::MAX);
        let mut keys: Vec<Vec<u8>> = (0..=chunks).map(|chunk| [&*self.key(), &chunk.to_be_bytes()].concat()).collect();
        keys.extend(self.step_numbers().into_iter().map(|step| self.mark(step)));
        let Some(Ok(writer)) = self.steps.first().map(|step| store.inner.partition(step.partition)) else { return };
        writer.post(move |transaction| {
            keys.iter().for_each(|key| transaction.delete(Table::Outbox, key.clone()));
            Ok(())
        });
    }

    /// What the copies share, read again from what the home partition has stored.
    async fn letter(&self, store: &Store) -> Result<Letter, StoreError> {
        let damaged = || StoreError::Damaged("an outbox row".to_owned());
        let record = StoredRecord::decode(&Bytes::copy_from_slice(&self.record)).ok_or_else(damaged)?;
        let analysis = Analysis::from_stored(&record.analysis).ok_or_else(damaged)?;
        let raw = store.inner.blobs.read(&record.manifest, 0..record.raw_octets).await?;
        let sent_day = analysis.sent_day;
        let work = move || Indexes::tail_value(&message::search_text(&raw, &analysis));
        let text = super::off_the_reactor(work).await?.into();
        Ok(Letter { record, sent_day, text })
    }
}

/// Appends copies of a message whose octets another partition has stored. An account or mailbox that
/// was removed meanwhile has no use for its copy.
fn append_elsewhere(
    transaction: &mut Transaction<'_>,
    letter: &Letter,
    copies: &[Copy],
) -> Result<Vec<(usize, Appended)>, StoreError> {
    let mut there = Vec::with_capacity(copies.len());
    for copy in copies {
        match transaction.mailbox(copy.target.account, copy.target.mailbox) {
            Ok(_) => there.push(copy.clone()),
            Err(StoreError::NoAccount | StoreError::NoMailbox) => {}
            Err(error) => return Err(error),
        }
    }
    let (given, owners) = append_copies(transaction, letter, &there)?;
    transaction.inner().blobs.add_owners(&letter.record.manifest, &owners, transaction.batch())?;
    Ok(given)
}

impl Pending {
    fn of(copy: &Copy) -> Self {
        let Copy { index, target, .. } = copy;
        Self {
            index: *index,
            account: target.account.get(),
            mailbox: target.mailbox.get(),
            flags: target.flags.iter().map(|flag| flag.to_string()).collect(),
            trace: target.trace.to_vec(),
            verdict: target.verdict.as_ref().map(|verdict| verdict.to_vec()),
        }
    }

    fn copy(&self) -> Option<Copy> {
        let target = Target {
            account: AccountId::new(self.account)?,
            mailbox: MailboxId::new(self.mailbox)?,
            flags: self.flags.iter().filter_map(|flag| Flag::parse(flag)).collect(),
            trace: Bytes::copy_from_slice(&self.trace),
            verdict: self.verdict.as_deref().map(Bytes::copy_from_slice),
        };
        // It was admitted before the first commit.
        Some(Copy { index: self.index, target, admission: Admission::Always })
    }
}

/// Contents that deliveries under way will name, whoever has removed their first copies meanwhile.
pub(super) fn contents(engine: &Engine) -> Result<HashSet<ContentId>, StoreError> {
    let mut contents = HashSet::new();
    for row in deliveries(engine)?.values() {
        let damaged = || StoreError::Damaged("an outbox row".to_owned());
        let delivery = Delivery::decode(row).ok_or_else(damaged)?;
        let record = StoredRecord::decode(&delivery.record.into()).ok_or_else(damaged)?;
        contents.extend(record.manifest.contents());
    }
    Ok(contents)
}

/// The rows of deliveries, chunks put together.
fn deliveries(engine: &Engine) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
    let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    engine.scan_prefix(Table::Outbox, b"d", |key, chunk| {
        let delivery = key.get(..key.len().saturating_sub(2)).unwrap_or_default().to_vec();
        rows.entry(delivery).or_default().extend_from_slice(chunk);
        true
    })?;
    Ok(rows)
}

/// Finishes every delivery that a crash left in the outbox, and returns how many. One that cannot be
/// finished stays for the next start, and keeps no other from being finished.
pub(super) async fn finish_all(store: &Store) -> Result<usize, StoreError> {
    let mut finished = 0;
    for octets in deliveries(&store.inner.engine)?.values() {
        match finish(store, octets).await {
            Ok(()) => finished += 1,
            Err(error) => error!(%error, "a delivery that a crash left could not be finished"),
        }
    }
    Ok(finished)
}

async fn finish(store: &Store, row: &[u8]) -> Result<(), StoreError> {
    let delivery = Delivery::decode(row).ok_or_else(|| StoreError::Damaged("an outbox row".to_owned()))?;
    let letter = delivery.letter(store).await?;
    delivery.apply(store, &letter).await.map(|_| ())
}
