//! Replies (RFC 5321 §4.2) with enhanced status codes (RFC 3463), and the table of those the session gives itself.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use std::{borrow::Cow, fmt};

/// One reply; several lines where its text has several.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    /// Empty where none may stand: the greeting, the answer to EHLO, 334 and 354 (RFC 2034 §4).
    enhanced: &'static str,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply with a fixed text.
    pub const fn new(code: u16, enhanced: &'static str, text: &'static str) -> Self {
        Self { code, enhanced, text: Cow::Borrowed(text) }
    }

    /// A reply whose text is made for the occasion. It must hold nothing that a peer wrote.
    pub fn with_text(code: u16, enhanced: &'static str, text: String) -> Self {
        Self { code, enhanced, text: Cow::Owned(text) }
    }

    /// A SASL challenge (RFC 4954 §4).
    pub(super) fn challenge(challenge: &[u8]) -> Self {
        Self::with_text(334, "", BASE64.encode(challenge))
    }

    /// The reply code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, where there is one.
    pub fn enhanced(&self) -> &'static str {
        self.enhanced
    }

    /// Whether the command was, or may still be, successful (2yz and 3yz).
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Adds the reply's lines to `output`.
    pub fn write(&self, output: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            let gap = if self.enhanced.is_empty() { "" } else { " " };
            output.extend_from_slice(format!("{}{separator}{}{gap}{line}\r\n", self.code, self.enhanced).as_bytes());
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.enhanced, self.text)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({self})")
    }
}

/// Replies to commands that went well.
impl Reply {
    /// QUIT.
    pub const BYE: Self = Self::new(221, "2.0.0", "bye");
    /// STARTTLS.
    pub const READY_FOR_TLS: Self = Self::new(220, "2.0.0", "ready for TLS");
    /// AUTH.
    pub const AUTHENTICATED: Self = Self::new(235, "2.7.0", "authenticated");
    /// RSET, NOOP.
    pub const OK: Self = Self::new(250, "2.0.0", "ok");
    /// MAIL.
    pub const SENDER_OK: Self = Self::new(250, "2.1.0", "sender ok");
    /// RCPT.
    pub const RECIPIENT_OK: Self = Self::new(250, "2.1.5", "recipient ok");
    /// One chunk of several (RFC 3030 §2).
    pub const CHUNK_OK: Self = Self::new(250, "2.0.0", "chunk received");
    /// VRFY: the same for every address, so that nobody learns which exist (RFC 5321 §7.3).
    pub const WILL_NOT_VERIFY: Self = Self::new(252, "2.5.0", "send mail to it and see");
    /// HELP.
    pub const HELP: Self =
        Self::new(214, "2.0.0", "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\nsee RFC 5321");
    /// DATA.
    pub const START_MAIL_INPUT: Self = Self::new(354, "", "end with a dot on a line of its own");
}

/// Replies after which the connection is closed.
impl Reply {
    /// The server drains.
    pub const SHUTTING_DOWN: Self = Self::new(421, "4.3.2", "shutting down, try again later");
    /// The listener's bounds are reached.
    pub const TOO_MANY_CONNECTIONS: Self = Self::new(421, "4.7.0", "too many connections, try again later");
    /// A deadline has passed (RFC 5321 §4.5.3.2).
    pub const TIMED_OUT: Self = Self::new(421, "4.4.2", "timed out");
    /// Too many errors, idle commands or refused recipients.
    pub const TOO_MANY_ERRORS: Self = Self::new(421, "4.7.0", "too many errors");
    /// Lines without end, or that go on ending without CR.
    pub const NOT_LINES: Self = Self::new(421, "4.7.0", "lines end with CR LF");
    /// The client spoke before the greeting (RFC 5321 §3.1).
    pub const SPOKE_TOO_EARLY: Self = Self::new(554, "5.5.1", "you spoke before the greeting");
    /// HTTP or TLS (cross-protocol attacks, CVE-2021-3618).
    pub const WRONG_PROTOCOL: Self = Self::new(554, "5.5.1", "this is an SMTP server");
    /// A chunk whose size cannot be read, so that nobody knows where the next command begins.
    pub const BAD_CHUNK_SIZE: Self = Self::new(501, "5.5.4", "BDAT takes a size and perhaps LAST");
}

