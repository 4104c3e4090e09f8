//! Objects in memory, for tests and simulations.

use object_store::memory::InMemory;
use std::{fmt, sync::Arc};

/// Objects that live as long as a handle to them does: a store that is closed and opened again with a clone of it finds
/// them. For tests and simulations.
#[derive(Clone, Default)]
pub struct MemoryObjects(Arc<InMemory>);

impl MemoryObjects {
    /// An empty place.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn store(&self) -> Arc<InMemory> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for MemoryObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryObjects")
    }
}
