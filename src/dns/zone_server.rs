//! A small authoritative server on a loopback port: real packets, by UDP and TCP.

use super::{DnsError, Zone, name};
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
};
use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time::timeout,
};

/// Octets of a UDP answer where the question offers no more (RFC 1035 §4.2.1).
const UDP_OCTETS_DEFAULT: u16 = 512;

/// Octets of a UDP answer at most, whatever the question offers.
const UDP_OCTETS_MAX: u16 = 4096;

/// Ports tried until one is free for UDP and TCP both.
const PORTS_TRIED_MAX: usize = 32;

/// Connections at once; it serves one machine's tests.
const CONNECTIONS_MAX: usize = 64;

/// How long a connection may stay silent.
const CONNECTION_IDLE: Duration = Duration::from_secs(30);

/// How the server misbehaves about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Types that the name has no record of are never answered.
    Silence,
    /// Types that the name has no record of are answered SERVFAIL.
    ServerFailure,
    /// Answers by UDP are cut to nothing, and come whole only by TCP (RFC 2181 §9).
    Truncation,
}

/// A small authoritative name server over a zone file, on UDP and TCP of a loopback port: for tests
/// and for the quickstart tour, so that both ask real questions in real packets.
pub struct ZoneServer {
    address: SocketAddr,
    served: Arc<Served>,
    /// Dropping it ends the tasks.
    _tasks: JoinSet<()>,
}

/// What the server answers from.
struct Served {
    zone: Zone,
    failures: HashMap<Name, Failure>,
    questions: AtomicUsize,
}

/// A server that has not started yet.
#[derive(Default)]
pub struct ZoneServerBuilder {
    zone: Zone,
    failures: HashMap<Name, Failure>,
}

impl ZoneServerBuilder {
    /// Serves this zone.
    #[must_use]
    pub fn zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// Misbehaves about one name.
    pub fn failing(mut self, name: &str, failure: Failure) -> Result<Self, DnsError> {
        self.failures.insert(name::absolute(name)?, failure);
        Ok(self)
    }

    /// Starts to serve on `127.0.0.1`, on a port that the system chooses.
    pub async fn start(self) -> io::Result<ZoneServer> {
        let (udp, tcp) = bind().await?;
        let address = udp.local_addr()?;
        let served = Arc::new(Served { zone: self.zone, failures: self.failures, questions: AtomicUsize::new(0) });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&served)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&served)));
        Ok(ZoneServer { address, served, _tasks: tasks })
    }
}

impl ZoneServer {
    /// Reads the zone (RFC 1035 §5 master file) and serves it on `127.0.0.1` until dropped; names
    /// outside it get NXDOMAIN.
    pub async fn start(zone: &str) -> io::Result<Self> {
        let zone = zone.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Self::builder().zone(zone).start().await
    }

    /// A server that may misbehave.
    pub fn builder() -> ZoneServerBuilder {
        ZoneServerBuilder::default()
    }

    /// The address to put into [`super::Settings::servers`].
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The questions received so far, by either transport.
    pub fn questions(&self) -> usize {
        self.served.questions.load(Ordering::SeqCst)
    }
}

