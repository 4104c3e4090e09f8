//! Packs: objects that hold contents and say what they hold.
//!
//! ```text
//! "POSTPACK" version:u32 generation:u32        16 octets
//! record*                                      id kind decoded:u64 frames:u32
//!                                              { frame-head stored:u32 }* check:u64, then the frames' octets
//! footer (zstd where that is smaller)          records:u32 { id kind offset stored decoded }*
//!                                              bodies:u32  { key:u16+ row:u32+ }*
//! footer-stored:u64 footer-octets:u64 check:u64 "POSTFOOT"   32 octets
//! ```
//!
//! Owns: that format. A staged object is the same with fewer records and no bodies. Promises: what
//! a footer names can be read with the pack alone; anything that fails its check is `Damaged`.

use super::{
    frame::{Content, Frame, FrameHead, frames_of, short_hash},
    manifest::{Kind, Named, read_id},
    rows::{Location, OwnedBody, PackName, owner_key},
};
use crate::{limits::FRAME_OCTETS, store::StoreError};
use bytes::{Buf, BufMut, Bytes};
use std::ops::Range;

const MAGIC: &[u8; 8] = b"POSTPACK";
const END_MAGIC: &[u8; 8] = b"POSTFOOT";
const VERSION: u32 = 1;
const FOOTER_LEVEL: i32 = 3;

/// Octets of a footer that are taken in at most; the packer's bounds keep it far below.
const FOOTER_OCTETS_MAX: u64 = 1 << 30;

/// Octets at the end that say where the footer is.
pub(super) const END_OCTETS: u64 = 32;

/// Octets of a record's head, without its frames'.
const HEAD_OCTETS: u64 = 32 + 1 + 8 + 4 + 8;

/// Octets of one frame in a record's head.
const FRAME_ENTRY_OCTETS: u64 = FrameHead::OCTETS as u64 + 4;

/// Octets of the head of a content's record.
pub(super) fn head_octets(content: Named) -> u64 {
    HEAD_OCTETS + frames_of(content.octets) * FRAME_ENTRY_OCTETS
}

/// A pack under construction. Octets of contents are shared, not copied.
pub(super) struct PackBuilder {
    name: PackName,
    octets: u64,
    payload: Vec<Bytes>,
    locations: Vec<Location>,
    bodies: Vec<u8>,
    body_count: u32,
}

/// A pack ready to be put.
pub(super) struct Pack {
    pub(super) name: PackName,
    pub(super) octets: u64,
    pub(super) payload: Vec<Bytes>,
    pub(super) locations: Vec<Location>,
}

