//! The session: what each command does where it stands (RFC 5321 §3, §4.1.4).

use super::{
    command::{Charset, ChunkPlace, ClientName, Command, CommandError, MailParameters, decode_base64},
    conduct::{Conduct, Offence, Patience},
    content::{Chunks, Content, DataDecoder, Progress},
    line::{Line, LineReader},
    reply::Reply,
};
use crate::{
    limits,
    mail::{AccountId, ForwardPath, ReversePath},
};
use bytes::{Buf as _, BytesMut};
use std::sync::Arc;

/// What all sessions of a service have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name.
    pub hostname: String,
    /// Octets of a message at most (RFC 1870 §4).
    pub message_octets_max: u64,
    /// Who may send.
    pub authentication: Authentication,
}

/// Whether clients log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// They do not (port 25).
    NotOffered,
    /// They must before MAIL, inside TLS, by one of these mechanisms (RFC 6409 §4.3).
    Required(Vec<&'static str>),
}

/// Where a connection stands with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// In the clear, with no certificate to offer.
    NotOffered,
    /// In the clear; STARTTLS is offered.
    Offered,
    /// Inside TLS.
    On,
}

/// Who a client says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The name it gave.
    pub name: ClientName,
    /// How it said so.
    pub greeting: Greeting,
}

/// EHLO or HELO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// HELO: no extensions.
    Helo,
    /// EHLO.
    Ehlo,
}

/// One mail transaction. RSET, EHLO and the end of data drop it whole, so no field of it can
/// outlive another (RFC 5321 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Where a bounce would go.
    pub reverse_path: ReversePath,
    /// The parameters of MAIL.
    pub parameters: MailParameters,
    /// Each accepted forward path and the accounts it leads to.
    pub recipients: Vec<(ForwardPath, Vec<AccountId>)>,
}

/// A message that came whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub client: Client,
    /// Its envelope.
    pub transaction: Transaction,
    /// Its octets, dots unstuffed.
    pub content: Vec<u8>,
    /// The `with` clause of its Received field (RFC 3848, RFC 6531 §3.7.3).
    pub protocol: &'static str,
}

/// A message that came to its end and was refused for its octets alone.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who sent it.
    pub client: Client,
    /// Its envelope.
    pub transaction: Transaction,
    /// Octets that came.
    pub octets: u64,
    /// What the client was told.
    pub reply: Reply,
}

/// What the driver has to do before the next step.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Send the output and read more octets.
    Read,
    /// May this sender open a transaction? [`Session::answer`].
    Mail(ReversePath),
    /// Is this one of ours? [`Session::accept_recipient`] or [`Session::answer`] with a refusal.
    Recipient(ForwardPath),
    /// Deal with a message. [`Session::answer`].
    Message(Box<Message>),
    /// A message was refused for its octets, and the client told so: nothing to answer, only to log.
    Refused(Box<Refused>),
    /// Send the output, perform the handshake, and call [`Session::tls_established`].
    StartTls,
    /// Begin a SASL exchange. [`Session::challenge`], [`Session::authenticated`] or [`Session::answer`] with a refusal.
    Authenticate {
        /// One of the offered mechanisms.
        mechanism: &'static str,
        /// The client's initial response.
        initial: Option<Vec<u8>>,
    },
    /// Go on with it, answered in the same way.
    AuthenticationMessage(Vec<u8>),
    /// Send the output and close the connection.
    Close,
}

/// What a session waits for, which has its own deadline (RFC 5321 §4.5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// A command.
    Command,
    /// More of a message.
    Content,
}

/// Where a session stands between two commands (RFC 5321 §4.1.4).
#[derive(Debug)]
enum State {
    /// Connected; the client has not said who it is.
    Opened,
    /// Greeted, with no transaction open.
    Greeted(Client),
    /// MAIL was accepted; recipients are being collected.
    Collecting(Client, Transaction),
    /// 354 was said; the content is coming.
    Data(Client, Transaction, Box<DataDecoder>),
    /// The first chunk has come; only chunks may follow (RFC 3030 §2).
    Chunking(Client, Transaction, Box<Chunks>),
}

/// What the next octets are.
#[derive(Debug)]
enum Reading {
    Commands,
    /// A message of a SASL exchange.
    Sasl,
    Data,
    Chunk(Chunk),
    /// A TLS handshake, which is not ours to read.
    Handshake,
    /// Nothing any more.
    Closed,
}

