//! Command lines read into typed values, and written back (RFC 5321 §4.1).

use super::Reply;
use crate::{
    limits,
    mail::{Address, Domain, ForwardPath, ReversePath},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use std::fmt;

/// The name a client gives itself. What it says is not believed, only kept: a host name, an address literal, or
/// whatever else hosts that send mail do say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientName(Box<str>);

impl ClientName {
    /// Returns `None` for an empty or over-long name and one with octets that could break out of a trace field.
    pub fn new(name: &str) -> Option<Self> {
        let valid = (1..=Domain::OCTETS_MAX).contains(&name.len())
            && name.bytes().all(|octet| octet.is_ascii_graphic() && !b"()<>\\\",;".contains(&octet));
        valid.then(|| Self(name.into()))
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The parameters of MAIL that are offered (RFC 5321 §4.1.1.11).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// SIZE: octets that the message is said to have (RFC 1870 §5).
    pub size: Option<u64>,
    /// BODY: 7BIT or 8BITMIME (RFC 6152 §2). Both are taken as they come, so the value is not kept.
    pub body: Option<Body>,
    /// SMTPUTF8 (RFC 6531 §3.4).
    pub charset: Charset,
    /// AUTH: who wrote the message, in xtext as it came; not believed (RFC 4954 §5).
    pub auth: Option<String>,
}

/// What BODY says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// `7BIT`
    SevenBit,
    /// `8BITMIME`
    EightBitMime,
}

/// What addresses and header fields of a transaction may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// ASCII.
    #[default]
    Ascii,
    /// UTF-8.
    Utf8,
}

/// Whether a chunk is the last of its message (RFC 3030 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkPlace {
    /// `LAST`
    Last,
    /// Others follow.
    Inner,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// EHLO (RFC 5321 §4.1.1.1).
    Ehlo(ClientName),
    /// HELO (RFC 5321 §4.1.1.1).
    Helo(ClientName),
    /// STARTTLS (RFC 3207 §4).
    StartTls,
    /// AUTH (RFC 4954 §4).
    Auth {
        /// The mechanism's name as written.
        mechanism: String,
        /// The initial response, decoded.
        initial: Option<Vec<u8>>,
    },
    /// MAIL (RFC 5321 §4.1.1.2).
    Mail(ReversePath, MailParameters),
    /// RCPT (RFC 5321 §4.1.1.3).
    Rcpt(ForwardPath),
    /// DATA (RFC 5321 §4.1.1.4).
    Data,
    /// BDAT (RFC 3030 §2).
    Bdat(u64, ChunkPlace),
    /// RSET (RFC 5321 §4.1.1.5).
    Rset,
    /// NOOP (RFC 5321 §4.1.1.9).
    Noop,
    /// VRFY (RFC 5321 §4.1.1.6).
    Vrfy,
    /// EXPN (RFC 5321 §4.1.1.7).
    Expn,
    /// HELP (RFC 5321 §4.1.1.8).
    Help,
    /// QUIT (RFC 5321 §4.1.1.10).
    Quit,
}

/// Why a line is no command. [`CommandError::reply`] says it to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// No such command.
    Unknown,
    /// A verb of another protocol: the client is a browser or a tool for cross-protocol attacks.
    OtherProtocol,
    /// Control characters, or octets that are no UTF-8.
    Octets,
    /// Arguments missing, too many or malformed.
    Arguments,
    /// MAIL without a valid path.
    Sender,
    /// RCPT without a valid path.
    Recipient,
    /// A parameter that is not offered.
    Parameter,
    /// A sender beyond ASCII without SMTPUTF8.
    NeedsSmtpUtf8,
    /// BDAT without a size that can be read.
    ChunkSize,
    /// An initial response that is not base64.
    Base64,
}

impl CommandError {
    /// What the client is told.
    pub fn reply(self) -> Reply {
        match self {
            Self::Unknown => Reply::UNKNOWN_COMMAND,
            Self::OtherProtocol => Reply::WRONG_PROTOCOL,
            Self::Octets => Reply::BAD_OCTETS,
            Self::Arguments => Reply::BAD_ARGUMENTS,
            Self::Sender => Reply::BAD_SENDER,
            Self::Recipient => Reply::BAD_RECIPIENT,
            Self::Parameter => Reply::UNKNOWN_PARAMETER,
            Self::NeedsSmtpUtf8 => Reply::NEEDS_SMTPUTF8,
            Self::ChunkSize => Reply::BAD_CHUNK_SIZE,
            Self::Base64 => Reply::BAD_AUTHENTICATION_MESSAGE,
        }
    }
}

