//! The session machine without sockets, with a service that knows the accounts of a dialogue.

use crate::support::dialogue::{Dialogue, Expected, Lines, Peer};
use bytes::BytesMut;
use postern::{
    limits,
    mail::{AccountId, ForwardPath, ReversePath},
    smtp::{Authentication, Event, Message, Reply, Session, Settings, Tls},
};
use std::sync::Arc;

/// A session, driven.
pub struct Machine {
    session: Session,
    input: BytesMut,
    lines: Lines,
    is_closed: bool,
    waits_for_tls: bool,
    accounts: Vec<String>,
    password: String,
    /// The name given in AUTH LOGIN.
    login: Option<String>,
    /// Messages that were taken.
    pub messages: Vec<Message>,
}

impl Machine {
    /// For the accounts, service and limits of a dialogue's header.
    pub fn new(dialogue: &Dialogue) -> Self {
        let octets = dialogue.words("limits").find_map(|limit| limit.strip_prefix("message_octets_max="));
        let authentication = match dialogue.headers("service").next() {
            Some("submission") => Authentication::Required(vec!["SCRAM-SHA-256", "PLAIN", "LOGIN"]),
            None => Authentication::NotOffered,
            Some(other) => panic!("no such service: {other}"),
        };
        let message_octets_max = octets.map_or(limits::MESSAGE_OCTETS_MAX_DEFAULT, |octets| octets.parse().unwrap());
        let password = dialogue.headers("password").next().unwrap_or_default().to_owned();
        Self::with(
            message_octets_max,
            authentication,
            dialogue.words("accounts").map(str::to_owned).collect(),
            password,
        )
    }

    /// A greeted session.
    pub fn with(
        message_octets_max: u64,
        authentication: Authentication,
        accounts: Vec<String>,
        password: String,
    ) -> Self {
        let settings = Settings { hostname: "mx.example.org".into(), message_octets_max, authentication };
        let mut session = Session::new(Arc::new(settings), Tls::Offered);
        session.greet();
        let mut machine = Self {
            session,
            input: BytesMut::new(),
            lines: Lines::default(),
            is_closed: false,
            waits_for_tls: false,
            accounts,
            password,
            login: None,
            messages: Vec::new(),
        };
        machine.drive();
        machine
    }

    /// Takes octets, and everything that follows from them.
    pub fn feed(&mut self, octets: &[u8]) {
        if !self.is_closed {
            self.input.extend_from_slice(octets);
            self.drive();
        }
    }

    /// The next line.
    pub fn next_line(&mut self) -> Option<String> {
        self.lines.next()
    }

    /// The session.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Lets the session work until it wants octets.
    pub fn drive(&mut self) {
        loop {
            let event = self.session.step(&mut self.input);
            match event {
                Event::Read => break,
                Event::StartTls => {
                    self.waits_for_tls = true;
                    break;
                }
                Event::Close => {
                    self.is_closed = true;
                    break;
                }
                other => self.answer(other),
            }
        }
        let output = self.session.take_output();
        self.lines.extend(&output);
    }

    fn answer(&mut self, event: Event) {
        match event {
            Event::Mail(path) => self.mail(&path),
            Event::Recipient(path) => match self.recipient(&path) {
                Ok(account) => self.session.accept_recipient(vec![account]),
                Err(reply) => self.session.answer(reply),
            },
            Event::Message(message) => {
                self.messages.push(*message);
                let id = format!("stored as 1.{}", self.messages.len());
                self.session.answer(Reply::with_text(250, "2.0.0", id));
            }
            Event::Refused(refused) => assert!(!refused.reply.is_positive()),
            Event::Authenticate { mechanism: "PLAIN", initial: Some(message) } => self.plain(&message),
            Event::Authenticate { mechanism: "PLAIN", initial: None } => self.session.challenge(b""),
            Event::Authenticate { mechanism: "LOGIN", initial: None } => self.session.challenge(b"Username:"),
            Event::Authenticate { mechanism: "LOGIN", initial: Some(name) } => self.login_name(name),
            Event::AuthenticationMessage(message) => match self.login.take() {
                Some(login) => self.check(&login, &message),
                None if message.contains(&0) => self.plain(&message),
                None => self.login_name(message),
            },
            other => panic!("not expected in a dialogue: {other:?}"),
        }
    }

    fn mail(&mut self, path: &ReversePath) {
        let foreign = path.address().is_some_and(|address| !self.accounts.contains(&address.to_string()));
        let submission = !self.password.is_empty();
        let reply = if submission && foreign { Reply::new(550, "5.7.1", "not yours") } else { Reply::SENDER_OK };
        self.session.answer(reply);
    }

    fn recipient(&self, path: &ForwardPath) -> Result<AccountId, Reply> {
        let ForwardPath::Address(address) = path else { return Ok(AccountId::FIRST) };
        let is_local = self.accounts.iter().any(|account| account.ends_with(&format!("@{}", address.domain())));
        if self.accounts.contains(&address.to_string()) {
            Ok(AccountId::FIRST)
        } else if is_local && !address.local_part().contains(['%', '!', '@']) {
            Err(Reply::new(550, "5.1.1", "no such address"))
        } else {
            Err(Reply::new(550, "5.7.1", "not here"))
        }
    }

    fn login_name(&mut self, name: Vec<u8>) {
        self.login = Some(String::from_utf8(name).unwrap());
        self.session.challenge(b"Password:");
    }

    fn plain(&mut self, message: &[u8]) {
        let fields: Vec<&[u8]> = message.split(|octet| *octet == 0).collect();
        match fields[..] {
            [_, login, password] => self.check(std::str::from_utf8(login).unwrap(), password),
            _ => self.session.answer(Reply::BAD_AUTHENTICATION_MESSAGE),
        }
    }

    fn check(&mut self, login: &str, password: &[u8]) {
        if self.accounts.iter().any(|account| account == login) && password == self.password.as_bytes() {
            self.session.authenticated();
        } else {
            self.session.answer(Reply::BAD_CREDENTIALS);
        }
    }
}

impl Peer for Machine {
    fn send(&mut self, connection: usize, octets: &[u8]) {
        assert_eq!(connection, 1, "SMTP sessions know nothing of each other");
        self.feed(octets);
    }

    fn line(&mut self, _: usize, _: Expected) -> Option<String> {
        self.next_line()
    }

    fn start_tls(&mut self, _: usize) {
        assert!(self.waits_for_tls, "nobody said STARTTLS");
        self.waits_for_tls = false;
        self.input.clear();
        self.session.tls_established();
    }

    fn is_closed(&mut self, _: usize) -> bool {
        self.is_closed
    }
}
