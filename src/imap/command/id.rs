//! ID (RFC 2971): who we are. What the client says of itself is not kept.

use super::super::{
    response::{Completion, Outcome},
    wire::Wire,
};

/// Answers ID.
pub(crate) fn execute(wire: &mut Wire<'_>) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    wire.out.extend_from_slice(format!("* ID (\"name\" \"Postern\" \"version\" \"{version}\")\r\n").as_bytes());
    Ok(Completion::ok("ID completed"))
}
