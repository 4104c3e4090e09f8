//! Rebuilding of locations from what packs say of themselves (P10).

use super::{
    Shared,
    pack::{END_OCTETS, End, Footer},
    pages::Pages,
    read::blocking,
    rows::{Location, PackName, PackRow, STAGED, Totals, settled_key},
};
use crate::{
    mail::{AccountId, MessageNumber},
    store::{
        StoreError, failpoint,
        metadata::{Batch, Domain, Durability, Table},
    },
};
use std::{collections::HashSet, sync::Arc};
use tracing::warn;

/// What was found in packs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Rebuilt {
    /// Objects read.
    pub packs: u64,
    /// Objects whose index is damaged; what only they hold stays where its row says, if there is one.
    pub damaged: u64,
    /// Locations written.
    pub locations: u64,
    /// Messages that the packs name.
    pub messages: u64,
}

impl Shared {
    /// Writes the location of every content that a pack holds, and the totals. Where several packs
    /// hold one, the newest generation wins. Rows of contents in damaged or lost packs are left alone.
    pub(super) async fn rebuild(self: &Arc<Self>) -> Result<Rebuilt, StoreError> {
        let _turn = self.packing.lock().await;
        let (staged, retired) = (self.staged_packs().await?, self.retired().await?);
        let mut rebuilt = Rebuilt::default();
        let (mut totals, mut messages) = (Totals::default(), HashSet::new());
        let packs = self.listed_packs().await?;
        let there = Arc::new(packs.iter().map(|(name, _)| *name).collect::<HashSet<_>>());
        // A staged object's rows say more than its index: the packer still has to look at it.
        // A retired one says what has moved or gone.
        let is_settled = |name: &PackName| !staged.contains(name) && !retired.contains_key(name);
        for (name, octets) in packs.into_iter().filter(|(name, _)| is_settled(name)) {
            match self.footer(name).await {
                Ok(footer) => {
                    count(&footer, &mut totals, &mut messages);
                    rebuilt.locations += self.relocate(name, octets, footer, &there).await?;
                }
                Err(StoreError::Damaged(what)) => {
                    warn!(%what, "locations not rebuilt from this pack");
                    rebuilt.damaged += 1;
                }
                Err(other) => return Err(other),
            }
            rebuilt.packs += 1;
        }
        rebuilt.messages = totals.messages;
        self.drop_unreadable().await?;
        self.commit_totals(totals).await?;
        Ok(rebuilt)
    }

    /// Removes locations that cannot be read and that no pack had better ones for: they say nothing.
    async fn drop_unreadable(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut pages = Pages::settled();
        while let Some(rows) = self.page(&mut pages).await? {
            let mut batch = Batch::of(Domain::Installation);
            let bad = rows.iter().filter(|row| Location::of_row(row).is_none());
            bad.for_each(|(key, _)| batch.delete(Table::Location, key));
            let shared = Arc::clone(self);
            if !batch.is_empty() {
                blocking(move || shared.engine.commit(batch, Durability::Synced)).await?;
            }
        }
        Ok(())
    }

    async fn commit_totals(self: &Arc<Self>, totals: Totals) -> Result<(), StoreError> {
        let shared = Arc::clone(self);
        blocking(move || {
            let mut batch = Batch::of(Domain::Installation);
            totals.put(&mut batch);
            failpoint::reach("locations.before_totals");
            shared.engine.commit(batch, Durability::Synced)
        })
        .await
    }

    /// Reads a pack's footer.
    pub(super) async fn footer(&self, name: PackName) -> Result<Footer, StoreError> {
        let object = name.to_string();
        let damaged = || StoreError::Damaged(format!("index of {object}"));
        let octets = self.objects.octets(&object).await?.ok_or_else(damaged)?;
        let start = octets.checked_sub(END_OCTETS).ok_or_else(damaged)?;
        let end = self.objects.get_range(&object, start..octets).await?.ok_or_else(damaged)?;
        let end = End::read(&end).ok_or_else(damaged)?;
        let place = end.footer(octets).ok_or_else(damaged)?;
        let stored = self.objects.get_range(&object, place).await?.ok_or_else(damaged)?;
        blocking(move || Footer::read(name, &end, &stored)).await
    }

    /// Writes the locations of one pack, those left out that a newer pack has.
    async fn relocate(
        self: &Arc<Self>,
        name: PackName,
        octets: u64,
        footer: Footer,
        there: &Arc<HashSet<PackName>>,
    ) -> Result<u64, StoreError> {
        let (shared, there) = (Arc::clone(self), Arc::clone(there));
        blocking(move || {
            let mut batch = Batch::of(Domain::Installation);
            let mut written = 0;
            for location in &footer.locations {
                if !shared.has_newer(location, &there)? {
                    location.settle(&mut batch);
                    written += 1;
                }
            }
            PackRow::new(octets, &footer.locations).put(name, &mut batch);
            failpoint::reach("locations.before_commit");
            shared.engine.commit(batch, Durability::Synced)?;
            Ok(written)
        })
        .await
    }

    fn has_newer(&self, location: &Location, there: &HashSet<PackName>) -> Result<bool, StoreError> {
        let row = self.engine.get(Table::Location, settled_key(location.content.id))?;
        let now = row.and_then(|row| Location::decode(location.content.id, &row).ok());
        Ok(now.is_some_and(|now| now.pack.generation > location.pack.generation && there.contains(&now.pack)))
    }

    pub(super) async fn staged_packs(self: &Arc<Self>) -> Result<HashSet<PackName>, StoreError> {
        let shared = Arc::clone(self);
        blocking(move || {
            let mut staged = HashSet::new();
            shared.engine.scan_prefix(Table::Location, &[STAGED], |key, _| {
                staged.extend(PackName::of_staged_key(key));
                true
            })?;
            Ok(staged)
        })
        .await
    }
}

/// Adds a pack's messages to the totals, each once: a pack that a crash left may name what a later one names too.
fn count(footer: &Footer, totals: &mut Totals, messages: &mut HashSet<(AccountId, MessageNumber)>) {
    for body in &footer.bodies {
        if messages.insert((body.owner.account, body.owner.number)) {
            totals.add(&body.manifest);
        }
    }
}
