//! The word that the server drains.

use crate::work::Mark;
use std::sync::Arc;

/// Tells everyone that the server drains. Clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<Mark>);

/// Says that the server drains; dropping it says so too.
#[derive(Debug)]
pub struct Drain(Arc<Mark>);

impl Shutdown {
    /// Who says it, and who hears it.
    pub fn channel() -> (Drain, Self) {
        let mark = Arc::<Mark>::default();
        (Drain(Arc::clone(&mark)), Self(mark))
    }

    /// Returns once the drain has begun. Cancel-safe.
    pub async fn begun(&mut self) {
        self.0.above(0).await;
    }

    /// Whether the drain has begun.
    pub fn has_begun(&self) -> bool {
        self.0.get() > 0
    }
}

impl Drain {
    /// Begins the drain.
    pub fn begin(&self) {
        self.0.raise(1);
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.begin();
    }
}
