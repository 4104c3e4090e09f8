//! Frames: a content's octets in pieces of `limits::FRAME_OCTETS`, each compressed and checked on
//! its own, so that a range is read without the rest.
//!
//! Owns: compression, its dictionaries, and the checksum. Promises: a frame that is opened has the
//! octets that were cut, or the answer is `Damaged`; the checksum covers the content's name and the
//! frame's number, so that a frame in another's place is damage too. The same frame goes unchanged
//! from the fresh table into a pack. Never: decompresses octets that failed their checksum.

use super::{
    dictionary,
    manifest::{Kind, Named},
};
use crate::{limits::FRAME_OCTETS, mail::ContentId, store::StoreError};
use bytes::{Buf, BufMut, Bytes};
use parking_lot::Mutex;
use zstd::bulk::{Compressor, Decompressor};

/// Compression level. On mail the third level saves 4 % more and takes twice the time.
pub(super) const LEVEL: i32 = 1;

/// Idle contexts that are kept, of each sort.
const CONTEXTS_MAX: usize = 8;

/// One frame as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) head: FrameHead,
    pub(super) stored: Bytes,
}

/// What must be known of a frame to open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    coding: Coding,
    checksum: u64,
}

/// How a frame's octets are stored. Every frame says it, so that dictionaries may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// As they are.
    Plain,
    /// Compressed against dictionary 1.
    Dictionary1,
}

impl Coding {
    fn octet(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Dictionary1 => 1,
        }
    }

    fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            0 => Some(Self::Plain),
            1 => Some(Self::Dictionary1),
            _ => None,
        }
    }
}

/// A content cut into frames, ready to be written.
#[derive(Clone, Debug)]
pub(in crate::store) struct Content {
    pub(super) name: Named,
    pub(super) frames: Vec<Frame>,
}

impl Content {
    /// Its octets as stored, heads not counted.
    pub(super) fn stored_octets(&self) -> usize {
        self.frames.iter().map(|frame| frame.stored.len()).sum()
    }
}

impl FrameHead {
    /// Octets of the stored form.
    pub(super) const OCTETS: usize = 9;

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.put_u8(self.coding.octet());
        out.put_u64(self.checksum);
    }

    pub(super) fn read(octets: &mut &[u8]) -> Option<Self> {
        let coding = Coding::from_octet(octets.try_get_u8().ok()?)?;
        Some(Self { coding, checksum: octets.try_get_u64().ok()? })
    }
}

impl Frame {
    fn new(id: ContentId, number: usize, coding: Coding, stored: Bytes) -> Self {
        let checksum = checksum(id, number, coding, &stored);
        Self { head: FrameHead { coding, checksum }, stored }
    }

    /// Fails where the frame is not what was cut as number `number` of content `id`.
    pub(super) fn verify(&self, id: ContentId, number: usize) -> Result<(), StoreError> {
        if checksum(id, number, self.head.coding, &self.stored) == self.head.checksum {
            return Ok(());
        }
        Err(StoreError::Damaged(format!("frame {number} of content {id}")))
    }
}

fn checksum(id: ContentId, number: usize, coding: Coding, stored: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&id.0).update(&(number as u64).to_be_bytes()).update(&[coding.octet()]).update(stored);
    short_hash(&hasher)
}

/// The first 64 bits of a hash.
pub(super) fn short_hash(hasher: &blake3::Hasher) -> u64 {
    let mut octets = [0; 8];
    hasher.finalize_xof().fill(&mut octets);
    u64::from_be_bytes(octets)
}

/// How many frames a content has.
pub(super) fn frames_of(octets: u64) -> u64 {
    octets.div_ceil(FRAME_OCTETS as u64)
}

/// A compressor with room for what it makes of a frame.
struct Press {
    compressor: Compressor<'static>,
    room: Vec<u8>,
}

impl Press {
    /// `None` where there is no memory for a context.
    fn new() -> Option<Self> {
        let compressor = Compressor::with_prepared_dictionary(&dictionary::FIRST.encoder).ok()?;
        Some(Self { compressor, room: Vec::with_capacity(zstd::zstd_safe::compress_bound(FRAME_OCTETS)) })
    }

