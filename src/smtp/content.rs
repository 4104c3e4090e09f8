//! The octets of a message as they come: DATA with its stuffed dots (RFC 5321 §4.5.2), BDAT by count (RFC 3030).
//!
//! In both a line ends with CRLF and nothing else. A CR or LF of its own never ends the data, and the message that
//! has one is refused at its real end: servers that disagree about where a message ends are what SMTP smuggling lives on
//! (CVE-2023-51764 and its kin).

use super::Reply;
use crate::limits;
use bytes::{Buf as _, BytesMut};

/// What was kept of a message so far, and why no more is kept.
#[derive(Debug)]
pub(super) struct Content {
    octets: Vec<u8>,
    /// Octets that came, kept or not.
    length: u64,
    octets_max: u64,
    refusal: Option<Reply>,
}

impl Content {
    /// Nothing yet, of `octets_max` at most.
    pub(super) fn new(octets_max: u64) -> Self {
        Self { octets: Vec::new(), length: 0, octets_max, refusal: None }
    }

    /// Octets of memory held.
    pub(super) fn octets_held(&self) -> u64 {
        self.octets.capacity() as u64
    }

    /// Octets that came.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Why the message will be refused, where it will.
    pub(super) fn refusal(&self) -> Option<&Reply> {
        self.refusal.as_ref()
    }

    /// Whether more came than a client is heard out for.
    pub(super) fn is_boundless(&self) -> bool {
        self.length > self.octets_max.saturating_mul(limits::OVERSIZE_FACTOR)
    }

    /// Keeps nothing more and refuses the message at its end. The first reason stands, but a bare line end is told
    /// before any other, so that the reply does not depend on how the octets were cut.
    pub(super) fn refuse(&mut self, reply: Reply) {
        self.octets = Vec::new();
        if self.refusal.is_none() || reply == Reply::BARE_LINE_END_IN_MESSAGE {
            self.refusal = Some(reply);
        }
    }

    /// The message, or why it is refused.
    pub(super) fn finish(self) -> Result<Vec<u8>, Reply> {
        match self.refusal {
            Some(reply) => Err(reply),
            None => Ok(self.octets),
        }
    }

    fn push(&mut self, octets: &[u8]) {
        self.length = self.length.saturating_add(octets.len() as u64);
        if self.length > self.octets_max {
            self.refuse(Reply::TOO_BIG);
        } else if self.refusal.is_none() {
            self.octets.extend_from_slice(octets);
        }
    }
}

/// Whether the end of data was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No: everything was taken, and more is to come.
    More,
    /// Yes: the octets behind it are commands.
    End,
}

/// Takes dots out and finds the end of data.
#[derive(Debug)]
pub(super) struct DataDecoder {
    content: Content,
    place: Place,
}

/// Where in a line the next octet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    Inside,
    AfterCr,
    /// Behind the dot at the start of a line.
    AfterDot,
    /// Behind a line of a dot and CR.
    AfterDotCr,
}

impl DataDecoder {
    /// Before the first octet.
    pub(super) fn new(octets_max: u64) -> Self {
        Self { content: Content::new(octets_max), place: Place::LineStart }
    }

    /// What came so far.
    pub(super) fn content(&mut self) -> &mut Content {
        &mut self.content
    }

    /// The message, or why it is refused.
    pub(super) fn finish(self) -> Result<Vec<u8>, Reply> {
        self.content.finish()
    }

    /// Takes octets up to the end of data.
    pub(super) fn decode(&mut self, input: &mut BytesMut) -> Progress {
        while let Some(first) = input.first().copied() {
            match (self.place, first) {
                (Place::LineStart, b'.') => self.step(input, Place::AfterDot),
                (Place::AfterDot, b'\r') => self.step(input, Place::AfterDotCr),
                (Place::AfterDotCr, b'\n') => {
                    input.advance(1);
                    return Progress::End;
                }
                (Place::AfterCr, b'\n') => {
                    self.content.push(b"\r\n");
                    self.step(input, Place::LineStart);
                }
                (Place::AfterCr | Place::AfterDotCr, _) => self.bare_cr(),
                (Place::LineStart | Place::Inside | Place::AfterDot, _) => self.text(input),
            }
        }
        Progress::More
    }

    fn step(&mut self, input: &mut BytesMut, place: Place) {
        input.advance(1);
        self.place = place;
    }

    /// The CR that was taken belongs to no CRLF; the octet behind it is looked at again.
    fn bare_cr(&mut self) {
        self.content.refuse(Reply::BARE_LINE_END_IN_MESSAGE);
        self.content.push(b"\r");
        self.place = Place::Inside;
    }