impl PackBuilder {
    pub(super) fn new(name: PackName) -> Self {
        let mut head = MAGIC.to_vec();
        head.put_u32(VERSION);
        head.put_u32(name.generation);
        let octets = head.len() as u64;
        Self { name, octets, payload: vec![head.into()], locations: Vec::new(), bodies: Vec::new(), body_count: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.locations.is_empty() && self.body_count == 0
    }

    /// Octets so far, footer not yet compressed.
    pub(super) fn octets(&self) -> u64 {
        self.octets + self.bodies.len() as u64
    }

    /// Adds a content and says where it will be.
    pub(super) fn add(&mut self, content: &Content) -> Location {
        let head = record_head(content);
        let stored_octets = head.len() as u64 + content.stored_octets() as u64;
        let location = Location { pack: self.name, offset: self.octets, stored_octets, content: content.name };
        self.payload.push(head.into());
        self.payload.extend(content.frames.iter().map(|frame| frame.stored.clone()));
        self.octets += stored_octets;
        self.locations.push(location);
        location
    }

    /// Adds whose message a body is.
    pub(super) fn add_body(&mut self, body: &OwnedBody) {
        let row = OwnedBody::encode_row(&body.owner, &body.manifest.encode());
        let key = owner_key(body.owner.account, body.owner.number);
        self.bodies.put_u16(key.len() as u16);
        self.bodies.put_slice(&key);
        self.bodies.put_u32(row.len() as u32);
        self.bodies.put_slice(&row);
        self.body_count += 1;
    }

    /// Writes the footer.
    pub(super) fn finish(mut self) -> Pack {
        let footer = self.footer();
        let octets = footer.len() as u64;
        let compressed = zstd::bulk::compress(&footer, FOOTER_LEVEL).ok();
        let stored = compressed.filter(|compressed| compressed.len() < footer.len()).unwrap_or(footer);
        let mut end = Vec::with_capacity(END_OCTETS as usize);
        end.put_u64(stored.len() as u64);
        end.put_u64(octets);
        end.put_u64(check(&stored));
        end.put_slice(END_MAGIC);
        let octets = self.octets + stored.len() as u64 + END_OCTETS;
        self.payload.extend([Bytes::from(stored), Bytes::from(end)]);
        Pack { name: self.name, octets, payload: self.payload, locations: self.locations }
    }

    fn footer(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.locations.len() * 57 + self.bodies.len());
        out.put_u32(self.locations.len() as u32);
        for location in &self.locations {
            out.put_slice(&location.content.id.0);
            out.put_u8(location.content.kind.octet());
            out.put_u64(location.offset);
            out.put_u64(location.stored_octets);
            out.put_u64(location.content.octets);
        }
        out.put_u32(self.body_count);
        out.put_slice(&self.bodies);
        out
    }
}

fn record_head(content: &Content) -> Vec<u8> {
    let mut head = Vec::with_capacity(head_octets(content.name) as usize);
    head.put_slice(&content.name.id.0);
    head.put_u8(content.name.kind.octet());
    head.put_u64(content.name.octets);
    head.put_u32(content.frames.len() as u32);
    for frame in &content.frames {
        frame.head.write(&mut head);
        head.put_u32(frame.stored.len() as u32);
    }
    let check = check(&head);
    head.put_u64(check);
    head
}

/// A record's head: its content's frames and where they are.
#[derive(Debug)]
pub(super) struct RecordHead {
    content: Named,
    frames: Vec<(FrameHead, Range<u64>)>,
}

impl RecordHead {
    /// Reads the head of the record that `location` names, from the record's first octets.
    pub(super) fn read(location: &Location, record: &[u8]) -> Result<Self, StoreError> {
        let damaged = || damaged("record head", location);
        let octets = head_octets(location.content) as usize;
        let (head, sum) = record.get(..octets).and_then(|head| head.split_last_chunk()).ok_or_else(damaged)?;
        if u64::from_be_bytes(*sum) != check(head) {
            return Err(damaged());
        }
        Self::parse(head, octets as u64).filter(|head| head.content == location.content).ok_or_else(damaged)
    }

    fn parse(mut head: &[u8], mut at: u64) -> Option<Self> {
        let head = &mut head;
        let id = read_id(head)?;
        let kind = Kind::from_octet(head.try_get_u8().ok()?)?;
        let content = Named { id, kind, octets: head.try_get_u64().ok()? };
        let count = head.try_get_u32().ok()?;
        let mut frames = Vec::new();
        for _ in 0..count {
            let frame = FrameHead::read(head)?;
            let end = at + u64::from(head.try_get_u32().ok()?);
            frames.push((frame, at..end));
            at = end;
        }
        (u64::from(count) == frames_of(content.octets)).then_some(Self { content, frames })
    }

    /// The octets of the record that hold frames `numbers`.
    pub(super) fn octets_of(&self, numbers: &Range<usize>) -> Option<Range<u64>> {
        let frames = self.frames.get(numbers.clone())?;
        Some(frames.first()?.1.start..frames.last()?.1.end)
    }

