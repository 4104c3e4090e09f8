//! How long a session waits for its client (RFC 5321 §4.5.3.2).

use crate::{limits, smtp::Waits};
use std::time::Duration;
use tokio::time::Instant;

/// Whether others wait for the place that a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Places {
    Free,
    Scarce,
}

/// The clocks of one session.
///
/// Octets alone buy no time: a command has to come whole, and a transaction has to end, within a time from its beginning.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// When the session last said something: the wait for a whole command began then.
    spoke_at: Instant,
    transaction_at: Option<Instant>,
}

impl Deadlines {
    /// A session that begins.
    pub(super) fn new(now: Instant) -> Self {
        Self { spoke_at: now, transaction_at: None }
    }

    /// The session said something.
    pub(super) fn spoke(&mut self, now: Instant) {
        self.spoke_at = now;
    }

    /// Whether a transaction is open now.
    pub(super) fn in_transaction(&mut self, now: Instant) {
        self.transaction_at.get_or_insert(now);
    }

    /// No transaction is open now.
    pub(super) fn between_transactions(&mut self) {
        self.transaction_at = None;
    }

    /// Until when octets have to come.
    pub(super) fn next(&self, now: Instant, waits_for: Waits, places: Places) -> Instant {
        let wait = match (waits_for, places) {
            (Waits::Content, _) => now + Duration::from_secs(limits::SMTP_CONTENT_BLOCK_SECONDS),
            (Waits::Command, Places::Free) => self.spoke_at + Duration::from_secs(limits::SMTP_COMMAND_SECONDS),
            (Waits::Command, Places::Scarce) => {
                self.spoke_at + Duration::from_secs(limits::SMTP_COMMAND_SECONDS_UNDER_STRESS)
            }
        };
        let transaction = self.transaction_at.map(|at| at + Duration::from_secs(limits::SMTP_TRANSACTION_SECONDS));
        transaction.map_or(wait, |end| end.min(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_command_in_single_octets_gains_no_time() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        let end = start + seconds(limits::SMTP_COMMAND_SECONDS);
        assert_eq!(deadlines.next(start, Waits::Command, Places::Free), end);
        assert_eq!(deadlines.next(start + seconds(200), Waits::Command, Places::Free), end);
        deadlines.spoke(start + seconds(200));
        assert_eq!(deadlines.next(start + seconds(250), Waits::Command, Places::Free), end + seconds(200));
    }

    #[test]
    fn a_full_house_has_less_patience() {
        let start = Instant::now();
        let deadlines = Deadlines::new(start);
        assert!(
            deadlines.next(start, Waits::Command, Places::Scarce) < deadlines.next(start, Waits::Command, Places::Free)
        );
    }

    #[test]
    fn a_transaction_ends_however_steadily_its_octets_drip() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        deadlines.in_transaction(start);
        let late = start + seconds(limits::SMTP_TRANSACTION_SECONDS - 10);
        deadlines.in_transaction(late);
        deadlines.spoke(late);
        assert_eq!(deadlines.next(late, Waits::Content, Places::Free), late + seconds(10));
        assert_eq!(deadlines.next(late, Waits::Command, Places::Free), late + seconds(10));
        deadlines.between_transactions();
        assert_eq!(deadlines.next(late, Waits::Command, Places::Free), late + seconds(limits::SMTP_COMMAND_SECONDS));
    }
}
