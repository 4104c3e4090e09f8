//! How many messages came to which end, for metrics.

use crate::smtp::Reply;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counts since the start. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    inbox: AtomicU64,
    junk: AtomicU64,
    refused: AtomicU64,
    deferred: AtomicU64,
    copies: AtomicU64,
}

/// What [`Counters`] stood at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Messages stored, not as junk.
    pub inbox: u64,
    /// Messages stored as junk.
    pub junk: u64,
    /// Messages refused for good.
    pub refused: u64,
    /// Messages whose sender was told to try again.
    pub deferred: u64,
    /// Copies stored: one for each account that a message reached.
    pub copies: u64,
}

/// Where a stored message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    Inbox,
    Junk,
}

impl Counters {
    /// The figures now.
    pub fn now(&self) -> Counted {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { inbox, junk, refused, deferred, copies } = &*self.0;
        Counted {
            inbox: read(inbox),
            junk: read(junk),
            refused: read(refused),
            deferred: read(deferred),
            copies: read(copies),
        }
    }

    /// One message, by what its sender was told; `stored` is where it is, if it is.
    pub(crate) fn message(&self, reply: &Reply, stored: Stored) {
        let count = match (reply.code(), stored) {
            (200..=299, Stored::Inbox) => &self.0.inbox,
            (200..=299, Stored::Junk) => &self.0.junk,
            (400..=499, _) => &self.0.deferred,
            _ => &self.0.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Copies of one message.
    pub(crate) fn copies(&self, copies: usize) {
        self.0.copies.fetch_add(copies as u64, Ordering::Relaxed);
    }
}
