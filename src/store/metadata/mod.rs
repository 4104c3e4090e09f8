//! The metadata engine: ordered tables of octets with atomic, synced batches. RocksDB's owner.
//!
//! Limits that every engine respects: key at most 1 KiB, value at most 64 KiB (a body is cut into
//! chunks), batch at most 8 MiB.

use super::StoreError;
use bytes::Bytes;
use std::{ops::Bound, path::Path};

/// The tables. Each is a column family of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Format version, installation secret, counters of ids.
    System,
    /// Domains, addresses, credentials: kept for `accounts`.
    Directory,
    /// Mailboxes by id, names, subscriptions; mailbox headers.
    Mailbox,
    /// Blocks of mailbox rows.
    Row,
    /// Message records.
    Record,
    /// Change log of each mailbox.
    Change,
    /// Body octets not yet packed, in chunks.
    Fresh,
    /// Where a packed or staged content is.
    Location,
    /// References by (account, content).
    Reference,
    /// Extracted text not yet indexed, by (account, message number).
    Tail,
    /// Index segments and watermark of each account.
    Segment,
    /// Deliveries to further partitions, and events.
    Outbox,
    /// Deliveries whose sender has not yet shown that it saw our reply.
    Repeat,
}

/// Whether a commit waits for stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// Returns after fsync of the write-ahead log. Concurrent commits share one.
    Synced,
    /// Returns once written; a crash of the machine may lose it. For what can be derived again.
    Buffered,
}

/// Writes that become visible and durable together.
#[derive(Default)]
pub(super) struct Batch(());

impl Batch {
    pub(super) fn put(&mut self, table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let _ = (table, key.as_ref(), value.as_ref());
    }

    pub(super) fn delete(&mut self, table: Table, key: impl AsRef<[u8]>) {
        let _ = (table, key.as_ref());
    }

    /// Deletes the keys from `start` up to, not including, `end`.
    pub(super) fn delete_range(&mut self, table: Table, start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) {
        let _ = (table, start.as_ref(), end.as_ref());
    }
}

/// An open engine. Clones share it.
#[derive(Clone)]
pub(super) struct Engine(());

impl Engine {
    pub(super) fn open(path: &Path, cache_octets: usize) -> Result<Self, StoreError> {
        let _ = (path, cache_octets);
        unimplemented!("frame: metadata")
    }

    pub(super) fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, StoreError> {
        let _ = (table, key.as_ref());
        unimplemented!("frame: metadata")
    }

    /// Values in the order of `keys`.
    pub(super) fn multi_get(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let _ = (table, keys);
        unimplemented!("frame: metadata")
    }

    /// Calls `visit` for each pair in key order, from a consistent view, until it returns `false`.
    pub(super) fn scan(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let _ = (table, range, visit);
        unimplemented!("frame: metadata")
    }

    /// Commits the batch. Blocks for an fsync where `Synced`: call it off the reactor.
    pub(super) fn commit(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let _ = (batch, durability);
        unimplemented!("frame: metadata")
    }
}
