//! Outcomes as tagged responses: the one place where an error becomes words for a client (RFC 9051 §7.1, RFC 5530).
//!
//! Owns: every NO and BAD. Promises: text for clients carries no cause, path or key of ours. Never: decides.
//! A fault of the store is logged here with its cause, and named only as unavailable to the client.

use super::{command::Fault, view::NotAnnounced, write::push_fmt};
use crate::{accounts::AccountsError, store::StoreError};
use std::io;

/// What a command gives back.
pub(crate) type Outcome = Result<Completion, Failure>;

/// A tagged OK.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    code: Option<String>,
    text: &'static str,
}

impl Completion {
    /// OK with a text.
    pub(crate) fn ok(text: &'static str) -> Self {
        Self { code: None, text }
    }

    /// With a response code, brackets left out.
    pub(crate) fn with_code(self, code: String) -> Self {
        Self { code: Some(code), ..self }
    }
}

/// Why a command was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The client wrote what is no command, or none for this state.
    Bad(String),
    /// The command is well formed and cannot be carried out.
    No(Refusal),
    /// The store did not do it.
    Store(StoreError),
    /// The accounts could not be asked.
    Accounts(AccountsError),
    /// The server is shutting down.
    Draining,
    /// The connection is gone, or a response cannot be completed: nothing can be answered any more.
    Connection(io::Error),
}

/// Why a well-formed command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Wrong name or password.
    AuthenticationFailed,
    /// Not in the clear.
    PrivacyRequired,
    /// The mechanism is none of ours.
    Mechanism,
    /// Too many connections of this account.
    Connections,
    /// The destination does not exist.
    NoDestination,
    /// The name cannot be read.
    MailboxName,
    /// The special use is none of ours, or there are two.
    SpecialUse,
    /// The mailbox was opened read-only.
    ReadOnly,
    /// The message is larger than we take.
    MessageSize,
    /// A literal of text held a NUL octet.
    Nul,
    /// The part is encoded in a way that we cannot undo.
    TransferEncoding,
    /// The charset of SEARCH is none of ours.
    Charset,
    /// No quota root has this name.
    NoQuotaRoot,
    /// Quotas are set by the administrator.
    QuotaPermission,
    /// Some of what was asked for is damaged on disk.
    Damaged,
}

impl Refusal {
    /// Response code and text.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::AuthenticationFailed => ("AUTHENTICATIONFAILED", "wrong name or password"),
            Self::PrivacyRequired => ("PRIVACYREQUIRED", "log in inside TLS only; use STARTTLS"),
            Self::Mechanism => ("CANNOT", "no such authentication mechanism"),
            Self::Connections => ("LIMIT", "too many connections of this account"),
            Self::NoDestination => ("TRYCREATE", "no such mailbox"),
            Self::MailboxName => ("CANNOT", "the mailbox name is not valid in this encoding"),
            Self::SpecialUse => ("USEATTR", "that special use is not offered"),
            Self::ReadOnly => ("CANNOT", "the mailbox was opened read-only"),
            Self::MessageSize => ("TOOBIG", "the message is too large"),
            Self::Nul => ("CANNOT", "the message holds NUL octets; send it as ~{literal8}"),
            Self::TransferEncoding => ("UNKNOWN-CTE", "the part's transfer encoding is not known or not kept to"),
            Self::Charset => ("BADCHARSET (US-ASCII UTF-8)", "the charset is not known"),
            Self::NoQuotaRoot => ("NONEXISTENT", "no such quota root"),
            Self::QuotaPermission => ("NOPERM", "quotas are set by the administrator"),
            Self::Damaged => ("CORRUPTION", "a message is damaged; the others were sent"),
        }
    }
}

/// Response code and text of a store's error.
fn store_words(error: &StoreError) -> (&'static str, &'static str) {
    match error {
        StoreError::NoMailbox => ("NONEXISTENT", "no such mailbox"),
        StoreError::MailboxExists => ("ALREADYEXISTS", "the mailbox exists already"),
        StoreError::MailboxName => ("CANNOT", "that mailbox name is not allowed"),
        StoreError::NoMessage => ("EXPUNGEISSUED", "the message is gone"),
        StoreError::TooManyKeywords => ("LIMIT", "the mailbox has no room for another keyword"),
        StoreError::TooManyMailboxes => ("LIMIT", "the account has no room for another mailbox"),
        StoreError::OverQuota(_) | StoreError::LargerThanQuota(_) => {
            ("OVERQUOTA", "the account has no room for it; delete messages and expunge them")
        }
        StoreError::Limit(_) => ("LIMIT", "that is more than the mail store takes at once"),
        StoreError::Full => ("OVERQUOTA", "no space left for new mail"),
        StoreError::Damaged(_) => ("CORRUPTION", "stored data is damaged and is not served"),
        StoreError::NoAccount
        | StoreError::Failed(_)
        | StoreError::Closing
        | StoreError::Objects(_)
        | StoreError::InUse => ("UNAVAILABLE", "the mail store is not available, try again later"),
    }
}

