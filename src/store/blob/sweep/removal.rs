//! Removal of objects: those that the sweep has retired, and those that no row names.

use super::{
    super::{
        Shared,
        pages::Pages,
        read::blocking,
        rows::{PACKS, PackName, Since, retired_key, stray_key},
    },
    Outside, Plan, Swept, Write,
};
use crate::{
    clock::UnixMillis,
    limits::{GROUP_OCTETS_MAX, ORPHAN_HOURS},
    store::{
        StoreError, failpoint,
        metadata::{Batch, Domain, Durability, Table},
    },
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// The folder of index bundles, whose objects are ours to remove as well.
const BUNDLES: &str = "index";

impl Shared {
    /// Removes the retired objects whose time has come. A crash between object and row finds the row again.
    pub(super) async fn remove_retired(self: &Arc<Self>, plan: &Plan) -> Result<(), StoreError> {
        for (name, _) in self.retired().await?.into_iter().filter(|(_, due)| *due <= plan.now) {
            self.go_on()?;
            self.objects.delete(&name.to_string()).await?;
            failpoint::reach("sweep.deleted");
            let mut batch = Batch::of(Domain::Installation);
            batch.delete(Table::Location, retired_key(name));
            self.commit_buffered(batch).await?;
        }
        Ok(())
    }

    /// The objects that wait for their removal, with when that is.
    pub(in super::super) async fn retired(self: &Arc<Self>) -> Result<HashMap<PackName, UnixMillis>, StoreError> {
        let (mut retired, mut pages) = (HashMap::new(), Pages::retired());
        while let Some(rows) = self.page(&mut pages).await? {
            let read = |(key, row): &(Vec<u8>, Vec<u8>)| Some((PackName::of_retired_key(key)?, Since::decode(row)?.0));
            retired.extend(rows.iter().filter_map(read));
        }
        Ok(retired)
    }

    /// Removes objects that no row names and that were seen so long enough ago: what a crash left of a pack, of a
    /// staged content or of an index bundle. The others are noted.
    pub(super) async fn remove_strays(
        self: &Arc<Self>,
        plan: &Plan,
        outside: &Arc<dyn Outside>,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        // A rebuild of locations may adopt an object.
        let _turn = self.packing.lock().await;
        let strays = self.strays(outside).await?;
        let mut known = self.known_strays().await?;
        let mut batch = Batch::of(Domain::Installation);
        swept.orphans = strays.len() as u64;
        for name in strays {
            match known.remove(&name) {
                None => Since(plan.now).put(stray_key(&name), &mut batch),
                Some(since) if super::Grace::hours(ORPHAN_HOURS).after(since) <= plan.now => {
                    swept.orphans_removed += 1;
                    if plan.write == Write::Yes {
                        self.objects.delete(&name).await?;
                        failpoint::reach("sweep.orphan_deleted");
                    }
                    batch.delete(Table::Location, stray_key(&name));
                }
                Some(_) => {}
            }
            batch = self.note_beyond(plan, GROUP_OCTETS_MAX, batch).await?;
        }
        // Those that have gone, or got a name.
        for name in known.keys() {
            batch.delete(Table::Location, stray_key(name));
            batch = self.note_beyond(plan, GROUP_OCTETS_MAX, batch).await?;
        }
        self.note_beyond(plan, 0, batch).await.map(drop)
    }

    /// [`Shared::note`] off the reactor; gives what is left of the batch.
    async fn note_beyond(self: &Arc<Self>, plan: &Plan, octets: usize, mut batch: Batch) -> Result<Batch, StoreError> {
        if batch.octets() <= octets {
            return Ok(batch);
        }
        let (shared, plan) = (Arc::clone(self), plan.clone());
        blocking(move || shared.note(&plan, octets, &mut batch).map(|()| batch)).await
    }

    /// Objects that no row names. Listed first: what is put and named meanwhile is not among them.
    async fn strays(self: &Arc<Self>, outside: &Arc<dyn Outside>) -> Result<Vec<String>, StoreError> {
        let mut listed = self.objects.list(PACKS).await?;
        listed.extend(self.objects.list(BUNDLES).await?);
        let (packs, retired) = (self.pack_rows().await?, self.retired().await?);
        let outside = Arc::clone(outside);
        let bundles: HashSet<String> = blocking(move || outside.index_objects()).await?;
        let is_stray = |name: &String| match PackName::parse(name) {
            Some(name) => !packs.contains_key(&name) && !retired.contains_key(&name),
            // What is not named as ours is not ours to remove.
            None => is_bundle(name) && !bundles.contains(name),
        };
        Ok(listed.into_iter().map(|(name, _)| name).filter(is_stray).collect())
    }

    async fn known_strays(self: &Arc<Self>) -> Result<HashMap<String, UnixMillis>, StoreError> {
        let (mut known, mut pages) = (HashMap::new(), Pages::strays());
        while let Some(rows) = self.page(&mut pages).await? {
            for (key, row) in rows {
                let name = key.get(1..).and_then(|name| String::from_utf8(name.to_vec()).ok());
                known.extend(name.zip(Since::decode(&row).map(|since| since.0)));
            }
        }
        Ok(known)
    }

    async fn commit_buffered(self: &Arc<Self>, batch: Batch) -> Result<(), StoreError> {
        let shared = Arc::clone(self);
        blocking(move || shared.engine.commit(batch, Durability::Buffered)).await
    }
}

/// `index/ACCOUNT/SEGMENT`.
fn is_bundle(name: &str) -> bool {
    let mut parts = name.split('/');
    let account = parts.nth(1).is_some_and(|account| account.parse::<u64>().is_ok());
    account && parts.next().is_some() && parts.next().is_none()
}
