//! Protocol tests as dialogues: what the client sends and what the server must answer, as text.
//!
//! A dialogue is a file under `fixtures/transcripts/PROTOCOL`:
//!
//! ```text
//! # Comments give the rule and its RFC section.
//! accounts: alice@example.org          header lines: `name: value`, in lower case, before the first step
//! C: a SELECT INBOX                    the client sends this line and CRLF
//! CX: bare\nline feed\x00\r\n          the client sends these octets, escapes read, nothing added
//! S: * OK [UIDVALIDITY $validity] …    the next line must match; `…` is the rest of a line; `$name` (lower case)
//!                                      captures a word the first time and must be equal later, also in `C:`
//! S*: * 1 EXISTS                       neighbouring `S*:` lines may come in any order
//! S!: * BYE                            no line since the client last spoke matches this
//! 2C: b NOOP                           a second connection; `2S:`, `2TLS:` and so on are its own
//! TLS:                                 both sides go over to TLS
//! EOF:                                 the server has closed the connection
//! ---                                  the client waits for what came so far before it goes on
//! ```
//!
//! `$Forwarded` is no capture, since its first letter is a capital. Each dialogue runs in whole lines, one octet at a
//! time, and all at once: then the client sends everything up to the next line that needs a capture, another connection,
//! `TLS:`, `EOF:` or `---`. A protocol takes part by implementing [`Peer`].

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::{Path, PathBuf},
};

/// How a client's octets reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A line at a time.
    WholeLines,
    /// An octet at a time.
    OneOctetAtATime,
    /// Everything that the client can know already.
    AllAtOnce,
}

/// Every arrival.
pub const ARRIVALS: [Arrival; 3] = [Arrival::WholeLines, Arrival::OneOctetAtATime, Arrival::AllAtOnce];

/// The server's side of a dialogue. Connection 1 exists from the start, others from their first step; a
/// server that greets has its greeting ready then.
pub trait Peer {
    /// Takes octets from the client of a connection.
    fn send(&mut self, connection: usize, octets: &[u8]);
    /// The next line for the client of a connection, without CRLF; `None` where there is none. A peer on a
    /// socket waits for one where `expected`, and only then.
    fn line(&mut self, connection: usize, expected: Expected) -> Option<String>;
    /// Goes over to TLS.
    fn start_tls(&mut self, connection: usize);
    /// Whether the server has closed the connection.
    fn is_closed(&mut self, connection: usize) -> bool;
}

/// Whether the dialogue says that a line comes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It does.
    Line,
    /// There should be none.
    Nothing,
}

/// Octets cut into lines at CRLF, for peers.
#[derive(Debug, Default)]
pub struct Lines {
    octets: Vec<u8>,
    lines: VecDeque<String>,
}

impl Lines {
    /// Adds octets of the server.
    pub fn extend(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
        while let Some(end) = self.octets.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.octets.drain(..end + 2).take(end).collect();
            self.lines.push_back(String::from_utf8_lossy(&line).into_owned());
        }
    }

    /// Whether no whole line waits.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The next whole line.
    pub fn next(&mut self) -> Option<String> {
        self.lines.pop_front()
    }
}

/// One dialogue.
#[derive(Debug)]
pub struct Dialogue {
    file: PathBuf,
    headers: Vec<(String, String)>,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    /// In the file, from 1.
    line: usize,
    connection: usize,
    act: Act,
}

#[derive(Debug)]
enum Act {
    Send(Vec<u8>),
    Next(String),
    AnyOrder(String),
    Never(String),
    Tls,
    Closed,
    Wait,
}

/// Every dialogue under `fixtures/transcripts/PROTOCOL`, by name. At least one.
pub fn dialogues(protocol: &str) -> Vec<Dialogue> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/transcripts").join(protocol);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no dialogue", folder.display());
    files.iter().map(|file| Dialogue::parse(file, &fs::read_to_string(file).unwrap())).collect()
}

