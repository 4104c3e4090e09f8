//! One session: its state, and what each command does to it (RFC 9051 §3).
//!
//! Owns: states and their transitions, counting of errors, the order of responses: what a command answers, then
//! what else changed, then the tagged line. Promises: commands are answered in the order they came, each by
//! exactly one tagged line; a command that is not legal in a state changes nothing. Never: touches the socket but
//! through [`Wire`]. Logs a login and each fault of the store.

use super::{
    Services,
    capability::{self, Privacy, StartTls},
    command::{self, Command, Legal, Numbers, Verb, append::Append},
    frame::{AppendLiteral, Bounds, Literal, Synchronisation},
    mailbox_name::NameEncoding,
    parser::WireName,
    places::Place,
    response::{self, Completion, Failure, Outcome, Refusal},
    selected::Selected,
    wire::Wire,
    write::{Charset, push_fmt},
};
use crate::{
    accounts::Account,
    limits,
    mail::AccountId,
    net::Shutdown,
    store::{Snapshot, StoreError},
};
use std::{io, sync::Arc, time::Duration};

/// What a client has enabled (RFC 5161).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Features {
    /// IMAP4rev2: UTF-8 names, ESEARCH instead of SEARCH, no RECENT.
    pub(crate) imap4rev2: bool,
    /// CONDSTORE: MODSEQ in every FETCH of flags.
    pub(crate) condstore: bool,
}

impl Features {
    /// How mailbox names are written.
    pub(crate) fn names(self) -> NameEncoding {
        if self.imap4rev2 { NameEncoding::Utf8 } else { NameEncoding::ModifiedUtf7 }
    }

    /// What quoted strings may hold.
    pub(crate) fn charset(self) -> Charset {
        if self.imap4rev2 { Charset::Utf8 } else { Charset::Ascii }
    }
}

/// Where a session stands.
enum State {
    /// The client has not said who it is.
    NotAuthenticated,
    /// Logged in.
    Authenticated(Login),
    /// Logged in, with a mailbox.
    Selected(Login, Box<Selected>),
    /// LOGOUT was answered.
    Logout,
}

/// A client that has said who it is.
struct Login {
    account: Account,
    _place: Place,
}

/// What the connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Waits for the next command.
    Command,
    /// Performs a TLS handshake.
    StartTls,
    /// Sends what is left and closes.
    Close,
}

/// What all sessions of a listener have in common. Clones share it.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Mail, logins, time.
    pub(crate) services: Arc<Services>,
    /// Tells when the server goes down.
    pub(crate) shutdown: Shutdown,
}

/// One session.
pub(crate) struct Session {
    /// What it stands on.
    pub(crate) services: Arc<Services>,
    /// What the client has enabled.
    pub(crate) features: Features,
    /// Tells when the server goes down.
    pub(crate) shutdown: Shutdown,
    id: u64,
    privacy: Privacy,
    start_tls: StartTls,
    state: State,
    bad_commands: u32,
    login_failures: u32,
}

impl Session {
    /// A session that begins; `id` names it in logs.
    pub(crate) fn new(shared: &Shared, privacy: Privacy, start_tls: StartTls, id: u64) -> Self {
        Self {
            services: Arc::clone(&shared.services),
            features: Features::default(),
            shutdown: shared.shutdown.clone(),
            id,
            privacy,
            start_tls,
            state: State::NotAuthenticated,
            bad_commands: 0,
            login_failures: 0,
        }
    }

    /// Writes the greeting.
    pub(crate) fn greet(&self, wire: &mut Wire<'_>) {
        let (capabilities, hostname) = (self.capabilities(), &self.services.hostname);
        push_fmt(&mut wire.out, format_args!("* OK [CAPABILITY {capabilities}] {hostname} Postern ready\r\n"));
    }

    /// What the client may send.
    pub(crate) fn bounds(&self) -> Bounds {
        match self.state {
            State::NotAuthenticated | State::Logout => Bounds {
                command_octets: limits::IMAP_COMMAND_OCTETS_MAX_BEFORE_LOGIN,
                literal_octets: limits::IMAP_LITERAL_OCTETS_MAX_BEFORE_LOGIN,
                append: AppendLiteral::Collected,
            },
            State::Authenticated(_) | State::Selected(..) => Bounds {
                command_octets: limits::IMAP_COMMAND_OCTETS_MAX,
                literal_octets: limits::IMAP_LITERAL_OCTETS_MAX,
                append: AppendLiteral::Streamed,
            },
        }
    }

