//! The administrator's view of contents: packing and sweeping now, verification, figures, rebuilding of locations;
//! and the daily sweep.

use super::{
    Inner, Store, StoreError,
    blob::{
        ContentExplained, ContentStatistics, ContentSurvey, Outside, Packed, Rebuilt, Swept, Verified, VerifyProgress,
    },
    metadata::Table,
    outbox,
    upkeep::Rounds,
};
use crate::{
    limits,
    mail::{AccountId, ContentId, MessageNumber},
};
use std::{
    collections::HashSet,
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

impl Store {
    /// Packs everything that is fresh now, without waiting for a pack's worth.
    pub async fn pack(&self) -> Result<Packed, StoreError> {
        self.inner.blobs.pack_now().await
    }

    /// Reads every content and lists the damage, going on after each (P12). `progress` is called after each content.
    pub async fn verify_contents(&self, progress: impl FnMut(VerifyProgress) + Send) -> Result<Verified, StoreError> {
        self.inner.blobs.verify(progress).await
    }

    /// Removes what no message names any more, as far as its time has come (P9). Runs once a day by itself.
    pub async fn sweep(&self) -> Result<Swept, StoreError> {
        self.inner.blobs.sweep(self.outside()).await
    }

    /// Says what a sweep would do now, and changes nothing.
    pub async fn sweep_dry(&self) -> Result<Swept, StoreError> {
        self.inner.blobs.sweep_dry(self.outside()).await
    }

    /// Says where a content is, who names it and when it would go.
    pub async fn explain_content(&self, content: ContentId) -> Result<ContentExplained, StoreError> {
        self.inner.blobs.explain(content, self.outside()).await
    }

    fn outside(&self) -> Arc<dyn Outside> {
        Arc::new(Records(Arc::clone(&self.inner)))
    }

    /// Counts contents, octets and objects. Reads every location and no content.
    pub async fn content_statistics(&self) -> Result<ContentStatistics, StoreError> {
        self.inner.blobs.statistics().await
    }

    /// Counts how much of what is packed messages name. Reads every location and every reference, and no content.
    pub async fn content_survey(&self) -> Result<ContentSurvey, StoreError> {
        self.inner.blobs.survey().await
    }

    /// Writes the location of every content again, from what packs say of themselves (P10). Mail may
    /// come and be read meanwhile.
    pub async fn rebuild_locations(&self) -> Result<Rebuilt, StoreError> {
        self.inner.blobs.rebuild_locations().await
    }
}

/// What names contents and objects beside the blob layer's own rows.
struct Records(Arc<Inner>);

impl Outside for Records {
    fn contents(&self) -> Result<HashSet<ContentId>, StoreError> {
        outbox::contents(&self.0)
    }

    fn index_objects(&self) -> Result<HashSet<String>, StoreError> {
        self.0.indexes.objects()
    }

    fn has_record(&self, account: AccountId, number: MessageNumber) -> Result<bool, StoreError> {
        Ok(self.0.engine.get(Table::Record, self.0.place(account).record(number))?.is_some())
    }
}

/// Sweeps once a day until `closing` resolves. A sweep under way ends at its next step then.
pub(super) async fn sweep_daily(inner: Weak<Inner>, closing: impl Future<Output = ()>) {
    let mut looks = Rounds::every(Duration::from_secs(limits::SWEEP_LOOK_SECONDS), closing);
    while looks.next().await {
        let Some(inner) = inner.upgrade() else { return };
        match sweep_if_due(Store { inner }).await {
            Ok(()) | Err(StoreError::Closing) => {}
            Err(error) => tracing::warn!(%error, "sweep failed, everything it has not reached stays"),
        }
    }
}

async fn sweep_if_due(store: Store) -> Result<(), StoreError> {
    if store.inner.blobs.is_sweep_due().await? {
        store.sweep().await?;
    }
    Ok(())
}
