//! Base64 text as lines of one length: finding it in a body, and writing any range of it again.
//!
//! Owns: the arithmetic between octets of encoded text and decoded octets. Promises: what
//! [`find_run`] accepts, [`Layout::encode`] gives back octet for octet; it compares before it
//! accepts (P3). Never: guesses; text that is not lines of one length of canonical base64 is left
//! to the caller as it is. No errors, no I/O.
//!
//! RFC 2045 §6.8 (any line length is met in mail, not only up to 76), RFC 4648 §3.5 (canonical).

use base64::{
    DecodeError, Engine as _,
    engine::{GeneralPurposeConfig, Simd},
};
use bytes::{Buf, BufMut};
use std::{ops::Range, sync::LazyLock};

/// Canonical only: padded, no stray bits in the last symbol. So decoding loses nothing.
static BASE64: LazyLock<Simd> = LazyLock::new(|| Simd::standard(GeneralPurposeConfig::new()));

/// Symbols decoded at a time: what stays in the first-level cache with its decoded octets.
const BLOCK_SYMBOLS: usize = 16 * 1024;

/// Encoded octets compared at a time.
const COMPARE_OCTETS: u64 = 16 * 1024;

/// The shortest line that is taken for base64.
const LINE_SYMBOLS_MIN: usize = 4;

/// How lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    CrLf,
    Lf,
}

impl LineEnd {
    fn octets(self) -> &'static [u8] {
        match self {
            Self::CrLf => b"\r\n",
            Self::Lf => b"\n",
        }
    }
}

/// Base64 in lines of `line_symbols` each, the last one shorter or not, with `line_end` between
/// lines and none after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    line_symbols: u32,
    line_end: LineEnd,
}

/// A stretch of a body that is base64.
#[derive(Debug)]
pub(super) struct Run {
    /// Where it is in the body.
    pub(super) place: Range<usize>,
    pub(super) layout: Layout,
    pub(super) decoded: Vec<u8>,
}

/// Finds the base64 at the start of `body` (empty lines may precede it). It ends where the lines
/// stop being base64 of the first one's length; `None` where there is no such start or where encoding
/// it again would give other octets.
pub(super) fn find_run(body: &[u8]) -> Option<Run> {
    let start = body.iter().position(|octet| !matches!(octet, b'\r' | b'\n'))?;
    let text = body.get(start..)?;
    let layout = Layout::of_first_line(text)?;
    let decoded = decode(layout, text);
    let octets = layout.encoded_octets(decoded.len() as u64);
    let end = start.checked_add(usize::try_from(octets).ok()?)?;
    let run = Run { place: start..end, layout, decoded };
    run.encodes_to(body.get(start..end)?).then_some(run)
}

impl Run {
    /// Whether encoding gives `text`, by the code that will read it.
    fn encodes_to(&self, text: &[u8]) -> bool {
        let total = self.decoded.len() as u64;
        let mut encoded = Vec::with_capacity(COMPARE_OCTETS as usize + 64);
        let mut at = 0;
        text.chunks(COMPARE_OCTETS as usize).all(|chunk| {
            let range = at..at + chunk.len() as u64;
            at = range.end;
            let needed = self.layout.decoded_range(&range, total);
            let Some(decoded) = usize_range(&needed).and_then(|needed| self.decoded.get(needed)) else { return false };
            encoded.clear();
            self.layout.encode(&range, decoded, &mut encoded);
            encoded == chunk
        })
    }
}

/// Decodes lines until they stop being base64.
fn decode(layout: Layout, text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3);
    let mut symbols = Vec::with_capacity(BLOCK_SYMBOLS + layout.line() + 4);
    let mut lines = Lines { text, layout };
    loop {
        while symbols.len() < BLOCK_SYMBOLS {
            let Some(line) = lines.next() else {
                decode_block(&symbols, &mut decoded);
                return decoded;
            };
            symbols.extend_from_slice(line);
        }
        let whole = symbols.len() / 4 * 4;
        let used = symbols.get(..whole).map_or(0, |block| decode_block(block, &mut decoded));
        // Padding ends base64, also where it falls on the end of a block.
        if used < whole || decoded.len() % 3 != 0 {
            return decoded;
        }
        symbols.drain(..whole);
    }
}

