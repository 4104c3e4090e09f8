//! SPF records (RFC 7208 §4.5, §4.6.1, §5, §6): the whole record is parsed before any of it counts.

use super::macro_string::{MacroString, Place};
use crate::{authentication::Outcome, limits};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An SPF record without a syntax error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub(super) directives: Vec<Directive>,
    pub(super) redirect: Option<DomainSpec>,
    pub(super) explanation: Option<DomainSpec>,
}

/// Why a record is none; the result is then permerror.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Octets that are not ASCII (RFC 7208 §3.1).
    #[error("the record is not ASCII")]
    NotAscii,
    /// More octets than any honest record has.
    #[error("the record is too long")]
    TooLong,
    /// Neither a directive nor a modifier.
    #[error("{0:?} is not a term")]
    Term(String),
    /// `redirect=` or `exp=` stands there twice (RFC 7208 §6).
    #[error("a modifier is repeated")]
    Repeated,
}

/// A mechanism and what a match of it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) outcome: Outcome,
    pub(super) mechanism: Mechanism,
}

/// RFC 7208 §5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(DomainSpec),
    A(Option<DomainSpec>, Prefixes),
    Mx(Option<DomainSpec>, Prefixes),
    Ptr(Option<DomainSpec>),
    Network(Network),
    Exists(DomainSpec),
}

/// A name with macros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DomainSpec(pub(super) MacroString);

/// dual-cidr-length (RFC 7208 §5.6): how many leading bits of an address count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefixes {
    ipv4_bits: u32,
    ipv6_bits: u32,
}

/// An `ip4` or `ip6` network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    prefixes: Prefixes,
}

impl Record {
    /// Whether a TXT record claims to be SPF: the version, then a space or nothing (RFC 7208 §4.5).
    pub fn is_spf(text: &[u8]) -> bool {
        text.split_at_checked(VERSION.len()).is_some_and(|(version, rest)| {
            version.eq_ignore_ascii_case(VERSION.as_bytes()) && matches!(rest.first(), None | Some(b' '))
        })
    }

    /// Parses a record that [`Record::is_spf`].
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        if text.len() > limits::SPF_RECORD_OCTETS_MAX {
            return Err(RecordError::TooLong);
        }
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii()).ok_or(RecordError::NotAscii)?;
        let mut record = Self { directives: Vec::new(), redirect: None, explanation: None };
        // Terms are parted by spaces alone, so any other white space is a syntax error inside of one.
        for term in text.split(' ').skip(1).filter(|term| !term.is_empty()) {
            record.add(term)?;
        }
        Ok(record)
    }

    fn add(&mut self, term: &str) -> Result<(), RecordError> {
        let bad = || RecordError::Term(term.to_owned());
        match Term::parse(term).ok_or_else(bad)? {
            Term::Directive(directive) => self.directives.push(directive),
            Term::Redirect(spec) => once(&mut self.redirect, spec)?,
            Term::Explanation(spec) => once(&mut self.explanation, spec)?,
            Term::Unknown => {}
        }
        Ok(())
    }
}

const VERSION: &str = "v=spf1";

fn once(slot: &mut Option<DomainSpec>, spec: DomainSpec) -> Result<(), RecordError> {
    if slot.replace(spec).is_some() { Err(RecordError::Repeated) } else { Ok(()) }
}

enum Term {
    Directive(Directive),
    Redirect(DomainSpec),
    Explanation(DomainSpec),
    /// A modifier that means nothing to us, and is well formed (RFC 7208 §6).
    Unknown,
}

impl Term {
    fn parse(term: &str) -> Option<Self> {
        // A modifier is a name before the first `=`; a mechanism's name ends at `:` or `/`.
        match term.find(['=', ':', '/']).and_then(|at| term.split_at_checked(at)) {
            Some((name, rest)) if rest.starts_with('=') => Self::modifier(name, rest.strip_prefix('=')?),
            Some((name, rest)) => Self::directive(name, rest),
            None => Self::directive(term, ""),
        }
    }

