//! One connection: its socket, its deadlines and its session, for the MX and for submission.

use super::{
    ContentBudget, Counters,
    budget::Share,
    deadline::{Deadlines, Places},
    log::Line,
    reply,
};
use crate::{
    authentication::Client,
    clock::Clock,
    delivery::{Delivered, Delivery},
    limits,
    mail::{AccountId, ForwardPath, ReversePath},
    net::{Accepted, Acceptor, Permit, Shutdown, Stream},
    smtp::{Event, Message, Refused, Reply, Session, Settings, Tls, Waits},
};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use std::{future::Future, io, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

/// What a service knows that the session does not.
pub(crate) trait Service: Send {
    /// Whether this sender may open a transaction.
    fn mail(&self, reverse_path: &ReversePath) -> Reply;

    /// Whom this path reaches.
    fn recipient(&self, path: &ForwardPath) -> Result<Vec<AccountId>, Reply>;

    /// Whether it has room for a message, of this size where one was announced.
    fn room(&self, accounts: &[AccountId], announced: Option<u64>) -> Result<(), Reply>;

    /// Deals with a message.
    fn message(&self, incoming: Incoming) -> impl Future<Output = Taken> + Send;

    /// Begins a SASL exchange.
    fn authenticate(&mut self, mechanism: &str, initial: Option<Vec<u8>>) -> impl Future<Output = Login> + Send;

    /// Goes on with it.
    fn authentication_message(&mut self, message: Vec<u8>) -> impl Future<Output = Login> + Send;

    /// Forgets who logged in.
    fn forget_login(&mut self);
}

/// Where a login stands.
pub(crate) enum Login {
    /// The client is to answer this.
    Challenge(Vec<u8>),
    /// It is in.
    Done,
    /// It is not.
    Refused(Reply),
}

/// A message and where it came from.
pub(crate) struct Incoming {
    /// Names it in the log, in the trace and in the reply.
    pub(crate) id: String,
    /// Who sent it.
    pub(crate) client: Client,
    /// Where a bounce would go.
    pub(crate) reverse_path: ReversePath,
    /// Each accepted path and the accounts it leads to.
    pub(crate) recipients: Vec<(ForwardPath, Vec<AccountId>)>,
    /// The `with` clause of its Received field.
    pub(crate) protocol: &'static str,
    /// Its octets.
    pub(crate) raw: Bytes,
}

/// What came of a message.
pub(crate) struct Taken {
    /// What the sender is told.
    pub(crate) reply: Reply,
    /// What was stored.
    pub(crate) delivered: Option<Delivered>,
}

impl Taken {
    /// Nothing was stored.
    pub(crate) fn refused(reply: Reply) -> Self {
        Self { reply, delivered: None }
    }
}

/// What every connection of a listener has in common. Clones share it.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) acceptor: Acceptor,
    pub(crate) delivery: Delivery,
    pub(crate) budget: ContentBudget,
    pub(crate) counters: Counters,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
}

/// Whether TLS begins with the connection or by STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsStart {
    AtOnce,
    ByCommand,
}

/// Runs a session to its end.
pub(crate) async fn run<S: Service>(shared: Shared, accepted: Accepted, tls: TlsStart, service: S) {
    let Accepted { stream, peer, permit } = accepted;
    let id = format!("{:016x}", shared.clock.random_u64());
    tracing::debug!(session = %id, %peer, "connected");
    let ended = match handshake(&shared, stream, tls).await {
        Ok(stream) => Connection::new(shared, permit, peer.ip(), &id, &stream, service).converse(stream).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => tracing::debug!(session = %id, "ended"),
        Err(error) => tracing::debug!(session = %id, %error, "broken off"),
    }
}

async fn handshake(shared: &Shared, stream: Stream, tls: TlsStart) -> io::Result<Stream> {
    match tls {
        TlsStart::AtOnce => stream.start_tls(&shared.acceptor, HANDSHAKE).await,
        TlsStart::ByCommand => Ok(stream),
    }
}

