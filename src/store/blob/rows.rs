//! Rows of contents in the metadata engine.
//!
//! Format version 1. Numbers are big-endian; `id` is 32 octets, a pack's name its generation (u32)
//! and number (u64).
//!
//! ```text
//! Fresh     00 id frame:u32              → version kind frame-head octets     a frame not yet packed
//! Fresh     01 account:u64 number:u32    → version mailbox date tag manifest  whose message, not yet packed
//! Location  00 id                        → version kind pack offset stored decoded   where a content is
//! Location  01 id pack                   → the same                           a staged content, not yet settled
//! Location  02 pack                      → version octets contents left:u32   an object; octets of its records; contents it is kept for
//! Location  03 id                        → version time                       since when a content has no reference
//! Location  04 pack                      → version time                       an object without contents; when it goes
//! Location  05 object                    → version time                       an object that no row names; since when it is known
//! System    "blob.packed"                → version messages raw parts part-octets       totals of what packs name
//! System    "blob.open-from"             → generation:u32                     the first generation that is not closed
//! System    "blob.swept"                 → version time                       when the last sweep ended
//! ```
//!
//! A content may be fresh and staged several times and have one settled location; whichever is
//! found first serves. Only whoever has the packer's turn writes `Location 00` and removes rows.

use super::{
    Owner,
    frame::{Content, Frame, FrameHead},
    manifest::{Kind, Manifest, Named, read_id},
    pages::Row,
};
use crate::{
    clock::UnixMillis,
    limits::OWNER_TAG_OCTETS_MAX,
    mail::{AccountId, ContentId, MailboxId, MessageNumber},
    store::{
        StoreError,
        metadata::{Batch, Table},
    },
};
use bytes::{Buf, BufMut, Bytes};
use std::fmt;

const VERSION: u8 = 1;

/// Key of the totals in `Table::System`.
pub(super) const PACKED_KEY: &[u8] = b"blob.packed";

/// Names an object of contents: a pack, a staged object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PackName {
    /// The window of days in which it was written (architecture text, references and sweep).
    pub(super) generation: u32,
    /// Random, so that no two deliveries ever write the same object.
    pub(super) number: u64,
}

/// The folder of objects of contents.
pub(super) const PACKS: &str = "packs";

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PACKS}/{:05}/{:016x}", self.generation, self.number)
    }
}

impl PackName {
    /// Reads an object's name; `None` where it is no pack's.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (generation, number) = name.strip_prefix(PACKS)?.strip_prefix('/')?.split_once('/')?;
        Some(Self { generation: generation.parse().ok()?, number: u64::from_str_radix(number, 16).ok()? })
    }

    /// The object that an object's row is about.
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        Self::read(&mut key.strip_prefix(&[PACK])?)
    }

    /// The object that waits for its removal.
    pub(super) fn of_retired_key(key: &[u8]) -> Option<Self> {
        Self::read(&mut key.strip_prefix(&[RETIRED])?)
    }

    /// The object that a staged content's row names.
    pub(super) fn of_staged_key(key: &[u8]) -> Option<Self> {
        Self::read(&mut key.strip_prefix(&[STAGED])?.get(32..)?)
    }

    fn write(self, out: &mut Vec<u8>) {
        out.put_u32(self.generation);
        out.put_u64(self.number);
    }

    fn read(octets: &mut &[u8]) -> Option<Self> {
        Some(Self { generation: octets.try_get_u32().ok()?, number: octets.try_get_u64().ok()? })
    }
}

/// Where a content is in an object, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) pack: PackName,
    /// First octet of its record in the object.
    pub(super) offset: u64,
    /// Octets of its record.
    pub(super) stored_octets: u64,
    pub(super) content: Named,
}

impl Location {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.content.kind.octet()];
        self.pack.write(&mut out);
        out.put_u64(self.offset);
        out.put_u64(self.stored_octets);
        out.put_u64(self.content.octets);
        out
    }

    pub(super) fn decode(id: ContentId, mut row: &[u8]) -> Result<Self, StoreError> {
        let parsed = (|| {
            let row = &mut row;
            version(row)?;
            let kind = Kind::from_octet(row.try_get_u8().ok()?)?;
            let pack = PackName::read(row)?;
            let (offset, stored_octets) = (row.try_get_u64().ok()?, row.try_get_u64().ok()?);
            let content = Named { id, kind, octets: row.try_get_u64().ok()? };
            Some(Self { pack, offset, stored_octets, content })
        })();
        parsed.ok_or_else(|| damaged("location row", id))
    }

    /// Reads a settled location; `None` where it is damaged.
    pub(super) fn of_row((key, row): &Row) -> Option<Self> {
        Self::decode(id_of_key(key)?, row).ok()
    }

    pub(super) fn settle(&self, batch: &mut Batch) {
        batch.put(Table::Location, settled_key(self.content.id), self.encode());
        // What a sweep noted was about the octets at another place.
        batch.delete(Table::Location, since_key(self.content.id));
    }

    /// Forgets a content that is settled here.
    pub(super) fn forget(&self, batch: &mut Batch) {
        batch.delete(Table::Location, settled_key(self.content.id));
        batch.delete(Table::Location, since_key(self.content.id));
    }

    pub(super) fn stage(&self, batch: &mut Batch) {
        batch.put(Table::Location, staged_key(self.content.id, self.pack), self.encode());
    }

    pub(super) fn unstage(&self, batch: &mut Batch) {
        batch.delete(Table::Location, staged_key(self.content.id, self.pack));
    }
}