impl Command {
    /// Reads a line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let text = str::from_utf8(line).map_err(|_| CommandError::Octets)?;
        if text.bytes().any(|octet| octet.is_ascii_control()) {
            return Err(CommandError::Octets);
        }
        // RFC 5321 §4.1.1: white space at the end is tolerated.
        let text = text.trim_end_matches(' ');
        let (verb, arguments) = text.split_once(' ').unwrap_or((text, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => ClientName::new(arguments).map(Self::Ehlo).ok_or(CommandError::Arguments),
            "HELO" => ClientName::new(arguments).map(Self::Helo).ok_or(CommandError::Arguments),
            "MAIL" => mail(arguments),
            "RCPT" => rcpt(arguments),
            "DATA" => alone(Self::Data, arguments),
            "BDAT" => bdat(arguments),
            "RSET" => alone(Self::Rset, arguments),
            "QUIT" => alone(Self::Quit, arguments),
            "STARTTLS" => alone(Self::StartTls, arguments),
            "AUTH" => auth(arguments),
            "NOOP" => Ok(Self::Noop),
            "HELP" => Ok(Self::Help),
            "VRFY" if !arguments.is_empty() => Ok(Self::Vrfy),
            "EXPN" if !arguments.is_empty() => Ok(Self::Expn),
            "VRFY" | "EXPN" => Err(CommandError::Arguments),
            "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" | "PRI" => {
                Err(CommandError::OtherProtocol)
            }
            _ => Err(CommandError::Unknown),
        }
    }
}

fn alone(command: Command, arguments: &str) -> Result<Command, CommandError> {
    if arguments.is_empty() { Ok(command) } else { Err(CommandError::Arguments) }
}

fn mail(arguments: &str) -> Result<Command, CommandError> {
    let (path, parameters) = labelled(arguments, "FROM:").and_then(path).ok_or(CommandError::Sender)?;
    let reverse_path = match path {
        "" => ReversePath::Null,
        path => ReversePath::Address(mailbox(path).ok_or(CommandError::Sender)?),
    };
    let parameters = mail_parameters(parameters)?;
    if !path.is_ascii() && parameters.charset == Charset::Ascii {
        return Err(CommandError::NeedsSmtpUtf8);
    }
    Ok(Command::Mail(reverse_path, parameters))
}

fn rcpt(arguments: &str) -> Result<Command, CommandError> {
    let (path, parameters) = labelled(arguments, "TO:").and_then(path).ok_or(CommandError::Recipient)?;
    let forward_path = if path.eq_ignore_ascii_case("postmaster") {
        ForwardPath::Postmaster
    } else {
        ForwardPath::Address(mailbox(path).ok_or(CommandError::Recipient)?)
    };
    if parameters.is_empty() { Ok(Command::Rcpt(forward_path)) } else { Err(CommandError::Parameter) }
}

fn labelled<'a>(arguments: &'a str, label: &str) -> Option<&'a str> {
    let (start, rest) = arguments.split_at_checked(label.len())?;
    start.eq_ignore_ascii_case(label).then_some(rest)
}

/// The inside of the brackets, and the parameters behind them (RFC 5321 §4.1.2).
fn path(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('<')?;
    let (mut quoted, mut escaped) = (false, false);
    let end = inside.find(|character| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' => return !quoted,
            _ => {}
        }
        false
    })?;
    let (path, rest) = inside.split_at_checked(end)?;
    let parameters = match rest.strip_prefix('>')? {
        "" => "",
        rest => rest.strip_prefix(' ')?,
    };
    (path.len() + "<>".len() <= limits::SMTP_PATH_OCTETS_MAX).then_some((path, parameters))
}

/// The mailbox of a path; a source route is read and ignored (RFC 5321 §4.1.1.3, appendix C).
fn mailbox(path: &str) -> Option<Address> {
    let mailbox = match path.strip_prefix('@') {
        None => path,
        Some(route) => {
            let (route, mailbox) = route.split_once(':')?;
            let valid = route.split(",@").all(|hop| hop.parse::<Domain>().is_ok());
            valid.then_some(mailbox)?
        }
    };
    mailbox.parse().ok()
}

