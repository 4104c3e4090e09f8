//! The engine on RocksDB.

use super::{Durability, Table, after_prefix};
use crate::{
    limits::{KEY_OCTETS_MAX, VALUE_OCTETS_MAX},
    store::StoreError,
};
use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    ErrorKind, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions,
};
use std::{ops::Bound, path::Path, sync::Arc};

/// Octets of writes gathered in memory over all tables before they are flushed.
const WRITE_BUFFER_OCTETS: usize = 64 * 1024 * 1024;
/// Octets of write-ahead log kept before the oldest table is flushed.
const LOG_OCTETS_MAX: u64 = 256 * 1024 * 1024;
/// Open table files; a store of a terabyte has some thousands.
const OPEN_FILES_MAX: i32 = 1024;
/// Bits of the bloom filter for each key: one false look-up in a hundred.
const BLOOM_BITS: f64 = 10.0;

/// Writes that become visible and durable together, in the order they were added.
#[derive(Default)]
pub(in crate::store) struct Batch {
    writes: Vec<Write>,
    octets: usize,
}

enum Write {
    Put(Table, Box<[u8]>, Box<[u8]>),
    Delete(Table, Box<[u8]>),
    DeleteRange(Table, Box<[u8]>, Box<[u8]>),
}

impl Batch {
    /// Sets a value.
    pub(in crate::store) fn put(&mut self, table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        debug_assert!(key.as_ref().len() <= KEY_OCTETS_MAX, "a key of {table:?} is too long");
        debug_assert!(value.as_ref().len() <= VALUE_OCTETS_MAX, "a value of {table:?} is too long");
        self.octets += key.as_ref().len() + value.as_ref().len();
        self.writes.push(Write::Put(table, key.as_ref().into(), value.as_ref().into()));
    }

    /// Removes a key; one that is not there is no error.
    pub(in crate::store) fn delete(&mut self, table: Table, key: impl AsRef<[u8]>) {
        self.octets += key.as_ref().len();
        self.writes.push(Write::Delete(table, key.as_ref().into()));
    }

    /// Removes the keys from `start` up to, not including, `end`.
    pub(in crate::store) fn delete_range(&mut self, table: Table, start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) {
        self.octets += start.as_ref().len() + end.as_ref().len();
        self.writes.push(Write::DeleteRange(table, start.as_ref().into(), end.as_ref().into()));
    }

    /// Octets of keys and values.
    pub(in crate::store) fn octets(&self) -> usize {
        self.octets
    }

    /// Whether there is nothing to write.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// An open engine. Clones share it; the last one closes it.
#[derive(Clone)]
pub(in crate::store) struct Engine {
    db: Arc<DB>,
}

impl Engine {
    /// Opens the database in `path`, or makes it. A torn record at the end of the log (a crash while it was written,
    /// so nobody was told that it is durable) is dropped; damage before the end is an error.
    pub(in crate::store) fn open(path: &Path, cache_octets: usize) -> Result<Self, StoreError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_db_write_buffer_size(WRITE_BUFFER_OCTETS);
        options.set_max_total_wal_size(LOG_OCTETS_MAX);
        options.set_max_open_files(OPEN_FILES_MAX);
        options.set_keep_log_file_num(4);
        options.set_max_background_jobs(2);
        // Waiting writers sleep instead of spinning, and the one that writes the log fills the tables for all of its
        // group: with as many writers as partitions, spinning took the processor from those who had work.
        options.set_enable_write_thread_adaptive_yield(false);
        options.set_allow_concurrent_memtable_write(false);
        let cache = Cache::new_lru_cache(cache_octets);
        let tables = Table::ALL.map(|table| ColumnFamilyDescriptor::new(table.name(), table_options(table, &cache)));
        let db = DB::open_cf_descriptors(&options, path, tables).map_err(|error| opening(&error))?;
        Ok(Self { db: Arc::new(db) })
    }

    /// Reads one value.
    pub(in crate::store) fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, StoreError> {
        let value = self.db.get_cf(&self.table(table), key).map_err(|error| failure(&error))?;
        Ok(value.map(Bytes::from))
    }

    /// Values in the order of `keys`.
    pub(in crate::store) fn multi_get(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let values = self.db.batched_multi_get_cf(&self.table(table), keys, false);
        values
            .into_iter()
            .map(|value| {
                value.map(|value| value.map(|value| Bytes::copy_from_slice(&value))).map_err(|error| failure(&error))
            })
            .collect()
    }

