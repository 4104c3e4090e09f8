//! The bound on message octets that wait in memory, over all sessions together.

use crate::limits;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many octets of messages may be in memory at once, from the first octet of content until the reply. Clones
/// share it; whoever serves SMTP on several listeners gives each the same one.
#[derive(Clone, Debug)]
pub struct ContentBudget(Arc<Semaphore>);

/// Permits are counted in KiB, since the semaphore counts in 32 bits.
const OCTETS_PER_PERMIT: u64 = 1024;

impl ContentBudget {
    /// A budget of `octets`, rounded down to whole KiB.
    pub fn new(octets: u64) -> Self {
        let permits = usize::try_from(octets / OCTETS_PER_PERMIT).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))))
    }

    /// A share of nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share { budget: self.clone(), held: None }
    }
}

impl Default for ContentBudget {
    fn default() -> Self {
        Self::new(limits::CONTENT_OCTETS_IN_FLIGHT_MAX)
    }
}

/// What one session holds of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: ContentBudget,
    held: Option<OwnedSemaphorePermit>,
}

/// The budget is used up by other sessions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BudgetSpent;

impl Share {
    /// Grows the share to `octets`; never waits. A share that cannot grow stays as it is.
    pub(crate) fn grow_to(&mut self, octets: u64) -> Result<(), BudgetSpent> {
        let wanted = octets.div_ceil(OCTETS_PER_PERMIT);
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) as u64;
        let Some(missing) = wanted.checked_sub(held).filter(|missing| *missing > 0) else { return Ok(()) };
        let missing = u32::try_from(missing).map_err(|_| BudgetSpent)?;
        let more = Arc::clone(&self.budget.0).try_acquire_many_owned(missing).map_err(|_| BudgetSpent)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    /// Gives everything back.
    pub(crate) fn release(&mut self) {
        self.held = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_share_the_budget_and_give_it_back() {
        let budget = ContentBudget::new(10 * 1024);
        let (mut one, mut two) = (budget.share(), budget.clone().share());
        assert_eq!(one.grow_to(6 * 1024), Ok(()));
        assert_eq!(one.grow_to(100), Ok(()), "never shrinks by growing");
        assert_eq!(two.grow_to(4 * 1024 + 1), Err(BudgetSpent));
        assert_eq!(two.grow_to(4 * 1024), Ok(()));
        assert_eq!(one.grow_to(6 * 1024 + 1), Err(BudgetSpent));
        drop(two);
        assert_eq!(one.grow_to(10 * 1024), Ok(()));
        one.release();
        assert_eq!(budget.share().grow_to(10 * 1024), Ok(()));
    }
}