/// Decodes the longest start of `symbols` that is whole groups of four; returns how many symbols that were.
fn decode_block(symbols: &[u8], decoded: &mut Vec<u8>) -> usize {
    let mut end = symbols.len() / 4 * 4;
    let before = decoded.len();
    // Each failure names a symbol that cannot stay, so the next try is shorter. Three cover all
    // there is: a foreign octet, the padding before it, and stray bits in the symbol before that.
    for _ in 0..4 {
        let Some(block) = symbols.get(..end) else { break };
        match BASE64.decode_vec(block, decoded) {
            Ok(()) => return end,
            Err(error) => end = valid_end(block, &error),
        }
        decoded.truncate(before);
    }
    0
}

/// Where valid groups end before a fault; padding is the end of its group.
fn valid_end(block: &[u8], error: &DecodeError) -> usize {
    let fault = match error {
        DecodeError::InvalidByte(offset, _) | DecodeError::InvalidLastSymbol { offset, .. } => *offset,
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => block.len().saturating_sub(1),
    };
    match memchr::memchr(b'=', block) {
        Some(padding) if padding / 4 * 4 + 4 < block.len() && padding <= fault => padding / 4 * 4 + 4,
        _ => fault / 4 * 4,
    }
}

/// The lines of a layout, as long as they keep to it; the last one may be short.
struct Lines<'a> {
    text: &'a [u8],
    layout: Layout,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let Some((line, rest)) = self.text.split_at_checked(self.layout.line()) else {
            let last = std::mem::take(&mut self.text);
            return (!last.is_empty()).then(|| first_line(last));
        };
        self.text = rest.strip_prefix(self.layout.line_end.octets()).unwrap_or_default();
        Some(line)
    }
}

fn first_line(text: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'\r', b'\n', text).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

impl Layout {
    fn of_first_line(text: &[u8]) -> Option<Self> {
        let end = memchr::memchr(b'\n', text);
        let line = text.get(..end.unwrap_or(text.len()))?;
        let (line, line_end) = match line.strip_suffix(b"\r") {
            Some(line) => (line, LineEnd::CrLf),
            None => (line, if end.is_some() { LineEnd::Lf } else { LineEnd::CrLf }),
        };
        let line_symbols = u32::try_from(line.len()).ok()?;
        (line.len() >= LINE_SYMBOLS_MIN).then_some(Self { line_symbols, line_end })
    }

    fn line(self) -> usize {
        self.line_symbols as usize
    }

    /// Octets of the text that `decoded` octets are encoded as.
    pub(super) fn encoded_octets(self, decoded: u64) -> u64 {
        let symbols = decoded.div_ceil(3) * 4;
        let breaks = symbols.div_ceil(u64::from(self.line_symbols)).saturating_sub(1);
        symbols + breaks * self.line_end.octets().len() as u64
    }

    /// The decoded octets that a range of encoded text is made from: whole groups of three, cut at
    /// the end of the `total` octets.
    pub(super) fn decoded_range(self, encoded: &Range<u64>, total: u64) -> Range<u64> {
        let start = self.symbols_before(encoded.start) / 4 * 3;
        let end = self.symbols_before(encoded.end).div_ceil(4) * 3;
        start.min(total)..end.min(total)
    }

    fn stride(self) -> u64 {
        u64::from(self.line_symbols) + self.line_end.octets().len() as u64
    }

    fn symbols_before(self, position: u64) -> u64 {
        let (line, column) = (position / self.stride(), position % self.stride());
        line * u64::from(self.line_symbols) + column.min(u64::from(self.line_symbols))
    }