impl Dialogue {
    /// Reads a dialogue; `file` is named when it fails.
    pub fn parse(file: &Path, text: &str) -> Self {
        let mut dialogue = Self { file: file.to_owned(), headers: Vec::new(), steps: Vec::new() };
        for (at, line) in text.lines().enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(step) = Step::parse(at + 1, line) {
                dialogue.steps.push(step);
            } else if let (Some((name, value)), true) = (line.split_once(':'), dialogue.steps.is_empty()) {
                dialogue.headers.push((name.trim().to_owned(), value.trim().to_owned()));
            } else {
                panic!("{}:{}: neither a header nor a step: {line}", file.display(), at + 1);
            }
        }
        dialogue
    }

    /// The values of a header, in order.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The words of a header's values.
    pub fn words<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers(name).flat_map(str::split_whitespace)
    }

    /// The file it stands in.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Holds the dialogue with `peer`; panics at the first line that is not as it should be.
    pub fn check(&self, peer: &mut dyn Peer, arrival: Arrival) {
        let mut run =
            Run { dialogue: self, peer, arrival, captures: BTreeMap::new(), said: BTreeMap::new(), sent_until: 0 };
        let mut at = 0;
        while let Some(step) = self.steps.get(at) {
            at = run.step(at, step);
        }
        run.nothing_is_left();
    }
}

impl Step {
    fn parse(line: usize, text: &str) -> Option<Self> {
        if text == "---" {
            return Some(Self { line, connection: 1, act: Act::Wait });
        }
        let (word, rest) = text.split_once(':')?;
        let (connection, word) = match word.split_at_checked(1) {
            Some((digit, word)) if digit.as_bytes()[0].is_ascii_digit() => (digit.parse().unwrap(), word),
            _ => (1, word),
        };
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let act = match word {
            "C" => Act::Send(format!("{rest}\r\n").into_bytes()),
            "CX" => Act::Send(unescape(rest)),
            "S" => Act::Next(rest.to_owned()),
            "S*" => Act::AnyOrder(rest.to_owned()),
            "S!" => Act::Never(rest.to_owned()),
            "TLS" => Act::Tls,
            "EOF" => Act::Closed,
            _ => return None,
        };
        Some(Self { line, connection, act })
    }
}

/// `\r`, `\n`, `\0`, `\\` and `\xHH`.
fn unescape(text: &str) -> Vec<u8> {
    let (mut octets, mut characters) = (Vec::new(), text.chars());
    while let Some(character) = characters.next() {
        if character != '\\' {
            octets.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        octets.push(match characters.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = characters.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).unwrap_or_else(|_| panic!("not two hexadecimal digits: {digits}"))
            }
            other => panic!("unknown escape: \\{other:?}"),
        });
    }
    octets
}

/// A dialogue being held.
struct Run<'a> {
    dialogue: &'a Dialogue,
    peer: &'a mut dyn Peer,
    arrival: Arrival,
    captures: BTreeMap<String, String>,
    /// Lines of each connection since its client last spoke.
    said: BTreeMap<usize, Vec<String>>,
    /// Client lines before this step were sent already.
    sent_until: usize,
}

