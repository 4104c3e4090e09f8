//! Generations: windows of time that packs are written in.
//!
//! Owns: which generation it is, and which are closed. Promises: a generation that was closed stays closed, also
//! across restarts and where the machine's clock goes back; nothing is linked into a closed one. So what a
//! sweep has found without a reference there can only be named again together with octets of its own.

use super::{Shared, rows::PackName};
use crate::{
    clock::UnixMillis,
    store::{
        StoreError,
        metadata::{Batch, Domain, Durability, Engine, Table},
    },
};
use std::sync::atomic::{AtomicU32, Ordering};

/// Key of the first open generation in `Table::System`.
const OPEN_FROM_KEY: &[u8] = b"blob.open-from";

/// The generations of an installation.
pub(super) struct Generations {
    /// Seconds of one.
    seconds: i64,
    /// The first one that is not closed.
    open_from: AtomicU32,
}

impl Generations {
    pub(super) fn open(engine: &Engine, seconds: u64) -> Result<Self, StoreError> {
        let row = engine.get(Table::System, OPEN_FROM_KEY)?;
        let open_from = match row.as_deref() {
            None => 0,
            Some(row) => row
                .try_into()
                .map(u32::from_be_bytes)
                .map_err(|_| StoreError::Damaged("the row of closed generations".to_owned()))?,
        };
        Ok(Self { seconds: i64::try_from(seconds.max(1)).unwrap_or(i64::MAX), open_from: AtomicU32::new(open_from) })
    }

    /// The generation of what is written now. It never lies among those that a sweep has closed, whatever the clock says.
    pub(super) fn current(&self, now: UnixMillis) -> u32 {
        let window = u32::try_from(now.seconds().div_euclid(self.seconds)).unwrap_or(0);
        window.max(self.open_from().saturating_add(1))
    }

    /// The first generation that is not closed.
    pub(super) fn open_from(&self) -> u32 {
        self.open_from.load(Ordering::SeqCst)
    }

    /// Whether a new message may be linked to a content of this generation: the current and the one before it.
    pub(super) fn may_link(&self, generation: u32, now: UnixMillis) -> bool {
        generation >= self.closable(now)
    }

    /// When the generation is old enough to be closed.
    pub(super) fn closes_at(&self, generation: u32) -> UnixMillis {
        UnixMillis(i64::from(generation).saturating_add(2).saturating_mul(self.seconds).saturating_mul(1000))
    }

    /// The first generation that stays open if a sweep begins now.
    pub(super) fn closable(&self, now: UnixMillis) -> u32 {
        self.current(now).saturating_sub(1)
    }
}

impl Shared {
    /// A name for an object of contents that is written now.
    pub(super) fn new_pack_name(&self) -> PackName {
        PackName { generation: self.generations.current(self.clock.now()), number: self.clock.random_u64() }
    }

    /// Closes every generation before the last, durably. The caller has the packer's turn, so no link is under way.
    pub(super) fn close_generations(&self) -> Result<u32, StoreError> {
        let open_from = self.generations.closable(self.clock.now());
        if open_from > self.generations.open_from() {
            let mut batch = Batch::of(Domain::Installation);
            batch.put(Table::System, OPEN_FROM_KEY, open_from.to_be_bytes());
            self.engine.commit(batch, Durability::Synced)?;
            self.generations.open_from.store(open_from, Ordering::SeqCst);
        }
        Ok(open_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generations(open_from: u32) -> Generations {
        Generations { seconds: 60, open_from: AtomicU32::new(open_from) }
    }

    #[test]
    fn two_generations_are_open() {
        let (open, now) = (generations(0), UnixMillis(600_000));
        assert_eq!((open.current(now), open.closable(now)), (10, 9));
        assert!(open.may_link(10, now) && open.may_link(9, now) && !open.may_link(8, now));
        assert_eq!(open.closes_at(8), now);
    }

    #[test]
    fn a_clock_that_goes_back_opens_no_closed_generation() {
        let (closed, back) = (generations(9), UnixMillis(0));
        assert_eq!((closed.current(back), closed.closable(back)), (10, 9));
        assert!(!closed.may_link(8, back));
    }
}