/// What a client is told when the server goes down.
pub(crate) const DRAINING: &[u8] = b"* BYE the server is shutting down\r\n";

/// Writes the tagged response. A connection that is gone gets none.
pub(crate) fn push_tagged(out: &mut Vec<u8>, tag: &[u8], outcome: &Outcome) {
    let (condition, code, text) = match outcome {
        Ok(completion) => ("OK", completion.code.as_deref(), completion.text),
        Err(Failure::Bad(text)) => ("BAD", None, text.as_str()),
        Err(Failure::No(refusal)) => with_code(refusal.words()),
        Err(Failure::Store(error) | Failure::Accounts(AccountsError::Store(error))) => with_code(store_words(error)),
        Err(Failure::Accounts(AccountsError::Password)) => with_code(Refusal::AuthenticationFailed.words()),
        Err(Failure::Accounts(_)) => with_code(("UNAVAILABLE", "logins cannot be checked, try again later")),
        Err(Failure::Draining) => return out.extend_from_slice(DRAINING),
        Err(Failure::Connection(_)) => return,
    };
    out.extend_from_slice(tag);
    push_fmt(out, format_args!(" {condition} "));
    if let Some(code) = code {
        push_fmt(out, format_args!("[{code}] "));
    }
    push_fmt(out, format_args!("{text}\r\n"));
}

fn with_code((code, text): (&'static str, &'static str)) -> (&'static str, Option<&'static str>, &'static str) {
    ("NO", Some(code), text)
}

/// Logs what the administrator must know of a failure; what the client did wrong is its own matter.
pub(crate) fn log(outcome: &Outcome, session: u64) {
    match outcome {
        Err(Failure::Store(error @ (StoreError::Damaged(_) | StoreError::Failed(_)))) => {
            tracing::error!(session, %error, "imap command failed in the store");
        }
        Err(Failure::Accounts(error)) => tracing::error!(session, %error, "imap login could not be checked"),
        Err(Failure::No(Refusal::Damaged)) => tracing::error!(session, "imap response left damaged messages out"),
        _ => {}
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::No(refusal)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<AccountsError> for Failure {
    fn from(error: AccountsError) -> Self {
        Self::Accounts(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl From<NotAnnounced> for Failure {
    fn from(error: NotAnnounced) -> Self {
        Self::Bad(match error.number {
            Some(number) => format!("there is no message {number}"),
            None => "the mailbox is empty".into(),
        })
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Bad(match fault {
            Fault::Tag => "expected a tag, a space and a command".into(),
            Fault::Unknown => "no such command".into(),
            Fault::Usage(usage) => format!("the command is written {usage}"),
            Fault::Syntax(verb, error) => {
                format!("{verb}: expected {} at octet {} after the tag", error.expected, error.at)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(outcome: &Outcome) -> String {
        let mut out = Vec::new();
        push_tagged(&mut out, b"a1", outcome);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn outcomes_become_one_line() {
        assert_eq!(tagged(&Ok(Completion::ok("NOOP completed"))), "a1 OK NOOP completed\r\n");
        assert_eq!(
            tagged(&Ok(Completion::ok("SELECT completed").with_code("READ-WRITE".into()))),
            "a1 OK [READ-WRITE] SELECT completed\r\n"
        );
        assert_eq!(tagged(&Err(Refusal::NoDestination.into())), "a1 NO [TRYCREATE] no such mailbox\r\n");
        assert_eq!(tagged(&Err(Fault::Unknown.into())), "a1 BAD no such command\r\n");
    }

    #[test]
    fn causes_stay_with_us() {
        let line = tagged(&Err(StoreError::Failed("/var/lib/postern: input/output error".into()).into()));
        assert_eq!(line, "a1 NO [UNAVAILABLE] the mail store is not available, try again later\r\n");
        let line = tagged(&Err(StoreError::Damaged("pack 7".into()).into()));
        assert!(!line.contains("pack"), "{line}");
    }
}