impl Run<'_> {
    /// Performs the step and returns the place of the next.
    fn step(&mut self, at: usize, step: &Step) -> usize {
        match &step.act {
            Act::Send(octets) => self.client_speaks(at, step, octets),
            Act::Next(expected) => {
                let line = self.line(step, expected);
                if !self.matches(expected, &line) {
                    self.fail(step, &format!("expected {expected:?}, got {line:?}"));
                }
            }
            Act::AnyOrder(_) => return self.any_order(at, step.connection),
            Act::Never(unwanted) => self.never(at, step, unwanted),
            Act::Tls => self.peer.start_tls(step.connection),
            Act::Closed => {
                self.no_line_waits(step);
                if !self.peer.is_closed(step.connection) {
                    self.fail(step, "expected the end of the connection");
                }
            }
            Act::Wait => {}
        }
        at + 1
    }

    fn client_speaks(&mut self, at: usize, step: &Step, octets: &[u8]) {
        self.said.insert(step.connection, Vec::new());
        if at < self.sent_until {
            return;
        }
        self.no_line_waits(step);
        match self.arrival {
            Arrival::WholeLines => {
                let octets = self.with_captures(octets);
                self.peer.send(step.connection, &octets);
            }
            Arrival::OneOctetAtATime => {
                self.with_captures(octets).chunks(1).for_each(|octet| self.peer.send(step.connection, octet));
            }
            Arrival::AllAtOnce => {
                let octets = self.everything_known(at, step.connection);
                self.peer.send(step.connection, &octets);
            }
        }
    }

    /// What the client of this connection says from here on without having to wait for an answer.
    fn everything_known(&mut self, at: usize, connection: usize) -> Vec<u8> {
        let mut all = Vec::new();
        for (place, step) in self.dialogue.steps.iter().enumerate().skip(at) {
            match &step.act {
                Act::Send(octets) if step.connection == connection => {
                    let octets = self.with_captures(octets);
                    if place > at && capture_names(&octets).any(|name| self.is_captured_between(&name, at, place)) {
                        break;
                    }
                    all.extend_from_slice(&octets);
                    self.sent_until = place + 1;
                }
                Act::Tls | Act::Closed | Act::Wait => break,
                _ if step.connection != connection => break,
                _ => {}
            }
        }
        all
    }

    fn is_captured_between(&self, name: &str, from: usize, to: usize) -> bool {
        self.dialogue.steps[from..to].iter().any(|step| match &step.act {
            Act::Next(text) | Act::AnyOrder(text) => capture_names(text.as_bytes()).any(|captured| captured == name),
            _ => false,
        })
    }

    fn with_captures(&self, octets: &[u8]) -> Vec<u8> {
        let mut names: Vec<_> = capture_names(octets).collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let mut octets = octets.to_vec();
        for name in names {
            let Some(value) = self.captures.get(&name) else { continue };
            let variable = format!("${name}");
            while let Some(at) = octets.windows(variable.len()).position(|part| part == variable.as_bytes()) {
                octets.splice(at..at + variable.len(), value.bytes());
            }
        }
        octets
    }

    /// Takes as many lines as there are neighbouring `S*:` steps; each must match one of them.
    fn any_order(&mut self, at: usize, connection: usize) -> usize {
        let dialogue = self.dialogue;
        let mut open: Vec<(&Step, &String)> = dialogue.steps[at..]
            .iter()
            .map_while(|step| match &step.act {
                Act::AnyOrder(expected) if step.connection == connection => Some((step, expected)),
                _ => None,
            })
            .collect();
        let count = open.len();
        while let Some((step, expected)) = open.first() {
            let line = self.line(step, expected);
            let Some(found) = (0..open.len()).find(|index| self.matches(open[*index].1, &line)) else {
                self.fail(
                    step,
                    &format!(
                        "expected one of {:?}, got {line:?}",
                        open.iter().map(|(_, text)| text).collect::<Vec<_>>()
                    ),
                );
            };
            open.remove(found);
        }
        at + count
    }

    fn never(&mut self, at: usize, step: &Step, unwanted: &str) {
        // Lines that answer what was sent ahead belong to later steps.
        if at >= self.sent_until {
            self.no_line_waits(step);
        }
        let said = self.said.get(&step.connection).cloned().unwrap_or_default();
        if let Some(line) = said.iter().find(|line| self.matches(unwanted, line)) {
            self.fail(step, &format!("must not come: {line:?}"));
        }
    }

    fn line(&mut self, step: &Step, expected: &str) -> String {
        let Some(line) = self.peer.line(step.connection, Expected::Line) else {
            self.fail(step, &format!("expected {expected:?}, got nothing"));
        };
        self.said.entry(step.connection).or_default().push(line.clone());
        line
    }

    fn no_line_waits(&mut self, step: &Step) {
        if let Some(line) = self.peer.line(step.connection, Expected::Nothing) {
            self.fail(step, &format!("unexpected line {line:?}"));
        }
    }

    fn nothing_is_left(&mut self) {
        if let Some(last) = self.dialogue.steps.last() {
            self.no_line_waits(last);
        }
    }

    /// Whether a line matches, remembering captures where it does.
    fn matches(&mut self, expected: &str, line: &str) -> bool {
        let mut captures = self.captures.clone();
        let matched = line_matches(expected, line, &mut captures);
        if matched {
            self.captures = captures;
        }
        matched
    }

    fn fail(&self, step: &Step, why: &str) -> ! {
        panic!("{}:{} ({:?}): {why}", self.dialogue.file.display(), step.line, self.arrival)
    }
}

