//! Values that cross borders between modules: addresses, paths, flags and identifiers.
//!
//! Owns: parsing at the border into types that cannot be wrong. Promises: a value of these types is
//! valid. Never: I/O, time, or knowledge of a protocol's replies.

mod address;
mod flag;
mod identifier;

pub use address::{Address, AddressError, Domain, ForwardPath, ReversePath};
pub use flag::{Flag, Flags, Keyword, SystemFlags};
pub use identifier::{AccountId, ContentId, DeliveryId, MailboxId, MessageNumber, ModSeq, Uid, UidValidity};
