//! Sections and decoded parts, streamed by ranges with back-pressure.
//!
//! Promises: at most one range of `IMAP_WRITE_OCTETS` is in memory beside the buffer of responses. A literal whose
//! announcement was sent is completed, or the connection ends.

use super::{
    super::{
        response::{Failure, Refusal},
        wire::Wire,
        write::{push_decimal, push_literal_head, push_without_nul},
    },
    binary::Decoder,
    section::{BinarySection, BodySection, FieldFilter, Keep, Partial, SectionText, binary_part, cut, push_path},
};
use crate::{
    limits,
    store::{MessageRecord, Store},
};
use bytes::Bytes;
use std::ops::Range;

/// A message whose octets are read.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Where it is.
    pub(crate) store: &'a Store,
    /// Which one.
    pub(crate) record: &'a MessageRecord,
}

/// A range, cut into pieces that are read one at a time.
fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let step = limits::IMAP_WRITE_OCTETS;
    let end = range.end;
    range.step_by(step).map(move |start| start..end.min(start + step as u64))
}

impl Source<'_> {
    async fn read(&self, range: Range<u64>) -> Result<Bytes, Failure> {
        Ok(self.store.read(self.record, range).await?)
    }

    /// Writes `BODY[...]` with its octets.
    pub(crate) async fn push_section(&self, body: &BodySection, wire: &mut Wire<'_>) -> Result<(), Failure> {
        body.push_name(&mut wire.out);
        wire.out.push(b' ');
        let Some(range) = body.section.range(self.record) else {
            wire.out.extend_from_slice(b"NIL");
            return Ok(());
        };
        match &body.section.text {
            SectionText::HeaderFields(names) => self.push_fields(range, names, Keep::Named, body.partial, wire).await,
            SectionText::HeaderFieldsNot(names) => {
                self.push_fields(range, names, Keep::Others, body.partial, wire).await
            }
            _ => self.push_range(cut(range, body.partial), wire).await,
        }
    }

    async fn push_range(&self, range: Range<u64>, wire: &mut Wire<'_>) -> Result<(), Failure> {
        push_literal_head(&mut wire.out, range.end - range.start);
        for piece in pieces(range) {
            let octets = self.read(piece).await?;
            push_without_nul(&mut wire.out, &octets);
            wire.flush_if_full().await?;
        }
        Ok(())
    }

    /// Writes the fields of a header that are asked for, and the empty line behind them.
    async fn push_fields(
        &self,
        header: Range<u64>,
        names: &[Vec<u8>],
        keep: Keep,
        partial: Option<Partial>,
        wire: &mut Wire<'_>,
    ) -> Result<(), Failure> {
        // The length comes first, so a header of more than one piece is read twice.
        let (mut filter, mut kept, mut length) = (FieldFilter::new(names, keep), Vec::new(), 0);
        for piece in pieces(header.clone()) {
            length += kept.len() as u64;
            kept.clear();
            filter.push(&self.read(piece).await?, &mut kept);
        }
        length += kept.len() as u64;
        let mut window = Window::new(cut(0..length + 2, partial));
        push_literal_head(&mut wire.out, window.octets());
        if length == kept.len() as u64 {
            window.push_text(&kept, &mut wire.out);
        } else {
            let mut filter = FieldFilter::new(names, keep);
            for piece in pieces(header) {
                kept.clear();
                filter.push(&self.read(piece).await?, &mut kept);
                window.push_text(&kept, &mut wire.out);
                wire.flush_if_full().await?;
            }
        }
        window.push(b"\r\n", &mut wire.out);
        Ok(())
    }

    /// Writes `BINARY[...]` with decoded octets (RFC 3516 §4.2).
    pub(crate) async fn push_binary(&self, binary: &BinarySection, wire: &mut Wire<'_>) -> Result<(), Failure> {
        binary.push_name(&mut wire.out);
        wire.out.push(b' ');
        let Some((range, encoding)) = self.encoded(&binary.path) else {
            wire.out.extend_from_slice(b"NIL");
            return Ok(());
        };
        let measured = self.measure(range.clone(), encoding, binary.partial).await?;
        let mut window = Window::new(cut(0..measured.octets, binary.partial));
        if measured.has_nul {
            wire.out.push(b'~');
        }
        push_literal_head(&mut wire.out, window.octets());
        let mut decoder = Decoder::new(encoding).ok_or(Refusal::TransferEncoding)?;
        let mut decoded = Vec::new();
        for piece in pieces(range) {
            decoder.push(&self.read(piece).await?, &mut decoded);
            window.push(&decoded, &mut wire.out);
            decoded.clear();
            wire.flush_if_full().await?;
        }
        decoder.finish(&mut decoded);
        window.push(&decoded, &mut wire.out);
        Ok(())
    }

    /// Writes `BINARY.SIZE[...]` (RFC 3516 §4.3).
    pub(crate) async fn push_binary_size(&self, path: &[u32], wire: &mut Wire<'_>) -> Result<(), Failure> {
        wire.out.extend_from_slice(b"BINARY.SIZE[");
        push_path(&mut wire.out, path);
        wire.out.extend_from_slice(b"] ");
        let octets = match self.encoded(path) {
            Some((range, encoding)) => self.measure(range, encoding, None).await?.octets,
            None => 0,
        };
        push_decimal(&mut wire.out, octets);
        Ok(())
    }

    fn encoded(&self, path: &[u32]) -> Option<(Range<u64>, &str)> {
        let (range, part) = binary_part(self.record, path)?;
        Some((range, part.map_or("binary", |part| part.encoding.as_str())))
    }

    async fn measure(&self, range: Range<u64>, encoding: &str, partial: Option<Partial>) -> Result<Measured, Failure> {
        let mut decoder = Decoder::new(encoding).ok_or(Refusal::TransferEncoding)?;
        let window = Window::new(cut(0..u64::MAX, partial));
        let (mut measured, mut decoded) = (Measured { octets: 0, has_nul: false, window }, Vec::new());
        for piece in pieces(range) {
            decoder.push(&self.read(piece).await?, &mut decoded);
            measured.add(&decoded);
            decoded.clear();
        }
        decoder.finish(&mut decoded);
        measured.add(&decoded);
        Ok(measured)
    }
}

