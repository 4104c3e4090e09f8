//! NAMESPACE (RFC 2342, RFC 9051 §6.3.10): one personal namespace with `/` between levels.

use super::super::{
    response::{Completion, Outcome},
    wire::Wire,
};

/// Answers NAMESPACE.
pub(crate) fn execute(wire: &mut Wire<'_>) -> Outcome {
    wire.out.extend_from_slice(b"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    Ok(Completion::ok("NAMESPACE completed"))
}
