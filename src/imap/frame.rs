//! Splits what a client sends into commands (RFC 9051 §4, RFC 7888).
//!
//! Owns: line ends, literals, and the octets that arrived and were not used yet. Promises: octets
//! behind a command stay for the next one; a command and its literals are bounded; the same octets give the
//! same frames however they arrive. Never: understands more of a command than its tag, and that it is an APPEND, whose
//! message is handed on instead of being collected. A command that breaks a bound is skipped and named
//! by [`Frame::Oversized`]; where that would mean reading without end it is [`Frame::Hopeless`].
//!
//! A line may end in LF alone: commands come from a client that is logged in or has nothing to smuggle.

use crate::limits;
use std::mem;

/// What a client may send now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Octets of a command with its literals.
    pub(crate) command_octets: usize,
    /// Octets of one literal.
    pub(crate) literal_octets: u64,
    /// What happens to the message of an APPEND.
    pub(crate) append: AppendLiteral,
}

/// What happens to the message of an APPEND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppendLiteral {
    /// It is handed on.
    Streamed,
    /// It is a literal like any other: the client has not logged in.
    Collected,
}

/// An announced literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    /// Its length.
    pub(crate) octets: u64,
    /// Whether the client waits for our leave.
    pub(crate) synchronisation: Synchronisation,
    /// Whether it may hold NUL octets.
    pub(crate) kind: LiteralKind,
}

/// Whether the client waits before it sends a literal (RFC 7888 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Synchronisation {
    /// `{n}`: it waits.
    Synchronising,
    /// `{n+}`: it does not.
    NonSynchronising,
}

/// Whether a literal may hold NUL octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LiteralKind {
    /// `{n}`: it may not.
    Text,
    /// `~{n}`: it may (RFC 9051 §9, literal8).
    Binary,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// More octets are needed.
    More,
    /// The client waits for a continuation before it sends a literal.
    Continue,
    /// A command with its literals and the final CRLF.
    Command(Vec<u8>),
    /// An APPEND up to the announcement of its message, which the caller takes or skips.
    Append(Vec<u8>, Literal),
    /// A command that broke a bound. What is left of it is skipped.
    Oversized {
        /// Its tag, where it had one.
        tag: Option<Vec<u8>>,
    },
    /// The client sends more than is worth reading away.
    Hopeless,
}

#[derive(Debug)]
enum State {
    /// Collecting a line.
    Line,
    /// Collecting a literal.
    Literal { left: u64 },
    /// Reading away a literal of a refused command.
    SkipLiteral { left: u64 },
    /// Reading away a line of a refused command; its end tells whether a literal follows.
    SkipLine { tail: Vec<u8> },
}

/// Splits octets into frames.
#[derive(Debug)]
pub(crate) struct Framer {
    pending: Vec<u8>,
    taken: usize,
    command: Vec<u8>,
    line_start: usize,
    skipped: u64,
    state: State,
}

impl Framer {
    /// Nothing has arrived.
    pub(crate) fn new() -> Self {
        Self { pending: Vec::new(), taken: 0, command: Vec::new(), line_start: 0, skipped: 0, state: State::Line }
    }

    /// Takes octets that arrived.
    pub(crate) fn push(&mut self, octets: &[u8]) {
        if self.taken == self.pending.len() {
            self.pending.clear();
            self.taken = 0;
        }
        self.pending.extend_from_slice(octets);
    }

    /// Frees memory that is not in use; for a connection that falls idle.
    pub(crate) fn shrink(&mut self) {
        if self.taken == self.pending.len() {
            self.pending = Vec::new();
            self.taken = 0;
        }
        self.command.shrink_to_fit();
    }

    /// Octets that arrived and were not used yet.
    pub(crate) fn pending(&self) -> &[u8] {
        self.pending.get(self.taken..).unwrap_or_default()
    }

    /// Takes up to `most` octets as they are: those of a message.
    pub(crate) fn take_raw(&mut self, most: usize) -> &[u8] {
        let start = self.taken;
        self.taken += self.pending().len().min(most);
        self.pending.get(start..self.taken).unwrap_or_default()
    }

