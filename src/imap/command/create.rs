//! CREATE (RFC 9051 §6.3.4), with a special use (RFC 6154 §3).

use super::{
    super::{
        parser::{Parsed, Parser, WireName},
        response::{Completion, Outcome, Refusal},
        session::Session,
    },
    Command,
};
use crate::store::SpecialUse;

/// CREATE's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Create {
    /// The name.
    pub(crate) name: WireName,
    /// Special uses as written, in capitals.
    pub(crate) uses: Vec<String>,
}

/// Reads `SP mailbox [SP "(" "USE" SP "(" *use-attr ")" ")"]`.
pub(super) fn read(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    let name = parser.mailbox()?;
    let mut uses = Vec::new();
    if parser.take(b' ') {
        parser.list1(|parser| {
            if !parser.word("USE") {
                return parser.expected("USE");
            }
            parser.space()?;
            uses.extend(parser.list(use_attribute)?);
            Ok(())
        })?;
    }
    Ok(Command::Create(Create { name, uses }))
}

fn use_attribute(parser: &mut Parser<'_>) -> Parsed<String> {
    parser.require(b'\\', "a special use such as \\Archive")?;
    parser.any_word("a special use")
}

/// Creates a mailbox.
pub(crate) async fn execute(create: &Create, session: &mut Session) -> Outcome {
    let account = session.account()?;
    let name = session.name(&create.name)?;
    // A trailing separator says that mailboxes will follow below; each of ours can have them.
    let name = name.strip_suffix('/').unwrap_or(&name);
    let special_use = match create.uses.as_slice() {
        [] => None,
        [one] => Some(special_use(one).ok_or(Refusal::SpecialUse)?),
        // A mailbox of ours has one use at most.
        _ => return Err(Refusal::SpecialUse.into()),
    };
    session.services.store.create_mailbox(account, name, special_use).await?;
    Ok(Completion::ok("CREATE completed"))
}

fn special_use(name: &str) -> Option<SpecialUse> {
    Some(match name {
        "ARCHIVE" => SpecialUse::Archive,
        "DRAFTS" => SpecialUse::Drafts,
        "JUNK" => SpecialUse::Junk,
        "SENT" => SpecialUse::Sent,
        "TRASH" => SpecialUse::Trash,
        _ => return None,
    })
}
