//! Macro strings (RFC 7208 §7): parsed whole before anything is expanded.

use std::net::IpAddr;

/// Where a macro string stands: `c`, `r` and `t` are for explanations alone, and so is the space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Record,
    Explanation,
}

/// Text with macros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MacroString(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// `%%`, `%_` and `%-`.
    Fixed(&'static str),
    Expand(Expand),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Expand {
    letter: Letter,
    escaping: Escaping,
    order: Order,
    /// How many of the right-hand parts are kept.
    parts: Option<usize>,
    delimiters: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Letter {
    Sender,
    LocalPart,
    SenderDomain,
    Domain,
    Ip,
    ValidatedName,
    AddressFamily,
    Helo,
    ReadableIp,
    Receiver,
    Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escaping {
    Plain,
    /// An upper-case letter asks for it.
    Url,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    AsWritten,
    Reversed,
}

/// What the letters stand for (RFC 7208 §7.2).
pub(super) struct Values<'a> {
    pub(super) local_part: &'a str,
    pub(super) sender_domain: &'a str,
    pub(super) domain: &'a str,
    pub(super) ip: IpAddr,
    pub(super) validated_name: &'a str,
    pub(super) helo: &'a str,
    pub(super) receiver: &'a str,
    pub(super) unix_seconds: i64,
}

impl MacroString {
    /// Parses macro-string, or explain-string in that place (RFC 7208 §7.1). `None` is a syntax error.
    pub(super) fn parse(text: &str, place: Place) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, after) = rest.split_at(rest.find('%').unwrap_or(rest.len()));
            if !literal.is_empty() {
                let visible = |octet| matches!(octet, b'!'..=b'~') || (octet == b' ' && place == Place::Explanation);
                pieces.push(literal.bytes().all(visible).then(|| Piece::Literal(literal.to_owned()))?);
            }
            let Some(macro_text) = after.strip_prefix('%') else { break };
            let (piece, after) = piece(macro_text, place)?;
            pieces.push(piece);
            rest = after;
        }
        Some(Self(pieces))
    }

    /// Whether it ends as a domain-spec must: in a macro, or in a dot and a top label (RFC 7208 §7.1).
    pub(super) fn is_domain_spec(&self) -> bool {
        match self.0.last() {
            None => false,
            Some(Piece::Fixed(_) | Piece::Expand(_)) => true,
            Some(Piece::Literal(literal)) => {
                let literal = literal.strip_suffix('.').unwrap_or(literal);
                literal.rsplit_once('.').is_some_and(|(_, label)| is_top_label(label))
            }
        }
    }

    /// Whether the client's validated name is needed, which costs look-ups.
    pub(super) fn needs_validated_name(&self) -> bool {
        let is_it = |piece: &Piece| matches!(piece, Piece::Expand(expand) if expand.letter == Letter::ValidatedName);
        self.0.iter().any(is_it)
    }

    /// Puts in the values; `None` where the text would have more than `octets_max` octets.
    pub(super) fn expand(&self, values: &Values<'_>, octets_max: usize) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Fixed(fixed) => text.push_str(fixed),
                Piece::Expand(expand) => text.push_str(&expand.text(values)),
            }
            if text.len() > octets_max {
                return None;
            }
        }
        Some(text)
    }
}

/// What follows a percent sign, and the text after it.
fn piece(text: &str, place: Place) -> Option<(Piece, &str)> {
    let mut characters = text.chars();
    let fixed = match characters.next()? {
        '{' => {
            let (inside, after) = characters.as_str().split_once('}')?;
            return Some((Piece::Expand(Expand::parse(inside, place)?), after));
        }
        '%' => "%",
        '_' => " ",
        '-' => "%20",
        _ => return None,
    };
    Some((Piece::Fixed(fixed), characters.as_str()))
}

impl Expand {
    /// Parses what stands between the braces: a letter, transformers, delimiters.
    fn parse(inside: &str, place: Place) -> Option<Self> {
        let mut characters = inside.chars();
        let written = characters.next()?;
        let letter = Letter::of(written)?;
        if letter.is_for_explanations() && place != Place::Explanation {
            return None;
        }
        let rest = characters.as_str();
        let (digits, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let parts = match digits {
            "" => None,
            // Too many digits for a number keep every part, as any large number does.
            _ => Some(digits.parse().unwrap_or(usize::MAX)).filter(|parts| *parts > 0).map(Some)?,
        };
        let (order, delimiters) = match rest.strip_prefix(['r', 'R']) {
            Some(delimiters) => (Order::Reversed, delimiters),
            None => (Order::AsWritten, rest),
        };
        let escaping = if written.is_ascii_uppercase() { Escaping::Url } else { Escaping::Plain };
        let valid = delimiters.chars().all(|delimiter| ".-+,/_=".contains(delimiter));
        valid.then(|| Self { letter, escaping, order, parts, delimiters: delimiters.to_owned() })
    }

    fn text(&self, values: &Values<'_>) -> String {
        let value = self.letter.value(values);
        let value = if self.changes_nothing() { value } else { self.transform(&value) };
        match self.escaping {
            Escaping::Plain => value,
            Escaping::Url => url_escape(&value),
        }
    }

    fn changes_nothing(&self) -> bool {
        self.order == Order::AsWritten && self.parts.is_none() && self.delimiters.is_empty()
    }

    /// Splits, reverses, keeps the right-hand parts, and joins with dots (RFC 7208 §7.3).
    fn transform(&self, value: &str) -> String {
        let delimiters = if self.delimiters.is_empty() { "." } else { &self.delimiters };
        let mut parts: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
        if self.order == Order::Reversed {
            parts.reverse();
        }
        let left_out = parts.len().saturating_sub(self.parts.unwrap_or(usize::MAX));
        parts.split_off(left_out).join(".")
    }
}

impl Letter {
    fn of(letter: char) -> Option<Self> {
        Some(match letter.to_ascii_lowercase() {
            's' => Self::Sender,
            'l' => Self::LocalPart,
            'o' => Self::SenderDomain,
            'd' => Self::Domain,
            'i' => Self::Ip,
            'p' => Self::ValidatedName,
            'v' => Self::AddressFamily,
            'h' => Self::Helo,
            'c' => Self::ReadableIp,
            'r' => Self::Receiver,
            't' => Self::Time,
            _ => return None,
        })
    }

