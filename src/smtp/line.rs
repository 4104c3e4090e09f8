//! Command lines out of octets: strictly CRLF, bounded.

use crate::limits;
use bytes::{Buf as _, BytesMut};

/// What the octets hold next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// No whole line yet.
    Incomplete,
    /// A line without its CRLF, and without any other CR or LF.
    Whole(BytesMut),
    /// A line over the limit; it was read to its end and thrown away.
    TooLong,
    /// A CR or LF that is not part of CRLF. The line is thrown away, after a bare LF up to the next CRLF.
    BareLineEnd,
    /// Octets that go on without becoming lines.
    NotLines,
}

/// Cuts lines. It keeps no octets of its own.
#[derive(Debug, Default)]
pub(super) struct LineReader {
    /// Octets at the front of the input that hold no LF.
    scanned: usize,
    skipping: Option<Skipping>,
}

/// The rest of a line that is being thrown away.
#[derive(Debug)]
struct Skipping {
    reason: Reason,
    octets: usize,
    after_cr: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    TooLong,
    /// It was answered at the LF, so that a client that knows no CRLF hears of it at once.
    AfterBareLf,
}

impl LineReader {
    /// Whether the next octet begins a line.
    pub(super) fn is_at_line_start(&self) -> bool {
        self.scanned == 0 && self.skipping.is_none()
    }

    /// Takes the next line of at most `limit` octets, CRLF included, out of `input`.
    pub(super) fn next(&mut self, input: &mut BytesMut, limit: usize) -> Line {
        loop {
            if self.skipping.is_some() {
                if let Some(line) = self.skip(input) {
                    return line;
                }
                continue;
            }
            let unscanned = input.get(self.scanned..).unwrap_or_default();
            match memchr::memchr(b'\n', unscanned).map(|at| at + self.scanned) {
                Some(at) if at < limit => return self.line_ending_at(at, input),
                None if input.len() < limit => {
                    self.scanned = input.len();
                    return Line::Incomplete;
                }
                _ => self.skip_the_rest(Reason::TooLong),
            }
        }
    }

    /// The line whose LF is at `at`.
    fn line_ending_at(&mut self, at: usize, input: &mut BytesMut) -> Line {
        self.scanned = 0;
        let mut line = input.split_to(at + 1);
        line.truncate(at);
        if line.last() != Some(&b'\r') {
            self.skip_the_rest(Reason::AfterBareLf);
            return Line::BareLineEnd;
        }
        line.truncate(at - 1);
        if memchr::memchr(b'\r', &line).is_some() { Line::BareLineEnd } else { Line::Whole(line) }
    }

    fn skip_the_rest(&mut self, reason: Reason) {
        self.scanned = 0;
        self.skipping = Some(Skipping { reason, octets: 0, after_cr: false });
    }

    /// Throws octets away up to the line's end. `None` once it is passed and the line was answered already.
    fn skip(&mut self, input: &mut BytesMut) -> Option<Line> {
        let skipping = self.skipping.as_mut()?;
        let end = memchr::memchr(b'\n', input);
        let taken = end.map_or(input.len(), |at| at + 1);
        let before_lf = end.and_then(|at| at.checked_sub(1)).and_then(|at| input.get(at).copied());
        let is_crlf = before_lf.map_or(skipping.after_cr && end == Some(0), |octet| octet == b'\r');
        skipping.after_cr = input.last().map_or(skipping.after_cr, |last| *last == b'\r');
        skipping.octets += taken;
        input.advance(taken);
        if skipping.octets > limits::SMTP_LINE_DISCARD_OCTETS_MAX {
            return Some(Line::NotLines);
        }
        match (end, is_crlf, skipping.reason) {
            (None, _, _) => Some(Line::Incomplete),
            (Some(_), true, reason) => {
                self.skipping = None;
                (reason == Reason::TooLong).then_some(Line::TooLong)
            }
            // Another LF: this client does not know CRLF, and was told so.
            (Some(_), false, Reason::AfterBareLf) => Some(Line::NotLines),
            (Some(_), false, Reason::TooLong) => {
                skipping.after_cr = false;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line of `octets`, given whole and octet by octet.
    fn lines(octets: &[u8], limit: usize) -> Vec<Line> {
        let mut whole = Vec::new();
        let (mut reader, mut input) = (LineReader::default(), BytesMut::from(octets));
        collect(&mut reader, &mut input, limit, &mut whole);

        let mut single = Vec::new();
        let (mut reader, mut input) = (LineReader::default(), BytesMut::new());
        for octet in octets {
            input.extend_from_slice(&[*octet]);
            collect(&mut reader, &mut input, limit, &mut single);
            // Being asked once more without new octets changes nothing.
            collect(&mut reader, &mut input, limit, &mut single);
        }
        assert_eq!(whole, single);
        whole
    }

    fn collect(reader: &mut LineReader, input: &mut BytesMut, limit: usize, lines: &mut Vec<Line>) {
        while lines.last() != Some(&Line::NotLines) {
            match reader.next(input, limit) {
                Line::Incomplete => return,
                line => lines.push(line),
            }
        }
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.into())
    }

    #[test]
    fn lines_end_with_crlf_only() {
        assert_eq!(lines(b"a\r\n\r\nb", 9), [whole("a"), whole("")]);
        assert_eq!(lines(b"a\rb\r\nc\r\n", 9), [Line::BareLineEnd, whole("c")]);
        assert_eq!(lines(b"a\nb\r\nc\r\n", 9), [Line::BareLineEnd, whole("c")]);
        assert_eq!(lines(b"a\n\r\nc\r\n", 9), [Line::BareLineEnd, whole("c")]);
        assert_eq!(lines(b"a\nb\nc\r\nd\r\n", 9), [Line::BareLineEnd, Line::NotLines]);
        assert_eq!(lines(b"\n", 9), [Line::BareLineEnd]);
    }

    #[test]
    fn long_lines_are_thrown_away_to_their_end() {
        assert_eq!(lines(b"1234567\r\nb\r\n", 9), [whole("1234567"), whole("b")]);
        assert_eq!(lines(b"12345678\r\nb\r\n", 9), [Line::TooLong, whole("b")]);
        assert_eq!(lines(b"123456789\nabc\rd\r\r\nb\r\n", 9), [Line::TooLong, whole("b")]);
        let endless = vec![b'x'; limits::SMTP_LINE_DISCARD_OCTETS_MAX + 99];
        assert_eq!(lines(&endless, 9), [Line::NotLines]);
    }
}
