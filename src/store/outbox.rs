//! Deliveries to several partitions, or to more recipients than one batch takes: an outbox row that
//! names the further ones, applied at most once in each.
//!
//! The first commit, in the home partition, carries the octets, its own recipients and the row. The others are
//! applied in steps of one partition, each with a mark of the delivery's id and the step in that partition: a step
//! whose mark is there changes nothing, so it may be applied any number of times. When all are done the row goes, and
//! once that is on stable storage, the marks. A restart applies every row that is left; the marks say what was applied
//! already. No commit is of two partitions.

use super::{
    Appended, Inner, RepeatKey, Store, StoreError, Target,
    append::{Copy, Letter, append_copies},
    failpoint,
    index::Indexes,
    key::{Task, end_of, outbox},
    metadata::{Batch, Table},
    quota::Admission,
    record::StoredRecord,
    repeat::Recalled,
    transaction::Transaction,
};
use crate::{
    limits,
    mail::{AccountId, ContentId, DeliveryId, Flag, MailboxId},
    message::{self, Analysis},
    work,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use tracing::{error, warn};

/// Version of a row's encoding; its first octet.
const VERSION: u8 = 1;

/// What is left to be done of a delivery, as the outbox row keeps it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delivery {
    id: u64,
    /// The partition of the first commit, which has the row.
    home: u16,
    repeat: Option<[u8; 16]>,
    /// The record without what is each recipient's own.
    record: Vec<u8>,
    /// What is a recipient's own, each once: an alias may lead one recipient's to a thousand accounts.
    recipients: Vec<OfRecipient>,
    /// By partition, and within one in the order of the targets.
    steps: Vec<Step>,
}

#[derive(Debug, PartialEq, Eq, Hash, Clone, Serialize, Deserialize)]
struct OfRecipient {
    trace: Vec<u8>,
    verdict: Option<Vec<u8>>,
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
    /// Which of `recipients`.
    recipient: usize,
}

impl Delivery {
    pub(super) fn new(
        inner: &Inner,
        home: u16,
        letter: &Letter,
        repeat: Option<RepeatKey>,
        mut copies: Vec<Copy>,
    ) -> Self {
        let partition = |copy: &Copy| inner.place(copy.target.account).partition;
        copies.sort_by_key(partition);
        let mut recipients = Recipients::default();
        let steps = copies
            .chunk_by(|one, other| partition(one) == partition(other))
            .flat_map(|there| there.chunks(letter.copies_max()))
            .filter_map(|step| {
                let partition = partition(step.first()?);
                Some(Step { partition, copies: step.iter().map(|copy| recipients.pending(copy)).collect() })
            })
            .collect();
        // Every delivery has an id of its own, a repeat too: what is left of an earlier one must not count for it.
        let id = DeliveryId::new(inner.clock.random_u64()).unwrap_or(DeliveryId::FIRST).get();
        let record = letter.record.encode();
        Self { id, home, repeat: repeat.map(|key| key.0), record, recipients: recipients.all, steps }
    }

    /// What a repeat has to know of it.
    pub(super) fn recalled(&self) -> Recalled {
        Recalled { delivery: self.id, elsewhere: self.steps.iter().map(|step| step.partition).collect() }
    }

    fn mark(&self, number: u16, step: &Step) -> Vec<u8> {
        [&*marks(step.partition, self.id), &number.to_be_bytes()].concat()
    }

    fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION]).expect("numbers and octets always encode")
    }

    fn decode(octets: &[u8]) -> Result<Self, StoreError> {
        let row = octets.strip_prefix(&[VERSION]).and_then(|row| postcard::from_bytes(row).ok());
        row.ok_or_else(|| StoreError::Damaged("an outbox row".to_owned()))
    }

    /// Adds the row to the home partition's batch, in chunks.
    pub(super) fn remember(&self, batch: &mut Batch) {
        let octets = self.encode();
        for (index, chunk) in (0_u16..).zip(octets.chunks(limits::VALUE_OCTETS_MAX)) {
            batch.put(Table::Outbox, [&*rows(self.home, self.id), &index.to_be_bytes()].concat(), chunk);
        }
    }

    /// Applies what is left, all steps at once, and leaves the row to be forgotten.
    pub(super) async fn apply(&self, store: &Store, letter: &Letter) -> Result<Vec<(usize, Appended)>, StoreError> {
        let given = self.apply_steps(store, letter).await?;
        failpoint::reach("outbox.before_forget");
        // Nobody waits for it: whoever forgets nothing applies nothing twice.
        work::spawn(self.forget(store)?);
        Ok(given)
    }

    async fn apply_steps(&self, store: &Store, letter: &Letter) -> Result<Vec<(usize, Appended)>, StoreError> {
        let applied = (0..).zip(&self.steps).map(|(number, step)| self.apply_step(store, number, step, letter.clone()));
        let given = futures_util::future::try_join_all(applied).await?;
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
        let copies: Vec<Copy> = step.copies.iter().filter_map(|pending| self.copy(pending)).collect();
        let (id, mark, repeat) = (self.id, self.mark(number, step), self.repeat.map(RepeatKey));
        let apply = move |transaction: &mut Transaction<'_>| {
            if let Some(given) = transaction.recall_step(repeat, number, id)? {
                return Ok(given);
            }
            if transaction.get(Table::Outbox, &mark)?.is_some() {
                return Ok(Vec::new());
            }
            let given = append_elsewhere(transaction, &letter, &copies)?;
            transaction.remember_step(repeat, number, id, &given);
            transaction.put(Table::Outbox, mark.clone(), Bytes::new());
            Ok(given)
        };
        let given = store.inner.partition(step.partition)?.write(apply).await?;
        failpoint::reach("outbox.after_step");
        Ok(given)
    }

    /// Removes the row, and once that is on stable storage the marks: a row that is still there finds them. A crash
    /// in between leaves marks without a row, for the next start to remove.
    ///
    /// The future holds the ways to the writers, and no store open.
    fn forget(&self, store: &Store) -> Result<impl Future<Output = ()> + Send + use<>, StoreError> {
        let (home, id, prefix) = (store.inner.partition(self.home)?, self.id, rows(self.home, self.id));
        let mut marked = Vec::new();
        for (number, step) in (0..).zip(&self.steps) {
            marked.push((store.inner.partition(step.partition)?, self.mark(number, step)));
        }
        Ok(async move {
            let forget = move |transaction: &mut Transaction<'_>| {
                transaction.batch().delete_range(Table::Outbox, &prefix, end_of(prefix.clone()));
                Ok(())
            };
            if let Err(error) = home.write(forget).await {
                warn!(%error, delivery = id, "a delivery that is done stays in the outbox until the next start");
                return;
            }
            for (partition, mark) in marked {
                partition.post(move |transaction| {
                    transaction.delete(Table::Outbox, mark.clone());
                    Ok(())
                });
            }
        })
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

    fn copy(&self, pending: &Pending) -> Option<Copy> {
        let OfRecipient { trace, verdict } = self.recipients.get(pending.recipient)?;
        let target = Target {
            account: AccountId::new(pending.account)?,
            mailbox: MailboxId::new(pending.mailbox)?,
            flags: pending.flags.iter().filter_map(|flag| Flag::parse(flag)).collect(),
            trace: Bytes::copy_from_slice(trace),
            verdict: verdict.as_deref().map(Bytes::copy_from_slice),
        };
        // It was admitted before the first commit.
        Some(Copy { index: pending.index, target, admission: Admission::Always })
    }
}

/// What is a recipient's own, each once.
#[derive(Default)]
struct Recipients {
    all: Vec<OfRecipient>,
    places: HashMap<OfRecipient, usize>,
}

impl Recipients {
    fn pending(&mut self, Copy { index, target, .. }: &Copy) -> Pending {
        let verdict = target.verdict.as_ref().map(|verdict| verdict.to_vec());
        let of_recipient = OfRecipient { trace: target.trace.to_vec(), verdict };
        let recipient = *self.places.entry(of_recipient).or_insert_with_key(|of_recipient| {
            self.all.push(of_recipient.clone());
            self.all.len() - 1
        });
        Pending {
            index: *index,
            account: target.account.get(),
            mailbox: target.mailbox.get(),
            flags: target.flags.iter().map(|flag| flag.to_string()).collect(),
            recipient,
        }
    }
}

/// What the keys of a delivery's row begin with: chunks follow.
fn rows(home: u16, id: u64) -> Vec<u8> {
    [&*outbox(home, Task::Delivery), &id.to_be_bytes()].concat()
}

/// What the keys of a delivery's marks in a partition begin with: steps follow.
fn marks(partition: u16, id: u64) -> Vec<u8> {
    [&*outbox(partition, Task::Applied), &id.to_be_bytes()].concat()
}