    /// Takes text up to the first line end that needs a closer look, or all of it.
    fn text(&mut self, input: &mut BytesMut) {
        let (taken, place) = self.plain_run(input);
        self.content.push(input.get(..taken).unwrap_or_default());
        self.place = place;
        input.advance(taken);
        if place == Place::AfterCr {
            input.advance(1);
        }
    }

    /// How many octets are text with whole line ends, and where the next octet then stands; behind them there may
    /// be a CR, which counts as taken.
    fn plain_run(&mut self, input: &[u8]) -> (usize, Place) {
        let mut line_ends = memchr::memchr2_iter(b'\r', b'\n', input);
        while let Some(at) = line_ends.next() {
            if input.get(at) == Some(&b'\n') {
                self.content.refuse(Reply::BARE_LINE_END_IN_MESSAGE);
                return (at + 1, Place::Inside);
            }
            match (input.get(at + 1), input.get(at + 2)) {
                (Some(b'\n'), Some(b'.') | None) => return (at + 2, Place::LineStart),
                (Some(b'\n'), Some(_)) => drop(line_ends.next()),
                _ => return (at, Place::AfterCr),
            }
        }
        (input.len(), Place::Inside)
    }
}

/// The chunks of one message.
#[derive(Debug)]
pub(super) struct Chunks {
    content: Content,
    after_cr: bool,
}

impl Chunks {
    /// Before the first chunk.
    pub(super) fn new(octets_max: u64) -> Self {
        Self { content: Content::new(octets_max), after_cr: false }
    }

    /// What came so far.
    pub(super) fn content(&mut self) -> &mut Content {
        &mut self.content
    }

    /// Adds octets. Without BINARYMIME they are lines like those of DATA (RFC 3030 §2).
    pub(super) fn extend(&mut self, octets: &[u8]) {
        if self.content.refusal != Some(Reply::BARE_LINE_END_IN_MESSAGE) && !self.are_lines(octets) {
            self.content.refuse(Reply::BARE_LINE_END_IN_MESSAGE);
        }
        self.content.push(octets);
    }

