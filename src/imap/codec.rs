//! Commands that no extension of ours touches, read by imap_codec (RFC 9051 §6.1-6.3).
//!
//! Owns: the mapping from its values to [`Command`]. Never: lets its types out of this module.

use super::{
    command::{Command, authenticate::Authenticate, enable::Enable, login::Login, rename::Rename},
    parser::WireName,
};
use imap_codec::{
    CommandCodec,
    decode::Decoder,
    imap_types::{command::CommandBody, core::AString, extensions::enable::CapabilityEnable, mailbox::Mailbox},
};

/// Reads a whole command, tag and final CRLF included; `None` where it is none of those.
pub(super) fn decode(octets: &[u8]) -> Option<Command> {
    let (rest, command) = CommandCodec::default().decode(octets).ok()?;
    if rest.is_empty() { command_of(command.body) } else { None }
}

fn command_of(body: CommandBody<'_>) -> Option<Command> {
    Some(match body {
        CommandBody::Capability => Command::Capability,
        CommandBody::Noop => Command::Noop,
        CommandBody::Check => Command::Check,
        CommandBody::Logout => Command::Logout,
        CommandBody::StartTLS => Command::StartTls,
        CommandBody::Id { .. } => Command::Id,
        CommandBody::Namespace => Command::Namespace,
        CommandBody::Idle => Command::Idle,
        CommandBody::Close => Command::Close,
        CommandBody::Unselect => Command::Unselect,
        CommandBody::Expunge => Command::Expunge,
        CommandBody::Login { username, password } => {
            Command::Login(Login { name: octets(&username), password: octets(password.declassify()) })
        }
        CommandBody::Authenticate { mechanism, initial_response } => Command::Authenticate(Authenticate {
            mechanism: mechanism.to_string().to_ascii_uppercase(),
            initial_response: initial_response.map(|response| response.declassify().to_vec()),
        }),
        CommandBody::Enable { capabilities } => {
            Command::Enable(Enable { capabilities: capabilities.into_iter().map(|name| capability(&name)).collect() })
        }
        CommandBody::Delete { mailbox } => Command::Delete(name(mailbox)),
        CommandBody::Subscribe { mailbox } => Command::Subscribe(name(mailbox)),
        CommandBody::Unsubscribe { mailbox } => Command::Unsubscribe(name(mailbox)),
        CommandBody::Rename { from, to } => Command::Rename(Rename { from: name(from), to: name(to) }),
        // Everything else is read by our own parser.
        _ => return None,
    })
}

fn octets(text: &AString<'_>) -> Vec<u8> {
    text.as_ref().to_vec()
}

fn capability(name: &CapabilityEnable<'_>) -> String {
    name.to_string().to_ascii_uppercase()
}

fn name(mailbox: Mailbox<'_>) -> WireName {
    match mailbox {
        Mailbox::Inbox => WireName(b"INBOX".to_vec()),
        Mailbox::Other(other) => WireName(other.as_ref().to_vec()),
    }
}
