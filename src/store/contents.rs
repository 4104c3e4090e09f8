//! The administrator's view of contents: packing now, verification, figures, rebuilding of locations.

use super::{
    Store, StoreError,
    blob::{ContentStatistics, Packed, Rebuilt, Verified, VerifyProgress},
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

    /// Counts contents, octets and objects. Reads every location and no content.
    pub async fn content_statistics(&self) -> Result<ContentStatistics, StoreError> {
        self.inner.blobs.statistics().await
    }

    /// Writes the location of every content again, from what packs say of themselves (P10). Mail may
    /// come and be read meanwhile.
    pub async fn rebuild_locations(&self) -> Result<Rebuilt, StoreError> {
        self.inner.blobs.rebuild_locations().await
    }
}