    /// Frames `numbers`, from `octets`, which begin at `start` in the record.
    pub(super) fn frames(&self, numbers: &Range<usize>, octets: &Bytes, start: u64) -> Option<Vec<Frame>> {
        let frames = self.frames.get(numbers.clone())?;
        let cut = |(head, place): &(FrameHead, Range<u64>)| {
            let from = usize::try_from(place.start.checked_sub(start)?).ok()?;
            let to = usize::try_from(place.end.checked_sub(start)?).ok()?;
            (to <= octets.len()).then(|| Frame { head: *head, stored: octets.slice(from..to) })
        };
        frames.iter().map(cut).collect()
    }
}

/// Which frames hold a range of a content's octets.
pub(super) fn frames_holding(range: &Range<u64>) -> Range<usize> {
    let frame = FRAME_OCTETS as u64;
    (range.start / frame) as usize..range.end.div_ceil(frame) as usize
}

/// Where a pack's footer is and how to check it: its last octets.
pub(super) struct End {
    stored: u64,
    octets: u64,
    check: u64,
}

impl End {
    /// Reads the last `END_OCTETS` of a pack.
    pub(super) fn read(mut end: &[u8]) -> Option<Self> {
        let end = &mut end;
        let (stored, octets, check) = (end.try_get_u64().ok()?, end.try_get_u64().ok()?, end.try_get_u64().ok()?);
        (*end == END_MAGIC.as_slice() && octets <= FOOTER_OCTETS_MAX).then_some(Self { stored, octets, check })
    }

    /// Where the footer is in a pack of `pack_octets`.
    pub(super) fn footer(&self, pack_octets: u64) -> Option<Range<u64>> {
        let end = pack_octets.checked_sub(END_OCTETS)?;
        Some(end.checked_sub(self.stored)?..end)
    }
}

/// What a pack says that it holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) locations: Vec<Location>,
    pub(super) bodies: Vec<OwnedBody>,
}

impl Footer {
    /// Reads a footer from its stored octets.
    pub(super) fn read(name: PackName, end: &End, stored: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged(format!("index of {name}"));
        if check(stored) != end.check {
            return Err(damaged());
        }
        if end.stored == end.octets {
            return Self::parse(name, stored).ok_or_else(damaged);
        }
        let footer = zstd::bulk::decompress(stored, end.octets as usize).map_err(|_| damaged())?;
        Self::parse(name, &footer).ok_or_else(damaged)
    }

    fn parse(name: PackName, mut footer: &[u8]) -> Option<Self> {
        let footer = &mut footer;
        let count = footer.try_get_u32().ok()?;
        let locations = (0..count).map(|_| read_location(name, footer)).collect::<Option<_>>()?;
        let count = footer.try_get_u32().ok()?;
        let bodies = (0..count).map(|_| read_body(footer)).collect::<Option<_>>()?;
        footer.is_empty().then_some(Self { locations, bodies })
    }
}

fn read_location(pack: PackName, footer: &mut &[u8]) -> Option<Location> {
    let id = read_id(footer)?;
    let kind = Kind::from_octet(footer.try_get_u8().ok()?)?;
    let (offset, stored_octets) = (footer.try_get_u64().ok()?, footer.try_get_u64().ok()?);
    let content = Named { id, kind, octets: footer.try_get_u64().ok()? };
    Some(Location { pack, offset, stored_octets, content })
}

fn read_body(footer: &mut &[u8]) -> Option<OwnedBody> {
    let key_octets = usize::from(footer.try_get_u16().ok()?);
    let (key, rest) = footer.split_at_checked(key_octets)?;
    *footer = rest;
    let row_octets = footer.try_get_u32().ok()? as usize;
    let (row, rest) = footer.split_at_checked(row_octets)?;
    *footer = rest;
    OwnedBody::decode(key, row)
}

fn check(octets: &[u8]) -> u64 {
    short_hash(blake3::Hasher::new().update(octets))
}

fn damaged(what: &str, location: &Location) -> StoreError {
    StoreError::Damaged(format!("{what} of content {} in {}", location.content.id, location.pack))
}
