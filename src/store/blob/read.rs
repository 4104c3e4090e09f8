//! Reading of contents and of ranges of bodies.
//!
//! Promises: no octet is given out whose frame failed its checksum, and where a whole content is
//! read its name is checked as well (P12). A read that races the packer looks again: contents only
//! move from fresh or staged to settled, in one batch, so one of the looks finds them.
//! Input first, then CPU: frames are gathered as they are stored, and opened and encoded afterwards,
//! off the reactor where there are many.

use super::{
    Shared,
    frame::Frame,
    layout::usize_range,
    manifest::{Manifest, Named, Step},
    pack::{RecordHead, frames_holding, head_octets},
    rows::{Location, STAGED, frame_key, id_key, read_fresh, settled_key},
};
use crate::{
    limits::{CONTENT_LOOKUPS_MAX, FRAME_OCTETS},
    mail::ContentId,
    store::{
        StoreError,
        metadata::{Table, after_prefix},
        off_the_reactor,
    },
};
use bytes::Bytes;
use std::{
    ops::{Bound, Range},
    sync::Arc,
};

/// Records up to this many octets are read at once rather than head first.
const WHOLE_RECORD_OCTETS: u64 = 128 * 1024;

/// Octets of a range from which it is opened off the reactor: about 200 µs of work.
const LARGE_RANGE_OCTETS: u64 = 64 * 1024;

/// Frames of a content as they are stored, enough for a range of it.
pub(super) struct Gathered {
    content: Named,
    range: Range<u64>,
    first: usize,
    frames: Vec<Frame>,
}

/// Where a content is at the moment of a look.
enum Found {
    Fresh(Vec<Frame>),
    Stored(Location),
    Nowhere,
}

impl Shared {
    /// Reads a range of a body.
    pub(super) async fn read_body(
        self: &Arc<Self>,
        manifest: &Manifest,
        range: Range<u64>,
    ) -> Result<Bytes, StoreError> {
        let steps = manifest.steps(&range);
        let mut gathered = Vec::with_capacity(steps.len());
        if let Some(skeleton) = raw_range(&steps) {
            gathered.push(self.gather(manifest.skeleton(), skeleton).await?);
        }
        for step in &steps {
            if let Step::Base64 { content, layout, encoded } = step {
                gathered.push(self.gather(*content, layout.decoded_range(encoded, content.octets)).await?);
            }
        }
        if range.end.saturating_sub(range.start) < LARGE_RANGE_OCTETS {
            return self.assemble(&steps, gathered);
        }
        let shared = Arc::clone(self);
        blocking(move || shared.assemble(&steps, gathered)).await
    }

    /// Reads a whole content.
    pub(super) async fn read_content(self: &Arc<Self>, content: Named) -> Result<Bytes, StoreError> {
        let gathered = self.gather(content, 0..content.octets).await?;
        let shared = Arc::clone(self);
        blocking(move || shared.open(gathered)).await
    }

    /// Opens the frames of a whole content and counts its octets.
    pub(super) async fn open_off_reactor(
        self: &Arc<Self>,
        content: Named,
        frames: Vec<Frame>,
    ) -> Result<u64, StoreError> {
        let shared = Arc::clone(self);
        let gathered = Gathered { content, range: 0..content.octets, first: 0, frames };
        blocking(move || shared.open(gathered).map(|octets| octets.len() as u64)).await
    }

    /// Puts the steps' octets together. `gathered` has the skeleton's first, where a step needs it.
    fn assemble(&self, steps: &[Step], gathered: Vec<Gathered>) -> Result<Bytes, StoreError> {
        let mut opened = gathered.into_iter().map(|gathered| self.open(gathered));
        let base = raw_range(steps).map_or(0, |skeleton| skeleton.start);
        let skeleton =
            if raw_range(steps).is_some() { opened.next().transpose()?.unwrap_or_default() } else { Bytes::new() };
        let raw = |range: &Range<u64>| {
            let range = range.start - base..range.end - base;
            usize_range(&range).filter(|range| range.end <= skeleton.len()).map(|range| skeleton.slice(range))
        };
        if let [Step::Raw(range)] = steps {
            return raw(range).ok_or_else(|| short(range));
        }
        let mut out = Vec::new();
        for step in steps {
            match step {
                Step::Raw(range) => out.extend_from_slice(&raw(range).ok_or_else(|| short(range))?),
                Step::Base64 { layout, encoded, .. } => {
                    let decoded = opened.next().transpose()?.unwrap_or_default();
                    layout.encode(encoded, &decoded, &mut out);
                }
            }
        }
        Ok(out.into())
    }

    /// Verifies the frames and gives the range's octets.
    pub(super) fn open(&self, gathered: Gathered) -> Result<Bytes, StoreError> {
        let Gathered { content, range, first, frames } = gathered;
        let open = |(number, frame): (usize, &Frame)| self.frames.open(content, number, frame);
        let whole = match frames.as_slice() {
            [only] => open((first, only))?,
            _ => {
                let mut whole = Vec::with_capacity(frames.len() * FRAME_OCTETS);
                for frame in (first..).zip(&frames) {
                    whole.extend_from_slice(&open(frame)?);
                }
                whole.into()
            }
        };
        if range == (0..content.octets) && self.namer.name(&whole) != content.id {
            return Err(StoreError::Damaged(format!("content {} has other octets than its name says", content.id)));
        }
        let start = first as u64 * FRAME_OCTETS as u64;
        let within = range.start - start..range.end - start;
        usize_range(&within)
            .filter(|within| within.end <= whole.len())
            .map(|within| whole.slice(within))
            .ok_or_else(|| short(&range))
    }