    /// Takes octets up to the next LF, LF included.
    fn take_line(&mut self, most: usize) -> (&[u8], bool) {
        let pending = self.pending();
        let reach = pending.get(..most.min(pending.len())).unwrap_or_default();
        let found = memchr::memchr(b'\n', reach).map(|at| at + 1);
        (self.take_raw(found.unwrap_or(reach.len())), found.is_some())
    }

    /// Takes a line that is no command: DONE, or a client's answer in AUTHENTICATE. `None` until it is there; the
    /// line end is left out. A line longer than `most` gives what arrived of it.
    pub(crate) fn line(&mut self, most: usize) -> Option<Vec<u8>> {
        let room = most.saturating_sub(self.command.len());
        let (line, ended) = self.take_line(room.max(1));
        let line = line.to_vec();
        self.command.extend_from_slice(&line);
        if !ended && self.command.len() < most {
            return None;
        }
        let mut line = mem::take(&mut self.command);
        trim_line_end(&mut line);
        Some(line)
    }

    /// Skips a message that was not asked for, and the rest of its command.
    pub(crate) fn skip_literal(&mut self, octets: u64) {
        self.skipped = octets;
        self.state = State::SkipLiteral { left: octets };
    }

    /// The next frame.
    pub(crate) fn next(&mut self, bounds: Bounds) -> Frame {
        loop {
            let frame = match self.state {
                State::Line => self.collect_line(bounds),
                State::Literal { left } => self.collect_literal(left),
                State::SkipLiteral { left } => self.skip_some(left),
                State::SkipLine { .. } => self.skip_line(),
            };
            if let Some(frame) = frame {
                return frame;
            }
        }
    }

    fn collect_line(&mut self, bounds: Bounds) -> Option<Frame> {
        let room = bounds.command_octets.saturating_sub(self.command.len());
        let (line, ended) = self.take_line(room);
        let line = line.to_vec();
        self.command.extend_from_slice(&line);
        if ended {
            return self.line_ended(bounds);
        }
        if self.command.len() >= bounds.command_octets {
            return Some(self.oversized(State::SkipLine { tail: Vec::new() }));
        }
        Some(Frame::More)
    }

    fn line_ended(&mut self, bounds: Bounds) -> Option<Frame> {
        trim_line_end(&mut self.command);
        let line = self.command.get(self.line_start..).unwrap_or_default();
        let Some(literal) = announcement(line) else {
            // Some clients end a line in a space. It means nothing in any command.
            while self.command.len() > self.line_start && self.command.last() == Some(&b' ') {
                self.command.pop();
            }
            self.command.extend_from_slice(b"\r\n");
            return Some(Frame::Command(self.finish()));
        };
        if bounds.append == AppendLiteral::Streamed && announces_message(&self.command) {
            self.command.extend_from_slice(b"\r\n");
            return Some(Frame::Append(self.finish(), literal));
        }
        let fits = literal.octets <= bounds.literal_octets
            && self.command.len() as u64 + literal.octets < bounds.command_octets as u64;
        if !fits {
            return Some(self.refuse(literal));
        }
        self.command.extend_from_slice(b"\r\n");
        self.state = State::Literal { left: literal.octets };
        (literal.synchronisation == Synchronisation::Synchronising).then_some(Frame::Continue)
    }

    /// Refuses a literal. A client that waits for our leave sends nothing more of the command.
    fn refuse(&mut self, literal: Literal) -> Frame {
        match literal.synchronisation {
            Synchronisation::Synchronising => self.oversized(State::Line),
            Synchronisation::NonSynchronising => self.oversized(State::SkipLiteral { left: literal.octets }),
        }
    }

    fn oversized(&mut self, then: State) -> Frame {
        self.skipped = match then {
            State::SkipLiteral { left } => left,
            _ => 0,
        };
        let tag = tag(&self.finish()).map(<[u8]>::to_vec);
        self.state = then;
        if self.skipped > limits::IMAP_SKIPPED_OCTETS_MAX { Frame::Hopeless } else { Frame::Oversized { tag } }
    }

    fn finish(&mut self) -> Vec<u8> {
        self.line_start = 0;
        self.state = State::Line;
        mem::take(&mut self.command)
    }

