//! The MIME splitter: one forward pass over the octets gives the tree of parts with their offsets.
//!
//! Every octet is looked at a fixed number of times: lines that begin with `--` are found by one search
//! that never goes back, and each is compared with at most `limits::MIME_DEPTH_MAX` open boundaries.

use super::{
    Body, Envelope, Part, Span,
    content::{ContentFields, DefaultType},
    transfer,
};
use crate::limits;
use memchr::{memchr, memchr_iter, memmem};

/// The tree of a message, and the ENVELOPE of its header.
pub(super) fn split(raw: &[u8]) -> (Part, Envelope) {
    let mut splitter = Splitter::new(raw);
    let (root, _) = splitter.part(0, 0, DefaultType::Text);
    let envelope = splitter.envelope(&root);
    (root, envelope)
}

/// A line that separates or ends the parts of a multipart (RFC 2046 §5.1.1).
#[derive(Clone, Copy)]
struct Delimiter {
    /// Where the line begins.
    start: usize,
    /// Where the next one does.
    next: usize,
    /// Whose boundary it has: 1 is the outermost multipart that is open.
    level: usize,
    kind: DelimiterKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DelimiterKind {
    /// `--boundary`: a part follows.
    Open,
    /// `--boundary--`: the epilogue follows.
    Close,
}

struct Splitter<'a> {
    raw: &'a [u8],
    /// `LF --`, searched for where lines are not looked at one by one.
    dashes: memmem::Finder<'static>,
    /// Boundaries of the multiparts around the current place, outermost first.
    boundaries: Vec<Vec<u8>>,
    parts_left: usize,
    addresses_left: usize,
    lines: LineCount,
    /// Octets that were looked at, counted to show that the work is linear.
    steps: u64,
}

impl<'a> Splitter<'a> {
    fn new(raw: &'a [u8]) -> Self {
        Self {
            raw,
            dashes: memmem::Finder::new(b"\n--"),
            boundaries: Vec::new(),
            parts_left: limits::MIME_PARTS_MAX,
            addresses_left: limits::ENVELOPE_ADDRESSES_MAX,
            lines: LineCount::default(),
            steps: 0,
        }
    }

    /// Reads the part that begins at `start`, up to the delimiter of a multipart around it.
    fn part(&mut self, start: usize, depth: usize, default: DefaultType) -> (Part, Option<Delimiter>) {
        self.parts_left = self.parts_left.saturating_sub(1);
        let (body_start, cut_short) = self.header_section(start);
        let mut content = ContentFields::read(self.octets(start, body_start), default);
        self.steps += (body_start - start) as u64;
        let lines_before = self.lines.until(self.raw, body_start);

        let Inside { body, reaches, end } = self.inside(&content, body_start, depth, cut_short);
        content.part.content = body;
        content.settle_type();

        let mut part = content.part;
        let body_end = self.body_end(body_start, end).max(reaches);
        part.header = Span::between(start, body_start);
        part.body = Span::between(body_start, body_end);
        part.lines = self.lines_between(lines_before, body_end, end);
        (part, end)
    }

    /// Finds the end of the header section that begins at `start`: behind the first empty line, or
    /// before a delimiter and its line end; the delimiter is then given.
    fn header_section(&mut self, start: usize) -> (usize, Option<Delimiter>) {
        let mut at = start;
        loop {
            let line = self.line_at(at);
            if line.is_empty() {
                return (at, None);
            }
            if line.starts_with(b"--")
                && let Some(delimiter) = self.delimiter_at(at)
            {
                return (self.body_end(start, Some(delimiter)), Some(delimiter));
            }
            at += line.len();
            if matches!(line, b"\n" | b"\r\n") {
                return (at, None);
            }
        }
    }

    fn inside(&mut self, content: &ContentFields, start: usize, depth: usize, cut_short: Option<Delimiter>) -> Inside {
        if cut_short.is_some() {
            return Inside::leaf(cut_short);
        }
        let may_nest = depth < limits::MIME_DEPTH_MAX && self.parts_left > 0;
        if may_nest
            && content.part.media_type == "multipart"
            && let Some(boundary) = content.boundary.clone().filter(|boundary| !boundary.is_empty())
        {
            return self.multipart(boundary, content.default_of_parts(), start, depth);
        }
        if may_nest && content.is_message() && transfer::is_identity(&content.part.encoding) {
            let (inner, end) = self.part(start, depth + 1, DefaultType::Text);
            let reaches = end_of(&inner);
            let body = Body::Message(Box::new(self.envelope(&inner)), Box::new(inner));
            return Inside { body, reaches, end };
        }
        Inside::leaf(self.next_delimiter(start))
    }

