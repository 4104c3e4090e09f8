//! The metadata engine: ordered tables of octets with atomic, synced batches.
//!
//! Owns: the one write-ahead log of the store and every row. Promises: a batch is visible and durable
//! as a whole or not at all; a view does not move; whoever opened it has it alone. Never: knows what a row means.
//!
//! What an engine has to do is one trait (`engine`); there is one on RocksDB (`rocks`) and one in memory for
//! simulations (`memory`). Nothing outside this module knows which one it has, and `conformance` holds both to the
//! same rules.
//!
//! Limits, the same for every engine: key at most 1 KiB, value at most 64 KiB (a body is cut into chunks), batch at
//! most 8 MiB, and a batch is of one [`Domain`]: a partition, or the installation. So an engine may keep each
//! partition in a database of its own, on a machine of its own. `Fresh` and `Location` are in any batch: a delivery
//! brings its contents with it, the packer moves what many deliveries brought. What such a batch removes of them has
//! its successor in the same batch or has no reader any more, so that an engine may remove it later than it puts the
//! rest, and a content is looked for in every database. What concerns two partitions goes through `Outbox`.
//!
//! After a power cut the end of the log may be torn in any way, and is dropped; `log` tells that from damage.
//!
//! What can go wrong: [`StoreError::Limit`] where a batch is beyond that, and nothing was written;
//! [`StoreError::Full`] where the disk has no room, [`StoreError::Damaged`] where a checksum
//! does not hold, [`StoreError::Failed`] for the rest; after a failed flush RocksDB itself refuses further writes.

mod batch;
#[cfg(test)]
mod conformance;
mod engine;
mod log;
mod memory;
mod rocks;

use batch::Scope;

pub(super) use batch::{Batch, Domain};
pub(super) use engine::{Engine, View};
pub use memory::MemoryMetadata;

/// Where the metadata is.
#[derive(Clone, Debug, Default)]
pub enum MetadataAt {
    /// In the store's folder.
    #[default]
    Folder,
    /// In memory, for simulations.
    Memory(MemoryMetadata),
}

/// The tables. Each is a column family of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

impl Table {
    /// Every table.
    pub(super) const ALL: [Self; 13] = [
        Self::System,
        Self::Directory,
        Self::Mailbox,
        Self::Row,
        Self::Record,
        Self::Change,
        Self::Fresh,
        Self::Location,
        Self::Reference,
        Self::Tail,
        Self::Segment,
        Self::Outbox,
        Self::Repeat,
    ];

    /// Whose rows it has.
    const fn scope(self) -> Scope {
        match self {
            Self::System | Self::Directory => Scope::Installation,
            Self::Mailbox
            | Self::Row
            | Self::Record
            | Self::Change
            | Self::Reference
            | Self::Tail
            | Self::Segment
            | Self::Outbox
            | Self::Repeat => Scope::Partition,
            Self::Fresh | Self::Location => Scope::Any,
        }
    }

    /// The name on disk; part of the format.
    const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Directory => "directory",
            Self::Mailbox => "mailbox",
            Self::Row => "row",
            Self::Record => "record",
            Self::Change => "change",
            Self::Fresh => "fresh",
            Self::Location => "location",
            Self::Reference => "reference",
            Self::Tail => "tail",
            Self::Segment => "segment",
            Self::Outbox => "outbox",
            Self::Repeat => "repeat",
        }
    }
}

/// Whether a commit waits for stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// Returns after fsync of the write-ahead log. Concurrent commits share one.
    Synced,
    /// Returns once written; a crash of the machine may lose it. For what can be derived again.
    Buffered,
}

/// The first key behind all that begin with `prefix`; `None` where there is none.
pub(super) fn after_prefix(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if let Some(next) = last.checked_add(1) {
            prefix.push(next);
            return Some(prefix);
        }
    }
    None
}
