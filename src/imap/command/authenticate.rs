//! AUTHENTICATE (RFC 9051 §6.2.2) with PLAIN (RFC 4616) and SCRAM-SHA-256 (RFC 7677), and initial responses (RFC 4959).

use super::super::{
    capability,
    response::{Failure, Outcome, Refusal},
    session::Session,
    wire::Wire,
};
use crate::{
    accounts::{Exchange, Mechanism, Step},
    limits,
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// AUTHENTICATE's arguments. No revealing `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Authenticate {
    /// The mechanism.
    pub(crate) mechanism: String,
    /// What the client sent ahead, decoded.
    pub(crate) initial_response: Option<Vec<u8>>,
}

impl std::fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authenticate({})", self.mechanism)
    }
}

/// Runs the exchange.
pub(crate) async fn execute(authenticate: Authenticate, session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    session.require_privacy()?;
    let mechanism =
        Mechanism::parse(&authenticate.mechanism).filter(|mechanism| capability::MECHANISMS.contains(mechanism));
    let mut exchange = Exchange::new(session.services.accounts.clone(), mechanism.ok_or(Refusal::Mechanism)?);
    let mut message = authenticate.initial_response;
    loop {
        match exchange.step(message.as_deref()).await? {
            // IMAP has no field for the server's last word, so that goes as one more challenge (RFC 9051 §6.2.2).
            Step::Challenge(text) => message = Some(challenge(&text, wire).await?),
            Step::Authenticated(account) => return session.log_in(account),
            Step::Refused => return Err(Refusal::AuthenticationFailed.into()),
            Step::Malformed => return Err(Failure::Bad("AUTHENTICATE: that is not a message of the mechanism".into())),
        }
    }
}

/// Sends a challenge and waits for the answer.
async fn challenge(text: &[u8], wire: &mut Wire<'_>) -> Result<Vec<u8>, Failure> {
    wire.out.extend_from_slice(format!("+ {}\r\n", STANDARD.encode(text)).as_bytes());
    wire.flush().await?;
    let line = wire.line(limits::IMAP_SASL_LINE_OCTETS_MAX).await?;
    if line.len() >= limits::IMAP_SASL_LINE_OCTETS_MAX {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into());
    }
    if line == b"*" {
        return Err(Failure::Bad("AUTHENTICATE was cancelled".into()));
    }
    STANDARD.decode(&line).map_err(|_| Failure::Bad("AUTHENTICATE: expected base64".into()))
}