    /// Calls `visit` for each pair in key order, from a consistent view, until it returns `false`.
    pub(in crate::store) fn scan(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        scan(&self.db, &self.table(table), ReadOptions::default(), range, visit)
    }

    /// Calls `visit` for each pair whose key begins with `prefix`.
    pub(in crate::store) fn scan_prefix(
        &self,
        table: Table,
        prefix: &[u8],
        visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let end = after_prefix(prefix.to_vec());
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.scan(table, (Bound::Included(prefix), end), visit)
    }

    /// A view that later commits do not change, over all tables.
    pub(in crate::store) fn view(&self) -> View<'_> {
        View { engine: self, snapshot: self.db.snapshot() }
    }

    /// Commits the batch. Blocks for an fsync where `Synced`: call it off the reactor.
    pub(in crate::store) fn commit(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let mut writes = WriteBatch::default();
        for write in batch.writes {
            match write {
                Write::Put(table, key, value) => writes.put_cf(&self.table(table), key, value),
                Write::Delete(table, key) => writes.delete_cf(&self.table(table), key),
                Write::DeleteRange(table, start, end) => writes.delete_range_cf(&self.table(table), start, end),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Synced);
        self.db.write_opt(writes, &options).map_err(|error| failure(&error))
    }

    fn table(&self, table: Table) -> Arc<BoundColumnFamily<'_>> {
        self.db.cf_handle(table.name()).expect("every table was made when the engine opened")
    }
}

/// A view of all tables at one moment.
pub(in crate::store) struct View<'a> {
    engine: &'a Engine,
    snapshot: rocksdb::Snapshot<'a>,
}

impl View<'_> {
    /// Reads one value.
    pub(in crate::store) fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, StoreError> {
        let value = self.snapshot.get_cf(&self.engine.table(table), key).map_err(|error| failure(&error))?;
        Ok(value.map(Bytes::from))
    }

    /// Calls `visit` for each pair whose key begins with `prefix`, in key order, until it returns `false`.
    pub(in crate::store) fn scan_prefix(
        &self,
        table: Table,
        prefix: &[u8],
        visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        let end = after_prefix(prefix.to_vec());
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        scan(&self.engine.db, &self.engine.table(table), options, (Bound::Included(prefix), end), visit)
    }
}

fn scan(
    db: &DB,
    table: &Arc<BoundColumnFamily<'_>>,
    mut options: ReadOptions,
    (start, end): (Bound<&[u8]>, Bound<&[u8]>),
    mut visit: impl FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), StoreError> {
    match start {
        Bound::Included(start) => options.set_iterate_lower_bound(start),
        Bound::Excluded(start) => options.set_iterate_lower_bound(just_after(start)),
        Bound::Unbounded => {}
    }
    match end {
        Bound::Included(end) => options.set_iterate_upper_bound(just_after(end)),
        Bound::Excluded(end) => options.set_iterate_upper_bound(end),
        Bound::Unbounded => {}
    }
    for pair in db.iterator_cf_opt(table, options, IteratorMode::Start) {
        let (key, value) = pair.map_err(|error| failure(&error))?;
        if !visit(&key, &value) {
            break;
        }
    }
    Ok(())
}