/// What must be known of decoded octets before they can be announced.
struct Measured {
    /// Of the whole part.
    octets: u64,
    /// Among the octets that are shown.
    has_nul: bool,
    window: Window,
}

impl Measured {
    fn add(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        self.has_nul |= memchr::memchr(0, self.window.wanted(octets)).is_some();
    }
}

/// The octets of a stream that are wanted.
struct Window {
    skip: u64,
    left: u64,
}

impl Window {
    fn new(range: Range<u64>) -> Self {
        Self { skip: range.start, left: range.end - range.start }
    }

    fn octets(&self) -> u64 {
        self.left
    }

    /// Writes what is wanted of octets that may hold NUL.
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.wanted(octets));
    }

    /// Writes what is wanted of octets that go into a string.
    fn push_text(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        push_without_nul(out, self.wanted(octets));
    }

    fn wanted<'a>(&mut self, octets: &'a [u8]) -> &'a [u8] {
        let skipped = self.skip.min(octets.len() as u64);
        self.skip -= skipped;
        let rest = usize::try_from(skipped).ok().and_then(|skipped| octets.get(skipped..)).unwrap_or_default();
        let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
        self.left -= taken as u64;
        rest.get(..taken).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_shows_what_is_wanted() {
        let mut out = Vec::new();
        let mut window = Window::new(3..8);
        for piece in [&b"01"[..], b"2345", b"67", b"89"] {
            window.push(piece, &mut out);
        }
        assert_eq!(out, b"34567");
        assert_eq!(window.octets(), 0);
    }

    #[test]
    fn pieces_cover_a_range() {
        let step = limits::IMAP_WRITE_OCTETS as u64;
        assert_eq!(pieces(5..5).count(), 0);
        assert_eq!(
            pieces(5..2 * step + 6).collect::<Vec<_>>(),
            [5..step + 5, step + 5..2 * step + 5, 2 * step + 5..2 * step + 6]
        );
    }
}