    /// Whether the client has logged in.
    pub(crate) fn is_authenticated(&self) -> bool {
        matches!(self.state, State::Authenticated(_) | State::Selected(..))
    }

    /// The account of the client.
    pub(crate) fn account(&self) -> Result<AccountId, Failure> {
        match &self.state {
            State::Authenticated(login) | State::Selected(login, _) => Ok(login.account.id),
            State::NotAuthenticated | State::Logout => Err(not_legal(Legal::Authenticated)),
        }
    }

    /// The selected mailbox.
    pub(crate) fn selected(&mut self) -> Result<&mut Selected, Failure> {
        match &mut self.state {
            State::Selected(_, selected) => Ok(selected),
            _ => Err(not_legal(Legal::Selected)),
        }
    }

    /// The selected mailbox as it is now in the store.
    pub(crate) fn snapshot(&mut self) -> Result<Snapshot, Failure> {
        let account = self.account()?;
        let mailbox = self.selected()?.mailbox;
        Ok(self.services.store.snapshot(account, mailbox)?)
    }

    /// A mailbox name as the client means it.
    pub(crate) fn name(&self, name: &WireName) -> Result<String, Failure> {
        name.decode(self.features.names()).map_err(|_| Refusal::MailboxName.into())
    }

    /// What is offered now.
    pub(crate) fn capabilities(&self) -> String {
        match self.state {
            State::NotAuthenticated | State::Logout => capability::before_login(self.privacy, self.start_tls),
            State::Authenticated(_) | State::Selected(..) => capability::after_login(self.services.message_octets_max),
        }
    }

    /// Refuses logins where others could listen.
    pub(crate) fn require_privacy(&self) -> Result<(), Failure> {
        if self.privacy == Privacy::Clear { Err(Refusal::PrivacyRequired.into()) } else { Ok(()) }
    }

    /// Enters the authenticated state.
    pub(crate) fn log_in(&mut self, account: Account) -> Outcome {
        let place = self.services.sessions.places.take(account.id).ok_or(Refusal::Connections)?;
        tracing::info!(session = self.id, account = %account.address, "imap login");
        self.state = State::Authenticated(Login { account, _place: place });
        let capabilities = self.capabilities();
        Ok(Completion::ok("logged in").with_code(format!("CAPABILITY {capabilities}")))
    }

    /// Enters the selected state; a mailbox selected before is left.
    pub(crate) fn enter_mailbox(&mut self, selected: Selected) {
        self.leave_mailbox();
        self.state = match std::mem::replace(&mut self.state, State::Logout) {
            State::Authenticated(login) => State::Selected(login, Box::new(selected)),
            other => other,
        };
    }

