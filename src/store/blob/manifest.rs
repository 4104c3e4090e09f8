//! Manifests: how a body is put together from its contents.
//!
//! A body is a row of pieces. Raw pieces are cut from one content, the skeleton, in order; a base64
//! piece is a content of its own, kept decoded, with the layout that its text had.

use super::layout::Layout;
use crate::mail::ContentId;
use bytes::{Buf, BufMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::ops::Range;

/// First octet of the stored form.
const VERSION: u8 = 1;

/// How a body is put together again, byte for byte: raw pieces and base64 parts kept decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Manifest {
    skeleton: ContentId,
    pieces: Vec<Piece>,
}

/// The next octets of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// So many octets of the skeleton, from where the raw piece before this one ended.
    Raw(u64),
    /// A content, encoded.
    Base64 { content: ContentId, decoded_octets: u64, layout: Layout },
}

/// A content that a manifest names, with its octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) id: ContentId,
    pub(super) kind: Kind,
    pub(super) octets: u64,
}

/// What a content is to the bodies it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The raw pieces of a body.
    Skeleton,
    /// A base64 part, decoded.
    Part,
}

/// Which octets of a content make which octets of a range.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Octets of the skeleton as they are.
    Raw(Range<u64>),
    /// A range of the text that a content is encoded as.
    Base64 { content: Named, layout: Layout, encoded: Range<u64> },
}

impl Piece {
    fn octets(&self) -> u64 {
        match self {
            Self::Raw(octets) => *octets,
            Self::Base64 { decoded_octets, layout, .. } => layout.encoded_octets(*decoded_octets),
        }
    }
}

impl Manifest {
    pub(super) fn new(skeleton: ContentId, pieces: Vec<Piece>) -> Self {
        Self { skeleton, pieces }
    }

    /// Octets of the whole body.
    pub(in crate::store) fn octets(&self) -> u64 {
        self.pieces.iter().map(Piece::octets).sum()
    }

    /// Every content it names, each once: what a message's references are counted on.
    pub(in crate::store) fn contents(&self) -> Vec<ContentId> {
        let mut ids = self.named().map(|named| named.id).collect::<Vec<_>>();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The skeleton, then each base64 part in order; a part may come twice. Contents without octets are not stored.
    pub(super) fn named(&self) -> impl Iterator<Item = Named> {
        std::iter::once(self.skeleton()).chain(self.parts()).filter(|named| named.octets > 0)
    }

    pub(super) fn skeleton(&self) -> Named {
        let raw = |piece: &Piece| if let Piece::Raw(octets) = piece { *octets } else { 0 };
        Named { id: self.skeleton, kind: Kind::Skeleton, octets: self.pieces.iter().map(raw).sum() }
    }

    /// The base64 parts in order.
    pub(super) fn parts(&self) -> impl Iterator<Item = Named> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Raw(_) => None,
            Piece::Base64 { content, decoded_octets, .. } => {
                Some(Named { id: *content, kind: Kind::Part, octets: *decoded_octets })
            }
        })
    }

    /// What a range of the body is made from, in order. Octets past the end are left out.
    pub(super) fn steps(&self, range: &Range<u64>) -> Vec<Step> {
        let (mut at, mut skeleton_at) = (0, 0);
        let mut steps = Vec::new();
        for piece in &self.pieces {
            let end = at + piece.octets();
            let within = range.start.max(at).saturating_sub(at)..range.end.min(end).saturating_sub(at);
            if !within.is_empty() {
                steps.push(piece.step(within, skeleton_at));
            }
            if let Piece::Raw(octets) = piece {
                skeleton_at += octets;
            }
            at = end;
        }
        steps
    }

    /// Its stored form, for records.
    pub(in crate::store) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.pieces.len() * 32);
        out.put_u8(VERSION);
        out.put_slice(&self.skeleton.0);
        for piece in &self.pieces {
            match piece {
                Piece::Raw(octets) => {
                    out.put_u8(0);
                    out.put_u64(*octets);
                }
                Piece::Base64 { content, decoded_octets, layout } => {
                    out.put_u8(1);
                    out.put_slice(&content.0);
                    out.put_u64(*decoded_octets);
                    layout.write(&mut out);
                }
            }
        }
        out
    }

    /// Reads the stored form; `None` where the octets are no manifest.
    pub(in crate::store) fn decode(mut octets: &[u8]) -> Option<Self> {
        let octets = &mut octets;
        if octets.try_get_u8().ok()? != VERSION {
            return None;
        }
        let skeleton = read_id(octets)?;
        let mut pieces = Vec::new();
        while octets.has_remaining() {
            pieces.push(match octets.try_get_u8().ok()? {
                0 => Piece::Raw(octets.try_get_u64().ok()?),
                1 => Piece::Base64 {
                    content: read_id(octets)?,
                    decoded_octets: octets.try_get_u64().ok()?,
                    layout: Layout::read(octets)?,
                },
                _ => return None,
            });
        }
        Some(Self { skeleton, pieces })
    }
}

impl Piece {
    /// `within` counts from the piece's first octet.
    fn step(&self, within: Range<u64>, skeleton_at: u64) -> Step {
        match self {
            Self::Raw(_) => Step::Raw(skeleton_at + within.start..skeleton_at + within.end),
            Self::Base64 { content, decoded_octets, layout } => Step::Base64 {
                content: Named { id: *content, kind: Kind::Part, octets: *decoded_octets },
                layout: *layout,
                encoded: within,
            },
        }
    }
}

impl Kind {
    pub(super) fn octet(self) -> u8 {
        match self {
            Self::Skeleton => 0,
            Self::Part => 1,
        }
    }

    pub(super) fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            0 => Some(Self::Skeleton),
            1 => Some(Self::Part),
            _ => None,
        }
    }
}

impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encode().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let octets = Vec::<u8>::deserialize(deserializer)?;
        Self::decode(&octets).ok_or_else(|| D::Error::custom("no manifest"))
    }
}

/// Takes a content's name off the front.
pub(super) fn read_id(octets: &mut &[u8]) -> Option<ContentId> {
    let mut id = [0; 32];
    octets.try_copy_to_slice(&mut id).ok()?;
    Some(ContentId(id))
}
