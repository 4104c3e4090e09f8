//! Figures about contents: what came in, what it takes, what was saved.

use super::{
    Shared,
    manifest::Kind,
    pages::Pages,
    read::blocking,
    rows::{FRAME, Location, OwnedBody, PACKED_KEY, PACKS, PackName, PackRow, Totals},
};
use crate::store::{StoreError, metadata::Table};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Figures about contents. A message stays counted after it was expunged, as long as its pack names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ContentStatistics {
    /// Messages, one for each recipient.
    pub messages: u64,
    /// Octets of these messages as received.
    pub raw_octets: u64,
    /// Octets that their contents take, in objects and not yet packed.
    pub stored_octets: u64,
    /// The part of `stored_octets` that is not yet packed.
    pub fresh_octets: u64,
    /// Packs and other objects of contents.
    pub packs: u64,
    /// Distinct contents.
    pub contents: u64,
    /// Distinct contents that are base64 parts, decoded.
    pub unique_parts: u64,
    /// Decoded octets of these.
    pub unique_part_octets: u64,
    /// Base64 parts kept decoded, each as often as messages have it.
    pub parts: u64,
    /// Decoded octets of these.
    pub part_octets: u64,
    /// Objects that no row names: what a crash or a refused delivery left.
    pub orphans: u64,
    /// Octets of these.
    pub orphan_octets: u64,
}

impl ContentStatistics {
    /// Parts that cost nothing because the same octets were kept already.
    pub fn parts_saved(&self) -> u64 {
        self.parts.saturating_sub(self.unique_parts)
    }

    fn count(&mut self, totals: Totals) {
        self.messages += totals.messages;
        self.raw_octets += totals.raw_octets;
        self.parts += totals.parts;
        self.part_octets += totals.part_octets;
    }

    fn content(&mut self, kind: Kind, octets: u64) {
        self.contents += 1;
        if kind == Kind::Part {
            self.unique_parts += 1;
            self.unique_part_octets += octets;
        }
    }
}

impl Shared {
    /// Counts contents, octets and objects: reads every location, no content.
    pub(super) async fn statistics(self: &Arc<Self>) -> Result<ContentStatistics, StoreError> {
        let mut statistics = ContentStatistics::default();
        let packed = self.engine.get(Table::System, PACKED_KEY)?;
        statistics.count(Totals::decode(packed.as_deref()));
        self.count_settled(&mut statistics).await?;
        self.count_unsettled(&mut statistics).await?;
        let packs = self.pack_rows().await?;
        statistics.packs = packs.len() as u64;
        statistics.stored_octets = statistics.fresh_octets + packs.values().map(|pack| pack.octets).sum::<u64>();
        let retired = self.retired().await?;
        for (name, octets) in self.objects.list(PACKS).await? {
            let is_known = |name| packs.contains_key(&name) || retired.contains_key(&name);
            if !PackName::parse(&name).is_some_and(is_known) {
                statistics.orphans += 1;
                statistics.orphan_octets += octets;
            }
        }
        Ok(statistics)
    }

    async fn count_settled(self: &Arc<Self>, statistics: &mut ContentStatistics) -> Result<(), StoreError> {
        let mut pages = Pages::settled();
        while let Some(rows) = self.page(&mut pages).await? {
            for location in rows.iter().filter_map(Location::of_row) {
                statistics.content(location.content.kind, location.content.octets);
            }
        }
        Ok(())
    }

    async fn count_unsettled(self: &Arc<Self>, statistics: &mut ContentStatistics) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        let mut pages = Pages::owners();
        while let Some(rows) = self.page(&mut pages).await? {
            for body in rows.iter().filter_map(|(key, row)| OwnedBody::decode(key, row)) {
                let mut totals = Totals::default();
                totals.add(&body.manifest);
                statistics.count(totals);
                for content in body.manifest.named() {
                    if seen.insert(content.id) && !self.is_settled(content).await? {
                        statistics.content(content.kind, content.octets);
                    }
                }
            }
        }
        let shared = Arc::clone(self);
        statistics.fresh_octets = blocking(move || shared.fresh_octets()).await?;
        Ok(())
    }

    /// Octets of the frames that are not yet packed.
    pub(super) fn fresh_octets(&self) -> Result<u64, StoreError> {
        let mut octets = 0;
        self.engine.scan_prefix(Table::Fresh, &[FRAME], |_, row| {
            octets += row.len() as u64;
            true
        })?;
        Ok(octets)
    }

    /// Every object that a row names.
    pub(super) async fn pack_rows(self: &Arc<Self>) -> Result<HashMap<PackName, PackRow>, StoreError> {
        let mut packs = HashMap::new();
        let mut pages = Pages::packs();
        while let Some(rows) = self.page(&mut pages).await? {
            packs.extend(rows.iter().filter_map(|(key, row)| Some((PackName::of_key(key)?, PackRow::decode(row)?))));
        }
        Ok(packs)
    }
}
