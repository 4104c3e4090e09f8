//! A batch: what one commit writes.

use super::{Table, after_prefix};
use crate::{
    limits::{BATCH_OCTETS_MAX, KEY_OCTETS_MAX, VALUE_OCTETS_MAX},
    store::StoreError,
};

/// What a batch may write to: there is no atomicity across two of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Domain {
    /// What belongs to no account.
    Installation,
    /// The accounts of one partition, and what is done for them.
    Partition(u16),
}

/// Whose rows a table has.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    Installation,
    /// Each key begins with its partition.
    Partition,
    /// Contents travel in the batch of whoever brings or moves them.
    Any,
}

/// Writes that become visible and durable together, in the order they were added.
#[derive(Debug)]
pub(in crate::store) struct Batch {
    domain: Domain,
    writes: Vec<Write>,
    octets: usize,
    /// The first write that no engine takes; the commit says so.
    refused: Option<String>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Put(Table, Box<[u8]>, Box<[u8]>),
    Delete(Table, Box<[u8]>),
    /// From a key up to, not including, a later one.
    DeleteRange(Table, Box<[u8]>, Box<[u8]>),
}

impl Domain {
    /// The domain that a row belongs to; for contents, which are any one's, the installation.
    pub(in crate::store) fn of(table: Table, key: &[u8]) -> Self {
        match (table.scope(), key.first_chunk()) {
            (Scope::Partition, Some(number)) => Self::Partition(u16::from_be_bytes(*number)),
            _ => Self::Installation,
        }
    }

    fn has(self, table: Table, key: &[u8]) -> bool {
        match (table.scope(), self) {
            (Scope::Any, _) | (Scope::Installation, Self::Installation) => true,
            (Scope::Partition, Self::Partition(number)) => key.starts_with(&number.to_be_bytes()),
            (Scope::Installation, Self::Partition(_)) | (Scope::Partition, Self::Installation) => false,
        }
    }

    /// Whether no key below `end` is another domain's, where the first of the range is ours.
    fn has_all_below(self, table: Table, end: &[u8]) -> bool {
        match (table.scope(), self) {
            (Scope::Partition, Self::Partition(number)) => {
                after_prefix(number.to_be_bytes().to_vec()).is_none_or(|next| *end <= *next)
            }
            (Scope::Any | Scope::Installation, _) | (_, Self::Installation) => true,
        }
    }
}

impl Batch {
    /// An empty batch.
    pub(in crate::store) fn of(domain: Domain) -> Self {
        Self { domain, writes: Vec::new(), octets: 0, refused: None }
    }

    /// Everything so far; an empty batch of the same domain stays.
    pub(in crate::store) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::of(self.domain))
    }

    /// Sets a value.
    pub(in crate::store) fn put(&mut self, table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.check(table, key);
        if value.len() > VALUE_OCTETS_MAX {
            self.refuse(|| format!("a value of {} octets in {}", value.len(), table.name()));
        }
        self.octets += key.len() + value.len();
        self.writes.push(Write::Put(table, key.into(), value.into()));
    }

    /// Removes a key; one that is not there is no error.
    pub(in crate::store) fn delete(&mut self, table: Table, key: impl AsRef<[u8]>) {
        let key = key.as_ref();
        self.check(table, key);
        self.octets += key.len();
        self.writes.push(Write::Delete(table, key.into()));
    }

    /// Removes the keys from `start` up to, not including, `end`.
    pub(in crate::store) fn delete_range(&mut self, table: Table, start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) {
        let (start, end) = (start.as_ref(), end.as_ref());
        if start >= end {
            return;
        }
        self.check(table, start);
        if !self.domain.has_all_below(table, end) {
            self.refuse(|| format!("a range of {} beyond its partition", table.name()));
        }
        self.octets += start.len() + end.len();
        self.writes.push(Write::DeleteRange(table, start.into(), end.into()));
    }

    /// Whether a row may be written in it.
    pub(in crate::store) fn may_write(&self, table: Table, key: &[u8]) -> bool {
        self.domain.has(table, key)
    }

    /// Octets of keys and values.
    pub(in crate::store) fn octets(&self) -> usize {
        self.octets
    }

    /// Whether there is nothing to write.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The writes, where every engine takes them.
    pub(super) fn into_writes(self) -> Result<Vec<Write>, StoreError> {
        match self.refused {
            Some(what) => Err(StoreError::Limit(what)),
            None if self.octets > BATCH_OCTETS_MAX => Err(StoreError::Limit(format!("{} octets at once", self.octets))),
            None => Ok(self.writes),
        }
    }

    fn check(&mut self, table: Table, key: &[u8]) {
        let domain = self.domain;
        if key.len() > KEY_OCTETS_MAX {
            self.refuse(|| format!("a key of {} octets in {}", key.len(), table.name()));
        } else if !domain.has(table, key) {
            self.refuse(|| format!("a row of {} in a batch of {domain:?}", table.name()));
        }
    }

    fn refuse(&mut self, what: impl FnOnce() -> String) {
        self.refused.get_or_insert_with(what);
    }
}
