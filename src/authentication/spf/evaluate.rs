//! check_host (RFC 7208 §4), within its limits.

use super::{
    Query,
    macro_string::{MacroString, Place, Values},
    record::{DomainSpec, Mechanism, Prefixes, Record},
};
use crate::{
    authentication::Outcome,
    dns::{DnsError, Resolver},
    limits,
};
use std::net::IpAddr;

/// Why an evaluation ends without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Temporary,
    Permanent,
}

/// What a domain's record says.
enum Answer {
    /// There is no record.
    None,
    /// The outcome of the directive that matched, and how a fail may be explained.
    Found { outcome: Outcome, explanation: Option<DomainSpec>, domain: String },
}

/// One check_host() with what it has used up.
pub(super) struct Evaluation<'a> {
    resolver: &'a Resolver,
    query: &'a Query<'a>,
    ip: IpAddr,
    local_part: &'a str,
    sender_domain: &'a str,
    terms: usize,
    voids: usize,
    /// The client's validated names, once they were needed.
    validated: Option<Vec<String>>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(resolver: &'a Resolver, query: &'a Query<'a>) -> Self {
        // RFC 7208 §4.3: a sender without a local part is the postmaster.
        let (local_part, sender_domain) = query.sender.rsplit_once('@').unwrap_or(("", query.sender));
        let local_part = if local_part.is_empty() { "postmaster" } else { local_part };
        // An IPv4 client of a socket for both families is an IPv4 client (RFC 7208 §5).
        let ip = query.ip.to_canonical();
        Self { resolver, query, ip, local_part, sender_domain, terms: 0, voids: 0, validated: None }
    }

    pub(super) async fn check_host(&mut self) -> (Outcome, Option<String>) {
        match self.check(self.query.domain).await {
            Err(Problem::Temporary) => (Outcome::TempError, None),
            Err(Problem::Permanent) => (Outcome::PermError, None),
            Ok(Answer::None) => (Outcome::None, None),
            Ok(Answer::Found { outcome: Outcome::Fail, explanation: Some(spec), domain }) => {
                (Outcome::Fail, self.explain(&spec, &domain).await)
            }
            Ok(Answer::Found { outcome, .. }) => (outcome, None),
        }
    }

    /// Evaluates a domain's record and those that it redirects to.
    async fn check(&mut self, domain: &str) -> Result<Answer, Problem> {
        let Some(mut record) = self.record(domain).await? else { return Ok(Answer::None) };
        let mut domain = domain.to_owned();
        loop {
            for directive in &record.directives {
                if self.matches(&directive.mechanism, &domain).await? {
                    let (outcome, explanation) = (directive.outcome, record.explanation);
                    return Ok(Answer::Found { outcome, explanation, domain });
                }
            }
            let Some(spec) = record.redirect else {
                return Ok(Answer::Found { outcome: Outcome::Neutral, explanation: None, domain });
            };
            self.count_term()?;
            domain = self.name(&spec, &domain).await?;
            // RFC 7208 §6.1: no record there is an error of this one.
            record = self.record(&domain).await?.ok_or(Problem::Permanent)?;
        }
    }

    /// The one SPF record of a domain (RFC 7208 §4.3 to §4.5).
    async fn record(&mut self, domain: &str) -> Result<Option<Record>, Problem> {
        if !is_full_name(domain) {
            return Ok(None);
        }
        let texts = match self.resolver.txt(domain).await {
            Ok(texts) => texts,
            Err(DnsError::NoName | DnsError::NoRecord | DnsError::BadName) => return Ok(None),
            Err(DnsError::Temporary) => return Err(Problem::Temporary),
        };
        let mut records = texts.iter().filter(|text| Record::is_spf(text));
        match (records.next(), records.next()) {
            (None, _) => Ok(None),
            (Some(record), None) => Record::parse(record).map(Some).map_err(|_| Problem::Permanent),
            (Some(_), Some(_)) => Err(Problem::Permanent),
        }
    }

    /// Whether a mechanism matches the client (RFC 7208 §5).
    async fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Problem> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Network(network) => Ok(network.contains(self.ip)),
            Mechanism::Include(spec) => self.include(spec, domain).await,
            Mechanism::A(spec, prefixes) => {
                let name = self.target(spec.as_ref(), domain).await?;
                let addresses = self.addresses(&name).await;
                let addresses = self.unless_void(addresses)?;
                Ok(self.any_alike(*prefixes, &addresses))
            }
            Mechanism::Mx(spec, prefixes) => self.mx(spec.as_ref(), *prefixes, domain).await,
            Mechanism::Ptr(spec) => {
                let name = self.target(spec.as_ref(), domain).await?;
                let validated = self.validated_names().await?;
                Ok(validated.iter().any(|validated| is_within(validated, &name)))
            }
            Mechanism::Exists(spec) => {
                let name = self.target(Some(spec), domain).await?;
                // RFC 7208 §5.7: A records, whatever the client's family.
                let addresses = self.resolver.ipv4(&name).await;
                Ok(!self.unless_void(addresses)?.is_empty())
            }
        }
    }

    /// RFC 7208 §5.2.
    async fn include(&mut self, spec: &DomainSpec, domain: &str) -> Result<bool, Problem> {
        let name = self.target(Some(spec), domain).await?;
        match Box::pin(self.check(&name)).await? {
            Answer::None => Err(Problem::Permanent),
            Answer::Found { outcome, .. } => Ok(outcome == Outcome::Pass),
        }
    }

    /// RFC 7208 §5.4.
    async fn mx(&mut self, spec: Option<&DomainSpec>, prefixes: Prefixes, domain: &str) -> Result<bool, Problem> {
        let name = self.target(spec, domain).await?;
        let exchanges = self.resolver.mx(&name).await;
        let exchanges = self.unless_void(exchanges)?;
        if exchanges.len() > limits::SPF_NAMES_MAX {
            return Err(Problem::Permanent);
        }
        for exchange in exchanges {
            let addresses = unless_missing(self.addresses(&exchange.host).await)?;
            if self.any_alike(prefixes, &addresses) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Counts a term that asks the DNS, and gives the name that it asks about.
    async fn target(&mut self, spec: Option<&DomainSpec>, domain: &str) -> Result<String, Problem> {
        self.count_term()?;
        match spec {
            Some(spec) => self.name(spec, domain).await,
            None => Ok(domain.to_owned()),
        }
    }

    fn count_term(&mut self) -> Result<(), Problem> {
        self.terms += 1;
        if self.terms > limits::SPF_TERMS_MAX { Err(Problem::Permanent) } else { Ok(()) }
    }

    /// Expands a domain-spec, and cuts labels from the left until it may be asked for (RFC 7208 §7.3). A name
    /// beyond any measure becomes one that does not exist.
    async fn name(&mut self, spec: &DomainSpec, domain: &str) -> Result<String, Problem> {
        let expanded = self.expand(&spec.0, domain).await?.unwrap_or_default();
        let mut name = expanded.strip_suffix('.').unwrap_or(&expanded);
        while name.len() > NAME_OCTETS_MAX {
            let Some((_, rest)) = name.split_once('.') else { break };
            name = rest;
        }
        Ok(name.to_owned())
    }

    async fn expand(&mut self, text: &MacroString, domain: &str) -> Result<Option<String>, Problem> {
        let validated_name =
            if text.needs_validated_name() { self.validated_name(domain).await? } else { String::new() };
        let values = Values {
            local_part: self.local_part,
            sender_domain: self.sender_domain,
            domain,
            ip: self.ip,
            validated_name: &validated_name,
            helo: self.query.helo,
            receiver: self.query.receiver,
            unix_seconds: self.query.now.seconds(),
        };
        Ok(text.expand(&values, limits::SPF_EXPANSION_OCTETS_MAX))
    }

    /// The validated name that says most: the domain, one below it, any (RFC 7208 §7.3).
    async fn validated_name(&mut self, domain: &str) -> Result<String, Problem> {
        let names = self.validated_names().await?;
        let best = names.iter().max_by_key(|name| (name.eq_ignore_ascii_case(domain), is_within(name, domain)));
        Ok(best.cloned().unwrap_or_else(|| "unknown".to_owned()))
    }

    /// The names of the client that lead back to it (RFC 7208 §5.5): the first ten, and without those that a
    /// name server does not answer about.
    async fn validated_names(&mut self) -> Result<Vec<String>, Problem> {
        if let Some(validated) = &self.validated {
            return Ok(validated.clone());
        }
        let names = match self.resolver.ptr(self.ip).await {
            Err(DnsError::Temporary) => Vec::new(),
            answered => self.unless_void(answered)?,
        };
        let mut validated = Vec::new();
        for name in names.into_iter().take(limits::SPF_NAMES_MAX) {
            if self.addresses(&name).await.is_ok_and(|addresses| addresses.contains(&self.ip)) {
                validated.push(name);
            }
        }
        self.validated = Some(validated.clone());
        Ok(validated)
    }

    /// Addresses of a name, of the client's family.
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        if self.ip.is_ipv4() {
            Ok(self.resolver.ipv4(name).await?.into_iter().map(IpAddr::V4).collect())
        } else {
            Ok(self.resolver.ipv6(name).await?.into_iter().map(IpAddr::V6).collect())
        }
    }

    fn any_alike(&self, prefixes: Prefixes, addresses: &[IpAddr]) -> bool {
        addresses.iter().any(|address| prefixes.alike(*address, self.ip))
    }

    /// What was found, counting an answer without records as void (RFC 7208 §4.6.4).
    fn unless_void<T>(&mut self, answered: Result<Vec<T>, DnsError>) -> Result<Vec<T>, Problem> {
        if matches!(answered, Err(DnsError::NoName | DnsError::NoRecord)) {
            self.voids += 1;
            if self.voids > limits::SPF_VOID_LOOKUPS_MAX {
                return Err(Problem::Permanent);
            }
        }
        unless_missing(answered)
    }

    /// The explanation of a fail (RFC 7208 §6.2). Whatever goes wrong, there is none.
    async fn explain(&mut self, spec: &DomainSpec, domain: &str) -> Option<String> {
        let name = self.name(spec, domain).await.ok()?;
        let mut texts = self.resolver.txt(&name).await.ok()?.into_iter();
        let (text, None) = (texts.next()?, texts.next()) else { return None };
        let text = String::from_utf8(text).ok()?;
        let parsed = MacroString::parse(&text, Place::Explanation)?;
        let explanation = self.expand(&parsed, domain).await.ok()??;
        let readable = explanation.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        (readable && explanation.len() <= limits::SPF_EXPLANATION_OCTETS_MAX).then_some(explanation)
    }
}

/// Octets of a name in text (RFC 7208 §7.3).
const NAME_OCTETS_MAX: usize = 253;

/// What was found; a name that does not exist, or cannot, has nothing.
fn unless_missing<T>(answered: Result<Vec<T>, DnsError>) -> Result<Vec<T>, Problem> {
    match answered {
        Ok(found) => Ok(found),
        Err(DnsError::NoName | DnsError::NoRecord | DnsError::BadName) => Ok(Vec::new()),
        Err(DnsError::Temporary) => Err(Problem::Temporary),
    }
}

/// A domain name of several labels, as check_host() asks for (RFC 7208 §4.3).
fn is_full_name(domain: &str) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    domain.len() <= NAME_OCTETS_MAX
        && domain.contains('.')
        && !domain.starts_with('[')
        && domain.split('.').all(|label| !label.is_empty() && label.len() <= 63)
}

/// Whether a name is a domain or lies below it.
fn is_within(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.to_ascii_lowercase(), domain.to_ascii_lowercase());
    name.strip_suffix(domain.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}
