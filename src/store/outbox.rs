//! Deliveries to several partitions: an outbox row that names the others, applied at most once each.
//!
//! The home partition's commit carries the octets, its own recipients and the row. Each further
//! partition's commit carries its recipients and a mark with the delivery's id. When all are done, row and
//! marks go. A restart applies every row that is left; a mark says what was applied already.

use super::{
    Appended, Inner, Store, StoreError, Target,
    append::{self, Prepared},
    failpoint,
    index::Indexes,
    key::partition_of,
    metadata::{Batch, Durability, Table},
    record::StoredRecord,
};
use crate::{
    mail::{AccountId, DeliveryId, Flag, MailboxId},
    message,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What is left to be done of a delivery, as the outbox row keeps it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Delivery {
    id: u64,
    /// A record as its home partition has it; trace and verdict are each target's own.
    record: Vec<u8>,
    targets: Vec<Pending>,
}

#[derive(Clone, Serialize, Deserialize)]
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
    pub(super) fn new(inner: &Inner, prepared: &Prepared, elsewhere: &[(usize, Target)]) -> Self {
        let targets = elsewhere.iter().map(|(index, target)| Pending::of(*index, target)).collect();
        let record = elsewhere.first().map(|(_, target)| prepared.record(target).encode()).unwrap_or_default();
        let id = match prepared.message.repeat {
            // A repeat of the delivery finds the row that its first try left.
            Some(repeat) => repeat.0.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets)),
            None => inner.clock.random_u64(),
        };
        Self { id: DeliveryId::new(id).map_or(1, DeliveryId::get), record, targets }
    }

    fn key(&self) -> Vec<u8> {
        [&b"d"[..], &self.id.to_be_bytes()].concat()
    }

    fn mark(&self, partition: u16) -> Vec<u8> {
        [&b"m"[..], &self.id.to_be_bytes(), &partition.to_be_bytes()].concat()
    }

    /// Adds the row to the home partition's batch, in chunks.
    pub(super) fn remember(&self, batch: &mut Batch) {
        let octets = postcard::to_allocvec(self).expect("numbers and octets always encode");
        for (index, chunk) in (0_u16..).zip(octets.chunks(crate::limits::VALUE_OCTETS_MAX)) {
            batch.put(Table::Outbox, [&*self.key(), &index.to_be_bytes()].concat(), chunk);
        }
    }

    /// Whether the row is still there: the delivery is not finished.
    pub(super) fn is_remembered(&self, inner: &Inner) -> Result<bool, StoreError> {
        Ok(inner.engine.get(Table::Outbox, [&*self.key(), &0_u16.to_be_bytes()].concat())?.is_some())
    }

    /// Applies what is left, partition by partition, and forgets the row.
    pub(super) async fn apply(&self, store: &Store) -> Result<Vec<(usize, Appended)>, StoreError> {
        let partition_of = |pending: &Pending| {
            AccountId::new(pending.account).map_or(0, |id| partition_of(id, store.inner.partitions))
        };
        let mut partitions: Vec<u16> = self.targets.iter().map(partition_of).collect();
        partitions.sort_unstable();
        partitions.dedup();
        let text = self.text(store).await?;
        let mut given = Vec::new();
        for partition in &partitions {
            let targets: Vec<Pending> =
                self.targets.iter().filter(|pending| partition_of(pending) == *partition).cloned().collect();
            given.extend(self.apply_to(store, *partition, targets, text.clone()).await?);
            failpoint::reach("append.between_partitions");
        }
        self.forget(store, &partitions)?;
        Ok(given)
    }

    async fn apply_to(
        &self,
        store: &Store,
        partition: u16,
        targets: Vec<Pending>,
        text: Bytes,
    ) -> Result<Vec<(usize, Appended)>, StoreError> {
        let Some(account) = targets.first().and_then(|pending| AccountId::new(pending.account)) else {
            return Ok(Vec::new());
        };
        let (mark, record) = (self.mark(partition), StoredRecord::decode(&self.record));
        let record = record.ok_or_else(|| StoreError::Damaged("an outbox row".to_owned()))?;
        store
            .write(account, move |transaction| {
                if transaction.inner().engine.get(Table::Outbox, &mark)?.is_some() {
                    return Ok(Vec::new());
                }
                let mut given = Vec::new();
                for pending in targets {
                    // An account or mailbox that was removed meanwhile has no use for its copy.
                    let Some(target) = pending.target() else { continue };
                    if transaction.mailbox(target.account, target.mailbox).is_err() {
                        continue;
                    }
                    let record =
                        StoredRecord { trace: target.trace.clone(), verdict: target.verdict.clone(), ..record.clone() };
                    let copy = append::append_copy(transaction, &target, &record, &text)?;
                    let owners = [append::owner(&copy, &record)];
                    let blobs = transaction.inner().blobs.clone();
                    blobs.add_owners(&record.manifest, &owners, transaction.batch())?;
                    given.push((pending.index, copy));
                }
                transaction.batch().put(Table::Outbox, &mark, b"");
                Ok(given)
            })
            .await
    }

    /// The text for the tail rows, from the octets that the home partition stored.
    async fn text(&self, store: &Store) -> Result<Bytes, StoreError> {
        let record =
            StoredRecord::decode(&self.record).ok_or_else(|| StoreError::Damaged("an outbox row".to_owned()))?;
        let raw = store.inner.blobs.read(&record.manifest, 0..record.raw_octets).await?;
        let work = move || Indexes::tail_value(&message::search_text(&raw, &record.analysis));
        super::off_the_reactor(work).await.map(Bytes::from)
    }

    fn forget(&self, store: &Store, partitions: &[u16]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let key = self.key();
        batch.delete_range(Table::Outbox, &key, super::key::end_of(key.clone()));
        partitions.iter().for_each(|partition| batch.delete(Table::Outbox, self.mark(*partition)));
        store.inner.engine.commit(batch, Durability::Buffered)
    }
}

impl Pending {
    fn of(index: usize, target: &Target) -> Self {
        Self {
            index,
            account: target.account.get(),
            mailbox: target.mailbox.get(),
            flags: target.flags.iter().map(|flag| flag.to_string()).collect(),
            trace: target.trace.to_vec(),
            verdict: target.verdict.as_ref().map(|verdict| verdict.to_vec()),
        }
    }

    fn target(&self) -> Option<Target> {
        Some(Target {
            account: AccountId::new(self.account)?,
            mailbox: MailboxId::new(self.mailbox)?,
            flags: self.flags.iter().filter_map(|flag| Flag::parse(flag)).collect(),
            trace: Bytes::copy_from_slice(&self.trace),
            verdict: self.verdict.as_deref().map(Bytes::copy_from_slice),
        })
    }
}

/// Finishes every delivery that a crash left in the outbox.
pub(super) async fn finish_all(store: &Store) -> Result<usize, StoreError> {
    let mut rows: std::collections::BTreeMap<Vec<u8>, Vec<u8>> = std::collections::BTreeMap::new();
    store.inner.engine.scan_prefix(Table::Outbox, b"d", |key, chunk| {
        let delivery = key.get(..key.len().saturating_sub(2)).unwrap_or_default().to_vec();
        rows.entry(delivery).or_default().extend_from_slice(chunk);
        true
    })?;
    for octets in rows.values() {
        let delivery: Delivery =
            postcard::from_bytes(octets).map_err(|_| StoreError::Damaged("an outbox row".to_owned()))?;
        delivery.apply(store).await?;
    }
    Ok(rows.len())
}
