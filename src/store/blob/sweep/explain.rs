//! One content explained: where it is, who names it, when it would go.

use super::{
    super::{
        Shared,
        pages::Pages,
        read::blocking,
        rows::{
            FRAME, Location, OwnedBody, PackName, PackRow, Since, frame_key, id_key, pack_key, settled_key, since_key,
        },
    },
    Outside,
};
use crate::{
    clock::UnixMillis,
    mail::{AccountId, ContentId},
    store::{StoreError, metadata::Table},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is known of one content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentExplained {
    /// The content.
    pub content: ContentId,
    /// Its octets, decoded; `None` where it is nowhere.
    pub octets: Option<u64>,
    /// Where it is. Several places are usual until the packer has looked at it.
    pub places: Vec<ContentPlace>,
    /// Accounts that name it, with how many of their messages do.
    pub references: Vec<(AccountId, u64)>,
    /// Whether a delivery under way, or one not yet packed, names it.
    pub is_under_way: bool,
    /// When it would go.
    pub fate: ContentFate,
}

/// One place of a content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "place", rename_all = "kebab-case")]
pub enum ContentPlace {
    /// In the write-ahead store, in frames of its delivery.
    Fresh {
        /// How many frames.
        frames: u64,
    },
    /// In an object that a delivery has written, not yet looked at by the packer.
    Staged(ObjectPlace),
    /// At its settled place, in a pack or an object of its own.
    Settled(ObjectPlace),
}

/// A place in an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPlace {
    /// The object's name.
    pub object: String,
    /// The object's generation.
    pub generation: u32,
    /// Octets of the object.
    pub object_octets: u64,
    /// First octet of its record.
    pub offset: u64,
    /// Octets of its record.
    pub stored_octets: u64,
}

/// When a content would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentFate {
    /// It is not in this store.
    Unknown,
    /// It stays: a message names it.
    Named,
    /// Its generation is still open: the sweep looks at it from this time on.
    Open(UnixMillis),
    /// No message names it; the next sweep notes that.
    Unnoted,
    /// No message names it; its grace time ends then.
    Waiting(UnixMillis),
    /// Nothing keeps it but its pack, which is written again once less than half of it is kept.
    Expired,
}

impl Shared {
    /// Explains one content. One look at each account, and at each message that is not packed.
    pub(in super::super) async fn explain(
        self: &Arc<Self>,
        id: ContentId,
        outside: Arc<dyn Outside>,
    ) -> Result<ContentExplained, StoreError> {
        let owned = self.is_owned(id).await?;
        let shared = Arc::clone(self);
        blocking(move || {
            let is_under_way = owned || outside.contents()?.contains(&id);
            let (octets, places) = shared.content_places(id)?;
            let references = shared.references_of(id)?;
            let fate = match places.last() {
                None => ContentFate::Unknown,
                Some(_) if is_under_way || !references.is_empty() => ContentFate::Named,
                Some(ContentPlace::Settled(place)) => shared.fate(id, place.generation)?,
                // Its message went before the packer came; it is packed all the same, and swept later.
                Some(_) => {
                    ContentFate::Open(shared.generations.closes_at(shared.generations.current(shared.clock.now())))
                }
            };
            Ok(ContentExplained { content: id, octets, places, references, is_under_way, fate })
        })
        .await
    }

    async fn is_owned(self: &Arc<Self>, id: ContentId) -> Result<bool, StoreError> {
        let mut pages = Pages::owners();
        while let Some(rows) = self.page(&mut pages).await? {
            let mut bodies = rows.iter().filter_map(|(key, row)| OwnedBody::decode(key, row));
            if bodies.any(|body| body.manifest.contents().contains(&id)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn references_of(&self, id: ContentId) -> Result<Vec<(AccountId, u64)>, StoreError> {
        let mut references = Vec::new();
        for place in self.accounts_with_references()? {
            if let Some(count) = self.engine.get(Table::Reference, place.reference(id))? {
                references.push((place.account, count.first_chunk().map_or(1, |count| u64::from_be_bytes(*count))));
            }
        }
        Ok(references)
    }

    /// Every place, the settled one last, and the content's octets.
    fn content_places(&self, id: ContentId) -> Result<(Option<u64>, Vec<ContentPlace>), StoreError> {
        let (mut places, mut octets) = (Vec::new(), None);
        let mut frames = 0;
        if self.engine.get(Table::Fresh, frame_key(id, 0))?.is_some() {
            self.engine.scan_prefix(Table::Fresh, &id_key(FRAME, id), |_, _| {
                frames += 1;
                true
            })?;
            places.push(ContentPlace::Fresh { frames });
        }
        for location in self.staged(id)? {
            octets = Some(location.content.octets);
            places.push(ContentPlace::Staged(self.object_place(&location)?));
        }
        if let Some(row) = self.engine.get(Table::Location, settled_key(id))? {
            let location = Location::decode(id, &row)?;
            octets = Some(location.content.octets);
            places.push(ContentPlace::Settled(self.object_place(&location)?));
        }
        Ok((octets, places))
    }

    fn object_place(&self, location: &Location) -> Result<ObjectPlace, StoreError> {
        let PackName { generation, .. } = location.pack;
        let row = self.engine.get(Table::Location, pack_key(location.pack))?;
        let object_octets = row.as_deref().and_then(PackRow::decode).map_or(0, |row| row.octets);
        let (offset, stored_octets) = (location.offset, location.stored_octets);
        Ok(ObjectPlace { object: location.pack.to_string(), generation, offset, stored_octets, object_octets })
    }

    fn fate(&self, id: ContentId, generation: u32) -> Result<ContentFate, StoreError> {
        let now = self.clock.now();
        if generation >= self.generations.closable(now) {
            return Ok(ContentFate::Open(self.generations.closes_at(generation)));
        }
        let row = self.engine.get(Table::Location, since_key(id))?;
        let Some(since) = row.as_deref().and_then(Since::decode) else { return Ok(ContentFate::Unnoted) };
        let until = self.grace.after(since.0);
        Ok(if until <= now { ContentFate::Expired } else { ContentFate::Waiting(until) })
    }
}
