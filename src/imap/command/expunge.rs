//! EXPUNGE (RFC 9051 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1). The session reports what is gone afterwards.

use super::{
    super::{
        parser::{Parsed, Parser},
        response::{Completion, Outcome, Refusal},
        selected::Access,
        sequence::{Addressing, SequenceSet},
        session::Session,
    },
    Command,
};

/// Reads UID EXPUNGE's argument.
pub(super) fn read_uid_expunge(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    parser.sequence_set().map(Command::UidExpunge)
}

/// Removes messages with `\Deleted`: all of them, or those among `set`.
pub(crate) async fn execute(set: Option<SequenceSet>, session: &mut Session) -> Outcome {
    let account = session.account()?;
    let selected = session.selected()?;
    if selected.access == Access::ReadOnly {
        return Err(Refusal::ReadOnly.into());
    }
    let mailbox = selected.mailbox;
    let among = match set {
        None => None,
        Some(set) => {
            let selection = selected.view.select(&set, Addressing::Uid, &selected.saved)?;
            Some(selected.view.selected(&selection).collect())
        }
    };
    session.services.store.expunge(account, mailbox, among).await?;
    Ok(Completion::ok("EXPUNGE completed"))
}