    fn modifier(name: &str, value: &str) -> Option<Self> {
        let mut octets = name.bytes();
        let valid = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        if !(octets.next()?.is_ascii_alphabetic() && octets.all(valid)) {
            return None;
        }
        match name.to_ascii_lowercase().as_str() {
            "redirect" => DomainSpec::parse(value).map(Self::Redirect),
            "exp" => DomainSpec::parse(value).map(Self::Explanation),
            _ => MacroString::parse(value, Place::Record).map(|_| Self::Unknown),
        }
    }

    fn directive(name: &str, rest: &str) -> Option<Self> {
        let (outcome, name) = qualifier(name);
        let mechanism = match name.to_ascii_lowercase().as_str() {
            "all" => rest.is_empty().then_some(Mechanism::All)?,
            "include" => Mechanism::Include(DomainSpec::parse(rest.strip_prefix(':')?)?),
            "exists" => Mechanism::Exists(DomainSpec::parse(rest.strip_prefix(':')?)?),
            "a" => targets(rest).map(|(spec, prefixes)| Mechanism::A(spec, prefixes))?,
            "mx" => targets(rest).map(|(spec, prefixes)| Mechanism::Mx(spec, prefixes))?,
            "ptr" => Mechanism::Ptr(optional_spec(rest)?),
            "ip4" => Mechanism::Network(Network::ipv4(rest.strip_prefix(':')?)?),
            "ip6" => Mechanism::Network(Network::ipv6(rest.strip_prefix(':')?)?),
            _ => return None,
        };
        Some(Self::Directive(Directive { outcome, mechanism }))
    }
}

/// The qualifier before a mechanism, `+` where there is none (RFC 7208 §4.6.2).
fn qualifier(name: &str) -> (Outcome, &str) {
    let mut characters = name.chars();
    let outcome = match characters.next() {
        Some('+') => Outcome::Pass,
        Some('-') => Outcome::Fail,
        Some('~') => Outcome::SoftFail,
        Some('?') => Outcome::Neutral,
        _ => return (Outcome::Pass, name),
    };
    (outcome, characters.as_str())
}

impl DomainSpec {
    fn parse(text: &str) -> Option<Self> {
        MacroString::parse(text, Place::Record).filter(MacroString::is_domain_spec).map(Self)
    }
}

/// `[":" domain-spec]`
fn optional_spec(text: &str) -> Option<Option<DomainSpec>> {
    match text.strip_prefix(':') {
        Some(spec) => DomainSpec::parse(spec).map(Some),
        None => text.is_empty().then_some(None),
    }
}

/// `[":" domain-spec] [dual-cidr-length]`. A slash may also stand inside of the name, so the lengths are
/// looked for from the end.
fn targets(text: &str) -> Option<(Option<DomainSpec>, Prefixes)> {
    let (text, ipv6_bits) = match split_bits(text, "//") {
        Some((before, digits)) => (before, bits(digits, 128)?),
        None => (text, 128),
    };
    let (text, ipv4_bits) = match split_bits(text, "/") {
        Some((before, digits)) => (before, bits(digits, 32)?),
        None => (text, 32),
    };
    Some((optional_spec(text)?, Prefixes { ipv4_bits, ipv6_bits }))
}

/// Splits off a mark followed by digits at the end.
fn split_bits<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let digits = text.rsplit('/').next()?;
    let before = text.strip_suffix(digits)?.strip_suffix(mark)?;
    let only_digits = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    only_digits.then_some((before, digits))
}

/// A prefix length without leading zeros.
fn bits(digits: &str, max: u32) -> Option<u32> {
    let valid = digits == "0" || (!digits.starts_with(['0', '+']) && !digits.is_empty());
    digits.parse().ok().filter(|bits| valid && *bits <= max)
}

impl Network {
    fn ipv4(text: &str) -> Option<Self> {
        let (address, length) = address_and_bits(text, 32)?;
        let address: Ipv4Addr = address.parse().ok()?;
        Some(Self { address: address.into(), prefixes: Prefixes { ipv4_bits: length, ipv6_bits: 128 } })
    }

    fn ipv6(text: &str) -> Option<Self> {
        let (address, length) = address_and_bits(text, 128)?;
        let address: Ipv6Addr = address.parse().ok()?;
        Some(Self { address: address.into(), prefixes: Prefixes { ipv4_bits: 32, ipv6_bits: length } })
    }

    /// Whether an address lies in it.
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        self.prefixes.alike(self.address, ip)
    }
}

