//! SASL exchanges (RFC 4422) for every protocol that logs somebody in.
//!
//! The protocols frame the messages (base64, `334` or `+`, `*` to give up) and turn [`Step`] into their replies;
//! what the messages mean is decided here. PLAIN (RFC 4616), SCRAM-SHA-256 (RFC 7677), and LOGIN, which has no RFC and is
//! still what some clients speak.

use super::{
    Account, Accounts, AccountsError,
    scram::{Challenged, ClientFirst, Malformed, Proof},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

/// A mechanism that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-256.
    ScramSha256,
    /// PLAIN.
    Plain,
    /// LOGIN.
    Login,
}

impl Mechanism {
    /// Every mechanism, strongest first.
    pub const ALL: [Self; 3] = [Self::ScramSha256, Self::Plain, Self::Login];

    /// Its name (RFC 4422 §3.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// The mechanism of this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

/// Where an exchange stands after a message of the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The client is sent this and answers it.
    Challenge(Vec<u8>),
    /// The client is who it says.
    Authenticated(Account),
    /// Wrong name or password, which cannot be told apart.
    Refused,
    /// The message is not one of the mechanism.
    Malformed,
}

/// One exchange. After anything but a challenge it is over.
pub struct Exchange {
    accounts: Accounts,
    state: State,
}

enum State {
    Plain,
    LoginName,
    LoginPassword(String),
    ScramFirst,
    ScramFinal(Challenged, Option<Account>),
    /// The server's proof was sent, and the client has only to agree (RFC 5802 §5).
    ScramProved(Account),
    Over,
}

impl Exchange {
    /// Begins.
    pub fn new(accounts: Accounts, mechanism: Mechanism) -> Self {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            Mechanism::ScramSha256 => State::ScramFirst,
        };
        Self { accounts, state }
    }

    /// Takes the client's next message, decoded from base64; first its initial response, or `None` where it
    /// sent none. A future that is dropped ends the exchange.
    pub async fn step(&mut self, message: Option<&[u8]>) -> Result<Step, AccountsError> {
        let Some(message) = message else { return Ok(self.invitation()) };
        match std::mem::replace(&mut self.state, State::Over) {
            State::Plain => self.plain(message).await,
            State::LoginName => {
                let Ok(login) = str::from_utf8(message) else { return Ok(Step::Malformed) };
                self.state = State::LoginPassword(login.to_owned());
                Ok(Step::Challenge(b"Password:".to_vec()))
            }
            State::LoginPassword(login) => self.password(&login, message).await,
            State::ScramFirst => self.scram_first(message),
            State::ScramFinal(challenged, account) => Ok(self.scram_final(&challenged, account, message)),
            State::ScramProved(account) if message.is_empty() => Ok(Step::Authenticated(account)),
            State::ScramProved(_) | State::Over => Ok(Step::Malformed),
        }
    }

    /// What a client is sent that waits to be asked.
    fn invitation(&self) -> Step {
        Step::Challenge(match self.state {
            State::LoginName => b"Username:".to_vec(),
            _ => Vec::new(),
        })
    }

    /// authzid NUL authcid NUL passwd (RFC 4616 §2).
    async fn plain(&self, message: &[u8]) -> Result<Step, AccountsError> {
        let mut fields = message.split(|octet| *octet == 0);
        let (Some(authorization), Some(login), Some(password), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Ok(Step::Malformed);
        };
        let Ok(name) = str::from_utf8(login) else { return Ok(Step::Malformed) };
        // Acting for somebody else is not offered; naming oneself twice is harmless.
        if !authorization.is_empty() && authorization != login {
            return Ok(Step::Refused);
        }
        self.password(name, password).await
    }

    async fn password(&self, login: &str, password: &[u8]) -> Result<Step, AccountsError> {
        let account = self.accounts.authenticate(login, password).await?;
        Ok(account.map_or(Step::Refused, Step::Authenticated))
    }

    fn scram_first(&mut self, message: &[u8]) -> Result<Step, AccountsError> {
        let Ok(first) = ClientFirst::parse(message) else { return Ok(Step::Malformed) };
        let (keys, account) = self.accounts.scram_keys(&first.login)?;
        let mut nonce = [0; 18];
        self.accounts.clock.fill_random(&mut nonce);
        let challenged = first.answer(keys, &BASE64.encode(nonce));
        let challenge = challenged.server_first().as_bytes().to_vec();
        self.state = State::ScramFinal(challenged, account);
        Ok(Step::Challenge(challenge))
    }

    fn scram_final(&mut self, challenged: &Challenged, account: Option<Account>, message: &[u8]) -> Step {
        match (challenged.check(message), account) {
            (Err(Malformed), _) => Step::Malformed,
            (Ok(Proof::Right(server_final)), Some(account)) => {
                self.state = State::ScramProved(account);
                Step::Challenge(server_final)
            }
            // No account: the keys were made up, and a proof that fits them is worth nothing.
            (Ok(Proof::Right(_) | Proof::Wrong), _) => Step::Refused,
        }
    }
}