/// What is known of an object of contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackRow {
    pub(super) octets: u64,
    /// Octets of its records, without head and footer.
    pub(super) content_octets: u64,
    /// Contents in it that rows name; a staged object goes when none is left.
    pub(super) left: u32,
}

impl PackRow {
    /// The row of an object of `octets` that is kept for all that it holds.
    pub(super) fn new(octets: u64, locations: &[Location]) -> Self {
        let content_octets = locations.iter().map(|location| location.stored_octets).sum();
        Self { octets, content_octets, left: locations.len() as u32 }
    }

    /// Whether less than half of its records' octets are kept.
    pub(super) fn is_mostly_gone(self, kept_octets: u64) -> bool {
        kept_octets.saturating_mul(2) < self.content_octets
    }

    pub(super) fn put(self, name: PackName, batch: &mut Batch) {
        let mut out = vec![VERSION];
        out.put_u64(self.octets);
        out.put_u64(self.content_octets);
        out.put_u32(self.left);
        batch.put(Table::Location, pack_key(name), out);
    }

    pub(super) fn decode(mut row: &[u8]) -> Option<Self> {
        let row = &mut row;
        version(row)?;
        let (octets, content_octets) = (row.try_get_u64().ok()?, row.try_get_u64().ok()?);
        Some(Self { octets, content_octets, left: row.try_get_u32().ok()? })
    }
}

/// A time in a row of its own: since when a content has no reference, when an object goes, since when one is a stray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since(pub(super) UnixMillis);

impl Since {
    pub(super) fn put(self, key: impl AsRef<[u8]>, batch: &mut Batch) {
        batch.put(Table::Location, key, self.encode());
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.put_i64(self.0.0);
        out
    }

    pub(super) fn decode(mut row: &[u8]) -> Option<Self> {
        let row = &mut row;
        version(row)?;
        Some(Self(UnixMillis(row.try_get_i64().ok()?)))
    }
}

/// Totals over the messages that packs name; an expunged one stays counted until its pack is written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) messages: u64,
    pub(super) raw_octets: u64,
    /// Base64 parts of these messages, each as often as it occurs.
    pub(super) parts: u64,
    /// Decoded octets of these.
    pub(super) part_octets: u64,
}

impl Totals {
    pub(super) fn add(&mut self, manifest: &Manifest) {
        self.messages += 1;
        self.raw_octets += manifest.octets();
        for part in manifest.parts() {
            self.parts += 1;
            self.part_octets += part.octets;
        }
    }

    /// Takes a message out.
    pub(super) fn remove(&mut self, manifest: &Manifest) {
        self.messages = self.messages.saturating_sub(1);
        self.raw_octets = self.raw_octets.saturating_sub(manifest.octets());
        for part in manifest.parts() {
            self.parts = self.parts.saturating_sub(1);
            self.part_octets = self.part_octets.saturating_sub(part.octets);
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        self.messages += other.messages;
        self.raw_octets += other.raw_octets;
        self.parts += other.parts;
        self.part_octets += other.part_octets;
    }

    pub(super) fn put(self, batch: &mut Batch) {
        let mut out = vec![VERSION];
        [self.messages, self.raw_octets, self.parts, self.part_octets]
            .into_iter()
            .for_each(|number| out.put_u64(number));
        batch.put(Table::System, PACKED_KEY, out);
    }

    /// Nothing packed yet where there is no row, or where it cannot be read: these are figures, not promises.
    pub(super) fn decode(row: Option<&[u8]>) -> Self {
        let read = |mut row: &[u8]| {
            let row = &mut row;
            version(row)?;
            let mut next = || row.try_get_u64().ok();
            Some(Self { messages: next()?, raw_octets: next()?, parts: next()?, part_octets: next()? })
        };
        row.and_then(read).unwrap_or_default()
    }
}

/// A message as packs keep it: all that a record is made from again, but flags and moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct OwnedBody {
    pub(in crate::store) owner: Owner,
    pub(in crate::store) manifest: Manifest,
}

impl OwnedBody {
    /// The value of its row in `Table::Fresh`; account and number are in the key.
    pub(super) fn encode_row(owner: &Owner, manifest: &[u8]) -> Vec<u8> {
        let tag = if owner.tag.len() > OWNER_TAG_OCTETS_MAX { &[] } else { owner.tag.as_ref() };
        let mut out = Vec::with_capacity(32 + tag.len() + manifest.len());
        out.put_u8(VERSION);
        out.put_u64(owner.mailbox.get());
        out.put_i64(owner.internal_date.0);
        out.put_u32(tag.len() as u32);
        out.put_slice(tag);
        out.put_slice(manifest);
        out
    }