fn address_and_bits(text: &str, max: u32) -> Option<(&str, u32)> {
    match text.split_once('/') {
        Some((address, digits)) => Some((address, bits(digits, max)?)),
        None => Some((text, max)),
    }
}

impl Prefixes {
    /// Whether two addresses are of one family and begin with the same bits.
    pub(super) fn alike(&self, one: IpAddr, other: IpAddr) -> bool {
        match (one, other) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                let different = u32::from(one) ^ u32::from(other);
                different.leading_zeros() >= self.ipv4_bits
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => {
                let different = u128::from(one) ^ u128::from(other);
                different.leading_zeros() >= self.ipv6_bits
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(record: &str) -> Result<usize, RecordError> {
        Record::parse(record.as_bytes()).map(|record| record.directives.len())
    }

    #[test]
    fn the_version_ends_in_a_space_or_nothing() {
        for text in ["v=spf1", "v=spf1 ", "V=SPF1 -all"] {
            assert!(Record::is_spf(text.as_bytes()), "{text}");
        }
        for text in ["", "v=spf", "v=spf10", "v=spf1\t-all", " v=spf1"] {
            assert!(!Record::is_spf(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn well_formed_terms_are_read() {
        let record = "v=spf1 a  mx/24 A:a.example//64 mx:b.example/24//48 ptr ptr:c.example ip4:192.0.2.0/24 \
                      ip6:2001:db8::/32 include:%{d} -exists:%{i}.d.example x=%{d} redirect=e.example exp=f.example ~all ";
        assert_eq!(terms(record), Ok(11));
        assert_eq!(terms("v=spf1 a:odd/name:x.example/0//0"), Ok(1));
    }

    #[test]
    fn one_malformed_term_spoils_the_record() {
        for term in [
            "all.",
            "all:x.example",
            "-all/8",
            "include",
            "include:",
            "exists",
            "a:",
            "a:example",
            "a/33",
            "a//129",
            "a/032",
            "a/",
            "a//",
            "a:/24",
            "mx/-1",
            "ptr/8",
            "ptr:",
            "ip4",
            "ip4:192.0.2.1/33",
            "ip4:192.0.2.1/",
            "ip4:192.0.2",
            "ip4:192.0.2.1//8",
            "ip6:192.0.2.1",
            "ip6:::1/129",
            "-x=y",
            "1x=y",
            "=y",
            "redirect=",
            "exp=-all",
            "x=%",
            "--all",
            "-",
            "a\tb",
            "nosuch",
        ] {
            assert_eq!(terms(&format!("v=spf1 {term} -all")), Err(RecordError::Term(term.to_owned())));
        }
        assert_eq!(terms("v=spf1 exp=a.example exp=a.example"), Err(RecordError::Repeated));
        assert_eq!(terms("v=spf1 a:\u{fc}.example"), Err(RecordError::NotAscii));
        let long = format!("v=spf1 {}", "a ".repeat(limits::SPF_RECORD_OCTETS_MAX));
        assert_eq!(terms(&long), Err(RecordError::TooLong));
    }

    #[test]
    fn prefixes_compare_one_family_only() {
        let prefixes = Prefixes { ipv4_bits: 0, ipv6_bits: 0 };
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert!(prefixes.alike(one, one) && prefixes.alike(other, other) && !prefixes.alike(one, other));
        let network = Network::ipv4("192.0.2.0/25").unwrap();
        assert!(network.contains("192.0.2.127".parse().unwrap()) && !network.contains("192.0.2.128".parse().unwrap()));
    }

    proptest::proptest! {
        /// Whatever is published is read or refused as a whole.
        #[test]
        fn any_record_is_read_or_refused(text in "[ -~]{0,40}|((a|mx|ptr|ip4|ip6|exists|redirect=|exp=|-|:|/|//|%\\{[dils]r?\\}|[0-9]{1,3}|example|\\.) ?){0,20}") {
            let record = format!("v=spf1 {text}");
            if let Ok(parsed) = Record::parse(record.as_bytes()) {
                let same = |more: &str| Record::parse(format!("{record}{more}").as_bytes()) == Ok(parsed.clone());
                assert!(same("  ") && same(" unknown=%{d}") && !same(" nonsense"));
            }
        }
    }
}
