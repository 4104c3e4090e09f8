//! Submission (RFC 6409): 587 with STARTTLS and 465 with implicit TLS (RFC 8314), for logged-in users.
//!
//! Owns: who may send as whom, and which recipients a user reaches. Promises: nobody sends without a login inside TLS, nor
//! as somebody else; a message for local accounts takes the same path as any other, without being judged. Never: sends
//! to other domains, which needs the outbound queue; changes a message. A client whose message lacks Date or Message-ID is
//! trusted to have meant it: RFC 6409 §8 allows to add them, and the octets that were accepted stay as they are. Each message
//! has one log line at its outcome.

use crate::{
    accounts::{Account, Accounts, AccountsError, Exchange, Mechanism, Resolution, Step},
    delivery::Received,
    limits,
    mail::{AccountId, ForwardPath, ReversePath},
    message,
    mx::{
        self, Line, Services, accounts_failed,
        connection::{Incoming, Login, Service, Taken, TlsStart},
        not_delivered,
    },
    net,
    smtp::{Authentication, Reply},
};
use std::{sync::Arc, time::Duration};

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// By STARTTLS.
    StartTls,
    /// At once.
    Implicit,
}

/// Serves submission on a listener until shutdown.
pub async fn serve(
    listener: net::Listener,
    services: Services,
    acceptor: net::Acceptor,
    mode: TlsMode,
    shutdown: net::Shutdown,
) -> std::io::Result<()> {
    let mechanisms = Mechanism::ALL.iter().map(|mechanism| mechanism.name()).collect();
    let shared = services.shared(acceptor, shutdown.clone(), Authentication::Required(mechanisms));
    let drain = Duration::from_secs(limits::DRAIN_SECONDS);
    let (tls, refusal) = match mode {
        TlsMode::StartTls => (TlsStart::ByCommand, mx::REFUSAL),
        // A client that waits for TLS would take any text for a broken handshake.
        TlsMode::Implicit => (TlsStart::AtOnce, &b""[..]),
    };
    net::serve(listener, refusal, shutdown, drain, |accepted| {
        mx::connection::run(shared.clone(), accepted, tls, User::new(services.clone()))
    })
    .await
}

/// The sender is another account's address (RFC 6409 §6.1).
const NOT_YOUR_ADDRESS: Reply = Reply::new(550, "5.7.1", "you may not send as this address");

/// The recipient is on another server.
const NO_RELAY_YET: Reply = Reply::new(550, "5.7.1", "sending to other domains is not available yet");

/// One of our own domains, without such an address.
const NO_SUCH_ADDRESS: Reply = Reply::new(550, "5.1.1", "no such address here");

/// The service of a submission port, for one connection.
struct User {
    services: Services,
    exchange: Option<Exchange>,
    account: Option<Account>,
}

impl User {
    fn new(services: Services) -> Self {
        Self { services, exchange: None, account: None }
    }

    fn accounts(&self) -> &Accounts {
        &self.services.accounts
    }

    async fn step(&mut self, message: Option<&[u8]>) -> Login {
        let Some(mut exchange) = self.exchange.take() else { return Login::Refused(Reply::BAD_SEQUENCE) };
        match exchange.step(message).await {
            Ok(Step::Challenge(challenge)) => {
                self.exchange = Some(exchange);
                Login::Challenge(challenge)
            }
            Ok(Step::Authenticated(account)) => {
                self.account = Some(account);
                Login::Done
            }
            Ok(Step::Refused) => Login::Refused(Reply::BAD_CREDENTIALS),
            Ok(Step::Malformed) => Login::Refused(Reply::BAD_AUTHENTICATION_MESSAGE),
            Err(error) => Login::Refused(login_failed(&error)),
        }
    }
}

/// RFC 4954 §6: temporary, so that a client does not ask its user for another password.
fn login_failed(error: &AccountsError) -> Reply {
    tracing::warn!(%error, "login not checked");
    Reply::new(454, "4.7.0", "cannot check logins now, try again later")
}

impl Service for User {
    fn mail(&self, reverse_path: &ReversePath) -> Reply {
        let Some(account) = &self.account else { return Reply::AUTHENTICATION_REQUIRED };
        match reverse_path {
            // A disposition notification goes out with the null path (RFC 8098 §3).
            ReversePath::Null => Reply::SENDER_OK,
            ReversePath::Address(address) if self.accounts().may_send_as(account.id, address) => Reply::SENDER_OK,
            ReversePath::Address(_) => NOT_YOUR_ADDRESS,
        }
    }

    fn recipient(&self, path: &ForwardPath) -> Result<Vec<AccountId>, Reply> {
        match self.accounts().resolve(path) {
            Ok(Resolution::Accounts(accounts)) => Ok(accounts),
            Ok(Resolution::NoSuchAddress) => Err(NO_SUCH_ADDRESS),
            Ok(Resolution::NotLocal) => Err(NO_RELAY_YET),
            Err(error) => Err(accounts_failed(&error)),
        }
    }

    fn room(&self, accounts: &[AccountId], announced: Option<u64>) -> Result<(), Reply> {
        self.services.delivery.has_room(accounts, announced).map_err(|error| not_delivered(&error))
    }

    async fn message(&self, incoming: Incoming) -> Taken {
        let Incoming { id, client, reverse_path, recipients, protocol, raw } = incoming;
        let line = Line::new(&id, &client, &reverse_path, recipients.len(), raw.len() as u64).because("submission");
        let analysis = mx::off_reactor(raw.len(), {
            let raw = raw.clone();
            move || Arc::new(message::analyse(&raw))
        })
        .await;
        let (report, verdict) = (None, None);
        let received = Received { raw, analysis, reverse_path, recipients, client, protocol, id, report, verdict };
        let taken = mx::deliver(&self.services, received).await;
        line.write(&taken.reply, &self.services.counters);
        taken
    }

    async fn authenticate(&mut self, mechanism: &str, initial: Option<Vec<u8>>) -> Login {
        let Some(mechanism) = Mechanism::parse(mechanism) else { return Login::Refused(Reply::UNKNOWN_MECHANISM) };
        self.exchange = Some(Exchange::new(self.services.accounts.clone(), mechanism));
        self.step(initial.as_deref()).await
    }

    async fn authentication_message(&mut self, message: Vec<u8>) -> Login {
        self.step(Some(&message)).await
    }

    fn forget_login(&mut self) {
        (self.exchange, self.account) = (None, None);
    }
}