    /// Finds the frames that hold a range of a content.
    pub(super) async fn gather(self: &Arc<Self>, content: Named, range: Range<u64>) -> Result<Gathered, StoreError> {
        let numbers = frames_holding(&range);
        let first = numbers.start;
        if range.is_empty() {
            return Ok(Gathered { content, range: 0..0, first: 0, frames: Vec::new() });
        }
        for _ in 0..CONTENT_LOOKUPS_MAX {
            let (shared, wanted) = (Arc::clone(self), numbers.clone());
            let frames = match blocking(move || shared.find(content.id, &wanted)).await? {
                Found::Fresh(frames) => Some(frames),
                Found::Stored(location) if location.content.octets == content.octets => {
                    self.stored(&location, &numbers).await?
                }
                Found::Stored(_) => return Err(StoreError::Damaged(format!("location of content {}", content.id))),
                Found::Nowhere => None,
            };
            if let Some(frames) = frames {
                return Ok(Gathered { content, range, first, frames });
            }
        }
        Err(StoreError::Damaged(format!("content {} is missing", content.id)))
    }

    /// One look at where a content is. Settled comes first: most reads are of old mail.
    fn find(&self, id: ContentId, numbers: &Range<usize>) -> Result<Found, StoreError> {
        if let Some(row) = self.engine.get(Table::Location, settled_key(id))? {
            return Ok(Found::Stored(Location::decode(id, &row)?));
        }
        let frames = self.fresh_frames(id, numbers)?;
        if frames.len() == numbers.len() {
            return Ok(Found::Fresh(frames));
        }
        Ok(self.staged(id)?.into_iter().next().map_or(Found::Nowhere, Found::Stored))
    }

    /// Fresh frames `numbers` of a content, or fewer, from one view of the table.
    pub(super) fn fresh_frames(&self, id: ContentId, numbers: &Range<usize>) -> Result<Vec<Frame>, StoreError> {
        let key = |number: usize| frame_key(id, u32::try_from(number).unwrap_or(u32::MAX));
        self.collect(Table::Fresh, &key(numbers.start), Some(&key(numbers.end)), |row| {
            read_fresh(id, &Bytes::copy_from_slice(row)).map(|(_, frame)| frame)
        })
    }

    /// Every staged location of a content.
    pub(super) fn staged(&self, id: ContentId) -> Result<Vec<Location>, StoreError> {
        let prefix = id_key(STAGED, id);
        self.collect(Table::Location, &prefix, after_prefix(prefix.clone()).as_deref(), |row| Location::decode(id, row))
    }

    /// Reads the rows from `start` up to, not including, `end`.
    fn collect<T>(
        &self,
        table: Table,
        start: &[u8],
        end: Option<&[u8]>,
        read: impl Fn(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let (mut rows, mut fault) = (Vec::new(), None);
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        self.engine.scan(table, (Bound::Included(start), end), |_, row| {
            match read(row) {
                Ok(row) => rows.push(row),
                Err(error) => fault = Some(error),
            }
            fault.is_none()
        })?;
        fault.map_or(Ok(rows), Err)
    }

    /// Frames of a stored content; `None` where its object is gone, which means that it moved.
    pub(super) async fn stored(
        &self,
        location: &Location,
        numbers: &Range<usize>,
    ) -> Result<Option<Vec<Frame>>, StoreError> {
        let name = location.pack.to_string();
        let whole = location.stored_octets <= WHOLE_RECORD_OCTETS;
        let first = if whole { location.stored_octets } else { head_octets(location.content) };
        let Some(record) = self.objects.get_range(&name, location.offset..location.offset + first).await? else {
            return Ok(None);
        };
        let head = RecordHead::read(location, &record)?;
        let damaged = || StoreError::Damaged(format!("record of content {} in {name}", location.content.id));
        if whole {
            return head.frames(numbers, &record, 0).ok_or_else(damaged).map(Some);
        }
        let wanted = head.octets_of(numbers).ok_or_else(damaged)?;
        let start = wanted.start;
        let wanted = location.offset + wanted.start..location.offset + wanted.end;
        let Some(octets) = self.objects.get_range(&name, wanted).await? else { return Ok(None) };
        head.frames(numbers, &octets, start).ok_or_else(damaged).map(Some)
    }
}

/// The stretch of the skeleton that the raw steps cover; base64 pieces between them hold none of it.
fn raw_range(steps: &[Step]) -> Option<Range<u64>> {
    let mut raw = steps.iter().filter_map(|step| if let Step::Raw(range) = step { Some(range) } else { None });
    let first = raw.next()?;
    Some(first.start..raw.next_back().unwrap_or(first).end)
}

fn short(range: &Range<u64>) -> StoreError {
    StoreError::Damaged(format!("octets {}..{} of a content are missing", range.start, range.end))
}

/// Runs work that blocks or computes off the reactor.
pub(super) async fn blocking<T: Send + 'static>(
    task: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    off_the_reactor(task).await?
}