    /// Reads the parts of a multipart. Its boundary is open only in here.
    fn multipart(&mut self, boundary: Vec<u8>, default: DefaultType, start: usize, depth: usize) -> Inside {
        self.boundaries.push(boundary);
        let level = self.boundaries.len();
        let mut parts = Vec::new();
        let mut end = self.next_delimiter(start);
        while let Some(delimiter) = end
            && (delimiter.level, delimiter.kind) == (level, DelimiterKind::Open)
        {
            let (part, after) = self.part(delimiter.next, depth + 1, default);
            parts.push(part);
            end = after;
        }
        self.boundaries.truncate(level - 1);
        // Behind its own end the multipart goes on as epilogue, up to a delimiter of one around it. One of
        // those may also come without it: the end is missing then.
        if let Some(delimiter) = end.filter(|delimiter| delimiter.level == level) {
            end = self.next_delimiter(delimiter.next);
        }
        match parts.last().map(end_of) {
            Some(reaches) => Inside { body: Body::Multipart(parts), reaches, end },
            None => Inside::leaf(end),
        }
    }

    /// The next delimiter of an open boundary from `from` on, which is where a line begins.
    fn next_delimiter(&mut self, from: usize) -> Option<Delimiter> {
        if self.boundaries.is_empty() {
            return None;
        }
        let mut at = from.saturating_sub(1);
        loop {
            let found = self.dashes.find(self.octets(at, self.raw.len()));
            self.steps += found.unwrap_or(self.raw.len() - at) as u64;
            let line = at + found? + 1;
            if let Some(delimiter) = self.delimiter_at(line) {
                return Some(delimiter);
            }
            at = line;
        }
    }

    /// The delimiter that stands in the line at `start`.
    ///
    /// The innermost boundary wins, so that a multipart may use that of one around it. Trailing white
    /// space is allowed. Deviates from RFC 2046 §5.1.1, by which anything may follow the
    /// boundary: boundaries that begin with another one are common, and text that quotes them is.
    fn delimiter_at(&mut self, start: usize) -> Option<Delimiter> {
        let line = self.line_at(start);
        let text = line.trim_ascii_end().strip_prefix(b"--")?;
        self.steps += (line.len() * self.boundaries.len()) as u64;
        let (index, kind) = self.boundaries.iter().enumerate().rev().find_map(|(index, boundary)| {
            match text.strip_prefix(boundary.as_slice())? {
                b"" => Some((index, DelimiterKind::Open)),
                b"--" => Some((index, DelimiterKind::Close)),
                _ => None,
            }
        })?;
        if kind == DelimiterKind::Open && self.parts_left == 0 {
            // What follows stays part of the last part.
            return None;
        }
        Some(Delimiter { start, next: start + line.len(), level: index + 1, kind })
    }

    /// The line at `start`, its end included; empty at the end of the message.
    fn line_at(&mut self, start: usize) -> &'a [u8] {
        let rest = self.octets(start, self.raw.len());
        let line = rest.get(..memchr(b'\n', rest).map_or(rest.len(), |end| end + 1)).unwrap_or_default();
        self.steps += line.len() as u64;
        line
    }

    /// Where a body ends: the line end before a delimiter belongs to the delimiter.
    fn body_end(&self, start: usize, end: Option<Delimiter>) -> usize {
        let Some(delimiter) = end else {
            return self.raw.len();
        };
        let body = self.octets(start, delimiter.start);
        let body = body.strip_suffix(b"\n").map_or(body, |body| body.strip_suffix(b"\r").unwrap_or(body));
        start + body.len()
    }

    fn lines_between(&mut self, before: u64, body_end: usize, end: Option<Delimiter>) -> u64 {
        let counted_to = end.map_or(self.raw.len(), |delimiter| delimiter.start);
        let own_line_end = u64::from(body_end < counted_to);
        self.lines.until(self.raw, counted_to).saturating_sub(before + own_line_end)
    }

    fn envelope(&mut self, message: &Part) -> Envelope {
        Envelope::read(message.header.of(self.raw), &mut self.addresses_left)
    }

    fn octets(&self, start: usize, end: usize) -> &'a [u8] {
        self.raw.get(start..end).unwrap_or_default()
    }
}

/// What was found in a part.
struct Inside {
    body: Body,
    /// Where the last part inside ends. An empty line that ends its header and comes just before a
    /// delimiter belongs to that header, so this may be behind where the body would end.
    reaches: usize,
    /// The delimiter that it ended at.
    end: Option<Delimiter>,
}

