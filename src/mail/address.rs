//! Addresses and paths of the envelope (RFC 5321 §4.1.2, RFC 6531 §3.3).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Why text is no address, in the words of RFC 5321.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither Dot-string nor Quoted-string.
    #[error("the local part is not valid")]
    LocalPart,
    /// Neither a domain name nor an address literal.
    #[error("the domain is not valid")]
    Domain,
    /// Over 64 octets of local part or 255 of domain (RFC 5321 §4.5.3.1).
    #[error("the address is too long")]
    TooLong,
    /// No `@`.
    #[error("the address has no domain")]
    NoDomain,
}

/// A domain name or an address literal. Names are kept in lower case, internationalised labels as
/// A-labels (RFC 5891), without a final dot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Box<str>);

impl Domain {
    /// Octets of a domain at most (RFC 5321 §4.5.3.1.2).
    pub const OCTETS_MAX: usize = 255;

    /// The name as compared and stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of a literal such as `[192.0.2.1]`; `None` for a name.
    pub fn literal(&self) -> Option<IpAddr> {
        let inside = self.0.strip_prefix('[')?.strip_suffix(']')?;
        match inside.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => inside.get(5..)?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => inside.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        }
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > Self::OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        if text.starts_with('[') {
            let domain = Self(text.to_ascii_lowercase().into());
            return if domain.literal().is_some() { Ok(domain) } else { Err(AddressError::Domain) };
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii_strict(text).map_err(|_| AddressError::Domain)?
        };
        if ascii.len() > Self::OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        if ascii.split('.').all(is_label) { Ok(Self(ascii.into())) } else { Err(AddressError::Domain) }
    }
}

/// Letters, digits and inner hyphens (RFC 5321 §4.1.2, sub-domain); an underscore is let through,
/// since hosts that send mail do carry one.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.0)
    }
}

/// A mailbox address: local part and domain (RFC 5321 §4.1.2, Mailbox).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    local_part: Box<str>,
    domain: Domain,
}

impl Address {
    /// Octets of a local part at most (RFC 5321 §4.5.3.1.1).
    pub const LOCAL_PART_OCTETS_MAX: usize = 64;

    /// The local part without quoting, in the case it was written in.
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The address with its local part in lower case, under which accounts are found: we are the
    /// final host, and treat local parts without regard to case (RFC 5321 §2.4).
    #[must_use]
    pub fn folded(&self) -> Self {
        Self { local_part: self.local_part.to_lowercase().into(), domain: self.domain.clone() }
    }

    /// The address with another local part of the same domain; `None` for one that is empty or too long.
    pub fn with_local_part(&self, local_part: &str) -> Option<Self> {
        let fits = (1..=Self::LOCAL_PART_OCTETS_MAX).contains(&local_part.len());
        fits.then(|| Self { local_part: local_part.into(), domain: self.domain.clone() })
    }

    /// Whether a sender without SMTPUTF8 may write it.
    pub fn is_ascii(&self) -> bool {
        self.local_part.is_ascii()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (local_part, rest) = split_local_part(text)?;
        let domain = rest.strip_prefix('@').ok_or(AddressError::NoDomain)?;
        if local_part.is_empty() {
            return Err(AddressError::LocalPart);
        }
        if local_part.len() > Self::LOCAL_PART_OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        Ok(Self { local_part: local_part.into(), domain: domain.parse()? })
    }
}

/// Splits off the local part, unquoted; the rest begins at the `@`.
fn split_local_part(text: &str) -> Result<(String, &str), AddressError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find('@').unwrap_or(text.len());
        let (local_part, rest) = text.split_at(end);
        let valid = local_part.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext));
        return if valid { Ok((local_part.to_owned(), rest)) } else { Err(AddressError::LocalPart) };
    };
    let mut local_part = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Ok((local_part, quoted.get(index + 1..).unwrap_or_default())),
            '\\' => match characters.next() {
                Some((_, escaped)) if !escaped.is_control() => local_part.push(escaped),
                _ => return Err(AddressError::LocalPart),
            },
            control if control.is_control() => return Err(AddressError::LocalPart),
            other => local_part.push(other),
        }
    }
    Err(AddressError::LocalPart)
}

/// atext of RFC 5322 §3.2.3, and any non-ASCII character of RFC 6531 §3.3.
fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(character)
        || (!character.is_ascii() && !character.is_control())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.local_part.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext)) {
            return write!(f, "{}@{}", self.local_part, self.domain);
        }
        f.write_str("\"")?;
        for character in self.local_part.chars() {
            if matches!(character, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

macro_rules! as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(Domain);
as_text!(Address);

/// Where a bounce would go (RFC 5321 §4.1.2, Reverse-path).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: a bounce, which must never be answered by another.
    Null,
    /// A mailbox.
    Address(Address),
}

impl ReversePath {
    /// The mailbox, where there is one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Address(address) => fmt::Display::fmt(address, f),
        }
    }
}

/// Who a message is for (RFC 5321 §4.1.2, Forward-path).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain, in any case (RFC 5321 §4.5.1).
    Postmaster,
    /// A mailbox.
    Address(Address),
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("postmaster"),
            Self::Address(address) => fmt::Display::fmt(address, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, local_part: &str, domain: &str) {
        let address: Address = text.parse().expect("a valid address");
        assert_eq!((address.local_part(), address.domain().as_str()), (local_part, domain));
        assert_eq!(address.to_string().parse::<Address>(), Ok(address));
    }

    #[test]
    fn addresses_are_read_and_written_back() {
        reads("Bob@Example.ORG", "Bob", "example.org");
        reads("\"a b\"@example.org", "a b", "example.org");
        reads("\"x@y\"@example.org", "x@y", "example.org");
        reads("a@[192.0.2.1]", "a", "[192.0.2.1]");
        reads("a@[IPv6:2001:db8::1]", "a", "[ipv6:2001:db8::1]");
        reads("δ@παράδειγμα.gr", "δ", "xn--hxajbheg2az3al.gr");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        for text in
            ["", "a", "@b", "a@", "a..b@c", ".a@c", "a@b..c", "a@-b", "a@b@c", "a b@c", "\"a@b", "a@[300.1.1.1]", &long]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
