//! How a client behaves, counted: a session that only costs is ended.

use crate::limits;

/// What a client did that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offence {
    /// A command that is wrong.
    Error,
    /// A command that moves nothing.
    Idle,
    /// A recipient that was refused.
    RefusedRecipient,
    /// A login that failed.
    FailedLogin,
}

/// Whether a session may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It may.
    Left,
    /// It has had its share.
    Spent,
}

/// The counts of one session.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    errors: u32,
    idle_commands: u32,
    refused_recipients: u32,
    failed_logins: u32,
}

impl Conduct {
    /// Counts.
    pub(super) fn count(&mut self, offence: Offence) -> Patience {
        let (count, max) = match offence {
            Offence::Error => (&mut self.errors, limits::SMTP_ERRORS_MAX),
            Offence::Idle => (&mut self.idle_commands, limits::SMTP_IDLE_COMMANDS_MAX),
            Offence::RefusedRecipient => (&mut self.refused_recipients, limits::SMTP_RECIPIENTS_REFUSED_MAX),
            Offence::FailedLogin => (&mut self.failed_logins, limits::LOGIN_FAILURES_MAX),
        };
        *count += 1;
        if *count > max { Patience::Spent } else { Patience::Left }
    }

    /// A message was taken: whoever sends mail may say NOOP and RSET in between.
    pub(super) fn message_taken(&mut self) {
        self.idle_commands = 0;
    }
}
