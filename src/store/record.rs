//! Message records as they are stored.

use super::{
    StoreError,
    blob::Manifest,
    key::Place,
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
#[derive(Clone)]
pub(super) struct StoredRecord {
    pub(super) raw_id: ContentId,
    pub(super) raw_octets: u64,
    pub(super) trace: Bytes,
    pub(super) internal_date: UnixMillis,
    pub(super) analysis: Arc<Analysis>,
    pub(super) verdict: Option<Bytes>,
    pub(super) manifest: Manifest,
}

type Head<'a> = ([u8; 32], u64, i64, &'a [u8], Option<&'a [u8]>, &'a [u8]);

impl StoredRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let manifest = self.manifest.encode();
        let head: Head<'_> =
            (self.raw_id.0, self.raw_octets, self.internal_date.0, &self.trace, self.verdict.as_deref(), &manifest);
        let encoded = "numbers, octets and texts always encode";
        let mut octets = vec![VERSION];
        octets.extend(postcard::to_allocvec(&head).expect(encoded));
        octets.extend(postcard::to_allocvec(&*self.analysis).expect(encoded));
        octets
    }

    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let (&VERSION, rest) = octets.split_first()? else { return None };
        let (head, rest) = postcard::take_from_bytes::<Head<'_>>(rest).ok()?;
        let (raw_id, raw_octets, internal_date, trace, verdict, manifest) = head;
        Some(Self {
            raw_id: ContentId(raw_id),
            raw_octets,
            trace: Bytes::copy_from_slice(trace),
            internal_date: UnixMillis(internal_date),
            analysis: Arc::new(postcard::from_bytes(rest).ok()?),
            verdict: verdict.map(Bytes::copy_from_slice),
            manifest: Manifest::decode(manifest)?,
        })
    }

    /// Adds the record to a batch: the first chunk says how many there are.
    pub(super) fn write(&self, place: Place, number: MessageNumber, batch: &mut Batch) {
        let octets = self.encode();
        let chunks: Vec<&[u8]> = octets.chunks(limits::VALUE_OCTETS_MAX - 2).collect();
        let count = u16::try_from(chunks.len()).unwrap_or(u16::MAX);
        for (index, chunk) in (0_u16..).zip(&chunks) {
            let value = [&count.to_be_bytes(), *chunk].concat();
            batch.put(Table::Record, chunk_key(place, number, index), value);
        }
    }

    pub(super) fn read(engine: &Engine, place: Place, number: MessageNumber) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged(format!("record {number} of account {}", place.account));
        let first = engine.get(Table::Record, place.record(number))?.ok_or(StoreError::NoMessage)?;
        let (count, head) = first.split_first_chunk::<2>().ok_or_else(damaged)?;
        let count = u16::from_be_bytes(*count);
        if count == 1 {
            return Self::decode(head).ok_or_else(damaged);
        }
        let mut octets = head.to_vec();
        for index in 1..count {
            let chunk = engine.get(Table::Record, chunk_key(place, number, index))?.ok_or_else(damaged)?;
            octets.extend_from_slice(chunk.get(2..).ok_or_else(damaged)?);
        }
        Self::decode(&octets).ok_or_else(damaged)
    }

    pub(super) fn into_record(self, place: Place, number: MessageNumber) -> MessageRecord {
        MessageRecord {
            account: place.account,
            number,
            raw_id: self.raw_id,
            raw_octets: self.raw_octets,
            trace: self.trace,
            internal_date: self.internal_date,
            analysis: self.analysis,
            verdict: self.verdict,
            manifest: self.manifest,
        }
    }
}

fn chunk_key(place: Place, number: MessageNumber, index: u16) -> Vec<u8> {
    let mut key = place.record(number);
    if index > 0 {
        key.push(b'c');
        key.extend(index.to_be_bytes());
    }
    key
}
