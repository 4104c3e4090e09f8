//! Numbers that follow from a seed.

use crate::support::split_mix::SplitMix;

pub struct Dice(SplitMix);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(SplitMix(seed.wrapping_mul(0xd129_0d3a_51c5_6e63).wrapping_add(0x0bad_cafe)))
    }

    pub fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// From 0 to `most`, both included.
    pub fn up_to(&mut self, most: usize) -> usize {
        (self.next() % (most as u64 + 1)) as usize
    }
}