/// The first key behind `key`.
fn just_after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn table_options(table: Table, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_bloom_filter(BLOOM_BITS, false);
    blocks.set_cache_index_and_filter_blocks(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    match table {
        // Their values are compressed already, and most are gone before they reach a table file.
        Table::Fresh | Table::Tail => options.set_compression_type(DBCompressionType::None),
        _ => {
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_bottommost_compression_type(DBCompressionType::Zstd);
        }
    }
    options
}

/// What an error on opening means: RocksDB says that its lock is held in words only.
fn opening(error: &rocksdb::Error) -> StoreError {
    let text = error.to_string();
    if text.contains("lock") && text.contains("LOCK") { StoreError::InUse } else { failure(error) }
}

fn failure(error: &rocksdb::Error) -> StoreError {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Corruption => StoreError::Damaged(text),
        ErrorKind::IOError if text.contains("No space left") || text.contains("NoSpace") => StoreError::Full,
        _ => StoreError::Failed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn open() -> (tempfile::TempDir, Engine) {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(folder.path(), 1 << 20).unwrap();
        (folder, engine)
    }

    fn pairs(engine: &Engine, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        let visit = |key: &[u8], value: &[u8]| {
            found.push((key.to_vec(), value.to_vec()));
            true
        };
        engine.scan(Table::Row, range, visit).unwrap();
        found
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(Vec<u8>, Vec<u8>),
        Delete(Vec<u8>),
        DeleteRange(Vec<u8>, Vec<u8>),
        Commit,
        Reopen,
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(254), Just(255)], 0..4)
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (key(), proptest::collection::vec(any::<u8>(), 0..9)).prop_map(|(key, value)| Step::Put(key, value)),
            2 => key().prop_map(Step::Delete),
            1 => (key(), key()).prop_map(|(one, other)| Step::DeleteRange(one.clone().min(other.clone()), one.max(other))),
            2 => Just(Step::Commit),
            1 => Just(Step::Reopen),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// Whatever is committed is what an ordered map holds, also after the engine was opened again.
        #[test]
        fn the_engine_is_an_ordered_map(steps in proptest::collection::vec(step(), 1..60)) {
            let (folder, mut engine) = open();
            let (mut model, mut pending, mut batch) = (BTreeMap::new(), BTreeMap::new(), Batch::default());
            for step in steps {
                match step {
                    Step::Put(key, value) => {
                        batch.put(Table::Row, &key, &value);
                        pending.insert(key, value);
                    }
                    Step::Delete(key) => {
                        batch.delete(Table::Row, &key);
                        pending.remove(&key);
                    }
                    Step::DeleteRange(start, end) => {
                        batch.delete_range(Table::Row, &start, &end);
                        pending.retain(|key, _| *key < start || *key >= end);
                    }
                    Step::Commit => {
                        engine.commit(std::mem::take(&mut batch), Durability::Buffered).unwrap();
                        model.clone_from(&pending);
                    }
                    Step::Reopen => {
                        batch = Batch::default();
                        pending.clone_from(&model);
                        drop(engine);
                        engine = Engine::open(folder.path(), 1 << 20).unwrap();
                    }
                }
                let expected: Vec<_> = model.clone().into_iter().collect();
                prop_assert_eq!(pairs(&engine, (Bound::Unbounded, Bound::Unbounded)), expected);
            }
            let keys: Vec<Vec<u8>> = model.keys().cloned().chain([vec![7, 7]]).collect();
            let values = engine.multi_get(Table::Row, &keys).unwrap();
            for (key, value) in keys.iter().zip(values) {
                prop_assert_eq!(value.map(|value| value.to_vec()), model.get(key).cloned());
            }
        }
    }

    #[test]
    fn a_scan_keeps_to_its_bounds() {
        let (_folder, engine) = open();
        let mut batch = Batch::default();
        for key in [&b"a"[..], b"a\xff", b"b", b"\xff\xff"] {
            batch.put(Table::Row, key, b"");
        }
        engine.commit(batch, Durability::Synced).unwrap();
        let keys = |range| pairs(&engine, range).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(keys((Bound::Excluded(b"a"), Bound::Included(b"b"))), [b"a\xff".to_vec(), b"b".to_vec()]);
        assert_eq!(keys((Bound::Included(b"a"), Bound::Excluded(b"b"))), [b"a".to_vec(), b"a\xff".to_vec()]);
        let mut below = 0;
        engine
            .scan_prefix(Table::Row, b"\xff", |_, _| {
                below += 1;
                true
            })
            .unwrap();
        engine
            .scan_prefix(Table::Row, b"a", |_, _| {
                below += 1;
                true
            })
            .unwrap();
        assert_eq!(below, 3);
    }

    #[test]
    fn a_view_does_not_move() {
        let (_folder, engine) = open();
        let put = |value: &str| {
            let mut batch = Batch::default();
            batch.put(Table::Row, "key", value);
            engine.commit(batch, Durability::Buffered).unwrap();
        };
        put("before");
        let view = engine.view();
        put("after");
        assert_eq!(view.get(Table::Row, "key").unwrap().as_deref(), Some(&b"before"[..]));
        assert_eq!(engine.get(Table::Row, "key").unwrap().as_deref(), Some(&b"after"[..]));
        let mut seen = Vec::new();
        view.scan_prefix(Table::Row, b"k", |_, value| {
            seen.push(value.to_vec());
            true
        })
        .unwrap();
        assert_eq!(seen, [b"before".to_vec()]);
    }

    #[test]
    fn a_second_opener_is_told_that_the_store_is_in_use() {
        let (folder, _engine) = open();
        assert!(matches!(Engine::open(folder.path(), 1 << 20), Err(StoreError::InUse)));
    }
}
