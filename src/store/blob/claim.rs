//! Whose objects a place has: two installations in one bucket would take each other's objects for leftovers.
//!
//! The object `installation` says it, in a name that follows from the installation's secret and does not tell it; the
//! row `objects` says that it was written. A folder beside the metadata can only be ours, so that is never refused.

use super::{Shared, objects::Objects, read::blocking};
use crate::store::{
    StoreError,
    metadata::{Batch, Domain, Durability, Table},
};
use bytes::Bytes;
use std::sync::Arc;

const OBJECT: &str = "installation";
const ROW: &[u8] = b"objects";

impl Shared {
    /// Probes the place of objects and makes sure that it is ours; a new one becomes ours.
    pub(super) async fn claim(self: &Arc<Self>) -> Result<(), StoreError> {
        self.objects.probe(self.clock.random_u64()).await?;
        let ours = Bytes::from(self.namer.name(OBJECT.as_bytes()).to_string());
        let there = self.objects.get(OBJECT).await?;
        match (there, self.has_claimed().await?) {
            (Some(there), true) if there == ours => return Ok(()),
            (Some(there), false) if there == ours => {}
            (Some(_), _) => {
                own_or(&self.objects, "the objects of another installation are there; choose another prefix")?;
                self.objects.delete(OBJECT).await?;
                self.objects.put(OBJECT, vec![ours]).await?;
            }
            (None, true) => {
                let advice = "nothing of this installation is there although it has objects; set store.objects back to \
                              what it was, or copy all objects to the new place first";
                own_or(&self.objects, advice)?;
                self.objects.put(OBJECT, vec![ours]).await?;
            }
            (None, false) => self.objects.put(OBJECT, vec![ours]).await?,
        }
        self.remember_claim().await
    }

    async fn has_claimed(self: &Arc<Self>) -> Result<bool, StoreError> {
        let shared = Arc::clone(self);
        blocking(move || Ok(shared.engine.get(Table::System, ROW)?.is_some())).await
    }

    async fn remember_claim(self: &Arc<Self>) -> Result<(), StoreError> {
        let shared = Arc::clone(self);
        blocking(move || {
            let mut batch = Batch::of(Domain::Installation);
            batch.put(Table::System, ROW, [1]);
            shared.engine.commit(batch, Durability::Synced)
        })
        .await
    }
}

/// Refuses a place that may be another's; warns of one that cannot be.
fn own_or(objects: &Objects, fault: &str) -> Result<(), StoreError> {
    if !objects.is_own() {
        return Err(StoreError::Objects(format!("{}: {fault}", objects.place())));
    }
    tracing::warn!(place = %objects.place(), "{fault}");
    Ok(())
}