fn mail_parameters(text: &str) -> Result<MailParameters, CommandError> {
    let mut parameters = MailParameters::default();
    for parameter in text.split(' ').filter(|parameter| !parameter.is_empty()) {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        let unseen = match (keyword.to_ascii_uppercase().as_str(), value) {
            ("SIZE", Some(octets)) => parameters.size.replace(size(octets)?).is_none(),
            ("BODY", Some(value)) => parameters.body.replace(body(value)?).is_none(),
            ("SMTPUTF8", None) => std::mem::replace(&mut parameters.charset, Charset::Utf8) == Charset::Ascii,
            ("AUTH", Some(value)) => parameters.auth.replace(xtext(value)?).is_none(),
            ("SIZE" | "BODY" | "SMTPUTF8" | "AUTH", _) => false,
            _ => return Err(CommandError::Parameter),
        };
        if !unseen {
            return Err(CommandError::Arguments);
        }
    }
    Ok(parameters)
}

/// At most twenty digits (RFC 1870 §3); what no 64-bit number holds is over every limit.
fn size(digits: &str) -> Result<u64, CommandError> {
    let valid = (1..=20).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit());
    if valid { Ok(digits.parse().unwrap_or(u64::MAX)) } else { Err(CommandError::Arguments) }
}

fn body(value: &str) -> Result<Body, CommandError> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(Body::SevenBit),
        "8BITMIME" => Ok(Body::EightBitMime),
        _ => Err(CommandError::Arguments),
    }
}

/// xtext (RFC 3461 §4), or `<>`.
fn xtext(value: &str) -> Result<String, CommandError> {
    let valid = !value.is_empty() && value.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'=');
    if valid { Ok(value.to_owned()) } else { Err(CommandError::Arguments) }
}

fn bdat(arguments: &str) -> Result<Command, CommandError> {
    let (digits, place) = match arguments.split_once(' ') {
        None => (arguments, ChunkPlace::Inner),
        Some((digits, last)) if last.eq_ignore_ascii_case("LAST") => (digits, ChunkPlace::Last),
        Some(_) => return Err(CommandError::ChunkSize),
    };
    size(digits).map(|octets| Command::Bdat(octets, place)).map_err(|_| CommandError::ChunkSize)
}

fn auth(arguments: &str) -> Result<Command, CommandError> {
    let (mechanism, initial) = match arguments.split_once(' ') {
        Some((mechanism, initial)) => (mechanism, Some(decode_base64(initial.as_bytes())?)),
        None => (arguments, None),
    };
    // RFC 4422 §3.1 names mechanisms with these alone.
    let valid = (1..=20).contains(&mechanism.len())
        && mechanism.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet));
    if valid { Ok(Command::Auth { mechanism: mechanism.to_owned(), initial }) } else { Err(CommandError::Arguments) }
}

/// A client's SASL message: base64, or `=` for an empty one (RFC 4954 §4).
pub(super) fn decode_base64(text: &[u8]) -> Result<Vec<u8>, CommandError> {
    match text {
        b"=" => Ok(Vec::new()),
        text => BASE64.decode(text).map_err(|_| CommandError::Base64),
    }
}

impl fmt::Display for Command {
    /// Writes the line without its CRLF.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ehlo(name) => write!(f, "EHLO {}", name.as_str()),
            Self::Helo(name) => write!(f, "HELO {}", name.as_str()),
            Self::StartTls => f.write_str("STARTTLS"),
            Self::Auth { mechanism, initial: None } => write!(f, "AUTH {mechanism}"),
            Self::Auth { mechanism, initial: Some(initial) } if initial.is_empty() => write!(f, "AUTH {mechanism} ="),
            Self::Auth { mechanism, initial: Some(initial) } => {
                write!(f, "AUTH {mechanism} {}", BASE64.encode(initial))
            }
            Self::Mail(reverse_path, parameters) => write!(f, "MAIL FROM:<{reverse_path}>{parameters}"),
            Self::Rcpt(forward_path) => write!(f, "RCPT TO:<{forward_path}>"),
            Self::Data => f.write_str("DATA"),
            Self::Bdat(octets, ChunkPlace::Inner) => write!(f, "BDAT {octets}"),
            Self::Bdat(octets, ChunkPlace::Last) => write!(f, "BDAT {octets} LAST"),
            Self::Rset => f.write_str("RSET"),
            Self::Noop => f.write_str("NOOP"),
            Self::Vrfy => f.write_str("VRFY postmaster"),
            Self::Expn => f.write_str("EXPN postmaster"),
            Self::Help => f.write_str("HELP"),
            Self::Quit => f.write_str("QUIT"),
        }
    }
}

