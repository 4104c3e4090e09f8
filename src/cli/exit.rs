//! Exit codes.

use crate::admin::Kind;

/// Listed at the end of the help.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  the server, the store or a file cannot be used
  2  wrong arguments or configuration
  3  what was asked for cannot be: it exists, is in use, or is not allowed
  4  it does not exist
  5  stored data is damaged";

/// Server, store or file cannot be used.
pub(super) const UNAVAILABLE: u8 = 1;
/// Wrong arguments or configuration. clap uses it too.
pub(super) const USAGE: u8 = 2;
/// Stored data is damaged.
pub(super) const DAMAGED: u8 = 5;

/// The code of a failed task.
pub(super) const fn of(kind: Kind) -> u8 {
    match kind {
        Kind::Unavailable => UNAVAILABLE,
        Kind::Refused => 3,
        Kind::NotFound => 4,
        Kind::Damaged => DAMAGED,
    }
}
