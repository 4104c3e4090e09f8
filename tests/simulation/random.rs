//! Draws that follow from a seed.

use crate::support::split_mix::SplitMix;

/// A sequence of draws.
pub struct Random(SplitMix);

impl Random {
    /// The sequence of a seed and a purpose.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.wrapping_mul(0xd1b5_4a32_d192_ed03);
        let mut random = Self(SplitMix(seed));
        random.next();
        random
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// A sequence of its own that follows from this one.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next(), 0)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// `true` once in `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of them.
    pub fn of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Some of them, in order, at least one where there is one.
    pub fn some<T: Clone>(&mut self, from: &[T], most: usize) -> Vec<T> {
        let mut left: Vec<usize> = (0..from.len()).collect();
        let count = 1 + self.below(most.max(1));
        let mut chosen: Vec<usize> = (0..count.min(from.len())).map(|_| left.remove(self.below(left.len()))).collect();
        chosen.sort_unstable();
        chosen.into_iter().map(|at| from[at].clone()).collect()
    }
}