    /// The piece compressed, where that saves a thirty-second part or more.
    fn press(&mut self, piece: &[u8]) -> Option<Bytes> {
        self.room.clear();
        let octets = self.compressor.compress_to_buffer(piece, &mut self.room).ok()?;
        (octets < piece.len() - piece.len() / 32).then(|| Bytes::copy_from_slice(&self.room))
    }
}

/// Cuts and opens frames; keeps contexts of zstd for the next call, since making one costs more than
/// a small message.
#[derive(Default)]
pub(super) struct Frames {
    presses: Mutex<Vec<Press>>,
    decompressors: Mutex<Vec<Decompressor<'static>>>,
}

impl Frames {
    /// Cuts a content. One that does not get smaller, by its first octets or its first frame, is stored as it is.
    pub(super) fn cut(&self, id: ContentId, kind: Kind, octets: &Bytes) -> Content {
        let mut press = if is_compressed(octets) { None } else { self.take_press() };
        let mut frames = Vec::with_capacity(octets.len().div_ceil(FRAME_OCTETS));
        for number in 0..octets.len().div_ceil(FRAME_OCTETS) {
            let start = number * FRAME_OCTETS;
            let piece = octets.slice(start..octets.len().min(start + FRAME_OCTETS));
            match press.as_mut().and_then(|press| press.press(&piece)) {
                Some(stored) => frames.push(Frame::new(id, number, Coding::Dictionary1, stored)),
                None => {
                    frames.push(Frame::new(id, number, Coding::Plain, piece));
                    self.give_back(press.take());
                }
            }
        }
        self.give_back(press);
        Content { name: Named { id, kind, octets: octets.len() as u64 }, frames }
    }

    /// The octets of a frame, `octets` of them, once it is verified.
    pub(super) fn open(&self, content: Named, number: usize, frame: &Frame) -> Result<Bytes, StoreError> {
        frame.verify(content.id, number)?;
        let start = number as u64 * FRAME_OCTETS as u64;
        let expected = content.octets.saturating_sub(start).min(FRAME_OCTETS as u64) as usize;
        let octets = match frame.head.coding {
            Coding::Plain => frame.stored.clone(),
            Coding::Dictionary1 => self.decompress(&frame.stored, expected)?,
        };
        if octets.len() == expected {
            return Ok(octets);
        }
        Err(StoreError::Damaged(format!("length of frame {number} of content {}", content.id)))
    }

    fn decompress(&self, stored: &[u8], expected: usize) -> Result<Bytes, StoreError> {
        let kept = self.decompressors.lock().pop();
        let decompressor = kept.map_or_else(|| Decompressor::with_prepared_dictionary(&dictionary::FIRST.decoder), Ok);
        let mut decompressor = decompressor.map_err(failed)?;
        let octets = decompressor.decompress(stored, expected);
        let mut decompressors = self.decompressors.lock();
        if decompressors.len() < CONTEXTS_MAX {
            decompressors.push(decompressor);
        }
        octets.map(Bytes::from).map_err(|error| StoreError::Damaged(format!("compressed frame: {error}")))
    }

    /// Without one, contents are stored as they are.
    fn take_press(&self) -> Option<Press> {
        let kept = self.presses.lock().pop();
        kept.or_else(Press::new)
    }

    fn give_back(&self, press: Option<Press>) {
        let mut presses = self.presses.lock();
        if presses.len() < CONTEXTS_MAX {
            presses.extend(press);
        }
    }
}

fn failed(error: std::io::Error) -> StoreError {
    StoreError::Failed(format!("zstd: {error}"))
}

/// Whether the first octets are those of a format that is compressed in itself.
fn is_compressed(octets: &[u8]) -> bool {
    const STARTS: [&[u8]; 14] = [
        b"\xff\xd8\xff",
        b"\x89PNG",
        b"GIF8",
        b"PK\x03\x04",
        b"\x1f\x8b",
        b"%PDF",
        b"7z\xbc\xaf\x27\x1c",
        b"Rar!",
        b"BZh",
        b"\xfd7zXZ\x00",
        b"\x28\xb5\x2f\xfd",
        b"ID3",
        b"OggS",
        b"\x1a\x45\xdf\xa3",
    ];
    let second = octets.get(4..).unwrap_or_default();
    let third = octets.get(8..).unwrap_or_default();
    STARTS.iter().any(|start| octets.starts_with(start))
        || second.starts_with(b"ftyp")
        || (octets.starts_with(b"RIFF") && third.starts_with(b"WEBP"))
}
