//! Open segments, and a search over all of an account's.

use super::{
    Shared, TextKey,
    bundle::OpenSegment,
    query,
    row::{self, SegmentRow},
    tail::Text,
};
use crate::{
    limits,
    mail::AccountId,
    store::{
        StoreError,
        key::Place,
        metadata::{Table, View},
    },
};
use lru::LruCache;
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use std::{path::Path, sync::Arc};
use tantivy::directory::{Directory, FileSlice, MmapDirectory, OwnedBytes};

/// Segments that are open, the least used closed first once their octets exceed the bound.
pub(super) struct OpenSegments(Mutex<Weighed>);

struct Weighed {
    segments: LruCache<(AccountId, String), Arc<OpenSegment>>,
    octets: usize,
}

impl OpenSegments {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Weighed { segments: LruCache::unbounded(), octets: 0 }))
    }

    fn get(&self, key: &(AccountId, String)) -> Option<Arc<OpenSegment>> {
        self.0.lock().segments.get(key).cloned()
    }

    fn put(&self, key: (AccountId, String), segment: Arc<OpenSegment>) {
        let mut open = self.0.lock();
        open.octets += segment.weight();
        if let Some(old) = open.segments.put(key, segment) {
            open.octets = open.octets.saturating_sub(old.weight());
        }
        while open.octets > limits::INDEX_OPEN_OCTETS_MAX && open.segments.len() > 1 {
            let Some((_, closed)) = open.segments.pop_lru() else { break };
            open.octets = open.octets.saturating_sub(closed.weight());
        }
    }

    pub(super) fn forget(&self, account: AccountId) {
        self.forget_where(|(of, _)| *of == account);
    }

    pub(super) fn forget_segment(&self, account: AccountId, id: &str) {
        self.forget_where(|(of, segment)| *of == account && segment == id);
    }

    fn forget_where(&self, gone: impl Fn(&(AccountId, String)) -> bool) {
        let mut open = self.0.lock();
        let keys: Vec<_> = open.segments.iter().map(|(key, _)| key).filter(|key| gone(key)).cloned().collect();
        for key in keys {
            if let Some(closed) = open.segments.pop(&key) {
                open.octets = open.octets.saturating_sub(closed.weight());
            }
        }
    }
}

/// The segment of a row, open. `NoMessage` where its bundle is gone, since a merge has replaced it, or not here yet.
pub(super) fn open(shared: &Shared, account: AccountId, row: &SegmentRow) -> Result<Arc<OpenSegment>, StoreError> {
    let key = (account, row.id.clone());
    if let Some(segment) = shared.open.get(&key) {
        return Ok(segment);
    }
    let name = row.object(account);
    let path = shared.blobs.object_file(&name)?.ok_or(StoreError::NoMessage)?;
    let segment = Arc::new(OpenSegment::open(&row.id, row.documents, map(&path)?)?);
    shared.open.put(key, Arc::clone(&segment));
    Ok(segment)
}

/// Gets local files of bundles that are elsewhere, those left out that are open.
pub(super) async fn fetch(shared: &Shared, account: AccountId, rows: &[SegmentRow]) -> Result<(), StoreError> {
    for row in rows {
        if shared.open.get(&(account, row.id.clone())).is_none() {
            shared.blobs.fetch_copy(&row.object(account)).await?;
        }
    }
    Ok(())
}

/// Maps a file, through tantivy: its directory owns the one unsafe call.
fn map(path: &Path) -> Result<OwnedBytes, StoreError> {
    let failed = |error: &dyn std::fmt::Display| StoreError::Failed(format!("{}: {error}", path.display()));
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed(&"no such index bundle"));
    };
    if !path.exists() {
        return Err(StoreError::NoMessage);
    }
    let directory = MmapDirectory::open(folder).map_err(|error| failed(&error))?;
    let handle = directory.get_file_handle(Path::new(name)).map_err(|error| failed(&error))?;
    FileSlice::new(handle).read_bytes().map_err(|error| failed(&error))
}

/// Message numbers that match for sure, and those that have to be looked at.
pub(super) fn search(
    shared: &Shared,
    place: Place,
    key: &TextKey,
) -> Result<(RoaringBitmap, RoaringBitmap), StoreError> {
    let view = shared.engine.view();
    let (mut certain, mut possible) = (RoaringBitmap::new(), RoaringBitmap::new());
    for row in row::all(&view, place)? {
        let answer = query::answer(&*open(shared, place.account, &row)?, key)?;
        certain |= answer.certain;
        possible |= answer.possible;
    }
    for (number, octets) in tail_rows(&view, place, usize::MAX)? {
        // A text too long for its batch is looked at in the stored message.
        if octets.is_empty() {
            possible.insert(number);
        } else if read(place, number, &octets)?.matches(key) {
            certain.insert(number);
        }
    }
    possible -= &certain;
    Ok((certain, possible))
}

pub(super) fn read(place: Place, number: u32, octets: &[u8]) -> Result<Text, StoreError> {
    Text::decode(octets).ok_or_else(|| {
        StoreError::Damaged(format!("the unindexed text of message {number} of account {}", place.account))
    })
}

/// The tail rows of up to so many messages, by rising number, with the chunks of each joined.
pub(super) fn tail_rows(view: &View<'_>, place: Place, count: usize) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
    let prefix = place.prefix();
    let mut rows: Vec<(u32, Vec<u8>)> = Vec::new();
    view.scan_prefix(Table::Tail, &prefix, |key, value| {
        let number = key.get(prefix.len()..).and_then(|rest| rest.first_chunk());
        let Some(number) = number.map(|octets| u32::from_be_bytes(*octets)) else { return true };
        if let Some((last, octets)) = rows.last_mut()
            && *last == number
        {
            octets.extend_from_slice(value);
            return true;
        }
        let room = rows.len() < count;
        if room {
            rows.push((number, value.to_vec()));
        }
        room
    })?;
    Ok(rows)
}