impl Inside {
    fn leaf(end: Option<Delimiter>) -> Self {
        Self { body: Body::Leaf, reaches: 0, end }
    }
}

fn end_of(part: &Part) -> usize {
    usize::try_from(part.body.end).unwrap_or(usize::MAX)
}

/// Line ends from the beginning of the message up to a place that only moves forward.
#[derive(Default)]
struct LineCount {
    counted: u64,
    at: usize,
}

impl LineCount {
    fn until(&mut self, raw: &[u8], place: usize) -> u64 {
        let new = raw.get(self.at..place).unwrap_or_default();
        self.counted += memchr_iter(b'\n', new).count() as u64;
        self.at = self.at.max(place);
        self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// Splits, and checks that no octet was looked at more often than there may be boundaries open.
    #[track_caller]
    fn split_in_linear_time(raw: &str) -> Part {
        let mut splitter = Splitter::new(raw.as_bytes());
        let (root, _) = splitter.part(0, 0, DefaultType::Text);
        let most = (raw.len() * (limits::MIME_DEPTH_MAX + 4)) as u64;
        assert!(splitter.steps <= most, "{} steps for {} octets", splitter.steps, raw.len());
        root
    }

    fn depth(part: &Part) -> usize {
        1 + match &part.content {
            Body::Leaf => 0,
            Body::Multipart(parts) => parts.iter().map(depth).max().unwrap_or(0),
            Body::Message(_, inside) => depth(inside),
        }
    }

    #[test]
    fn deep_nesting_stays_a_leaf() {
        let mut multiparts = String::new();
        let mut one_boundary = String::new();
        for level in 0..2000 {
            write!(multiparts, "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n").unwrap();
            one_boundary += "Content-Type: multipart/mixed; boundary=b\n\n--b\n";
        }
        let messages = "Content-Type: message/rfc822\n\n".repeat(2000);
        for raw in [multiparts + "\nthe core\n", one_boundary, messages] {
            let root = split_in_linear_time(&raw);
            assert_eq!(depth(&root), limits::MIME_DEPTH_MAX + 1);
            assert_eq!(root.body.end, raw.len() as u64);
        }
    }

    #[test]
    fn what_follows_the_last_part_that_is_read_stays_in_it() {
        let raw =
            format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--\nepilogue\n", "--b\n\nx\n".repeat(20_000));
        let root = split_in_linear_time(&raw);
        let Body::Multipart(parts) = &root.content else { panic!("no multipart") };
        assert_eq!(parts.len(), limits::MIME_PARTS_MAX - 1);
        let last = parts.last().unwrap().body.of(raw.as_bytes());
        assert!(last.starts_with(b"x\n--b\n\nx\n") && last.ends_with(b"\nx"));
    }

    #[test]
    fn large_headers_are_read_once() {
        split_in_linear_time(&format!("Subject: {}\n\nx", "a".repeat(200_000)));
        split_in_linear_time(&format!("{}\nx", "X-A: b\n".repeat(50_000)));
        split_in_linear_time(&format!("Content-Type: text/plain{}\n\nx", "; a=b".repeat(50_000)));
    }

    #[test]
    fn lines_of_dashes_are_compared_once_with_each_boundary() {
        let mut raw = String::new();
        let boundary = "-".repeat(70);
        for level in 0..40 {
            write!(raw, "Content-Type: multipart/mixed; boundary={boundary}{level}\n\n--{boundary}{level}\n").unwrap();
        }
        raw += "\n";
        raw += &format!("--{boundary}\n").repeat(5_000);
        raw += &"--\n".repeat(50_000);
        raw += &"-".repeat(100_000);
        assert_eq!(depth(&split_in_linear_time(&raw)), limits::MIME_DEPTH_MAX + 1);
    }

    #[test]
    fn addresses_of_all_messages_share_one_room() {
        let list = "a@b,".repeat(limits::ENVELOPE_ADDRESSES_MAX / 2);
        let raw = format!("Content-Type: message/rfc822\nTo: {list}\n\nTo: {list}\nCc: {list}\n\n");
        let (root, envelope) = split(raw.as_bytes());
        let Body::Message(inside, _) = &root.content else { panic!("no message") };
        let addresses = envelope.to.len() + inside.to.len() + inside.cc.len();
        assert_eq!(addresses, limits::ENVELOPE_ADDRESSES_MAX);
    }
}
