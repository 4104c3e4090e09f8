//! DELETE (RFC 9051 §6.3.5). Mailboxes below the one deleted stay.

use super::super::{
    parser::WireName,
    response::{Completion, Outcome},
    session::Session,
    wire::Wire,
};

/// Deletes a mailbox. A session that has it selected is told that it is closed.
pub(crate) async fn execute(name: &WireName, session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    let account = session.account()?;
    let name = session.name(name)?;
    let store = session.services.store.clone();
    let mailbox = store.mailbox(account, &name)?.id;
    store.delete_mailbox(account, &name).await?;
    if session.selected().is_ok_and(|selected| selected.mailbox == mailbox) {
        session.leave_mailbox();
        wire.out.extend_from_slice(b"* OK [CLOSED] the selected mailbox was deleted\r\n");
    }
    Ok(Completion::ok("DELETE completed"))
}
