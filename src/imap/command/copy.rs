//! COPY, MOVE and their UID forms (RFC 9051 §6.4.7, §6.4.8, RFC 6851), with COPYUID (RFC 4315 §3).

use super::{
    super::{
        parser::{Parsed, Parser, WireName},
        response::{Completion, Failure, Outcome, Refusal},
        selected::Access,
        sequence::{Addressing, SequenceSet},
        session::Session,
        wire::Wire,
        write::{push_fmt, push_set},
    },
    Command,
};
use crate::store::{Copied, StoreError};

/// What becomes of the messages copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Originals {
    /// COPY
    Stay,
    /// MOVE
    Go,
}

/// Arguments of COPY and MOVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    /// Which messages.
    pub(crate) set: SequenceSet,
    /// How they are named.
    pub(crate) addressing: Addressing,
    /// Where to.
    pub(crate) destination: WireName,
    /// COPY or MOVE.
    pub(crate) originals: Originals,
}

/// Reads `SP sequence-set SP mailbox`.
pub(super) fn read(parser: &mut Parser<'_>, addressing: Addressing, originals: Originals) -> Parsed<Command> {
    parser.space()?;
    let set = parser.sequence_set()?;
    parser.space()?;
    let destination = parser.mailbox()?;
    Ok(Command::Copy(Copy { set, addressing, destination, originals }))
}

/// Copies or moves, all or none. Messages that are gone are passed over (RFC 9051 §6.4.9).
pub(crate) async fn execute(copy: &Copy, session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    let account = session.account()?;
    let name = session.name(&copy.destination)?;
    let store = session.services.store.clone();
    let selected = session.selected()?;
    if copy.originals == Originals::Go && selected.access == Access::ReadOnly {
        return Err(Refusal::ReadOnly.into());
    }
    let selection = selected.view.select(&copy.set, copy.addressing, &selected.saved)?;
    let uids: Vec<_> = selected.view.selected(&selection).collect();
    let destination = store.mailbox(account, &name).map_err(missing_destination)?.id;
    let copied = match copy.originals {
        Originals::Stay => store.copy(account, selected.mailbox, uids, destination).await,
        Originals::Go => store.move_messages(account, selected.mailbox, uids, destination).await,
    };
    Ok(completion(copy.originals, &copied?, wire))
}

fn missing_destination(error: StoreError) -> Failure {
    match error {
        StoreError::NoMailbox => Refusal::NoDestination.into(),
        other => other.into(),
    }
}

/// COPYUID goes with COPY's tagged line, and before the EXPUNGEs of MOVE (RFC 6851 §4.3).
fn completion(originals: Originals, copied: &Copied, wire: &mut Wire<'_>) -> Completion {
    let completion = Completion::ok(match originals {
        Originals::Stay => "COPY completed",
        Originals::Go => "MOVE completed",
    });
    if copied.uids.is_empty() {
        return completion;
    }
    let code = copy_uid(copied);
    match originals {
        Originals::Stay => completion.with_code(code),
        Originals::Go => {
            push_fmt(&mut wire.out, format_args!("* OK [{code}] messages moved\r\n"));
            completion
        }
    }
}

fn copy_uid(copied: &Copied) -> String {
    let mut code = format!("COPYUID {} ", copied.uid_validity).into_bytes();
    push_set(&mut code, copied.uids.iter().map(|(source, _)| source.get()));
    code.push(b' ');
    push_set(&mut code, copied.uids.iter().map(|(_, destination)| destination.get()));
    String::from_utf8(code).expect("numbers and punctuation are ASCII")
}
