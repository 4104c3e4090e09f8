//! Questions to the configured resolvers.

use super::{DnsError, MailExchange, Settings, Zone, name, zone::Answer};
use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, Record, RecordType},
};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{DnsError as Failure, NetError, runtime::TokioRuntimeProvider},
    system_conf,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Aliases that are followed within one answer; hickory follows no more itself.
const ALIASES_MAX: usize = 8;

/// A caching resolver. Clones share the cache.
#[derive(Clone)]
pub struct Resolver {
    hickory: TokioResolver,
    /// Answers from here alone, in a simulation.
    zone: Option<Arc<Zone>>,
    /// How long one question may take with every attempt and alias.
    patience: Duration,
}

impl Resolver {
    /// Makes a resolver; does not ask anything yet. Fails only where `servers` is empty and `/etc/resolv.conf` cannot be read.
    pub fn new(settings: &Settings) -> std::io::Result<Self> {
        let servers = if settings.servers.is_empty() {
            let (configuration, _) = system_conf::read_system_conf().map_err(std::io::Error::other)?;
            configuration.name_servers
        } else {
            settings.servers.iter().map(|server| name_server(*server)).collect()
        };
        let configuration = ResolverConfig::from_name_servers(servers);
        let mut builder = TokioResolver::builder_with_config(configuration, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.timeout = settings.timeout;
        // hickory counts the tries after the first one.
        options.attempts = settings.attempts.saturating_sub(1);
        options.cache_size = settings.cache_entries;
        options.use_hosts_file = ResolveHosts::Never;
        let hickory = builder.build().map_err(std::io::Error::other)?;
        let attempts = u32::try_from(settings.attempts.max(1)).unwrap_or(u32::MAX);
        Ok(Self { hickory, zone: None, patience: settings.timeout.saturating_mul(attempts) })
    }

    /// Answers from a zone in memory at once, and asks nobody.
    pub fn simulated(zone: Zone) -> std::io::Result<Self> {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let settings = Settings { servers: vec![nowhere], timeout: Duration::ZERO, attempts: 1, cache_entries: 0 };
        Ok(Self { zone: Some(Arc::new(zone)), ..Self::new(&settings)? })
    }

    /// TXT records, the strings of each joined (RFC 7208 §3.3).
    pub async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        self.ask(name::absolute(name)?, RecordType::TXT, |data| match data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        })
        .await
    }

    /// A records.
    pub async fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, DnsError> {
        self.ask(name::absolute(name)?, RecordType::A, |data| match data {
            RData::A(address) => Some(address.0),
            _ => None,
        })
        .await
    }

    /// AAAA records.
    pub async fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, DnsError> {
        self.ask(name::absolute(name)?, RecordType::AAAA, |data| match data {
            RData::AAAA(address) => Some(address.0),
            _ => None,
        })
        .await
    }

    /// MX records by preference.
    pub async fn mx(&self, name: &str) -> Result<Vec<MailExchange>, DnsError> {
        let asked = self.ask(name::absolute(name)?, RecordType::MX, |data| match data {
            RData::MX(mx) => Some(MailExchange { preference: mx.preference, host: name::text(&mx.exchange) }),
            _ => None,
        });
        let mut exchanges = asked.await?;
        exchanges.sort_by_key(|exchange| exchange.preference);
        Ok(exchanges)
    }

    /// Names of an address (PTR), without a final dot.
    pub async fn ptr(&self, ip: IpAddr) -> Result<Vec<String>, DnsError> {
        self.ask(Name::from(ip), RecordType::PTR, |data| match data {
            RData::PTR(host) => Some(name::text(&host.0)),
            _ => None,
        })
        .await
    }

    /// hickory itself, lent to `authentication` for mail_auth, so that both keep one cache.
    pub(crate) fn hickory(&self) -> TokioResolver {
        self.hickory.clone()
    }

    async fn ask<T>(&self, name: Name, wanted: RecordType, read: fn(&RData) -> Option<T>) -> Result<Vec<T>, DnsError> {
        if let Some(zone) = &self.zone {
            let Answer { code, answers, .. } = zone.answer(&name, wanted);
            let found = records(&name, &answers, read);
            return match code {
                ResponseCode::NoError if found.is_empty() => Err(DnsError::NoRecord),
                ResponseCode::NoError => Ok(found),
                ResponseCode::NXDomain => Err(DnsError::NoName),
                _ => Err(DnsError::Temporary),
            };
        }
        let asked = tokio::time::timeout(self.patience, self.hickory.lookup(name, wanted)).await;
        let answer = asked.map_err(|_| DnsError::Temporary)?.map_err(|failure| meaning(&failure))?;
        let found = records(answer.query().name(), answer.answers(), read);
        if found.is_empty() { Err(DnsError::NoRecord) } else { Ok(found) }
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

/// The records that answer the question: those of the name and of the names that it is an alias for.
fn records<T>(asked: &Name, answers: &[Record], read: fn(&RData) -> Option<T>) -> Vec<T> {
    let mut names = vec![asked];
    for record in answers {
        if let RData::CNAME(target) = &record.data
            && names.len() <= ALIASES_MAX
            && names.contains(&&record.name)
        {
            names.push(&target.0);
        }
    }
    let ours = answers.iter().filter(|record| names.contains(&&record.name));
    ours.filter_map(|record| read(&record.data)).collect()
}

/// What a failure means to who asked.
fn meaning(failure: &NetError) -> DnsError {
    match failure {
        NetError::Dns(Failure::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => DnsError::NoName,
            ResponseCode::NoError => DnsError::NoRecord,
            _ => DnsError::Temporary,
        },
        // Time-outs, refused connections, SERVFAIL, REFUSED, answers that cannot be read.
        _ => DnsError::Temporary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::{
        op::Message,
        rr::rdata::{A, CNAME},
    };
    use std::str::FromStr;
    use tokio::net::UdpSocket;

    /// Answers one question with these records, whoever they are about.
    async fn answer_once(socket: UdpSocket, records: Vec<Record>) {
        let mut buffer = [0; 512];
        let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer[..length]).unwrap();
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.add_queries(question.queries.iter().cloned());
        answer.add_answers(records);
        socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
    }

    fn a(name: &str, last: u8) -> Record {
        Record::from_rdata(Name::from_str(name).unwrap(), 60, RData::A(A::new(192, 0, 2, last)))
    }

    #[tokio::test]
    async fn records_of_other_names_are_not_believed() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let settings = Settings {
            servers: vec![socket.local_addr().unwrap()],
            timeout: Duration::from_secs(2),
            attempts: 1,
            cache_entries: 10,
        };
        let target = CNAME(Name::from_str("b.example.").unwrap());
        let alias = Record::from_rdata(Name::from_str("a.example.").unwrap(), 60, RData::CNAME(target));
        let records = vec![alias, a("b.example.", 1), a("c.example.", 2)];
        let resolver = Resolver::new(&settings).unwrap();
        let (found, ()) = tokio::join!(resolver.ipv4("a.example"), answer_once(socket, records));
        assert_eq!(found, Ok(vec![Ipv4Addr::new(192, 0, 2, 1)]));
    }

    #[tokio::test]
    async fn a_zone_in_memory_answers_as_a_name_server_would() {
        let zone = "$ORIGIN example.org.\n@ 60 A 192.0.2.1\nwww 60 CNAME @\n".parse().unwrap();
        let resolver = Resolver::simulated(zone).unwrap();
        assert_eq!(resolver.ipv4("www.example.org").await, Ok(vec![Ipv4Addr::new(192, 0, 2, 1)]));
        assert_eq!(resolver.txt("example.org").await, Err(DnsError::NoRecord));
        assert_eq!(resolver.txt("example.net").await, Err(DnsError::NoName));
    }
}