    /// Its row by itself.
    pub(in crate::store) fn encode(&self) -> Vec<u8> {
        Self::encode_row(&self.owner, &self.manifest.encode())
    }

    pub(super) fn decode(mut key: &[u8], row: &[u8]) -> Option<Self> {
        let key = &mut key;
        if key.try_get_u8().ok()? != OWNER {
            return None;
        }
        let account = AccountId::new(key.try_get_u64().ok()?)?;
        Self::decode_owned(account, MessageNumber::new(key.try_get_u32().ok()?)?, row)
    }

    /// Reads the row of a message.
    pub(in crate::store) fn decode_owned(account: AccountId, number: MessageNumber, mut row: &[u8]) -> Option<Self> {
        let row = &mut row;
        version(row)?;
        let mailbox = MailboxId::new(row.try_get_u64().ok()?)?;
        let internal_date = UnixMillis(row.try_get_i64().ok()?);
        let tag_octets = row.try_get_u32().ok()? as usize;
        let (tag, manifest) = row.split_at_checked(tag_octets)?;
        let owner = Owner { account, number, mailbox, internal_date, tag: Bytes::copy_from_slice(tag) };
        Some(Self { owner, manifest: Manifest::decode(manifest)? })
    }
}

/// First octets of the keys.
pub(super) const FRAME: u8 = 0;
pub(super) const OWNER: u8 = 1;
pub(super) const SETTLED: u8 = 0;
pub(super) const STAGED: u8 = 1;
pub(super) const PACK: u8 = 2;
pub(super) const SINCE: u8 = 3;
pub(super) const RETIRED: u8 = 4;
pub(super) const STRAY: u8 = 5;

/// The key of a fresh frame.
pub(super) fn frame_key(id: ContentId, number: u32) -> Vec<u8> {
    let mut key = id_key(FRAME, id);
    key.put_u32(number);
    key
}

/// The key of an owner's row.
pub(super) fn owner_key(account: AccountId, number: MessageNumber) -> Vec<u8> {
    let mut key = vec![OWNER];
    key.put_u64(account.get());
    key.put_u32(number.get());
    key
}

/// The key of a content's settled location.
pub(super) fn settled_key(id: ContentId) -> Vec<u8> {
    id_key(SETTLED, id)
}

/// The key of the row that says since when a content has no reference.
pub(super) fn since_key(id: ContentId) -> Vec<u8> {
    id_key(SINCE, id)
}

/// The key of an object that waits for its removal.
pub(super) fn retired_key(name: PackName) -> Vec<u8> {
    let mut key = vec![RETIRED];
    name.write(&mut key);
    key
}

/// The key of an object that no row names.
pub(super) fn stray_key(object: &str) -> Vec<u8> {
    [&[STRAY], object.as_bytes()].concat()
}

/// The key of a content's location in a staged object.
pub(super) fn staged_key(id: ContentId, pack: PackName) -> Vec<u8> {
    let mut key = id_key(STAGED, id);
    pack.write(&mut key);
    key
}

/// The key of an object's row.
pub(super) fn pack_key(name: PackName) -> Vec<u8> {
    let mut key = vec![PACK];
    name.write(&mut key);
    key
}

/// The content that a frame's, a settled or a staged key is about.
pub(super) fn id_of_key(key: &[u8]) -> Option<ContentId> {
    read_id(&mut key.get(1..)?)
}

/// The key that all of a content's keys of one sort begin with.
pub(super) fn id_key(sort: u8, id: ContentId) -> Vec<u8> {
    let mut key = Vec::with_capacity(48);
    key.push(sort);
    key.extend_from_slice(&id.0);
    key
}

/// Adds a content's frames to a batch.
pub(super) fn put_fresh(content: &Content, batch: &mut Batch) {
    for (number, frame) in (0..).zip(&content.frames) {
        let mut value = Vec::with_capacity(2 + FrameHead::OCTETS + frame.stored.len());
        value.put_u8(VERSION);
        value.put_u8(content.name.kind.octet());
        frame.head.write(&mut value);
        value.put_slice(&frame.stored);
        batch.put(Table::Fresh, frame_key(content.name.id, number), value);
    }
}

/// Reads a fresh frame's row.
pub(super) fn read_fresh(id: ContentId, row: &Bytes) -> Result<(Kind, Frame), StoreError> {
    let parsed = (|| {
        let mut rest = row.as_ref();
        version(&mut rest)?;
        let kind = Kind::from_octet(rest.try_get_u8().ok()?)?;
        let head = FrameHead::read(&mut rest)?;
        Some((kind, Frame { head, stored: row.slice_ref(rest) }))
    })();
    parsed.ok_or_else(|| damaged("fresh row", id))
}

fn version(row: &mut &[u8]) -> Option<()> {
    (row.try_get_u8().ok()? == VERSION).then_some(())
}

fn damaged(what: &str, id: ContentId) -> StoreError {
    StoreError::Damaged(format!("{what} of content {id}"))
}