    /// Leaves the selected state.
    pub(crate) fn leave_mailbox(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Logout) {
            State::Selected(login, _) => State::Authenticated(login),
            other => other,
        };
    }

    /// Turns IMAP4rev2 on; tells whether it was off.
    pub(crate) fn enable_imap4rev2(&mut self) -> bool {
        !std::mem::replace(&mut self.features.imap4rev2, true)
    }

    /// Turns CONDSTORE on; tells whether it was off (RFC 7162 §3.1). The first command that does so with a mailbox selected
    /// is told HIGHESTMODSEQ.
    pub(crate) fn enable_condstore(&mut self, wire: &mut Wire<'_>) -> bool {
        let fresh = !std::mem::replace(&mut self.features.condstore, true);
        if fresh && let Ok(snapshot) = self.snapshot() {
            let highest = snapshot.status().highest_modseq;
            push_fmt(&mut wire.out, format_args!("* OK [HIGHESTMODSEQ {highest}] CONDSTORE enabled\r\n"));
        }
        fresh
    }

    /// Carries out one command and writes its responses.
    pub(crate) async fn command(&mut self, octets: &[u8], wire: &mut Wire<'_>) -> io::Result<Next> {
        let parsing = command::parse(octets);
        let (verb, command) = match parsing.outcome {
            Ok(parsed) => parsed,
            Err(fault) => return self.finish(parsing.tag, Err(fault.into()), Next::Command, wire).await,
        };
        if let Err(failure) = self.require_state(verb.legal) {
            return self.finish(parsing.tag, Err(failure), Next::Command, wire).await;
        }
        let next = match command {
            Command::StartTls => Next::StartTls,
            Command::Logout => Next::Close,
            _ => Next::Command,
        };
        let outcome = match self.announce_arrivals(wire) {
            Ok(()) => Box::pin(self.execute(command, parsing.tag, wire)).await,
            Err(failure) => Err(failure),
        };
        let outcome = self.report_changes(verb, outcome, wire);
        self.finish(parsing.tag, outcome, next, wire).await
    }

    /// Takes an APPEND whose message is announced and has not been read.
    pub(crate) async fn append(&mut self, head: &[u8], literal: Literal, wire: &mut Wire<'_>) -> io::Result<Next> {
        let (tag, parsed) = Append::read(head);
        let outcome = match parsed {
            Ok(append) => Box::pin(command::append::execute(append, literal, self, wire)).await,
            Err(fault) => {
                refuse_message(literal, wire);
                Err(fault.into())
            }
        };
        let outcome = self.report_changes(&command::APPEND, outcome, wire);
        self.finish(tag, outcome, Next::Command, wire).await
    }

    /// Answers a command that broke a bound.
    pub(crate) async fn oversized(&mut self, tag: Option<&[u8]>, wire: &mut Wire<'_>) -> io::Result<Next> {
        let failure = Failure::Bad("the command or one of its literals is too long".into());
        self.finish(tag.unwrap_or(b"*"), Err(failure), Next::Command, wire).await
    }

    fn require_state(&self, legal: Legal) -> Result<(), Failure> {
        let holds = match (legal, &self.state) {
            (_, State::Logout) => false,
            (Legal::Always, _) => true,
            (Legal::NotAuthenticated, state) => matches!(state, State::NotAuthenticated),
            (Legal::Authenticated, state) => !matches!(state, State::NotAuthenticated),
            (Legal::Selected, state) => matches!(state, State::Selected(..)),
        };
        if holds { Ok(()) } else { Err(not_legal(legal)) }
    }

    async fn execute(&mut self, command: Command, tag: &[u8], wire: &mut Wire<'_>) -> Outcome {
        use command::{authenticate, copy, create, delete, enable, expunge, fetch, id, idle, list, login, namespace};
        use command::{quota, rename, search, select, status, store, subscribe, unselect};
        match command {
            Command::Capability => {
                push_fmt(&mut wire.out, format_args!("* CAPABILITY {}\r\n", self.capabilities()));
                Ok(Completion::ok("CAPABILITY completed"))
            }
            Command::Noop => Ok(Completion::ok("NOOP completed")),
            Command::Check => Ok(Completion::ok("CHECK completed")),
            Command::Logout => {
                wire.out.extend_from_slice(b"* BYE logging out\r\n");
                self.state = State::Logout;
                Ok(Completion::ok("LOGOUT completed"))
            }
            Command::StartTls => self.start_tls(),
            Command::Id => id::execute(wire),
            Command::Authenticate(arguments) => authenticate::execute(arguments, self, wire).await,
            Command::Login(arguments) => login::execute(&arguments, self).await,
            Command::Enable(arguments) => enable::execute(&arguments, self, wire),
            Command::Select(arguments) => select::execute(&arguments, self, wire),
            Command::Create(arguments) => create::execute(&arguments, self).await,
            Command::Delete(name) => delete::execute(&name, self, wire).await,
            Command::Rename(arguments) => rename::execute(&arguments, self).await,
            Command::Subscribe(name) => subscribe::subscribe(&name, self).await,
            Command::Unsubscribe(name) => subscribe::unsubscribe(&name, self).await,
            Command::List(arguments) => list::execute(&arguments, self, wire).await,
            Command::Namespace => namespace::execute(wire),
            Command::Status(arguments) => status::execute(&arguments, self, wire),
            Command::Quota(command) => quota::execute(&command, self, wire),
            Command::Idle => idle::execute(self, wire).await,
            Command::Close => unselect::close(self).await,
            Command::Unselect => unselect::unselect(self),
            Command::Expunge => expunge::execute(None, self).await,
            Command::UidExpunge(set) => expunge::execute(Some(set), self).await,
            Command::Search(arguments) => search::execute(arguments, tag, self, wire).await,
            Command::Fetch(arguments) => fetch::execute(arguments, self, wire).await,
            Command::Store(arguments) => store::execute(arguments, self, wire).await,
            Command::Copy(arguments) => copy::execute(&arguments, self, wire).await,
        }
    }

    fn start_tls(&self) -> Outcome {
        match self.start_tls {
            StartTls::Offered => Ok(Completion::ok("begin TLS now")),
            StartTls::Absent => Err(Failure::Bad("TLS is on already".into())),
        }
    }

    /// Reports what changed in the selected mailbox. A mailbox that is gone ends the session (RFC 2180 §3.3).
    pub(crate) fn report_changes(&mut self, verb: &Verb, outcome: Outcome, wire: &mut Wire<'_>) -> Outcome {
        if matches!(outcome, Err(Failure::Connection(_) | Failure::Draining)) {
            return outcome;
        }
        match self.report(verb.numbers, wire) {
            Ok(()) => outcome,
            Err(failure) => Err(failure),
        }
    }

    /// Announces messages that arrived, so that the next command sees them: a search finds a message as soon as it is stored (P7).
    fn announce_arrivals(&mut self, wire: &mut Wire<'_>) -> Result<(), Failure> {
        let features = self.features;
        self.with_snapshot(wire, |selected, snapshot, out| selected.announce_arrivals(snapshot, features, out))
    }

    /// Reports what changed in the selected mailbox, if there is one.
    pub(crate) fn report(&mut self, numbers: Numbers, wire: &mut Wire<'_>) -> Result<(), Failure> {
        let features = self.features;
        self.with_snapshot(wire, |selected, snapshot, out| selected.report(snapshot, numbers, features, out))
    }

    fn with_snapshot(
        &mut self,
        wire: &mut Wire<'_>,
        apply: impl FnOnce(&mut Selected, &Snapshot, &mut Vec<u8>),
    ) -> Result<(), Failure> {
        if !matches!(self.state, State::Selected(..)) {
            return Ok(());
        }
        match self.snapshot() {
            Ok(snapshot) => {
                apply(self.selected()?, &snapshot, &mut wire.out);
                Ok(())
            }
            Err(Failure::Store(StoreError::NoMailbox)) => {
                wire.out.extend_from_slice(b"* BYE the selected mailbox was deleted\r\n");
                self.state = State::Logout;
                Err(Failure::Store(StoreError::NoMailbox))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Writes the tagged line, and counts what went wrong.
    async fn finish(&mut self, tag: &[u8], outcome: Outcome, next: Next, wire: &mut Wire<'_>) -> io::Result<Next> {
        response::log(&outcome, self.id);
        if let Err(Failure::Connection(error)) = outcome {
            return Err(error);
        }
        if matches!(outcome, Err(Failure::Draining)) {
            self.state = State::Logout;
        }
        if matches!(outcome, Err(Failure::No(Refusal::AuthenticationFailed))) {
            self.login_failures += 1;
            tracing::info!(session = self.id, failures = self.login_failures, "imap login failed");
            // Guessing costs time, and a connection (RFC 9051 §11.7).
            tokio::time::sleep(Duration::from_millis(limits::IMAP_LOGIN_FAILURE_MILLISECONDS)).await;
        }
        self.bad_commands = if matches!(outcome, Err(Failure::Bad(_))) { self.bad_commands + 1 } else { 0 };
        response::push_tagged(&mut wire.out, tag, &outcome);
        Ok(self.next(outcome.is_ok(), next, wire))
    }

    fn next(&self, succeeded: bool, next: Next, wire: &mut Wire<'_>) -> Next {
        if self.bad_commands >= limits::IMAP_BAD_COMMANDS_MAX || self.login_failures >= limits::IMAP_LOGIN_FAILURES_MAX
        {
            wire.out.extend_from_slice(b"* BYE too many errors\r\n");
            return Next::Close;
        }
        match self.state {
            State::Logout => Next::Close,
            _ if succeeded => next,
            _ => Next::Command,
        }
    }
}

/// Refuses the message of an APPEND. A client that waits for our leave sends nothing; from any other it is read away.
pub(crate) fn refuse_message(literal: Literal, wire: &mut Wire<'_>) {
    if literal.synchronisation == Synchronisation::NonSynchronising {
        wire.skip_literal(literal);
    }
}

fn not_legal(legal: Legal) -> Failure {
    Failure::Bad(
        match legal {
            Legal::Always | Legal::Authenticated => "log in first",
            Legal::NotAuthenticated => "already logged in",
            Legal::Selected => "select a mailbox first",
        }
        .into(),
    )
}
