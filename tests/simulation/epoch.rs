//! What actors share while one server runs.

use super::{model::Model, random::Random, world::World};
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// One life of the server, as its clients see it. Clones share it.
#[derive(Clone)]
pub struct Epoch {
    pub world: World,
    pub model: Model,
    /// Disk or object store fail in this life, so that refusals are no fault.
    pub is_faulty: bool,
    /// The server died.
    pub died: Arc<Mutex<bool>>,
    /// The server goes down or is down: connections end.
    pub ends: Arc<AtomicBool>,
    /// Everybody who changes something has finished.
    pub rests: Arc<AtomicBool>,
}

/// Why an actor ends early.
pub struct Over;

impl Epoch {
    /// Whether the server is going down, or has died.
    pub fn is_over(&self) -> bool {
        self.ends.load(Ordering::SeqCst) || *self.died.lock().unwrap()
    }

    /// Whether nobody changes anything any more.
    pub fn is_at_rest(&self) -> bool {
        self.rests.load(Ordering::SeqCst)
    }

    /// A connection may break when the server goes down, and at no other time.
    pub fn over(&self, who: &str, error: &io::Error) -> Over {
        assert!(self.is_over() || self.is_faulty, "{who}: the connection broke: {error}");
        Over
    }

    /// A refusal is a fault of the server where nothing fails.
    pub fn refused(&self, who: &str, what: &str) {
        assert!(self.is_over() || self.is_faulty, "{who}: refused: {what}");
    }

    /// A while, by chance.
    pub async fn wait(&self, random: &mut Random, millis: usize) {
        tokio::time::sleep(std::time::Duration::from_millis(random.below(millis) as u64)).await;
    }
}
