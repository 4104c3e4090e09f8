//! Splitting of a body into contents: on the path of every delivery, CPU only.

use super::{
    Namer,
    frame::{Content, Frames},
    layout::{Layout, find_run, usize_range},
    manifest::{Kind, Manifest, Piece},
    pack::{Pack, PackBuilder},
    rows::PackName,
};
use crate::{
    limits::{
        DECODED_PART_OCTETS_MIN, DECODED_PARTS_MAX, FRESH_OCTETS_MAX, SOLE_CONTENT_OCTETS_MIN, STAGED_PART_OCTETS_MIN,
    },
    mail::ContentId,
    message::{Body, Part},
};
use bytes::Bytes;
use std::{collections::HashSet, ops::Range};

/// The contents of one body, ready to be written.
pub(in crate::store) struct Split {
    pub(in crate::store) manifest: Manifest,
    /// Hash of the whole body as received.
    pub(in crate::store) raw_id: ContentId,
    /// Contents that travel in the batch.
    pub(super) fresh: Vec<Content>,
    /// Objects that are put before the batch.
    pub(super) staged: Vec<Pack>,
}

/// A base64 part and where its text is in the body.
struct Decoded {
    place: Range<usize>,
    layout: Layout,
    octets: Bytes,
}

/// What splitting takes from its owner.
pub(super) struct Splitter<'a> {
    pub(super) namer: &'a Namer,
    pub(super) frames: &'a Frames,
    /// Names an object that is written now.
    pub(super) new_name: &'a dyn Fn() -> PackName,
}

impl Splitter<'_> {
    pub(super) fn split(&self, raw: &Bytes, root: &Part) -> Split {
        let raw_id = self.namer.name(raw);
        let decoded = decoded_parts(raw, root);
        let skeleton = skeleton(raw, &decoded);
        // Most mail has no such part; then the body is its own skeleton and is hashed once.
        let skeleton_id = if decoded.is_empty() { raw_id } else { self.namer.name(&skeleton) };
        let mut contents = vec![(skeleton_id, Kind::Skeleton, skeleton)];
        let mut pieces = Vec::with_capacity(decoded.len() * 2 + 1);
        let mut at = 0;
        for part in decoded {
            let content = self.namer.name(&part.octets);
            pieces.extend(raw_piece(at..part.place.start));
            pieces.push(Piece::Base64 { content, decoded_octets: part.octets.len() as u64, layout: part.layout });
            at = part.place.end;
            contents.push((content, Kind::Part, part.octets));
        }
        pieces.extend(raw_piece(at..raw.len()));
        let (fresh, staged) = self.place(contents);
        Split { manifest: Manifest::new(skeleton_id, pieces), raw_id, fresh, staged }
    }

    /// Decides which contents travel in the batch and which are staged, each content once.
    fn place(&self, contents: Vec<(ContentId, Kind, Bytes)>) -> (Vec<Content>, Vec<Pack>) {
        let (mut fresh, mut staged, mut shared) = (Vec::new(), Vec::new(), None);
        let (mut seen, mut fresh_octets) = (HashSet::new(), 0);
        for (id, kind, octets) in contents {
            if octets.is_empty() || !seen.insert(id) {
                continue;
            }
            let content = self.frames.cut(id, kind, &octets);
            if content.name.octets > SOLE_CONTENT_OCTETS_MIN {
                let mut sole = self.new_pack();
                sole.add(&content);
                staged.push(sole.finish());
            } else if octets.len() > STAGED_PART_OCTETS_MIN || fresh_octets + content.stored_octets() > FRESH_OCTETS_MAX
            {
                shared.get_or_insert_with(|| self.new_pack()).add(&content);
            } else {
                fresh_octets += content.stored_octets();
                fresh.push(content);
            }
        }
        if let Some(shared) = shared {
            staged.push(shared.finish());
        }
        (fresh, staged)
    }

    fn new_pack(&self) -> PackBuilder {
        PackBuilder::new((self.new_name)())
    }
}

fn raw_piece(range: Range<usize>) -> Option<Piece> {
    (!range.is_empty()).then_some(Piece::Raw(range.len() as u64))
}

/// The base64 parts that are worth it and come back as they were, in order.
fn decoded_parts(raw: &Bytes, root: &Part) -> Vec<Decoded> {
    let mut places = Vec::new();
    base64_bodies(root, &mut places);
    let mut decoded = Vec::new();
    let mut at = 0;
    for place in places {
        // Offsets are the reader's of a hostile message: they are not trusted to be in order.
        let Some(body) = usize_range(&place).filter(|place| place.start >= at).and_then(|place| raw.get(place)) else {
            continue;
        };
        let start = place.start as usize;
        let Some(run) = find_run(body).filter(|run| run.decoded.len() >= DECODED_PART_OCTETS_MIN) else { continue };
        let place = start + run.place.start..start + run.place.end;
        at = place.end;
        decoded.push(Decoded { place, layout: run.layout, octets: run.decoded.into() });
        if decoded.len() == DECODED_PARTS_MAX {
            break;
        }
    }
    decoded
}

/// The bodies of the leaves whose encoding is base64, large enough to be looked at.
fn base64_bodies(part: &Part, places: &mut Vec<Range<u64>>) {
    match &part.content {
        Body::Leaf => {
            let place = part.body.start..part.body.end;
            if part.encoding == "base64" && place.end.saturating_sub(place.start) >= DECODED_PART_OCTETS_MIN as u64 {
                places.push(place);
            }
        }
        Body::Multipart(parts) => parts.iter().for_each(|part| base64_bodies(part, places)),
        Body::Message(_, message) => base64_bodies(message, places),
    }
}

/// The body without its decoded parts; shares the octets where there are none.
fn skeleton(raw: &Bytes, decoded: &[Decoded]) -> Bytes {
    if decoded.is_empty() {
        return raw.clone();
    }
    let taken = decoded.iter().map(|part| part.place.len()).sum::<usize>();
    let mut skeleton = Vec::with_capacity(raw.len().saturating_sub(taken));
    let mut at = 0;
    for part in decoded {
        skeleton.extend_from_slice(raw.get(at..part.place.start).unwrap_or_default());
        at = part.place.end;
    }
    skeleton.extend_from_slice(raw.get(at..).unwrap_or_default());
    skeleton.into()
}
