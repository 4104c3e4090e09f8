//! Message records as they are stored.

use super::{
    StoreError, Target,
    blob::Manifest,
    cache::Weigh,
    key::{Place, end_of},
    metadata::{Batch, Engine, Table},
    read::MessageRecord,
};
use crate::{
    clock::UnixMillis,
    limits,
    mail::{ContentId, MessageNumber},
    message::Analysis,
};
use bytes::Bytes;
use std::sync::Arc;

/// Version of a record's encoding; its first octet.
const VERSION: u8 = 1;

/// A record without its place. Encoded by postcard behind the version, cut into chunks of at most
/// `limits::VALUE_OCTETS_MAX`; nearly all have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredRecord {
    pub(super) raw_id: ContentId,
    pub(super) raw_octets: u64,
    pub(super) internal_date: UnixMillis,
    pub(super) trace: Bytes,
    pub(super) verdict: Option<Bytes>,
    /// Chunks of its text in the tail of the index.
    pub(super) text_chunks: u16,
    pub(super) manifest: Manifest,
    /// The stored form of its analysis.
    pub(super) analysis: Bytes,
}

type Row<'a> = ([u8; 32], u64, i64, &'a [u8], Option<&'a [u8]>, u16, &'a [u8], &'a [u8]);

impl StoredRecord {
    /// The record of one copy: trace and verdict are each recipient's own.
    pub(super) fn for_target(&self, target: &Target, text_chunks: u16) -> Self {
        Self { trace: target.trace.clone(), verdict: target.verdict.clone(), text_chunks, ..self.clone() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let manifest = self.manifest.encode();
        let row: Row<'_> = (
            self.raw_id.0,
            self.raw_octets,
            self.internal_date.0,
            &self.trace,
            self.verdict.as_deref(),
            self.text_chunks,
            &manifest,
            &self.analysis,
        );
        postcard::to_extend(&row, vec![VERSION]).expect("numbers and octets always encode")
    }

    pub(super) fn decode(octets: &Bytes) -> Option<Self> {
        let row = postcard::from_bytes::<Row<'_>>(octets.strip_prefix(&[VERSION])?).ok()?;
        let (raw_id, raw_octets, internal_date, trace, verdict, text_chunks, manifest, analysis) = row;
        Some(Self {
            raw_id: ContentId(raw_id),
            raw_octets,
            internal_date: UnixMillis(internal_date),
            trace: Bytes::copy_from_slice(trace),
            verdict: verdict.map(Bytes::copy_from_slice),
            text_chunks,
            manifest: Manifest::decode(manifest)?,
            analysis: octets.slice_ref(analysis),
        })
    }

    /// Adds the record to a batch: the first chunk says how many there are.
    pub(super) fn write(&self, place: Place, number: MessageNumber, batch: &mut Batch) {
        let octets = self.encode();
        let chunks = octets.chunks(limits::VALUE_OCTETS_MAX - 2);
        let count = u16::try_from(chunks.len()).expect("limits keep a record below 4 GiB");
        for (index, chunk) in (0_u16..).zip(chunks) {
            let key = if index == 0 { place.record(number) } else { place.record_chunk(number, index) };
            batch.put(Table::Record, key, [&count.to_be_bytes(), chunk].concat());
        }
    }

    pub(super) fn read(engine: &Engine, place: Place, number: MessageNumber) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged(format!("record {number} of account {}", place.account));
        let first = engine.get(Table::Record, place.record(number))?.ok_or(StoreError::NoMessage)?;
        let (count, head) = first.split_first_chunk::<2>().ok_or_else(damaged)?;
        let count = u16::from_be_bytes(*count);
        if count <= 1 {
            return Self::decode(&first.slice_ref(head)).ok_or_else(damaged);
        }
        let mut octets = head.to_vec();
        for index in 1..count {
            let chunk = engine.get(Table::Record, place.record_chunk(number, index))?.ok_or_else(damaged)?;
            octets.extend_from_slice(chunk.get(2..).ok_or_else(damaged)?);
        }
        Self::decode(&octets.into()).ok_or_else(damaged)
    }

    /// Removes the record and what the tail of the index has of its text.
    pub(super) fn delete(&self, place: Place, number: MessageNumber, batch: &mut Batch) {
        batch.delete(Table::Record, place.record(number));
        if self.encode().len() > limits::VALUE_OCTETS_MAX - 2 {
            let chunks = place.record_chunk(number, 0);
            batch.delete_range(Table::Record, &chunks, end_of(place.record_chunk(number, u16::MAX)));
        }
        for chunk in 0..self.text_chunks {
            batch.delete(Table::Tail, text_key(place, number, chunk));
        }
    }

    pub(super) fn into_record(self, place: Place, number: MessageNumber) -> Result<MessageRecord, StoreError> {
        let damaged = || StoreError::Damaged(format!("record {number} of account {}", place.account));
        let analysis = Analysis::from_stored(&self.analysis).ok_or_else(damaged)?;
        let stored_octets = self.analysis.len() + self.trace.len() + self.verdict.as_ref().map_or(0, Bytes::len);
        Ok(MessageRecord {
            account: place.account,
            number,
            raw_id: self.raw_id,
            raw_octets: self.raw_octets,
            trace: self.trace,
            internal_date: self.internal_date,
            stored_octets,
            verdict: self.verdict,
            analysis: Arc::new(analysis),
            manifest: self.manifest,
        })
    }
}

/// The key of a chunk of a message's text in the tail of the index.
pub(super) fn text_key(place: Place, number: MessageNumber, chunk: u16) -> Vec<u8> {
    let mut key = super::index::Indexes::tail_key(place, number);
    key.extend(chunk.to_be_bytes());
    key
}

impl Weigh for MessageRecord {
    /// Decoded, an analysis takes some times the octets of its stored form.
    fn octets(&self) -> usize {
        512 + 6 * self.stored_octets
    }
}