/// The rest of a chunk.
#[derive(Debug)]
struct Chunk {
    octets_left: u64,
    place: ChunkPlace,
    /// The octets are thrown away, and this is said behind them (RFC 3030 §2).
    refusal: Option<Reply>,
}

/// What the driver was asked.
#[derive(Debug)]
enum Pending {
    Mail(Transaction),
    Recipient(ForwardPath),
    Message,
    Authentication,
}

/// An SMTP session.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    tls: Tls,
    is_authenticated: bool,
    state: State,
    reading: Reading,
    pending: Option<Pending>,
    lines: LineReader,
    conduct: Conduct,
    output: Vec<u8>,
}

impl Session {
    /// A session on a fresh connection; nothing is said yet.
    pub fn new(settings: Arc<Settings>, tls: Tls) -> Self {
        Self {
            settings,
            tls,
            is_authenticated: false,
            state: State::Opened,
            reading: Reading::Commands,
            pending: None,
            lines: LineReader::default(),
            conduct: Conduct::default(),
            output: Vec::new(),
        }
    }

    /// Says the greeting (RFC 5321 §3.1).
    pub fn greet(&mut self) {
        let text = format!("{} ESMTP", self.settings.hostname);
        self.write(&Reply::with_text(220, "", text));
    }

    /// Takes octets from the front of `input` until the driver has something to do.
    ///
    /// An event that asks must be answered before the next step; one that was not is answered 451.
    pub fn step(&mut self, input: &mut BytesMut) -> Event {
        if self.pending.is_some() {
            self.answer(Reply::LOCAL_ERROR);
        }
        loop {
            let event = match self.reading {
                Reading::Commands => self.command_line(input),
                Reading::Sasl => self.sasl_line(input),
                Reading::Data => self.data(input),
                Reading::Chunk(_) => self.chunk(input),
                // RFC 3207 §4.2: what came in the clear behind STARTTLS is nobody's command.
                Reading::Handshake => {
                    input.clear();
                    Some(Event::StartTls)
                }
                Reading::Closed => {
                    input.clear();
                    Some(Event::Close)
                }
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    /// Takes what is to be sent to the client.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// What is waited for.
    pub fn waits_for(&self) -> Waits {
        match self.reading {
            Reading::Data | Reading::Chunk(_) => Waits::Content,
            Reading::Commands | Reading::Sasl | Reading::Handshake | Reading::Closed => Waits::Command,
        }
    }

    /// Whether ending the session now takes nothing from the client.
    pub fn is_between_transactions(&self) -> bool {
        matches!(self.state, State::Opened | State::Greeted(_)) && self.pending.is_none()
    }

    /// The size that MAIL announced (RFC 1870 §6).
    pub fn announced_octets(&self) -> Option<u64> {
        match &self.state {
            State::Collecting(_, transaction) => transaction.parameters.size,
            State::Opened | State::Greeted(_) | State::Data(..) | State::Chunking(..) => None,
        }
    }

    /// Octets of memory that the content holds.
    pub fn content_octets_held(&mut self) -> u64 {
        self.content().map_or(0, |content| content.octets_held())
    }

    /// Throws the content away and refuses the message with `reply` at its end.
    pub fn refuse_content(&mut self, reply: Reply) {
        if let Some(content) = self.content() {
            content.refuse(reply);
        }
    }

    /// Says `reply` and ends the session; what the client sent is not looked at any more.
    pub fn close(&mut self, reply: Reply) {
        self.write(&reply);
        self.pending = None;
        self.reading = Reading::Closed;
    }

    /// The handshake is done: everything before it is forgotten (RFC 3207 §4.2).
    pub fn tls_established(&mut self) {
        self.tls = Tls::On;
        self.is_authenticated = false;
        self.state = State::Opened;
        self.reading = Reading::Commands;
        self.lines = LineReader::default();
    }

    fn content(&mut self) -> Option<&mut Content> {
        match &mut self.state {
            State::Data(_, _, decoder) => Some(decoder.content()),
            State::Chunking(_, _, chunks) => Some(chunks.content()),
            State::Opened | State::Greeted(_) | State::Collecting(..) => None,
        }
    }

    fn write(&mut self, reply: &Reply) {
        reply.write(&mut self.output);
    }

    /// Refuses, and ends the session where this client was refused often enough.
    fn refuse(&mut self, reply: &Reply, offence: Offence) {
        match self.conduct.count(offence) {
            Patience::Left => self.write(reply),
            Patience::Spent => self.close(Reply::TOO_MANY_ERRORS),
        }
    }

    fn error(&mut self, reply: &Reply) {
        self.refuse(reply, Offence::Error);
    }

    /// Answers a command that moves nothing.
    fn idle(&mut self, reply: &Reply) {
        self.refuse(reply, Offence::Idle);
    }
}

/// Answers of the driver.
impl Session {
    /// Answers the last event: a positive reply grants what was asked, any other refuses it.
    pub fn answer(&mut self, reply: Reply) {
        match self.pending.take() {
            Some(Pending::Mail(transaction)) if reply.is_positive() => self.open(transaction, &reply),
            Some(Pending::Mail(_)) => self.error(&reply),
            Some(Pending::Recipient(_)) => self.refuse_recipient(&reply),
            Some(Pending::Authentication) => self.end_authentication(&reply),
            Some(Pending::Message) => {
                if reply.is_positive() {
                    self.conduct.message_taken();
                }
                self.write(&reply);
            }
            None => self.write(&reply),
        }
    }

    /// Answers [`Event::Recipient`]: the path leads to these accounts.
    pub fn accept_recipient(&mut self, accounts: Vec<AccountId>) {
        let (Some(Pending::Recipient(path)), State::Collecting(_, transaction)) =
            (self.pending.take(), &mut self.state)
        else {
            return;
        };
        transaction.recipients.push((path, accounts));
        self.write(&Reply::RECIPIENT_OK);
    }

    /// Answers [`Event::Authenticate`] or [`Event::AuthenticationMessage`]: the exchange goes on.
    pub fn challenge(&mut self, challenge: &[u8]) {
        self.pending = None;
        self.reading = Reading::Sasl;
        self.write(&Reply::challenge(challenge));
    }

    /// Answers the same: the client is logged in.
    pub fn authenticated(&mut self) {
        self.is_authenticated = true;
        self.answer(Reply::AUTHENTICATED);
    }

    fn open(&mut self, transaction: Transaction, reply: &Reply) {
        if let State::Greeted(client) = &self.state {
            self.state = State::Collecting(client.clone(), transaction);
        }
        self.write(reply);
    }

    fn refuse_recipient(&mut self, reply: &Reply) {
        // A temporary refusal is our fault, and says nothing about the client.
        if reply.code() < 500 { self.write(reply) } else { self.refuse(reply, Offence::RefusedRecipient) }
    }

    fn end_authentication(&mut self, reply: &Reply) {
        self.reading = Reading::Commands;
        match reply.code() {
            ..500 => self.write(reply),
            535 => self.refuse(reply, Offence::FailedLogin),
            _ => self.error(reply),
        }
    }
}

/// Commands.
impl Session {
    fn command_line(&mut self, input: &mut BytesMut) -> Option<Event> {
        /// The first octet of a TLS handshake record (RFC 8446 §5.1).
        const TLS_HANDSHAKE: u8 = 22;
        if self.tls != Tls::On && self.lines.is_at_line_start() && input.first() == Some(&TLS_HANDSHAKE) {
            self.close(Reply::WRONG_PROTOCOL);
            return None;
        }
        let limit = self.command_line_octets_max(input);
        match self.lines.next(input, limit) {
            Line::Incomplete => return Some(Event::Read),
            Line::Whole(line) => return self.command(&line),
            Line::TooLong => self.error(&Reply::LINE_TOO_LONG),
            Line::BareLineEnd => self.error(&Reply::BARE_LINE_END),
            Line::NotLines => self.close(Reply::NOT_LINES),
        }
        None
    }

    /// RFC 4954 §4: an initial response may be as long as any other message of the exchange.
    fn command_line_octets_max(&self, input: &[u8]) -> usize {
        const AUTH: &[u8] = b"AUTH ";
        let is_auth = input.get(..AUTH.len()).is_some_and(|start| start.eq_ignore_ascii_case(AUTH));
        match self.settings.authentication {
            Authentication::Required(_) if is_auth => limits::SMTP_AUTH_LINE_OCTETS_MAX,
            Authentication::Required(_) | Authentication::NotOffered => limits::SMTP_COMMAND_LINE_OCTETS_MAX,
        }
    }

    fn command(&mut self, line: &[u8]) -> Option<Event> {
        let command = match Command::parse(line) {
            Ok(command) => command,
            Err(error) => {
                self.not_a_command(error);
                return None;
            }
        };
        match command {
            Command::Ehlo(name) => self.hello(Client { name, greeting: Greeting::Ehlo }),
            Command::Helo(name) => self.hello(Client { name, greeting: Greeting::Helo }),
            Command::StartTls => self.start_tls(),
            Command::Auth { mechanism, initial } => return self.auth(&mechanism, initial),
            Command::Mail(reverse_path, parameters) => return self.mail(reverse_path, parameters),
            Command::Rcpt(forward_path) => return self.rcpt(forward_path, line),
            Command::Data => self.start_data(),
            Command::Bdat(octets, place) => self.bdat(octets, place),
            Command::Rset => self.rset(),
            Command::Noop => self.idle(&Reply::OK),
            Command::Vrfy => self.idle(&Reply::WILL_NOT_VERIFY),
            Command::Expn => self.error(&Reply::NOT_IMPLEMENTED),
            Command::Help => self.idle(&Reply::HELP),
            Command::Quit => self.close(Reply::BYE),
        }
        None
    }

    fn not_a_command(&mut self, error: CommandError) {
        match error {
            // Whoever speaks it goes on speaking it, and nothing of that must be taken for a command (CVE-2021-3618). After a
            // chunk of unknown size, the octets of a message would be taken for commands.
            CommandError::OtherProtocol | CommandError::ChunkSize => self.close(error.reply()),
            _ => self.error(&error.reply()),
        }
    }

    /// EHLO and HELO, which also drop a transaction (RFC 5321 §4.1.4).
    fn hello(&mut self, client: Client) {
        let reply = match client.greeting {
            Greeting::Helo => Reply::with_text(250, "", self.settings.hostname.clone()),
            Greeting::Ehlo => Reply::with_text(250, "", self.extensions()),
        };
        self.state = State::Greeted(client);
        self.idle(&reply);
    }

    /// The lines of the answer to EHLO (RFC 5321 §4.1.1.1).
    fn extensions(&self) -> String {
        let mut lines = vec![
            self.settings.hostname.clone(),
            "PIPELINING".into(),
            format!("SIZE {}", self.settings.message_octets_max),
            "8BITMIME".into(),
            "SMTPUTF8".into(),
            "CHUNKING".into(),
            format!("LIMITS RCPTMAX={}", limits::RECIPIENTS_MAX),
        ];
        match (&self.settings.authentication, self.tls) {
            (_, Tls::Offered) => lines.push("STARTTLS".into()),
            (Authentication::Required(mechanisms), Tls::On) => lines.push(format!("AUTH {}", mechanisms.join(" "))),
            (Authentication::Required(_), Tls::NotOffered) | (Authentication::NotOffered, _) => {}
        }
        lines.push("ENHANCEDSTATUSCODES".into());
        lines.join("\n")
    }

    /// STARTTLS (RFC 3207 §4).
    fn start_tls(&mut self) {
        match self.tls {
            Tls::NotOffered => self.error(&Reply::NOT_IMPLEMENTED),
            Tls::On => self.error(&Reply::BAD_SEQUENCE),
            Tls::Offered => {
                self.write(&Reply::READY_FOR_TLS);
                self.reading = Reading::Handshake;
            }
        }
    }

    /// MAIL (RFC 5321 §4.1.1.2).
    fn mail(&mut self, reverse_path: ReversePath, parameters: MailParameters) -> Option<Event> {
        let refusal = match (&self.state, &self.settings.authentication) {
            (State::Greeted(_), Authentication::Required(_)) if !self.is_authenticated => {
                Reply::AUTHENTICATION_REQUIRED
            }
            // RFC 4954 §5: the parameter belongs to the extension, and goes where it is not offered.
            (State::Greeted(_), Authentication::NotOffered) if parameters.auth.is_some() => Reply::UNKNOWN_PARAMETER,
            (State::Greeted(_), _) if parameters.size.is_some_and(|size| size > self.settings.message_octets_max) => {
                Reply::TOO_BIG
            }
            (State::Greeted(_), _) => {
                let transaction =
                    Transaction { reverse_path: reverse_path.clone(), parameters, recipients: Vec::new() };
                self.pending = Some(Pending::Mail(transaction));
                return Some(Event::Mail(reverse_path));
            }
            (State::Opened | State::Collecting(..) | State::Data(..) | State::Chunking(..), _) => Reply::BAD_SEQUENCE,
        };
        self.error(&refusal);
        None
    }

    /// RCPT (RFC 5321 §4.1.1.3).
    fn rcpt(&mut self, forward_path: ForwardPath, line: &[u8]) -> Option<Event> {
        let State::Collecting(_, transaction) = &self.state else {
            self.error(&Reply::BAD_SEQUENCE);
            return None;
        };
        if !line.is_ascii() && transaction.parameters.charset == Charset::Ascii {
            self.error(&Reply::NEEDS_SMTPUTF8);
        } else if transaction.recipients.len() >= limits::RECIPIENTS_MAX {
            // No fault: RFC 5321 §4.5.3.1.10 has the client go on with another transaction.
            self.write(&Reply::TOO_MANY_RECIPIENTS);
        } else {
            self.pending = Some(Pending::Recipient(forward_path.clone()));
            return Some(Event::Recipient(forward_path));
        }
        None
    }

    /// RSET (RFC 5321 §4.1.1.5).
    fn rset(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Opened) {
            State::Opened => State::Opened,
            State::Greeted(client)
            | State::Collecting(client, _)
            | State::Data(client, ..)
            | State::Chunking(client, ..) => State::Greeted(client),
        };
        self.idle(&Reply::OK);
    }
}

/// Content.
impl Session {
    /// DATA (RFC 5321 §4.1.1.4).
    fn start_data(&mut self) {
        let refusal = match std::mem::replace(&mut self.state, State::Opened) {
            State::Collecting(client, transaction) if !transaction.recipients.is_empty() => {
                let decoder = Box::new(DataDecoder::new(self.settings.message_octets_max));
                self.state = State::Data(client, transaction, decoder);
                self.reading = Reading::Data;
                self.write(&Reply::START_MAIL_INPUT);
                return;
            }
            // RFC 5321 §3.3 allows 503 or 554 here. 554 tells a pipelining client that its
            // recipients failed, not that its commands came in the wrong order.
            state @ State::Collecting(..) => (state, Reply::NO_VALID_RECIPIENTS),
            state => (state, Reply::BAD_SEQUENCE),
        };
        self.state = refusal.0;
        self.error(&refusal.1);
    }

    fn data(&mut self, input: &mut BytesMut) -> Option<Event> {
        let State::Data(_, _, decoder) = &mut self.state else {
            self.reading = Reading::Commands;
            return None;
        };
        match decoder.decode(input) {
            _ if decoder.content().is_boundless() => {
                self.close(Reply::TOO_BIG);
                None
            }
            Progress::More => Some(Event::Read),
            Progress::End => self.content_ends(),
        }
    }

    /// BDAT (RFC 3030 §2). The octets follow whatever is wrong with the command, so they are always taken.
    fn bdat(&mut self, octets_left: u64, place: ChunkPlace) {
        let octets_max = self.settings.message_octets_max;
        let mut refusal = None;
        self.state = match std::mem::replace(&mut self.state, State::Opened) {
            State::Collecting(client, transaction) if !transaction.recipients.is_empty() => {
                State::Chunking(client, transaction, Box::new(Chunks::new(octets_max)))
            }
            state => {
                refusal = match state {
                    State::Chunking(..) => None,
                    State::Collecting(..) => Some(Reply::NO_VALID_RECIPIENTS),
                    State::Opened | State::Greeted(_) | State::Data(..) => Some(Reply::BAD_SEQUENCE),
                };
                state
            }
        };
        let total = octets_left.saturating_add(self.content().map_or(0, |content| content.length()));
        if total > octets_max.saturating_mul(limits::OVERSIZE_FACTOR) {
            return self.close(Reply::TOO_BIG);
        }
        if total > octets_max {
            self.refuse_content(Reply::TOO_BIG);
        }
        self.reading = Reading::Chunk(Chunk { octets_left, place, refusal });
    }

    fn chunk(&mut self, input: &mut BytesMut) -> Option<Event> {
        let Reading::Chunk(chunk) = &mut self.reading else { return None };
        let taken = input.len().min(usize::try_from(chunk.octets_left).unwrap_or(usize::MAX));
        if let (None, State::Chunking(_, _, chunks)) = (&chunk.refusal, &mut self.state) {
            chunks.extend(input.get(..taken).unwrap_or_default());
        }
        input.advance(taken);
        chunk.octets_left -= taken as u64;
        if chunk.octets_left > 0 {
            return Some(Event::Read);
        }
        let (place, refusal) = (chunk.place, chunk.refusal.take());
        self.reading = Reading::Commands;
        match refusal {
            Some(refusal) => {
                self.error(&refusal);
                None
            }
            None => self.chunk_ends(place),
        }
    }

    fn chunk_ends(&mut self, place: ChunkPlace) -> Option<Event> {
        let is_refused = self.content().is_some_and(|content| content.refusal().is_some());
        // A refused chunk ends the transaction, so that the client need not send the others.
        if place == ChunkPlace::Last || is_refused {
            return self.content_ends();
        }
        self.write(&Reply::CHUNK_OK);
        None
    }

    /// The content is there, whole or refused; the transaction is over either way.
    fn content_ends(&mut self) -> Option<Event> {
        self.reading = Reading::Commands;
        let octets = self.content().map_or(0, |content| content.length());
        let (client, transaction, content) = match std::mem::replace(&mut self.state, State::Opened) {
            State::Data(client, transaction, decoder) => (client, transaction, decoder.finish()),
            State::Chunking(client, transaction, chunks) => (client, transaction, chunks.finish()),
            state @ (State::Opened | State::Greeted(_) | State::Collecting(..)) => {
                self.state = state;
                return None;
            }
        };
        self.state = State::Greeted(client.clone());
        Some(match content {
            Ok(content) => {
                self.pending = Some(Pending::Message);
                let protocol = self.protocol(&client, transaction.parameters.charset);
                Event::Message(Box::new(Message { client, transaction, content, protocol }))
            }
            Err(reply) => {
                self.write(&reply);
                Event::Refused(Box::new(Refused { client, transaction, octets, reply }))
            }
        })
    }

    /// The name of what was spoken (RFC 3848, RFC 6531 §4.3).
    fn protocol(&self, client: &Client, charset: Charset) -> &'static str {
        match (client.greeting, charset, self.tls, self.is_authenticated) {
            (Greeting::Helo, ..) => "SMTP",
            (Greeting::Ehlo, Charset::Ascii, Tls::On, true) => "ESMTPSA",
            (Greeting::Ehlo, Charset::Ascii, Tls::On, false) => "ESMTPS",
            (Greeting::Ehlo, Charset::Ascii, Tls::Offered | Tls::NotOffered, _) => "ESMTP",
            (Greeting::Ehlo, Charset::Utf8, Tls::On, true) => "UTF8SMTPSA",
            (Greeting::Ehlo, Charset::Utf8, Tls::On, false) => "UTF8SMTPS",
            (Greeting::Ehlo, Charset::Utf8, Tls::Offered | Tls::NotOffered, _) => "UTF8SMTP",
        }
    }
}

/// Logins (RFC 4954 §4).
impl Session {
    fn auth(&mut self, mechanism: &str, initial: Option<Vec<u8>>) -> Option<Event> {
        let refusal = match (&self.settings.authentication, self.tls, &self.state) {
            (Authentication::NotOffered, ..) => Reply::NOT_IMPLEMENTED,
            (Authentication::Required(_), Tls::Offered | Tls::NotOffered, _) => Reply::ENCRYPTION_REQUIRED,
            (Authentication::Required(mechanisms), Tls::On, State::Greeted(_)) if !self.is_authenticated => {
                let offered = mechanisms.iter().find(|offered| offered.eq_ignore_ascii_case(mechanism));
                if let Some(mechanism) = offered.copied() {
                    self.pending = Some(Pending::Authentication);
                    return Some(Event::Authenticate { mechanism, initial });
                }
                Reply::UNKNOWN_MECHANISM
            }
            (Authentication::Required(_), Tls::On, _) => Reply::BAD_SEQUENCE,
        };
        self.error(&refusal);
        None
    }

    fn sasl_line(&mut self, input: &mut BytesMut) -> Option<Event> {
        let refusal = match self.lines.next(input, limits::SMTP_AUTH_LINE_OCTETS_MAX) {
            Line::Incomplete => return Some(Event::Read),
            Line::Whole(line) if line == "*" => Reply::AUTHENTICATION_CANCELLED,
            Line::Whole(line) => match decode_base64(&line) {
                Ok(message) => {
                    self.pending = Some(Pending::Authentication);
                    return Some(Event::AuthenticationMessage(message));
                }
                Err(error) => error.reply(),
            },
            Line::TooLong => Reply::AUTHENTICATION_LINE_TOO_LONG,
            Line::BareLineEnd => Reply::BARE_LINE_END,
            Line::NotLines => {
                self.close(Reply::NOT_LINES);
                return None;
            }
        };
        self.reading = Reading::Commands;
        self.error(&refusal);
        None
    }
}
