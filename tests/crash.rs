//! P1, P2: whatever moment a process ends at, or the power fails, the store that opens again shows all that was
//! acknowledged, and of what was under way all or nothing.
//!
//! The test binary starts itself as the process that ends (`victim`): at a named failpoint, by kill -9, or under a
//! shim that tells what a power cut would leave (`shim`, `journal`, `disk`). `make crash` asks for many seeds
//! (`POSTERN_CRASH_SEEDS`).

mod dice;
mod disk;
mod journal;
mod shim;
mod user;
pub mod victim;
