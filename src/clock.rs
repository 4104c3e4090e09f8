//! Time and randomness, real and simulated.
//!
//! Owns: every reading of the clock and every random octet that protocol, policy and storage code
//! uses, so that a test can replay a run from a seed. It never sleeps and never fails.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};
use tokio::time::Instant;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Whole seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// A source of time and randomness. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real,
    Simulated { millis: Arc<AtomicI64>, timers: Option<Instant>, seed: Arc<AtomicU64> },
}

impl Clock {
    /// The machine's clock and the operating system's random octets.
    pub fn real() -> Self {
        Self(Source::Real)
    }

    /// A clock that stands still until [`Clock::advance`], with random octets that follow from `seed`.
    pub fn simulated(start: UnixMillis, seed: u64) -> Self {
        Self::from_seed(start, None, seed)
    }

    /// The same, which also moves with the timers of the runtime: where these stand still until there is nothing else to
    /// do, so does the clock.
    pub fn simulated_with_timers(start: UnixMillis, seed: u64) -> Self {
        Self::from_seed(start, Some(Instant::now()), seed)
    }

    fn from_seed(start: UnixMillis, timers: Option<Instant>, seed: u64) -> Self {
        let (millis, seed) = (Arc::new(AtomicI64::new(start.0)), Arc::new(AtomicU64::new(seed)));
        Self(Source::Simulated { millis, timers, seed })
    }

    /// The time now.
    pub fn now(&self) -> UnixMillis {
        match &self.0 {
            Source::Real => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                UnixMillis(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
            }
            Source::Simulated { millis, timers, .. } => {
                let run = timers.map_or(0, |since| since.elapsed().as_millis());
                UnixMillis(millis.load(Ordering::SeqCst).saturating_add(i64::try_from(run).unwrap_or(i64::MAX)))
            }
        }
    }

    /// Moves a simulated clock on; a real one is left alone.
    pub fn advance(&self, by: std::time::Duration) {
        if let Source::Simulated { millis, .. } = &self.0 {
            let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            millis.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Fills `octets` with randomness fit for keys and nonces.
    pub fn fill_random(&self, octets: &mut [u8]) {
        match &self.0 {
            Source::Real => aws_lc_rs::rand::fill(octets).expect("the operating system gives random octets"),
            Source::Simulated { seed, .. } => {
                for chunk in octets.chunks_mut(8) {
                    let word = splitmix64(seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst)).to_le_bytes();
                    for (octet, random) in chunk.iter_mut().zip(word) {
                        *octet = random;
                    }
                }
            }
        }
    }

    /// A random 64-bit number.
    pub fn random_u64(&self) -> u64 {
        let mut octets = [0; 8];
        self.fill_random(&mut octets);
        u64::from_le_bytes(octets)
    }
}

fn splitmix64(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_moves_with_the_timers_or_not_at_all() {
        let (still, moving) = (Clock::simulated(UnixMillis(5), 1), Clock::simulated_with_timers(UnixMillis(5), 1));
        tokio::time::sleep(Duration::from_secs(2)).await;
        moving.advance(Duration::from_secs(1));
        assert_eq!((still.now(), moving.now()), (UnixMillis(5), UnixMillis(3005)));
        assert_eq!(still.random_u64(), moving.random_u64());
    }
}