/// One port for both transports.
async fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    let mut last = None;
    for _ in 0..PORTS_TRIED_MAX {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

async fn serve_udp(socket: UdpSocket, served: Arc<Served>) {
    let mut buffer = vec![0; usize::from(UDP_OCTETS_MAX)];
    loop {
        // An error here is an ICMP notice about an earlier answer; the socket lives on.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
        let question = buffer.get(..length).unwrap_or_default();
        if let Some(answer) = served.respond(question, Transport::Udp) {
            // The asker may be gone; it would ask again otherwise.
            let _ = socket.send_to(&answer, peer).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, served: Arc<Served>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        if connections.len() < CONNECTIONS_MAX {
            connections.spawn(serve_connection(stream, Arc::clone(&served)));
        }
    }
}

/// Answers one connection until its peer ends it or falls silent (RFC 1035 §4.2.2).
async fn serve_connection(mut stream: TcpStream, served: Arc<Served>) {
    while let Ok(Ok(length)) = timeout(CONNECTION_IDLE, stream.read_u16()).await {
        let mut question = vec![0; usize::from(length)];
        let Ok(Ok(_)) = timeout(CONNECTION_IDLE, stream.read_exact(&mut question)).await else { return };
        let Some(answer) = served.respond(&question, Transport::Tcp) else { continue };
        let Ok(length) = u16::try_from(answer.len()) else { return };
        if stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await.is_err() {
            return;
        }
    }
}

impl Served {
    /// The octets of the answer; `None` where the question cannot be read or silence is asked for.
    fn respond(&self, octets: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let question = Message::from_vec(octets).ok()?;
        if question.metadata.message_type != MessageType::Query {
            return None;
        }
        self.questions.fetch_add(1, Ordering::SeqCst);
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.authoritative = true;
        answer.metadata.recursion_desired = question.metadata.recursion_desired;
        answer.metadata.recursion_available = question.metadata.recursion_desired;
        answer.add_queries(question.queries.iter().cloned());
        if question.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_OCTETS_MAX);
            answer.set_edns(edns);
        }
        let room = question.edns.as_ref().map_or(UDP_OCTETS_DEFAULT, Edns::max_payload);
        match (question.metadata.op_code, question.queries.as_slice()) {
            (OpCode::Query, [query]) => self.fill(&mut answer, query, transport)?,
            _ => answer.metadata.response_code = ResponseCode::NotImp,
        }
        let whole = answer.to_vec().ok()?;
        let fits = whole.len() <= usize::from(room.clamp(UDP_OCTETS_DEFAULT, UDP_OCTETS_MAX));
        if transport == Transport::Tcp || fits { Some(whole) } else { answer.truncate().to_vec().ok() }
    }

    fn fill(&self, answer: &mut Message, query: &Query, transport: Transport) -> Option<()> {
        let name = Name::to_lowercase(query.name());
        match self.failure(&name, query.query_type()) {
            Some(Failure::Silence) => return None,
            Some(Failure::ServerFailure) => answer.metadata.response_code = ResponseCode::ServFail,
            Some(Failure::Truncation) if transport == Transport::Udp => answer.metadata.truncation = true,
            Some(Failure::Truncation) | None => {
                let found = self.zone.answer(&name, query.query_type());
                answer.metadata.response_code = found.code;
                answer.add_answers(found.answers);
                answer.add_authorities(found.authority);
            }
        }
        Some(())
    }

    fn failure(&self, name: &Name, wanted: RecordType) -> Option<Failure> {
        let failure = *self.failures.get(name)?;
        (failure == Failure::Truncation || !self.zone.has(name, wanted)).then_some(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{MailExchange, Resolver, Settings};

    const ZONE: &str = "\
$ORIGIN example.org.
$TTL 60
@ SOA ns root 1 1h 1h 1w 60
@ A 192.0.2.1
@ AAAA 2001:db8::1
@ MX 20 mx2
@ MX 10 MX1
null MX 0 .
@ TXT \"one \" two
@ TXT three
1.2.0.192.in-addr.arpa. PTR Mail.Example.org.
alias CNAME other
other CNAME @
loop1 CNAME loop2
loop2 CNAME loop1
dead CNAME nowhere
deep.below A 192.0.2.9
";

    fn resolver(server: &ZoneServer) -> Resolver {
        let timeout = Duration::from_millis(150);
        Resolver::new(&Settings { servers: vec![server.address()], timeout, attempts: 2, cache_entries: 100 }).unwrap()
    }

    async fn start() -> (ZoneServer, Resolver) {
        let server = ZoneServer::start(ZONE).await.unwrap();
        let resolver = resolver(&server);
        (server, resolver)
    }

    async fn start_failing(failure: Failure) -> (ZoneServer, Resolver) {
        let zone = ZONE.parse().unwrap();
        let server = ZoneServer::builder().zone(zone).failing("example.org", failure).unwrap().start().await.unwrap();
        let resolver = resolver(&server);
        (server, resolver)
    }

    #[tokio::test]
    async fn every_type_is_answered() {
        let (_server, resolver) = start().await;
        assert_eq!(resolver.ipv4("Example.ORG.").await, Ok(vec!["192.0.2.1".parse().unwrap()]));
        assert_eq!(resolver.ipv6("example.org").await, Ok(vec!["2001:db8::1".parse().unwrap()]));
        let txt = resolver.txt("example.org").await.unwrap();
        assert_eq!(txt, [b"one two".to_vec(), b"three".to_vec()]);
        assert_eq!(resolver.ptr("192.0.2.1".parse().unwrap()).await, Ok(vec!["mail.example.org".to_owned()]));
        let exchange = |preference, host: &str| MailExchange { preference, host: host.to_owned() };
        let expected = vec![exchange(10, "mx1.example.org"), exchange(20, "mx2.example.org")];
        assert_eq!(resolver.mx("example.org").await, Ok(expected));
        assert_eq!(resolver.mx("null.example.org").await, Ok(vec![exchange(0, "")]));
    }

    #[tokio::test]
    async fn each_way_to_have_nothing_has_its_error() {
        let (_server, resolver) = start().await;
        for (name, error) in [
            ("nowhere.example.org", DnsError::NoName),
            ("elsewhere.example", DnsError::NoName),
            ("dead.example.org", DnsError::NoName),
            ("null.example.org", DnsError::NoRecord),
            ("below.example.org", DnsError::NoRecord),
            ("loop1.example.org", DnsError::Temporary),
            ("a..example.org", DnsError::BadName),
        ] {
            assert_eq!(resolver.ipv4(name).await, Err(error), "{name}");
        }
    }

    #[tokio::test]
    async fn aliases_lead_to_their_records() {
        let (_server, resolver) = start().await;
        assert_eq!(resolver.ipv4("alias.example.org").await, Ok(vec!["192.0.2.1".parse().unwrap()]));
    }

    #[tokio::test]
    async fn answers_with_and_without_records_are_kept() {
        let (server, resolver) = start().await;
        for _ in 0..3 {
            resolver.ipv4("example.org").await.unwrap();
            resolver.clone().ipv4("nowhere.example.org").await.unwrap_err();
        }
        assert_eq!(server.questions(), 2);
    }

    /// A name that fails still answers for the types that it has.
    #[tokio::test]
    async fn a_failure_leaves_what_is_there() {
        for failure in [Failure::Silence, Failure::ServerFailure] {
            let server = ZoneServer::builder().zone("null.example. MX 0 .\n".parse().unwrap());
            let server = server.failing("null.example", failure).unwrap().start().await.unwrap();
            let resolver = resolver(&server);
            assert_eq!(resolver.mx("null.example").await.map(|found| found.len()), Ok(1));
            assert_eq!(resolver.txt("null.example").await, Err(DnsError::Temporary));
        }
    }

    #[tokio::test]
    async fn a_name_server_that_fails_is_asked_again() {
        for failure in [Failure::Silence, Failure::ServerFailure] {
            let server = ZoneServer::builder().failing("example.net", failure).unwrap().start().await.unwrap();
            let resolver = resolver(&server);
            assert_eq!(resolver.txt("example.net").await, Err(DnsError::Temporary), "{failure:?}");
            let once = server.questions();
            assert_eq!(resolver.txt("example.net").await, Err(DnsError::Temporary), "{failure:?}");
            assert!(server.questions() > once, "{failure:?}");
        }
    }

    #[tokio::test]
    async fn nobody_at_the_address_is_temporary() {
        let (server, resolver) = start().await;
        drop(server);
        assert_eq!(resolver.txt("example.org").await, Err(DnsError::Temporary));
    }

    #[tokio::test]
    async fn what_is_cut_is_asked_for_by_tcp() {
        let (server, resolver) = start_failing(Failure::Truncation).await;
        assert_eq!(resolver.ipv4("example.org").await, Ok(vec!["192.0.2.1".parse().unwrap()]));
        assert_eq!(server.questions(), 2);
    }

    #[tokio::test]
    async fn an_answer_too_large_for_udp_is_cut() {
        let zone = format!("example.org. TXT {}\n", format!("\"{}\" ", "x".repeat(255)).repeat(20));
        let server = ZoneServer::start(&zone).await.unwrap();
        assert_eq!(resolver(&server).txt("example.org").await.map(|found| found.concat().len()), Ok(255 * 20));
        assert_eq!(server.questions(), 2);
    }

    #[tokio::test]
    async fn a_zone_that_cannot_be_read_is_refused() {
        let error = ZoneServer::start("example.org. A nowhere\n").await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "line 1: \"nowhere\" is not a value that may stand here");
    }
}