fn line_matches(expected: &str, line: &str, captures: &mut BTreeMap<String, String>) -> bool {
    if expected == "…" {
        return true;
    }
    let Some(first) = expected.chars().next() else { return line.is_empty() };
    if let Some(name) = capture_name(expected.as_bytes()) {
        let rest = &expected[name.len() + 1..];
        let until = rest.chars().next();
        let end = line.find(|c: char| Some(c) == until || c.is_whitespace() || ")]".contains(c)).unwrap_or(line.len());
        let (value, line) = line.split_at(end);
        let known = captures.entry(name).or_insert_with(|| value.to_owned());
        return !value.is_empty() && known == value && line_matches(rest, line, captures);
    }
    line.strip_prefix(first).is_some_and(|line| line_matches(&expected[first.len_utf8()..], line, captures))
}

/// The name of the capture that a text begins with.
fn capture_name(text: &[u8]) -> Option<String> {
    let name = text.strip_prefix(b"$")?;
    let end =
        name.iter().position(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == b'_')).unwrap_or(name.len());
    let starts = name.first().is_some_and(u8::is_ascii_lowercase);
    starts.then(|| String::from_utf8(name[..end].to_vec()).unwrap())
}

fn capture_names(text: &[u8]) -> impl Iterator<Item = String> {
    (0..text.len()).filter_map(|at| capture_name(&text[at..]))
}

mod tests {
    use super::*;

    /// Answers each line with itself, once for each connection, and closes after `bye`.
    #[derive(Default)]
    struct Echo {
        input: BTreeMap<usize, Vec<u8>>,
        output: BTreeMap<usize, Lines>,
        closed: bool,
    }

    impl Peer for Echo {
        fn send(&mut self, connection: usize, octets: &[u8]) {
            let input = self.input.entry(connection).or_default();
            input.extend_from_slice(octets);
            while let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = input.drain(..end + 2).collect();
                self.closed |= line == b"bye\r\n";
                self.output.entry(connection).or_default().extend(&line);
            }
        }

        fn line(&mut self, connection: usize, _: Expected) -> Option<String> {
            self.output.entry(connection).or_default().next()
        }

        fn start_tls(&mut self, _: usize) {}

        fn is_closed(&mut self, _: usize) -> bool {
            self.closed
        }
    }

    fn check(text: &str) {
        for arrival in ARRIVALS {
            Dialogue::parse(Path::new("echo"), text).check(&mut Echo::default(), arrival);
        }
    }

    #[test]
    fn captures_are_remembered_and_sent_back() {
        check("C: [UID 7] then\nS: [UID $uid] …\nC: again $uid\nS: again 7\nC: $uid $Keyword\nS: $uid $Keyword");
    }

    #[test]
    #[should_panic(expected = "echo:3 (WholeLines): expected \"$uid\", got \"8\"")]
    fn a_capture_must_be_equal_later() {
        check("CX: 7\\r\\n8\\x0d\\n\nS: $uid\nS: $uid");
    }

    #[test]
    fn neighbours_come_in_any_order() {
        check("CX: a\\r\\nb\\r\\n\nS*: b\nS*: a\n2C: c\n2S: c\nS!: c\nC: bye\nS: bye\nEOF:");
    }

    #[test]
    #[should_panic(expected = "expected one of [\"b\"], got \"c\"")]
    fn each_line_stands_for_one_of_its_neighbours() {
        check("CX: a\\r\\nc\\r\\n\nS*: b\nS*: a");
    }

    #[test]
    #[should_panic(expected = "must not come: \"a b\"")]
    fn an_unwanted_line_is_noticed() {
        check("C: a b\nS: …\nS!: a …");
    }

    #[test]
    #[should_panic(expected = "unexpected line \"b\"")]
    fn a_line_too_many_is_noticed() {
        check("C: a\nS: a\nC: b");
    }

    #[test]
    #[should_panic(expected = "expected \"a\", got nothing")]
    fn a_missing_line_is_noticed() {
        check("C: a\nS: a\nS: a");
    }
}