impl fmt::Display for MailParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(size) = self.size {
            write!(f, " SIZE={size}")?;
        }
        match self.body {
            Some(Body::SevenBit) => f.write_str(" BODY=7BIT")?,
            Some(Body::EightBitMime) => f.write_str(" BODY=8BITMIME")?,
            None => {}
        }
        if self.charset == Charset::Utf8 {
            f.write_str(" SMTPUTF8")?;
        }
        self.auth.iter().try_for_each(|auth| write!(f, " AUTH={auth}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn refuses(error: CommandError, lines: &[&str]) {
        for line in lines {
            assert_eq!(Command::parse(line.as_bytes()), Err(error), "{line}");
        }
    }

    fn sender(address: &str) -> Command {
        Command::Mail(ReversePath::Address(address.parse().unwrap()), MailParameters::default())
    }

    #[track_caller]
    fn reads(line: &str, command: Command) {
        assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{line}");
    }

    #[test]
    fn paths_are_read() {
        reads("MAIL FROM:<>", Command::Mail(ReversePath::Null, MailParameters::default()));
        reads("mail from:<a@example.net> ", sender("a@example.net"));
        reads("MAIL FROM:<\"a>b\\\"\"@example.net>", sender("\"a>b\\\"\"@example.net"));
        reads("MAIL FROM:<@one.example,@two.example:u@example.net>", sender("u@example.net"));
        reads("MAIL FROM:<u@[IPv6:2001:db8::1]>", sender("u@[IPv6:2001:db8::1]"));
        reads("RCPT TO:<pOstMaster>", Command::Rcpt(ForwardPath::Postmaster));
        reads(
            "RCPT TO:<@example.org:x@elsewhere.test>",
            Command::Rcpt(ForwardPath::Address("x@elsewhere.test".parse().unwrap())),
        );
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = format!("MAIL FROM:<{}@example.net>", "l".repeat(65));
        let longer = format!("MAIL FROM:<a@{}.example>", vec!["d".repeat(60); 5].join("."));
        let routed = format!("MAIL FROM:<@{0}.example:a@{0}.example>", vec!["d".repeat(60); 2].join("."));
        refuses(
            CommandError::Sender,
            &[
                "MAIL",
                "MAIL FROM:",
                "MAIL TO:<a@b>",
                "MAIL FROM:a@example.net",
                "MAIL FROM: <a@example.net>",
                "MAIL FROM:<a@example.net",
                "MAIL FROM:<a@b@example.net>",
                "MAIL FROM:<a@example.net>SIZE=1",
                "MAIL FROM:<@one.example>",
                "MAIL FROM:<@:a@example.net>",
                "MAIL FROM:<\"a@example.net>",
                "MAIL FROM:<a b@example.net>",
                &long,
                &longer,
                &routed,
            ],
        );
        refuses(
            CommandError::Recipient,
            &["RCPT TO:<>", "RCPT TO:<a>", "RCPT FROM:<a@b>", "RCPT TO:<x@elsewhere.test@example.org>"],
        );
        refuses(CommandError::NeedsSmtpUtf8, &["MAIL FROM:<jörg@example.net>", "MAIL FROM:<a@müller.example>"]);
    }

    #[test]
    fn parameters_are_read_or_refused() {
        let Ok(Command::Mail(_, parameters)) = Command::parse(b"MAIL FROM:<> size=20 BODY=8bitmime SMTPUTF8 AUTH=<>")
        else {
            panic!()
        };
        assert_eq!(
            (parameters.size, parameters.body, parameters.charset),
            (Some(20), Some(Body::EightBitMime), Charset::Utf8)
        );
        reads(
            "MAIL FROM:<> SIZE=99999999999999999999",
            Command::Mail(ReversePath::Null, MailParameters { size: Some(u64::MAX), ..MailParameters::default() }),
        );
        refuses(CommandError::Parameter, &["MAIL FROM:<> FOO=BAR", "MAIL FROM:<> X", "RCPT TO:<a@b> NOTIFY=NEVER"]);
        refuses(
            CommandError::Arguments,
            &[
                "MAIL FROM:<> SIZE=abc",
                "MAIL FROM:<> SIZE=",
                "MAIL FROM:<> SIZE",
                "MAIL FROM:<> SIZE=999999999999999999999",
                "MAIL FROM:<> SIZE=1 SIZE=1",
                "MAIL FROM:<> BODY=BINARYMIME",
                "MAIL FROM:<> SMTPUTF8=1",
                "MAIL FROM:<> AUTH=",
            ],
        );
    }

    #[test]
    fn other_commands_are_read_or_refused() {
        reads("bdat 10 last", Command::Bdat(10, ChunkPlace::Last));
        reads("NOOP whatever you like", Command::Noop);
        reads("AUTH PLAIN =", Command::Auth { mechanism: "PLAIN".into(), initial: Some(Vec::new()) });
        refuses(
            CommandError::ChunkSize,
            &["BDAT", "BDAT -1", "BDAT x", "BDAT 1 FIRST", "BDAT 1  LAST", "BDAT 999999999999999999999"],
        );
        refuses(
            CommandError::Arguments,
            &["DATA x", "RSET x", "QUIT x", "STARTTLS now", "EHLO", "HELO", "EHLO a b", "EHLO café", "VRFY", "AUTH"],
        );
        refuses(CommandError::Base64, &["AUTH PLAIN ?"]);
        refuses(CommandError::Unknown, &["", " ", "TURN", "XYZZY plugh", "EHLO\u{a0}x"]);
        refuses(CommandError::OtherProtocol, &["GET / HTTP/1.1", "post / HTTP/1.1"]);
        refuses(CommandError::Octets, &["NOOP \0", "NOOP\t", "MAIL FROM:<a\0@b>"]);
        assert_eq!(Command::parse(b"RCPT TO:<\xff@example.org>"), Err(CommandError::Octets));
    }

    fn address() -> impl Strategy<Value = Address> {
        ("[ -~]{1,20}|[a-zé.]{1,9}", "[a-z]{1,9}(\\.[a-z]{1,9}){0,2}|\\[192\\.0\\.2\\.[1-9]\\]").prop_filter_map(
            "an address",
            |(local, domain)| {
                let quoted = local.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{quoted}\"@{domain}").parse().ok()
            },
        )
    }

    fn command() -> impl Strategy<Value = Command> {
        let name = "[!-'*-+\\--:=?-\\[\\]-~]{1,30}".prop_filter_map("a name", |name| ClientName::new(&name));
        let body = proptest::option::of(prop_oneof![Just(Body::SevenBit), Just(Body::EightBitMime)]);
        let auth = proptest::option::of("[!-<>-~]{1,20}");
        let mail = (proptest::option::of(address()), proptest::option::of(any::<u64>()), body, auth).prop_map(
            |(address, size, body, auth)| {
                let reverse_path = address.map_or(ReversePath::Null, ReversePath::Address);
                Command::Mail(reverse_path, MailParameters { size, body, charset: Charset::Utf8, auth })
            },
        );
        let forward_path = prop_oneof![Just(ForwardPath::Postmaster), address().prop_map(ForwardPath::Address)];
        let initial = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40));
        prop_oneof![
            name.clone().prop_map(Command::Ehlo),
            name.prop_map(Command::Helo),
            mail,
            forward_path.prop_map(Command::Rcpt),
            ("[A-Z0-9_-]{1,20}", initial).prop_map(|(mechanism, initial)| Command::Auth { mechanism, initial }),
            (any::<u64>(), prop_oneof![Just(ChunkPlace::Last), Just(ChunkPlace::Inner)])
                .prop_map(|(octets, place)| Command::Bdat(octets, place)),
            prop_oneof![
                Just(Command::StartTls),
                Just(Command::Data),
                Just(Command::Rset),
                Just(Command::Noop),
                Just(Command::Vrfy),
                Just(Command::Expn),
                Just(Command::Help),
                Just(Command::Quit)
            ],
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(command in command()) {
            prop_assert_eq!(Command::parse(command.to_string().as_bytes()), Ok(command));
        }

        #[test]
        fn no_octets_whatever_panic(
            verb in "(MAIL FROM:|RCPT TO:|BDAT |AUTH |EHLO |)",
            octets in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            if let Ok(command) = Command::parse(&[verb.as_bytes(), &octets].concat()) {
                prop_assert_eq!(Command::parse(command.to_string().as_bytes()).map(|again| again.to_string()), Ok(command.to_string()));
            }
        }
    }
}
