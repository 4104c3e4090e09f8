//! Segment rows: what an account's index is made of.

use super::schema::ANALYSIS_VERSION;
use crate::{
    mail::AccountId,
    store::{
        StoreError,
        key::Place,
        metadata::{Batch, Engine, Table, View},
    },
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SegmentRow {
    analysis: u8,
    /// tantivy's name of it, and the last part of its object's name.
    pub(super) id: String,
    pub(super) documents: u32,
    pub(super) octets: u64,
}

impl SegmentRow {
    pub(super) fn new(id: String, documents: u32, octets: u64) -> Self {
        Self { analysis: ANALYSIS_VERSION, id, documents, octets }
    }

    fn key(&self, place: Place) -> Vec<u8> {
        [&*place.prefix(), self.id.as_bytes()].concat()
    }

    pub(super) fn object(&self, account: AccountId) -> String {
        format!("{}/{}", folder(account), self.id)
    }

    pub(super) fn put(&self, place: Place, batch: &mut Batch) {
        batch.put(
            Table::Segment,
            self.key(place),
            postcard::to_allocvec(self).expect("names and numbers always encode"),
        );
    }

    pub(super) fn remove(&self, place: Place, batch: &mut Batch) {
        batch.delete(Table::Segment, self.key(place));
    }
}

/// The folder of an account's bundles.
pub(super) fn folder(account: AccountId) -> String {
    format!("index/{account}")
}

/// The objects of every account's segments.
pub(super) fn objects(engine: &Engine) -> Result<HashSet<String>, StoreError> {
    let mut objects = HashSet::new();
    engine.scan_prefix(Table::Segment, b"", |key, _| {
        let account = key.get(2..).and_then(<[u8]>::split_first_chunk);
        let named = account.and_then(|(account, id)| {
            let account = AccountId::new(u64::from_be_bytes(*account))?;
            Some(format!("{}/{}", folder(account), std::str::from_utf8(id).ok()?))
        });
        objects.extend(named);
        true
    })?;
    Ok(objects)
}

/// An account's segments in a view.
pub(super) fn all(view: &View<'_>, place: Place) -> Result<Vec<SegmentRow>, StoreError> {
    let (mut rows, mut fault) = (Vec::new(), None);
    view.scan_prefix(Table::Segment, &place.prefix(), |_, value| {
        match postcard::from_bytes::<SegmentRow>(value) {
            Ok(row) if row.analysis == ANALYSIS_VERSION => rows.push(row),
            Ok(_) => fault = Some("an index segment of another release: run `postern index rebuild`"),
            Err(_) => fault = Some("the row of an index segment"),
        }
        fault.is_none()
    })?;
    match fault {
        Some(fault) => Err(StoreError::Damaged(fault.to_owned())),
        None => Ok(rows),
    }
}