    fn is_for_explanations(self) -> bool {
        matches!(self, Self::ReadableIp | Self::Receiver | Self::Time)
    }

    fn value(self, values: &Values<'_>) -> String {
        match self {
            Self::Sender => format!("{}@{}", values.local_part, values.sender_domain),
            Self::LocalPart => values.local_part.to_owned(),
            Self::SenderDomain => values.sender_domain.to_owned(),
            Self::Domain => values.domain.to_owned(),
            Self::Ip => dotted(values.ip),
            Self::ValidatedName => values.validated_name.to_owned(),
            Self::AddressFamily => if values.ip.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            Self::Helo => values.helo.to_owned(),
            Self::ReadableIp => values.ip.to_string(),
            Self::Receiver => values.receiver.to_owned(),
            Self::Time => values.unix_seconds.to_string(),
        }
    }
}

/// The address in dots: octets for IPv4, nibbles for IPv6.
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let nibbles = format!("{:032X}", u128::from(ip));
            nibbles.chars().map(String::from).collect::<Vec<_>>().join(".")
        }
    }
}

/// Everything but the unreserved characters of RFC 3986 §2.3 as `%XX`.
fn url_escape(value: &str) -> String {
    let mut escaped = String::new();
    for octet in value.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            escaped.push(char::from(octet));
        } else {
            escaped.push_str(&format!("%{octet:02X}"));
        }
    }
    escaped
}

/// toplabel (RFC 7208 §7.1): letters, digits and inner hyphens, not digits alone.
fn is_top_label(label: &str) -> bool {
    let valid = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    !label.is_empty()
        && label.bytes().all(valid)
        && !label.starts_with('-')
        && !label.ends_with('-')
        && !label.bytes().all(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> = Values {
        local_part: "strong-bad",
        sender_domain: "email.example.com",
        domain: "email.example.com",
        ip: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 3)),
        validated_name: "unknown",
        helo: "mx.example.org",
        receiver: "mail.example.net",
        unix_seconds: 1_700_000_000,
    };

    #[track_caller]
    fn expands(text: &str, values: &Values<'_>, expected: &str) {
        let parsed = MacroString::parse(text, Place::Explanation).expect("a valid macro string");
        assert_eq!(parsed.expand(values, 1000).as_deref(), Some(expected), "{text}");
    }

    /// The table of RFC 7208 §7.4.
    #[test]
    fn the_examples_of_the_rfc_expand() {
        for (text, expected) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l-}", "strong.bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            ("%%a%_%-", "%a %20"),
            ("%{c} %{r} %{t} %{H}", "192.0.2.3 mail.example.net 1700000000 mx.example.org"),
            ("%{S}", "strong-bad%40email.example.com"),
        ] {
            expands(text, &VALUES, expected);
        }
        let values = Values { ip: "2001:db8::cb01".parse().unwrap(), ..VALUES };
        expands("%{ir}.%{v}", &values, "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6");
    }

    #[test]
    fn syntax_errors_are_found_before_expansion() {
        for text in ["%", "%a", "%{", "%{}", "%{x}", "%{d0}", "%{d;}", "%{rd}", "a b", "\t", "ü", "%{c}", "%{d2rr}"] {
            assert_eq!(MacroString::parse(text, Place::Record), None, "{text}");
        }
        assert!(MacroString::parse("%{d99999999999999999999}", Place::Record).is_some());
    }

    #[test]
    fn a_domain_spec_ends_in_a_macro_or_a_top_label() {
        let is = |text| MacroString::parse(text, Place::Record).is_some_and(|parsed| parsed.is_domain_spec());
        for text in ["a.b", "a.b.", "%{d}", "a%%", "%{d}.com", ".com", "a.1b", "a/b.c", "a.x--y"] {
            assert!(is(text), "{text}");
        }
        for text in ["", "a", "a.", "%{d}com", "a.1", "a.-b", "a.b-", "a..", "a.b/8"] {
            assert!(!is(text), "{text}");
        }
    }

    #[test]
    fn expansion_is_bounded() {
        let parsed = MacroString::parse("%{d}%{d}", Place::Record).unwrap();
        assert_eq!(parsed.expand(&VALUES, 33), None);
        assert_eq!(parsed.expand(&VALUES, 34).unwrap().len(), 34);
    }
}
