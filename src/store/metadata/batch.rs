//! A batch: what one commit writes.

use super::Table;
use crate::limits::{KEY_OCTETS_MAX, VALUE_OCTETS_MAX};

/// Writes that become visible and durable together, in the order they were added.
#[derive(Debug, Default)]
pub(in crate::store) struct Batch {
    writes: Vec<Write>,
    octets: usize,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Put(Table, Box<[u8]>, Box<[u8]>),
    Delete(Table, Box<[u8]>),
    /// From a key up to, not including, a later one.
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
        let (start, end) = (start.as_ref(), end.as_ref());
        if start < end {
            self.octets += start.len() + end.len();
            self.writes.push(Write::DeleteRange(table, start.into(), end.into()));
        }
    }

    /// Octets of keys and values.
    pub(in crate::store) fn octets(&self) -> usize {
        self.octets
    }

    /// Whether there is nothing to write.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub(super) fn into_writes(self) -> Vec<Write> {
        self.writes
    }
}