    fn collect_literal(&mut self, left: u64) -> Option<Frame> {
        let octets = self.take_raw(usize::try_from(left).unwrap_or(usize::MAX)).to_vec();
        self.command.extend_from_slice(&octets);
        let left = left - octets.len() as u64;
        if left > 0 {
            self.state = State::Literal { left };
            return Some(Frame::More);
        }
        self.line_start = self.command.len();
        self.state = State::Line;
        None
    }

    fn skip_some(&mut self, left: u64) -> Option<Frame> {
        if self.skipped > limits::IMAP_SKIPPED_OCTETS_MAX {
            return Some(Frame::Hopeless);
        }
        let left = left - self.take_raw(usize::try_from(left).unwrap_or(usize::MAX)).len() as u64;
        if left > 0 {
            self.state = State::SkipLiteral { left };
            return Some(Frame::More);
        }
        self.state = State::SkipLine { tail: Vec::new() };
        None
    }

    fn skip_line(&mut self) -> Option<Frame> {
        let (line, ended) = self.take_line(usize::MAX);
        let line = line.to_vec();
        let State::SkipLine { tail } = &mut self.state else { return None };
        tail.extend_from_slice(&line);
        // An announcement is short: only the end of a line has to be kept.
        let surplus = tail.len().saturating_sub(ANNOUNCEMENT_OCTETS_MAX);
        tail.drain(..surplus);
        self.skipped += line.len() as u64;
        if self.skipped > limits::IMAP_SKIPPED_OCTETS_MAX {
            return Some(Frame::Hopeless);
        }
        if !ended {
            return Some(Frame::More);
        }
        trim_line_end(tail);
        self.state = match announcement(tail) {
            Some(Literal { octets, synchronisation: Synchronisation::NonSynchronising, .. }) => {
                self.skipped = self.skipped.saturating_add(octets);
                State::SkipLiteral { left: octets }
            }
            _ => State::Line,
        };
        None
    }
}

/// `~{18446744073709551615+}` and CRLF.
const ANNOUNCEMENT_OCTETS_MAX: usize = 26;

fn trim_line_end(line: &mut Vec<u8>) {
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
}

/// Reads the literal that a line announces at its end.
pub(crate) fn announcement(line: &[u8]) -> Option<Literal> {
    let inside = line.strip_suffix(b"}")?;
    let start = inside.iter().rposition(|octet| *octet == b'{')?;
    let (before, number) = inside.split_at_checked(start)?;
    let number = number.strip_prefix(b"{")?;
    let (digits, synchronisation) = match number.strip_suffix(b"+") {
        Some(digits) => (digits, Synchronisation::NonSynchronising),
        None => (number, Synchronisation::Synchronising),
    };
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let octets = std::str::from_utf8(digits).ok().filter(|_| valid)?.parse().ok()?;
    let kind = if before.last() == Some(&b'~') { LiteralKind::Binary } else { LiteralKind::Text };
    Some(Literal { octets, synchronisation, kind })
}

/// Whether the literal announced at the end of `command` is the message of an APPEND, and not the name of
/// the mailbox, which comes first.
fn announces_message(command: &[u8]) -> bool {
    let mut words = command.splitn(3, |octet| *octet == b' ');
    let (_tag, verb, rest) = (words.next(), words.next(), words.next().unwrap_or_default());
    // A line end inside means that the name was a literal and is complete.
    let named = !rest.starts_with(b"{") || rest.contains(&b'\n');
    named && verb.is_some_and(|verb| verb.eq_ignore_ascii_case(b"APPEND"))
}

