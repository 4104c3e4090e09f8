//! The engine on RocksDB.

use super::{
    Durability, Table,
    batch::Write,
    engine::{Backend, KeyRange, Reader, Visit},
    log,
};
use crate::store::StoreError;
use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    ErrorKind, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions,
};
use std::{fs, ops::Bound, path::Path, sync::Arc};

/// Octets of writes gathered in memory over all tables before they are flushed.
const WRITE_BUFFER_OCTETS: usize = 64 * 1024 * 1024;
/// Octets of write-ahead log kept before the oldest table is flushed.
const LOG_OCTETS_MAX: u64 = 256 * 1024 * 1024;
/// Open table files; a store of a terabyte has some thousands.
const OPEN_FILES_MAX: i32 = 1024;
/// Bits of the bloom filter for each key: one false look-up in a hundred.
const BLOOM_BITS: f64 = 10.0;

/// RocksDB, opened. Its lock file keeps other processes, and other openings in this one, out.
pub(super) struct Rocks {
    db: DB,
}

impl Rocks {
    /// Opens the database in `path`, or makes it. What a power cut tore of the log's end (so nobody was told that it
    /// is durable) is dropped; other damage is an error.
    pub(super) fn open(path: &Path, cache_octets: usize) -> Result<Self, StoreError> {
        check_begun(path)?;
        let opened = Self::open_with(path, cache_octets, DBRecoveryMode::TolerateCorruptedTailRecords);
        match opened {
            Err(error) if error.kind() == ErrorKind::Corruption && log::is_torn_by_power_cut(path).unwrap_or(false) => {
                tracing::warn!(
                    "the write-ahead log ends in a hole, as after a power cut; what is behind it is dropped"
                );
                Self::open_with(path, cache_octets, DBRecoveryMode::PointInTime).map_err(|error| opening(&error))
            }
            opened => opened.map_err(|error| opening(&error)),
        }
    }

    fn open_with(path: &Path, cache_octets: usize, recovery: DBRecoveryMode) -> Result<Self, rocksdb::Error> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_wal_recovery_mode(recovery);
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
        DB::open_cf_descriptors(&options, path, tables).map(|db| Self { db })
    }

    fn table(&self, table: Table) -> Arc<BoundColumnFamily<'_>> {
        self.db.cf_handle(table.name()).expect("every table was made when the engine opened")
    }

    fn read(&self, table: Table, key: &[u8], options: &ReadOptions) -> Result<Option<Bytes>, StoreError> {
        let value = self.db.get_cf_opt(&self.table(table), key, options).map_err(|error| failure(&error))?;
        Ok(value.map(Bytes::from))
    }
}

impl Reader for Rocks {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.read(table, key, &ReadOptions::default())
    }

    fn scan(&self, table: Table, range: KeyRange<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        scan(&self.db, &self.table(table), ReadOptions::default(), range, visit)
    }
}

impl Backend for Rocks {
    fn multi_get(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let values = self.db.batched_multi_get_cf(&self.table(table), keys, false);
        values
            .into_iter()
            .map(|value| {
                value.map(|value| value.map(|value| Bytes::copy_from_slice(&value))).map_err(|error| failure(&error))
            })
            .collect()
    }

    fn view(&self) -> Box<dyn Reader + '_> {
        Box::new(Moment { rocks: self, snapshot: self.db.snapshot() })
    }

    fn commit(&self, writes: Vec<Write>, durability: Durability) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        if durability == Durability::Synced {
            batch.put_log_data(log::SYNCED);
        }
        for write in writes {
            match write {
                Write::Put(table, key, value) => batch.put_cf(&self.table(table), key, value),
                Write::Delete(table, key) => batch.delete_cf(&self.table(table), key),
                Write::DeleteRange(table, start, end) => batch.delete_range_cf(&self.table(table), start, end),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Synced);
        self.db.write_opt(batch, &options).map_err(|error| failure(&error))
    }
}

/// RocksDB begins anew where the file that names its state is gone, and removes what was there.
fn check_begun(path: &Path) -> Result<(), StoreError> {
    // A folder that cannot be read is not there yet, or is told of on opening.
    let Ok(entries) = fs::read_dir(path) else { return Ok(()) };
    let holds_data = |entry: fs::DirEntry| {
        let is_data = entry.path().extension().is_some_and(|extension| extension == "sst" || extension == "log");
        is_data && entry.metadata().is_ok_and(|metadata| metadata.len() > 0)
    };
    if entries.filter_map(Result::ok).any(holds_data) && !path.join("CURRENT").exists() {
        return Err(StoreError::Damaged(format!("{} is missing", path.join("CURRENT").display())));
    }
    Ok(())
}

/// All tables as they were at one moment.
struct Moment<'a> {
    rocks: &'a Rocks,
    snapshot: rocksdb::Snapshot<'a>,
}

impl Moment<'_> {
    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        options
    }
}

impl Reader for Moment<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.rocks.read(table, key, &self.options())
    }

    fn scan(&self, table: Table, range: KeyRange<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        scan(&self.rocks.db, &self.rocks.table(table), self.options(), range, visit)
    }
}

fn scan(
    db: &DB,
    table: &Arc<BoundColumnFamily<'_>>,
    mut options: ReadOptions,
    (start, end): KeyRange<'_>,
    visit: Visit<'_>,
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
