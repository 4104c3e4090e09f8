//! ENABLE (RFC 5161, RFC 9051 §6.3.1).

use super::super::{
    response::{Completion, Outcome},
    session::Session,
    wire::Wire,
};

/// ENABLE's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Enable {
    /// Names in capitals.
    pub(crate) capabilities: Vec<String>,
}

/// Enables what we know and names it; the rest is passed over.
pub(crate) fn execute(enable: &Enable, session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    let mut enabled = String::new();
    for name in &enable.capabilities {
        let fresh = match name.as_str() {
            "IMAP4REV2" => session.enable_imap4rev2(),
            "CONDSTORE" => session.enable_condstore(wire),
            _ => false,
        };
        if fresh {
            enabled.push(' ');
            enabled.push_str(if name == "CONDSTORE" { "CONDSTORE" } else { "IMAP4rev2" });
        }
    }
    wire.out.extend_from_slice(format!("* ENABLED{enabled}\r\n").as_bytes());
    Ok(Completion::ok("ENABLE completed"))
}