/// Replies to commands that are wrong.
impl Reply {
    /// No such command.
    pub const UNKNOWN_COMMAND: Self = Self::new(500, "5.5.1", "unknown command");
    /// Over the bound on command lines (RFC 5321 §4.5.3.1.4).
    pub const LINE_TOO_LONG: Self = Self::new(500, "5.5.2", "line too long");
    /// LF without CR, or CR without LF (RFC 5321 §2.3.8).
    pub const BARE_LINE_END: Self = Self::new(500, "5.5.2", "lines end with CR LF");
    /// Control characters, or octets that are no UTF-8.
    pub const BAD_OCTETS: Self = Self::new(501, "5.5.2", "octets that cannot stand in a command");
    /// Arguments missing, too many or malformed.
    pub const BAD_ARGUMENTS: Self = Self::new(501, "5.5.4", "bad arguments");
    /// MAIL with something that is no address.
    pub const BAD_SENDER: Self = Self::new(501, "5.1.7", "not a sender address; write MAIL FROM:<address>");
    /// RCPT with something that is no address.
    pub const BAD_RECIPIENT: Self = Self::new(501, "5.1.3", "not a recipient address; write RCPT TO:<address>");
    /// A parameter that was not offered (RFC 5321 §4.1.1.11).
    pub const UNKNOWN_PARAMETER: Self = Self::new(555, "5.5.4", "unknown parameter");
    /// An address beyond ASCII without the SMTPUTF8 parameter (RFC 6531 §3.5).
    pub const NEEDS_SMTPUTF8: Self = Self::new(553, "5.6.7", "this address needs SMTPUTF8");
    /// A command of an extension that is not offered here.
    pub const NOT_IMPLEMENTED: Self = Self::new(502, "5.5.1", "not implemented");
    /// A command out of order.
    pub const BAD_SEQUENCE: Self = Self::new(503, "5.5.1", "bad sequence of commands");
    /// DATA or BDAT after every RCPT was refused.
    pub const NO_VALID_RECIPIENTS: Self = Self::new(554, "5.5.1", "no valid recipients");
    /// RFC 5321 §4.5.3.1.10. The sender comes back with the others in another transaction.
    pub const TOO_MANY_RECIPIENTS: Self = Self::new(452, "4.5.3", "too many recipients");
    /// SIZE, or what came, is over the limit (RFC 1870 §6).
    pub const TOO_BIG: Self = Self::new(552, "5.3.4", "message too big");
    /// A bare CR or LF in a message: accepting it is what SMTP smuggling lives on.
    pub const BARE_LINE_END_IN_MESSAGE: Self = Self::new(550, "5.5.2", "message has a CR or LF of its own");
    /// The driver had to leave an event unanswered.
    pub const LOCAL_ERROR: Self = Self::new(451, "4.3.0", "local error, try again later");
}

/// Replies of AUTH (RFC 4954 §6).
impl Reply {
    /// MAIL before AUTH on submission.
    pub const AUTHENTICATION_REQUIRED: Self = Self::new(530, "5.7.0", "authentication required");
    /// AUTH in the clear.
    pub const ENCRYPTION_REQUIRED: Self = Self::new(538, "5.7.11", "encryption required; use STARTTLS first");
    /// Wrong name or password.
    pub const BAD_CREDENTIALS: Self = Self::new(535, "5.7.8", "authentication failed");
    /// A mechanism that is not offered.
    pub const UNKNOWN_MECHANISM: Self = Self::new(504, "5.5.4", "unknown mechanism");
    /// `*` from the client.
    pub const AUTHENTICATION_CANCELLED: Self = Self::new(501, "5.7.0", "authentication cancelled");
    /// Not base64, or not a message of the mechanism.
    pub const BAD_AUTHENTICATION_MESSAGE: Self = Self::new(501, "5.5.2", "cannot read that authentication message");
    /// A message over the bound (RFC 4954 §4).
    pub const AUTHENTICATION_LINE_TOO_LONG: Self = Self::new(500, "5.5.6", "authentication line too long");
}
