//! Quotas in deliveries (RFC 5321 §4.2.3, RFC 3463 §3.3: X.2.2).
//!
//! At RCPT each recipient is answered for itself: one without room is refused there, and fails no other. The end of data has
//! one answer for all of them, so what happened since RCPT is decided so that nothing is lost and nothing doubled:
//!
//! - A message for one account is stored where it fits, to the octet.
//! - A message for several accounts may carry each of them beyond its limit, once: only an account that has reached its limit
//!   since RCPT defers it, for all and with nothing stored. At the sender's next try RCPT refuses that account alone.
//! - An alias takes mail as long as one of its accounts has room. Those that have none get their copy all the same: to leave
//!   them out would lose it, to refuse would let one full account close the alias. The octets are stored for the others anyway.

use super::{Delivery, DeliveryError};
use crate::{
    limits,
    mail::{AccountId, ForwardPath},
    store::{Admission, StoreError, Usage},
};

impl Delivery {
    /// Whether what a recipient leads to has room for a message, of the announced size where one was announced
    /// (RFC 1870 §6.1). An alias has room where one of its accounts has.
    pub fn has_room(&self, accounts: &[AccountId], announced: Option<u64>) -> Result<(), DeliveryError> {
        let mut refusal = None;
        for account in accounts {
            match self.has_room_in(*account, announced) {
                Ok(()) => return Ok(()),
                // What may pass with time is the better answer.
                Err(error) if refusal.is_none() || matches!(error, StoreError::OverQuota(_)) => refusal = Some(error),
                Err(_) => {}
            }
        }
        refusal.map_or(Ok(()), |error| Err(error.into()))
    }

    fn has_room_in(&self, account: AccountId, announced: Option<u64>) -> Result<(), StoreError> {
        let (octets, admission) = match announced {
            Some(octets) => (octets.saturating_add(limits::TRACE_OCTETS_EXPECTED), Admission::Fits),
            None => (0, Admission::NotOver),
        };
        self.store.admits(account, Usage::of_message(octets), admission)
    }

    /// What each copy of a message asks of its account.
    pub(super) fn admissions(&self, copies: &[(&ForwardPath, AccountId)]) -> Result<Vec<Admission>, StoreError> {
        if let [_] = copies {
            return Ok(vec![Admission::Fits]);
        }
        let is_full = |account: AccountId| self.store.quota(account).map(|quota| quota.is_over());
        let full: Vec<bool> = copies.iter().map(|(_, account)| is_full(*account)).collect::<Result<_, _>>()?;
        let has_room = |path: &ForwardPath| {
            copies.iter().zip(&full).any(|((other, _), full)| std::ptr::eq(*other, path) && !*full)
        };
        let admission = |((path, _), full): (&(&ForwardPath, AccountId), &bool)| {
            if *full && has_room(path) { Admission::Always } else { Admission::NotOver }
        };
        Ok(copies.iter().zip(&full).map(admission).collect())
    }
}