/// Appends copies of a message whose octets another partition has stored. What was accepted for a mailbox that was
/// deleted meanwhile goes to INBOX; an account that was removed has no use for its copy.
fn append_elsewhere(
    transaction: &mut Transaction<'_>,
    letter: &Letter,
    copies: &[Copy],
) -> Result<Vec<(usize, Appended)>, StoreError> {
    let mut there = Vec::with_capacity(copies.len());
    for copy in copies {
        match mailbox_for(transaction, &copy.target) {
            Ok(mailbox) => there.push(Copy { target: Target { mailbox, ..copy.target.clone() }, ..*copy }),
            Err(StoreError::NoAccount | StoreError::NoMailbox) => {}
            Err(error) => return Err(error),
        }
    }
    let (given, owners) = append_copies(transaction, letter, &there)?;
    transaction.inner().blobs.add_owners(&letter.record.manifest, &owners, transaction.batch())?;
    Ok(given)
}

fn mailbox_for(transaction: &mut Transaction<'_>, target: &Target) -> Result<MailboxId, StoreError> {
    let account = transaction.account(target.account)?;
    if account.has(target.mailbox) {
        return Ok(target.mailbox);
    }
    account.names().get("INBOX").map(|inbox| inbox.id).ok_or(StoreError::NoMailbox)
}

/// Goes on with what an earlier try of a delivery left to do elsewhere, and returns what was given out there.
pub(super) async fn go_on(
    store: &Store,
    home: u16,
    repeat: RepeatKey,
    recalled: &Recalled,
) -> Result<Vec<(usize, Appended)>, StoreError> {
    let mut row = Vec::new();
    store.inner.engine.scan_prefix(Table::Outbox, &rows(home, recalled.delivery), |_, chunk| {
        row.extend_from_slice(chunk);
        true
    })?;
    if row.is_empty() {
        return store.inner.recall_steps(repeat, recalled);
    }
    let delivery = Delivery::decode(&row)?;
    let letter = delivery.letter(store).await?;
    delivery.apply(store, &letter).await
}

/// Contents that deliveries under way will name, whoever has removed their first copies meanwhile.
pub(super) fn contents(inner: &Inner) -> Result<HashSet<ContentId>, StoreError> {
    let mut contents = HashSet::new();
    for row in deliveries(inner)?.values() {
        let damaged = || StoreError::Damaged("an outbox row".to_owned());
        let record = StoredRecord::decode(&Delivery::decode(row)?.record.into()).ok_or_else(damaged)?;
        contents.extend(record.manifest.contents());
    }
    Ok(contents)
}

/// Ids and rows of the deliveries of every partition, chunks put together. Reads no other row: what was deleted waits
/// in the same table for days.
fn deliveries(inner: &Inner) -> Result<BTreeMap<u64, Vec<u8>>, StoreError> {
    let mut rows: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for partition in inner.partition_numbers() {
        let prefix = outbox(partition, Task::Delivery);
        inner.engine.scan_prefix(Table::Outbox, &prefix, |key, chunk| {
            if let Some(id) = id_behind(&prefix, key) {
                rows.entry(id).or_default().extend_from_slice(chunk);
            }
            true
        })?;
    }
    Ok(rows)
}

/// The delivery that the key of a row or of a mark is about.
fn id_behind(prefix: &[u8], key: &[u8]) -> Option<u64> {
    key.strip_prefix(prefix)?.first_chunk().map(|id| u64::from_be_bytes(*id))
}

/// Finishes every delivery that a crash left in the outbox, and returns how many. One that cannot be
/// finished stays for the next start, and keeps no other from being finished.
pub(super) async fn finish_all(store: &Store) -> Result<usize, StoreError> {
    let (mut finished, mut left) = (0, HashSet::new());
    for (id, row) in deliveries(&store.inner)? {
        match finish(store, &row).await {
            Ok(()) => finished += 1,
            Err(error) => {
                error!(%error, "a delivery that a crash left could not be finished");
                left.insert(id);
            }
        }
    }
    remove_marks(store, &left)?;
    Ok(finished)
}

async fn finish(store: &Store, row: &[u8]) -> Result<(), StoreError> {
    let delivery = Delivery::decode(row)?;
    let letter = delivery.letter(store).await?;
    delivery.apply_steps(store, &letter).await?;
    delivery.forget(store)?.await;
    Ok(())
}

/// Removes the marks that no row needs any more.
fn remove_marks(store: &Store, left: &HashSet<u64>) -> Result<(), StoreError> {
    for partition in store.inner.partition_numbers() {
        let (mut marks, prefix) = (Vec::new(), outbox(partition, Task::Applied));
        store.inner.engine.scan_prefix(Table::Outbox, &prefix, |key, _| {
            if id_behind(&prefix, key).is_none_or(|id| !left.contains(&id)) {
                marks.push(key.to_vec());
            }
            true
        })?;
        if !marks.is_empty() {
            store.inner.partition(partition)?.post(move |transaction| {
                marks.iter().for_each(|mark| transaction.delete(Table::Outbox, mark.clone()));
                Ok(())
            });
        }
    }
    Ok(())
}
