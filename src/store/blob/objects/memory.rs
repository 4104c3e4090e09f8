//! Objects in memory, for tests and simulations.

use super::faulty::{Faulty, ObjectFaults, Plan};
use object_store::{ObjectStore, memory::InMemory};
use std::{fmt, sync::Arc};

/// Objects that live as long as a handle to them does: a store that is closed and opened again with a clone of it finds
/// them. They fail as told. For tests and simulations.
#[derive(Clone, Default)]
pub struct MemoryObjects {
    objects: Arc<InMemory>,
    plan: Plan,
}

impl MemoryObjects {
    /// An empty place that does not fail.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has requests fail from now on, all draws beginning anew; `ObjectFaults::default()` ends it.
    pub fn set_faults(&self, faults: ObjectFaults) {
        self.plan.set(faults);
    }

    /// Requests that met a fault until now.
    pub fn faults_met(&self) -> u64 {
        self.plan.met()
    }

    pub(super) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(Faulty::new(Arc::clone(&self.objects) as Arc<dyn ObjectStore>, self.plan.clone()))
    }
}

impl fmt::Debug for MemoryObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryObjects")
    }
}