    /// Appends the octets of `encoded`, a range of the encoded text, to `out`. `decoded` must be
    /// the octets that [`Layout::decoded_range`] names for it.
    pub(super) fn encode(self, encoded: &Range<u64>, decoded: &[u8], out: &mut Vec<u8>) {
        let column = (encoded.start % self.stride()) as usize;
        let left = (encoded.end - encoded.start) as usize;
        let mut lines = LineWriter { layout: self, column, left, out };
        let mut skipped = (self.symbols_before(encoded.start) % 4) as usize;
        let mut symbols = String::with_capacity(BLOCK_SYMBOLS);
        for block in decoded.chunks(BLOCK_SYMBOLS / 4 * 3) {
            symbols.clear();
            BASE64.encode_string(block, &mut symbols);
            lines.write(symbols.as_bytes().get(skipped..).unwrap_or_default());
            skipped = 0;
        }
        lines.end_line();
    }

    /// Appends the stored form.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.put_u32(self.line_symbols);
        out.put_u8(match self.line_end {
            LineEnd::CrLf => 0,
            LineEnd::Lf => 1,
        });
    }

    /// Reads the stored form.
    pub(super) fn read(octets: &mut &[u8]) -> Option<Self> {
        let line_symbols = octets.try_get_u32().ok()?;
        let line_end = match octets.try_get_u8().ok()? {
            0 => LineEnd::CrLf,
            1 => LineEnd::Lf,
            _ => return None,
        };
        (line_symbols as usize >= LINE_SYMBOLS_MIN).then_some(Self { line_symbols, line_end })
    }
}

/// Breaks symbols into lines, until `left` octets are written. A line ends when its successor
/// begins, so that none ends after the last.
struct LineWriter<'a> {
    layout: Layout,
    column: usize,
    left: usize,
    out: &'a mut Vec<u8>,
}

impl LineWriter<'_> {
    fn write(&mut self, mut symbols: &[u8]) {
        while self.left > 0 && !symbols.is_empty() {
            self.end_line();
            let room = self.layout.line().saturating_sub(self.column).min(self.left);
            let (now, later) = symbols.split_at_checked(room).unwrap_or((symbols, &[]));
            self.out.extend_from_slice(now);
            self.left -= now.len();
            self.column += now.len();
            symbols = later;
        }
    }

    /// Writes what is due of the line end, if the line is full.
    fn end_line(&mut self) {
        let Some(written) = self.column.checked_sub(self.layout.line()) else { return };
        let due = self.layout.line_end.octets().get(written..).unwrap_or_default();
        let due = due.get(..self.left).unwrap_or(due);
        self.out.extend_from_slice(due);
        self.left -= due.len();
        self.column = 0;
    }
}

