//! A number that only rises, and who waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// A number that only rises. Whoever waits for it is woken in the order of waiting, so that a simulation can be run again
/// exactly (tokio's `watch` wakes by chance).
#[derive(Debug, Default)]
pub struct Mark {
    value: AtomicU64,
    raised: Notify,
}

impl Mark {
    /// The number.
    pub fn get(&self) -> u64 {
        self.value.load(Ordering::SeqCst)
    }

    /// Raises it, and wakes who waits. A smaller number changes nothing.
    pub fn raise(&self, to: u64) {
        if self.value.fetch_max(to, Ordering::SeqCst) < to {
            self.raised.notify_waiters();
        }
    }

    /// Waits until it is above `seen`, and returns it. Cancel-safe.
    pub async fn above(&self, seen: u64) -> u64 {
        loop {
            // Made before the look: what is raised after the look wakes it.
            let raised = self.raised.notified();
            let value = self.get();
            if value > seen {
                return value;
            }
            raised.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn who_waits_sees_the_number_that_woke_it_or_a_later_one() {
        let mark = Arc::new(Mark::default());
        let waiting = tokio::spawn({
            let mark = Arc::clone(&mark);
            async move { (mark.above(0).await, mark.above(4).await) }
        });
        tokio::task::yield_now().await;
        mark.raise(4);
        mark.raise(2);
        tokio::task::yield_now().await;
        mark.raise(7);
        assert_eq!(waiting.await.unwrap(), (4, 7));
        assert_eq!(mark.above(6).await, 7);
    }
}
