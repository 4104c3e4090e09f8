//! CLOSE and UNSELECT (RFC 9051 §6.4.1, §6.4.2): leaving a mailbox, with and without expunging.

use super::super::{
    response::{Completion, Outcome},
    selected::Access,
    session::Session,
};

/// CLOSE removes what is marked `\Deleted`, without reports, unless the mailbox was opened read-only.
pub(crate) async fn close(session: &mut Session) -> Outcome {
    let account = session.account()?;
    let selected = session.selected()?;
    if selected.access == Access::ReadWrite {
        let mailbox = selected.mailbox;
        session.services.store.expunge(account, mailbox, None).await?;
    }
    session.leave_mailbox();
    Ok(Completion::ok("CLOSE completed"))
}

/// UNSELECT.
pub(crate) fn unselect(session: &mut Session) -> Outcome {
    session.leave_mailbox();
    Ok(Completion::ok("UNSELECT completed"))
}