const HANDSHAKE: Duration = Duration::from_secs(limits::TLS_HANDSHAKE_SECONDS);

struct Connection<S> {
    shared: Shared,
    permit: Permit,
    peer: IpAddr,
    id: String,
    messages: u32,
    service: S,
    session: Session,
    input: BytesMut,
    share: Share,
    /// What was stored under a 250 that the client has not shown to have seen.
    unconfirmed: Option<Delivered>,
    refused_recipients: u32,
    deadlines: Deadlines,
}

impl<S: Service> Connection<S> {
    fn new(shared: Shared, permit: Permit, peer: IpAddr, id: &str, stream: &Stream, service: S) -> Self {
        let tls = if stream.is_tls() { Tls::On } else { Tls::Offered };
        let mut session = Session::new(Arc::clone(&shared.settings), tls);
        if stream.has_unread() {
            session.close(Reply::SPOKE_TOO_EARLY);
        } else {
            session.greet();
        }
        Self {
            permit,
            peer,
            id: id.to_owned(),
            messages: 0,
            service,
            session,
            input: BytesMut::new(),
            share: shared.budget.share(),
            unconfirmed: None,
            refused_recipients: 0,
            deadlines: Deadlines::new(Instant::now()),
            shared,
        }
    }

    /// Does what the session asks for until it ends.
    async fn converse(mut self, mut stream: Stream) -> io::Result<()> {
        loop {
            match self.session.step(&mut self.input) {
                Event::Read => {
                    self.hold_content_within_budget();
                    self.flush(&mut stream).await?;
                    self.read(&mut stream).await?;
                }
                Event::Mail(reverse_path) => self.session.answer(self.service.mail(&reverse_path)),
                Event::Recipient(path) => self.recipient(&path).await,
                Event::Message(message) => {
                    self.flush(&mut stream).await?;
                    self.message(*message, &mut stream).await;
                }
                Event::Refused(refused) => self.log_refused(*refused),
                Event::Authenticate { mechanism, initial } => {
                    let login = self.service.authenticate(mechanism, initial).await;
                    self.login(login);
                }
                Event::AuthenticationMessage(message) => {
                    let login = self.service.authentication_message(message).await;
                    self.login(login);
                }
                Event::StartTls => {
                    self.flush(&mut stream).await?;
                    stream = stream.start_tls(&self.shared.acceptor, HANDSHAKE).await?;
                    self.service.forget_login();
                    self.session.tls_established();
                    self.deadlines.spoke(Instant::now());
                }
                Event::Close => {
                    self.flush(&mut stream).await?;
                    return stream.shutdown().await;
                }
            }
        }
    }

    async fn recipient(&mut self, path: &ForwardPath) {
        let announced = self.session.announced_octets();
        let recipient = self.service.recipient(path);
        match recipient.and_then(|accounts| self.service.room(&accounts, announced).map(|()| accounts)) {
            Ok(accounts) => self.session.accept_recipient(accounts),
            Err(reply) => {
                self.refused_recipients += 1;
                if self.refused_recipients > limits::SMTP_RECIPIENTS_REFUSED_AT_ONCE {
                    tokio::time::sleep(Duration::from_secs(limits::SMTP_REFUSAL_DELAY_SECONDS)).await;
                }
                self.session.answer(reply);
            }
        }
    }

    async fn message(&mut self, message: Message, stream: &mut Stream) {
        self.messages += 1;
        let Message { client, transaction, content, protocol } = message;
        let incoming = Incoming {
            id: format!("{}.{}", self.id, self.messages),
            client: Client { ip: self.peer, helo: client.name.as_str().to_owned() },
            reverse_path: transaction.reverse_path,
            recipients: transaction.recipients,
            protocol,
            raw: Bytes::from(content),
        };
        let Taken { reply, delivered } = self.service.message(incoming).await;
        // Whoever left before the reply will come again with the same octets, and must not be acknowledged.
        self.unconfirmed = if self.is_still_there(stream) { delivered } else { None };
        self.share.release();
        self.session.answer(reply);
    }