/// The tag of a command, where it is one (RFC 9051 §9).
pub(crate) fn tag(command: &[u8]) -> Option<&[u8]> {
    let end = command.iter().position(|octet| matches!(octet, b' ' | b'\r' | b'\n')).unwrap_or(command.len());
    let tag = command.get(..end)?;
    let valid = !tag.is_empty() && tag.iter().all(|octet| *octet != b'+' && super::parser::is_astring_char(*octet));
    valid.then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { command_octets: 100, literal_octets: 20, append: AppendLiteral::Streamed };

    /// Every frame that `octets` give, with what the client sends after a continuation already there.
    fn frames(octets: &[u8], chunk: usize) -> Vec<String> {
        let mut framer = Framer::new();
        let mut found = Vec::new();
        for octets in octets.chunks(chunk) {
            framer.push(octets);
            loop {
                match framer.next(BOUNDS) {
                    Frame::More => break,
                    Frame::Continue => found.push("+".to_owned()),
                    Frame::Command(command) => found.push(command.escape_ascii().to_string()),
                    Frame::Append(head, literal) => {
                        found.push(format!("{} {}", head.escape_ascii(), literal.octets));
                        framer.skip_literal(literal.octets);
                    }
                    Frame::Oversized { tag } => {
                        found.push(format!("oversized {}", tag.unwrap_or_default().escape_ascii()));
                    }
                    Frame::Hopeless => {
                        found.push("hopeless".to_owned());
                        return found;
                    }
                }
            }
        }
        found
    }

    fn holds(octets: &[u8], expected: &[&str]) {
        for chunk in [1, 2, 7, octets.len().max(1)] {
            assert_eq!(frames(octets, chunk), expected, "{} by {chunk}", octets.escape_ascii());
        }
    }

    #[test]
    fn commands_are_lines() {
        holds(b"a NOOP\r\nb NOOP \r\nc NOOP\n\r\n", &[r"a NOOP\r\n", r"b NOOP\r\n", r"c NOOP\r\n", r"\r\n"]);
    }

    #[test]
    fn literals_belong_to_their_command() {
        holds(
            b"a LOGIN {5}\r\nal\nce {3+}\r\nx y\r\nb NOOP\r\n",
            &["+", r"a LOGIN {5}\r\nal\nce {3+}\r\nx y\r\n", r"b NOOP\r\n"],
        );
        holds(b"a LOGIN {0+}\r\n {0+}\r\n\r\n", &[r"a LOGIN {0+}\r\n {0+}\r\n\r\n"]);
    }

    #[test]
    fn the_message_of_an_append_is_handed_on() {
        holds(
            b"a append {5+}\r\nINBOX (\\Seen) {7+}\r\nline\r\n!\r\nb NOOP\r\n",
            &[r"a append {5+}\r\nINBOX (\\Seen) {7+}\r\n 7", r"b NOOP\r\n"],
        );
        holds(b"a APPEND INBOX ~{3+}\r\na\0b\r\nb NOOP\r\n", &[r"a APPEND INBOX ~{3+}\r\n 3", r"b NOOP\r\n"]);
    }

    #[test]
    fn what_is_too_large_is_skipped() {
        let long = [b"a ".as_slice(), &[b'x'; 200], b"\r\nb NOOP\r\n"].concat();
        holds(&long, &["oversized a", r"b NOOP\r\n"]);
        let literal = [b"a LOGIN {30+}\r\n".as_slice(), &[b'\n'; 30], b" {4+}\r\n\r\n\r\n\r\nb NOOP\r\n"].concat();
        holds(&literal, &["oversized a", r"b NOOP\r\n"]);
        holds(b"a LOGIN {30}\r\nb NOOP\r\n", &["oversized a", r"b NOOP\r\n"]);
        holds(b"+ LOGIN {30}\r\nb NOOP\r\n", &["oversized ", r"b NOOP\r\n"]);
        holds(b"a LOGIN {99999999999+}\r\nxxxx", &["hopeless"]);
    }

    #[test]
    fn announcements_stand_at_the_end() {
        assert_eq!(announcement(b"x {12}").map(|literal| literal.octets), Some(12));
        assert_eq!(announcement(b"x ~{12+}").map(|literal| literal.kind), Some(LiteralKind::Binary));
        for line in
            [&b"x {}"[..], b"x {1", b"x {-1}", b"x {1-}", b"x {+}", b"x {1} ", b"x {99999999999999999999}", b"}"]
        {
            assert_eq!(announcement(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn lines_that_are_no_commands_leave_what_follows() {
        let mut framer = Framer::new();
        framer.push(b"DO");
        assert_eq!(framer.line(20), None);
        framer.push(b"NE\r\na NOOP\r\n");
        assert_eq!(framer.line(20).as_deref(), Some(&b"DONE"[..]));
        assert_eq!(framer.next(BOUNDS), Frame::Command(b"a NOOP\r\n".to_vec()));
        framer.push(&[b'x'; 30]);
        assert_eq!(framer.line(20).map(|line| line.len()), Some(20));
    }
}
