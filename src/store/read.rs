//! Reading records and octets of messages.

use super::{Store, StoreError, blob::Manifest, record::StoredRecord};
use crate::{
    clock::UnixMillis,
    mail::{AccountId, ContentId, MessageNumber},
    message::Analysis,
};
use bytes::{Bytes, BytesMut};
use std::{ops::Range, sync::Arc};

/// What is kept of a message beside its octets.
#[derive(Clone, Debug)]
pub struct MessageRecord {
    /// The account.
    pub account: AccountId,
    /// Its number there.
    pub number: MessageNumber,
    /// Hash of the octets as received.
    pub raw_id: ContentId,
    /// Octets as received, trace not counted.
    pub raw_octets: u64,
    /// Our trace fields; they stand before the octets as received.
    pub trace: Bytes,
    /// INTERNALDATE.
    pub internal_date: UnixMillis,
    /// Structure and ENVELOPE; its offsets count from the first octet as received, trace not included.
    pub analysis: Arc<Analysis>,
    /// The spam verdict, opaque here.
    pub verdict: Option<Bytes>,
    pub(super) manifest: Manifest,
    /// Octets that the variable parts take in the stored form.
    pub(super) stored_octets: usize,
}

impl MessageRecord {
    /// RFC822.SIZE: trace and octets as received.
    pub fn octets(&self) -> u64 {
        self.raw_octets + self.trace.len() as u64
    }
}

impl Store {
    /// The record of a message, from a cache where it was read lately.
    pub fn record(&self, account: AccountId, number: MessageNumber) -> Result<Arc<MessageRecord>, StoreError> {
        if let Some(record) = self.inner.records.get(&(account, number)) {
            return Ok(record);
        }
        // The rows of a removed account may still be there.
        if matches!(self.inner.account(account), Err(StoreError::NoAccount)) {
            return Err(StoreError::NoMessage);
        }
        let place = self.inner.place(account);
        let record = Arc::new(StoredRecord::read(&self.inner.engine, place, number)?.into_record(place, number)?);
        self.inner.records.put((account, number), Arc::clone(&record));
        Ok(record)
    }

    /// Octets of the message as received (trace not included), verified. Touches only what the range needs.
    pub async fn read_raw(&self, record: &MessageRecord, range: Range<u64>) -> Result<Bytes, StoreError> {
        let range = range.start.min(record.raw_octets)..range.end.min(record.raw_octets);
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.inner.blobs.read(&record.manifest, range).await
    }

    /// Octets of the message as it is shown: trace fields, then the octets as received.
    pub async fn read(&self, record: &MessageRecord, range: Range<u64>) -> Result<Bytes, StoreError> {
        let trace = record.trace.len() as u64;
        let raw = range.start.saturating_sub(trace)..range.end.saturating_sub(trace);
        if range.start >= trace {
            return self.read_raw(record, raw).await;
        }
        let from_trace = usize_of(range.start)..usize_of(range.end.min(trace));
        let head = record.trace.slice(from_trace);
        if raw.is_empty() {
            return Ok(head);
        }
        let body = self.read_raw(record, raw).await?;
        let mut whole = BytesMut::with_capacity(head.len() + body.len());
        whole.extend_from_slice(&head);
        whole.extend_from_slice(&body);
        Ok(whole.freeze())
    }
}

fn usize_of(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