/// A range of `u64` as one of `usize`, where it fits.
pub(super) fn usize_range(range: &Range<u64>) -> Option<Range<usize>> {
    Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    /// RFC 4648 §4, as plainly as it can be written: what the layout is held against.
    fn encode_plainly(octets: &[u8], line: usize, line_end: &str) -> Vec<u8> {
        let mut symbols = Vec::new();
        for group in octets.chunks(3) {
            let bits = group.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - group.len()));
            for index in 0..4 {
                let symbol = ALPHABET[(bits >> (18 - 6 * index) & 63) as usize];
                symbols.push(if index > group.len() { b'=' } else { symbol });
            }
        }
        symbols.chunks(line).collect::<Vec<_>>().join(line_end.as_bytes())
    }

    fn octets(length: usize, seed: u64) -> Vec<u8> {
        (0..length as u64)
            .map(|index| (index.wrapping_mul(seed | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect()
    }

    /// What lies before and behind base64 in mail.
    fn surroundings() -> impl Strategy<Value = (&'static str, &'static str)> {
        let before = prop_oneof![Just(""), Just("\r\n"), Just("\n\n")];
        let after = prop_oneof![
            Just(""),
            Just("\r\n"),
            Just("\n"),
            Just("\r\n\r\n\r\n"),
            Just("="),
            Just("\r\n_____\r\nlist footer\r\n"),
            Just("\r\nabcd"),
            Just(" \t"),
        ];
        (before, after)
    }

    fn line() -> impl Strategy<Value = usize> {
        prop_oneof![4_usize..100, Just(60), Just(64), Just(72), Just(76), Just(998), Just(4096), 4_usize..3000]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        /// RFC 2045 §6.8: whatever the lines, what is found comes back, whole and in any range.
        #[test]
        fn regular_base64_is_found_and_comes_back(
            length in 64_usize..6000, seed: u64, line in line(), crlf: bool, around in surroundings(),
            cuts in proptest::collection::vec((0.0..1.0, 0.0..1.0), 1..20),
        ) {
            let decoded = octets(length, seed);
            let text = encode_plainly(&decoded, line, if crlf { "\r\n" } else { "\n" });
            let body = [around.0.as_bytes(), &text, around.1.as_bytes()].concat();
            let run = find_run(&body).unwrap();
            prop_assert_eq!(run.place.start, around.0.len());
            prop_assert!(run.decoded.starts_with(&decoded) || decoded.starts_with(&run.decoded));
            prop_assert!(run.decoded.len() + 3 > decoded.len());
            let place = &body[run.place.clone()];
            let total = run.decoded.len() as u64;
            prop_assert_eq!(run.layout.encoded_octets(total), place.len() as u64);
            for (one, other) in cuts {
                let (one, other) = ((one * place.len() as f64) as u64, (other * place.len() as f64) as u64);
                let range = one.min(other)..one.max(other);
                let needed = usize_range(&run.layout.decoded_range(&range, total)).unwrap();
                let mut out = Vec::new();
                run.layout.encode(&range, &run.decoded[needed], &mut out);
                prop_assert_eq!(&out[..], &place[usize_range(&range).unwrap()]);
            }
        }

        /// Whatever is found in damaged or foreign text comes back as it was: nothing is guessed.
        #[test]
        fn irregular_base64_comes_back_or_stays(
            length in 64_usize..3000, seed: u64, line in line(), crlf: bool,
            damage in proptest::collection::vec((0.0..1.0, proptest::sample::select(&b"\r\n =A-\xff\0"[..]), 0_u8..3), 0..6),
        ) {
            let mut body = encode_plainly(&octets(length, seed), line, if crlf { "\r\n" } else { "\n" });
            for (at, octet, kind) in damage {
                let at = (at * body.len() as f64) as usize;
                match kind {
                    0 => body[at] = octet,
                    1 => body.insert(at, octet),
                    _ => drop(body.remove(at)),
                }
            }
            if let Some(run) = find_run(&body) {
                let mut out = Vec::new();
                let range = 0..run.place.len() as u64;
                run.layout.encode(&range, &run.decoded, &mut out);
                prop_assert_eq!(&out[..], &body[run.place]);
            }
        }
    }

    #[test]
    fn base64_ends_at_its_padding() {
        let run = find_run(b"QUJDREVGRw==\r\nQUJD\r\n").unwrap();
        assert_eq!((run.place, run.decoded), (0..12, b"ABCDEFG".to_vec()));
        let run = find_run(b"QUJDRA==QUJD\r\n").unwrap();
        assert_eq!((run.place, run.decoded), (0..8, b"ABCD".to_vec()));
    }

    #[test]
    fn stray_bits_in_the_last_symbol_stay_raw() {
        // RFC 4648 §3.5: "QR==" decodes as "QQ==" does, so it would not come back.
        let run = find_run(b"QUJDQR==\r\n").unwrap();
        assert_eq!((run.place, run.decoded), (0..4, b"ABC".to_vec()));
    }

    #[test]
    fn padding_at_the_end_of_a_block_ends_base64() {
        let decoded = octets(BLOCK_SYMBOLS / 4 * 3 - 1, 7);
        let mut body = encode_plainly(&decoded, 64, "\r\n");
        let end = body.len();
        body.extend_from_slice(b"\r\nQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJD\r\n");
        let run = find_run(&body).unwrap();
        assert_eq!((run.place, run.decoded.len()), (0..end, decoded.len()));
    }
}
