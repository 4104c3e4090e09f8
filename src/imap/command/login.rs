//! LOGIN (RFC 9051 §6.2.3).

use super::super::{
    response::{Outcome, Refusal},
    session::Session,
};

/// LOGIN's arguments. No revealing `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// The name.
    pub(crate) name: Vec<u8>,
    /// The password.
    pub(crate) password: Vec<u8>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(..)")
    }
}

/// Checks name and password.
pub(crate) async fn execute(login: &Login, session: &mut Session) -> Outcome {
    session.require_privacy()?;
    let Ok(name) = std::str::from_utf8(&login.name) else { return Err(Refusal::AuthenticationFailed.into()) };
    let account = session.services.accounts.authenticate(name, &login.password).await?;
    session.log_in(account.ok_or(Refusal::AuthenticationFailed)?)
}
