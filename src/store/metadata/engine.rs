//! The engine as the store sees it, and what one has to do.

use super::{Batch, Durability, MetadataAt, Table, after_prefix, batch::Write, rocks::Rocks};
use crate::store::{StoreError, failpoint};
use bytes::Bytes;
use std::{ops::Bound, path::Path, sync::Arc};

/// Keys from one bound to another.
pub(in crate::store) type KeyRange<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// What a scan calls for each pair, until it returns `false`.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> bool;

/// Reading: the engine as it is now, or as it was when a view was taken.
pub(super) trait Reader {
    /// Reads one value.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Visits the pairs of a range that is not empty, in key order. No commit changes what a scan sees.
    fn scan(&self, table: Table, range: KeyRange<'_>, visit: Visit<'_>) -> Result<(), StoreError>;
}

/// What an engine has to do. Whoever opened it owns every partition until it is dropped; a second one is told
/// [`StoreError::InUse`], and one that lost it anyway can write no more.
pub(super) trait Backend: Reader + Send + Sync {
    /// Values in the order of `keys`.
    fn multi_get(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StoreError>;

    /// A view that later commits do not change, over all tables.
    fn view(&self) -> Box<dyn Reader + '_>;

    /// Writes all or nothing. Where it is [`Durability::Synced`], this and every earlier commit outlives a crash of
    /// the machine once this returns; of the others a crash may take any number, the latest first.
    /// [`StoreError::Full`]: nothing was written. Any other error: whether it was shows when the engine is opened again.
    fn commit(&self, writes: Vec<Write>, durability: Durability) -> Result<(), StoreError>;
}

/// An open engine. Clones share it; the last one closes it.
#[derive(Clone)]
pub(in crate::store) struct Engine {
    backend: Arc<dyn Backend>,
}

impl Engine {
    /// Opens what is in memory, or what is in the folder, which is made where there is none. The cache is of
    /// what is read from disk.
    pub(in crate::store) fn open(at: &MetadataAt, folder: &Path, cache_octets: usize) -> Result<Self, StoreError> {
        let backend: Arc<dyn Backend> = match at {
            MetadataAt::Folder => Arc::new(Rocks::open(folder, cache_octets)?),
            MetadataAt::Memory(memory) => Arc::new(memory.open()?),
        };
        Ok(Self { backend })
    }

    /// Reads one value.
    pub(in crate::store) fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, StoreError> {
        self.backend.get(table, key.as_ref())
    }

    /// Values in the order of `keys`.
    pub(in crate::store) fn multi_get(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.backend.multi_get(table, keys)
    }

    /// Calls `visit` for each pair in key order, from a consistent view, until it returns `false`.
    pub(in crate::store) fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        if is_empty(range) { Ok(()) } else { self.backend.scan(table, range, &mut visit) }
    }

    /// Calls `visit` for each pair whose key begins with `prefix`.
    pub(in crate::store) fn scan_prefix(
        &self,
        table: Table,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        scan_prefix(self.backend.as_ref(), table, prefix, &mut visit)
    }

    /// A view that later commits do not change, over all tables.
    pub(in crate::store) fn view(&self) -> View<'_> {
        View { reader: self.backend.view() }
    }

    /// Commits the batch, or nothing of one that is beyond the limits ([`StoreError::Limit`]). Blocks for an fsync
    /// where `Synced`: call it off the reactor.
    pub(in crate::store) fn commit(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let writes = batch.into_writes()?;
        failpoint::reach("commit.before");
        let committed = self.backend.commit(writes, durability);
        failpoint::reach("commit.after");
        committed
    }

    /// Commits a batch that has grown beyond so many octets and goes on with an empty one: for writes of any number,
    /// each of which is right by itself. Blocks as [`Engine::commit`].
    pub(in crate::store) fn commit_beyond(
        &self,
        octets: usize,
        batch: &mut Batch,
        durability: Durability,
    ) -> Result<(), StoreError> {
        if batch.octets() > octets { self.commit(batch.take(), durability) } else { Ok(()) }
    }
}

/// A view of all tables at one moment.
pub(in crate::store) struct View<'a> {
    reader: Box<dyn Reader + 'a>,
}

impl View<'_> {
    /// Reads one value.
    pub(in crate::store) fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, StoreError> {
        self.reader.get(table, key.as_ref())
    }

    /// Calls `visit` for each pair whose key begins with `prefix`, in key order, until it returns `false`.
    pub(in crate::store) fn scan_prefix(
        &self,
        table: Table,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        scan_prefix(self.reader.as_ref(), table, prefix, &mut visit)
    }
}

fn scan_prefix<R: Reader + ?Sized>(
    reader: &R,
    table: Table,
    prefix: &[u8],
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    let end = after_prefix(prefix.to_vec());
    let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    reader.scan(table, (Bound::Included(prefix), end), visit)
}

/// Whether no key can be in the range.
fn is_empty((start, end): KeyRange<'_>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => start >= end,
    }
}