    /// Whether the client has not closed its side yet. Takes octets that have come, and waits for none.
    fn is_still_there(&mut self, stream: &mut Stream) -> bool {
        self.make_room();
        !matches!(stream.read_buf(&mut self.input).now_or_never(), Some(Ok(0) | Err(_)))
    }

    fn log_refused(&mut self, refused: Refused) {
        self.messages += 1;
        let Refused { client, transaction, octets, reply } = refused;
        let id = format!("{}.{}", self.id, self.messages);
        let client = Client { ip: self.peer, helo: client.name.as_str().to_owned() };
        let recipients = transaction.recipients.len();
        Line::new(&id, &client, &transaction.reverse_path, recipients, octets)
            .refused("content")
            .write(&reply, &self.shared.counters);
    }

    fn login(&mut self, login: Login) {
        match login {
            Login::Challenge(challenge) => self.session.challenge(&challenge),
            Login::Done => self.session.authenticated(),
            Login::Refused(reply) => {
                tracing::info!(session = %self.id, peer = %self.peer, reply = reply.code(), "login refused");
                self.session.answer(reply);
            }
        }
    }

    /// Content that all sessions together have no room for is thrown away and refused at its end.
    fn hold_content_within_budget(&mut self) {
        let held = self.session.content_octets_held();
        if held == 0 {
            self.share.release();
        } else if self.share.grow_to(held).is_err() {
            self.session.refuse_content(reply::NO_ROOM_FOR_CONTENT);
            self.share.release();
        }
    }

    async fn flush(&mut self, stream: &mut Stream) -> io::Result<()> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        self.deadlines.spoke(Instant::now());
        let sending = async {
            stream.write_all(&output).await?;
            stream.flush().await
        };
        timeout(Duration::from_secs(limits::SMTP_WRITE_SECONDS), sending).await?
    }

    /// Reads what the client sends next, or ends the session by itself.
    async fn read(&mut self, stream: &mut Stream) -> io::Result<()> {
        let deadline = self.deadline();
        self.make_room();
        let may_drain = self.session.is_between_transactions();
        let read = tokio::select! {
            biased;
            read = timeout_at(deadline, stream.read_buf(&mut self.input)) => read,
            () = self.shared.shutdown.begun(), if may_drain => {
                self.session.close(Reply::SHUTTING_DOWN);
                return Ok(());
            }
        };
        match read {
            Ok(read) => self.confirm(read),
            Err(_) => {
                self.session.close(Reply::TIMED_OUT);
                Ok(())
            }
        }
    }

    /// What comes after our 250 comes from somebody who has seen it. So does an orderly end: a system that still holds
    /// unread octets for a program resets the connection instead. Many TLS clients leave out their last word.
    fn confirm(&mut self, read: io::Result<usize>) -> io::Result<()> {
        let is_orderly = match &read {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::UnexpectedEof,
        };
        if let (true, Some(delivered)) = (is_orderly, self.unconfirmed.take()) {
            self.shared.delivery.acknowledge(&delivered);
        }
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn deadline(&mut self) -> Instant {
        let now = Instant::now();
        if self.session.is_between_transactions() {
            self.deadlines.between_transactions();
        } else {
            self.deadlines.in_transaction(now);
        }
        let places = if self.permit.places_are_scarce() { Places::Scarce } else { Places::Free };
        self.deadlines.next(now, self.session.waits_for(), places)
    }

    /// Room to read into, small while a client only talks.
    fn make_room(&mut self) {
        let octets = match self.session.waits_for() {
            Waits::Content => limits::SMTP_CONTENT_READ_OCTETS,
            Waits::Command => limits::SMTP_COMMAND_READ_OCTETS,
        };
        if self.input.is_empty() && self.input.capacity() > octets {
            self.input = BytesMut::new();
        }
        self.input.reserve(octets);
    }
}
