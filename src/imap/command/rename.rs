//! RENAME (RFC 9051 §6.3.6). Mailboxes below follow; renaming INBOX empties it into a new mailbox.

use super::super::{
    parser::WireName,
    response::{Completion, Outcome},
    session::Session,
};

/// RENAME's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rename {
    /// The mailbox.
    pub(crate) from: WireName,
    /// Its new name.
    pub(crate) to: WireName,
}

/// Renames a mailbox.
pub(crate) async fn execute(rename: &Rename, session: &mut Session) -> Outcome {
    let account = session.account()?;
    let (from, to) = (session.name(&rename.from)?, session.name(&rename.to)?);
    session.services.store.rename_mailbox(account, &from, to.strip_suffix('/').unwrap_or(&to)).await?;
    Ok(Completion::ok("RENAME completed"))
}