    fn are_lines(&mut self, octets: &[u8]) -> bool {
        let mut rest = octets;
        if self.after_cr && !octets.is_empty() {
            self.after_cr = false;
            match octets.strip_prefix(b"\n") {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
        let mut line_ends = memchr::memchr2_iter(b'\r', b'\n', rest);
        while let Some(at) = line_ends.next() {
            match (rest.get(at), rest.get(at + 1)) {
                (Some(b'\r'), Some(b'\n')) => drop(line_ends.next()),
                (Some(b'\r'), None) => self.after_cr = true,
                _ => return false,
            }
        }
        true
    }

    /// The message, or why it is refused.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, Reply> {
        if self.after_cr {
            self.content.refuse(Reply::BARE_LINE_END_IN_MESSAGE);
        }
        self.content.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: u64 = 1000;

    /// The message, or why it is refused, and the octets behind it.
    type Decoded = (Result<Vec<u8>, Reply>, Vec<u8>);

    /// What comes of octets that are given in pieces cut at `cuts`; `None` without an end of data.
    fn decode(octets: &[u8], cuts: &[usize]) -> Option<Decoded> {
        let (mut decoder, mut input, mut from) = (DataDecoder::new(MAX), BytesMut::new(), 0);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (octets.len() + 1)).chain([octets.len()]).collect();
        cuts.sort_unstable();
        for cut in cuts {
            input.extend_from_slice(&octets[from..cut]);
            from = cut;
            if decoder.decode(&mut input) == Progress::End {
                let rest = [&input[..], &octets[cut..]].concat();
                return Some((decoder.finish(), rest));
            }
        }
        None
    }

    #[track_caller]
    fn gives(octets: &[u8], message: &[u8], rest: &[u8]) {
        let singles: Vec<usize> = (0..octets.len()).collect();
        for cuts in [&[][..], &singles] {
            assert_eq!(decode(octets, cuts), Some((Ok(message.to_vec()), rest.to_vec())));
        }
    }

    #[test]
    fn dots_are_unstuffed_and_end_the_data() {
        gives(b".\r\n", b"", b"");
        gives(b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n");
        gives(b"..\r\n...\r\n..x\r\n.x\r\na.\r\n.\r\n", b".\r\n..\r\n.x\r\nx\r\na.\r\n", b"");
        gives(b"\r\n\r\n.\r\n", b"\r\n\r\n", b"");
        gives(b"a\0b\r\n\0.\r\n.\0\r\n.\r\n", b"a\0b\r\n\0.\r\n\0\r\n", b"");
    }

    /// RFC 5321 §2.3.8, §4.1.1.4: none of these ends the data, and the message is refused at its end.
    #[test]
    fn nothing_but_crlf_dot_crlf_ends_the_data() {
        let ends: [&[u8]; 12] = [
            b"\n.\n",
            b"\n.\r\n",
            b"\r\n.\n",
            b"\r.\r",
            b"\r\n.\r",
            b"\r.\r\n",
            b"\r.\n",
            b"\n.\r",
            b"\n\r.\r\n",
            b"\r\r\n.\r\r\n",
            b"\r\n.\r.\r\n",
            b"\n",
        ];
        for end in ends {
            let octets = [b"first", end, b"smuggled\r\n.\r\nQUIT\r\n"].concat();
            let singles: Vec<usize> = (0..octets.len()).collect();
            for cuts in [&[][..], &singles] {
                let refused = Some((Err(Reply::BARE_LINE_END_IN_MESSAGE), b"QUIT\r\n".to_vec()));
                assert_eq!(decode(&octets, cuts), refused, "{end:?}");
            }
        }
    }

    #[test]
    fn a_message_over_the_limit_is_counted_and_not_kept() {
        let line = [&[b'x'; 98][..], b"\r\n"].concat();
        gives(&[line.repeat(10), b".\r\n".to_vec()].concat(), &line.repeat(10), b"");
        let too_big = [line.repeat(10), b"y\r\n.\r\n".to_vec()].concat();
        assert_eq!(decode(&too_big, &[]), Some((Err(Reply::TOO_BIG), Vec::new())));

        let mut decoder = DataDecoder::new(MAX);
        decoder.decode(&mut BytesMut::from(&line.repeat(11)[..]));
        assert_eq!((decoder.content().octets_held(), decoder.content().length()), (0, 1100));
        assert!(!decoder.content().is_boundless());
        decoder.decode(&mut BytesMut::from(&line.repeat(30)[..]));
        assert!(decoder.content().is_boundless());
    }

    fn chunks(chunks: &[&[u8]]) -> Result<Vec<u8>, Reply> {
        let mut all = Chunks::new(MAX);
        chunks.iter().for_each(|chunk| all.extend(chunk));
        all.finish()
    }

    #[test]
    fn chunks_are_lines_without_dots() {
        assert_eq!(chunks(&[b"a\r\n.\r", b"\n..\r\nb"]), Ok(b"a\r\n.\r\n..\r\nb".to_vec()));
        assert_eq!(chunks(&[b"a\r", b"", b"\nb"]), Ok(b"a\r\nb".to_vec()));
        for bare in ["a\n", "a\r|b", "a\r", "a\r\r\n", "a\r\n|\n"] {
            let pieces: Vec<&[u8]> = bare.split('|').map(str::as_bytes).collect();
            assert_eq!(chunks(&pieces), Err(Reply::BARE_LINE_END_IN_MESSAGE), "{bare:?}");
        }
        assert_eq!(chunks(&[&[b'x'; 1000], b"y"]), Err(Reply::TOO_BIG));
    }

    /// Octets in which line ends and dots are frequent.
    fn data() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a'), Just(0)];
        proptest::collection::vec(octet, 0..60)
    }

    /// Clean lines, as a client means them.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec("[.a\0]{0,4}", 0..12)
            .prop_map(|lines| lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect())
    }

    proptest! {
        #[test]
        fn any_cut_of_the_octets_gives_the_same(data in data(), cuts in proptest::collection::vec(0usize..90, 0..8)) {
            let ended = [&data[..], b"\r\n.\r\nrest"].concat();
            prop_assert_eq!(decode(&ended, &cuts), decode(&ended, &[]));
        }

        #[test]
        fn what_is_stuffed_comes_out_as_it_was(message in message(), cuts in proptest::collection::vec(0usize..90, 0..8)) {
            let text = String::from_utf8(message.clone()).unwrap();
            let mut stuffed: String = text.split_inclusive("\r\n").map(|line| line.strip_prefix('.').map_or(line.to_owned(), |rest| format!("..{rest}"))).collect();
            stuffed.push_str(".\r\n");
            prop_assert_eq!(decode(stuffed.as_bytes(), &cuts), Some((Ok(message), Vec::new())));
        }

        #[test]
        fn any_cut_of_the_chunks_gives_the_same(data in data(), cut in 0usize..60) {
            let (one, two) = data.split_at(cut.min(data.len()));
            prop_assert_eq!(chunks(&[one, two]), chunks(&[&data]));
        }
    }
}
