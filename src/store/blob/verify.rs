//! Verification: reads every content and lists what is damaged.
//!
//! Promises: one damaged content or pack never hides another; the list says which content and where.

use super::{
    Shared,
    frame::frames_of,
    manifest::Named,
    pages::Pages,
    read::blocking,
    rows::{Location, OwnedBody, PackName, id_of_key, settled_key},
};
use crate::{
    mail::ContentId,
    store::{StoreError, metadata::Table},
};
use std::sync::Arc;

/// How far a verification is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct VerifyProgress {
    /// Contents and pack indexes read.
    pub done: u64,
    /// Contents and pack indexes there were at the start.
    pub total: u64,
    /// Decoded octets read.
    pub octets: u64,
}

/// One thing that cannot be served as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The content, or `None` where a pack's index or a row is damaged.
    pub content: Option<ContentId>,
    /// What is wrong and where.
    pub what: String,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// What was read.
    pub read: VerifyProgress,
    /// Every damage.
    pub damage: Vec<Damage>,
}

impl Shared {
    /// Reads every content that a row names and the index of every pack.
    pub(super) async fn verify(
        self: &Arc<Self>,
        progress: impl FnMut(VerifyProgress) + Send,
    ) -> Result<Verified, StoreError> {
        let mut report = Report { verified: Verified::default(), progress };
        report.verified.read.total = self.count_verified().await?;
        let mut pages = Pages::settled();
        while let Some(rows) = self.page(&mut pages).await? {
            for (key, row) in rows {
                report.add(id_of_key(&key), self.verify_settled(&key, &row).await)?;
            }
        }
        let mut pages = Pages::owners();
        while let Some(rows) = self.page(&mut pages).await? {
            for (key, row) in rows {
                self.verify_unsettled(&key, &row, &mut report).await?;
            }
        }
        let mut pages = Pages::packs();
        while let Some(rows) = self.page(&mut pages).await? {
            for name in rows.iter().filter_map(|(key, _)| PackName::of_key(key)) {
                report.add(None, self.footer(name).await.map(|_| 0))?;
            }
        }
        Ok(report.verified)
    }

    async fn count_verified(self: &Arc<Self>) -> Result<u64, StoreError> {
        let shared = Arc::clone(self);
        blocking(move || {
            let settled = shared.count(&Pages::settled())?;
            Ok(settled + shared.count(&Pages::packs())?)
        })
        .await
    }

    async fn verify_settled(self: &Arc<Self>, key: &[u8], row: &[u8]) -> Result<u64, StoreError> {
        let id = id_of_key(key).ok_or_else(|| StoreError::Damaged("a key of the location table".to_owned()))?;
        let location = Location::decode(id, row)?;
        let numbers = 0..frames_of(location.content.octets) as usize;
        let frames = self.stored(&location, &numbers).await?;
        let frames = frames.ok_or_else(|| StoreError::Damaged(format!("{} is missing", location.pack)))?;
        self.open_off_reactor(location.content, frames).await
    }

    /// Contents of a message that is not packed, those left out that are settled already.
    async fn verify_unsettled(
        self: &Arc<Self>,
        key: &[u8],
        row: &[u8],
        report: &mut Report<impl FnMut(VerifyProgress) + Send>,
    ) -> Result<(), StoreError> {
        let Some(body) = OwnedBody::decode(key, row) else {
            return report.add(None, Err(StoreError::Damaged("a row of the fresh table".to_owned())));
        };
        for content in body.manifest.named() {
            if !self.is_settled(content).await? {
                report.verified.read.total += 1;
                let read = self.read_content(content).await;
                report.add(Some(content.id), read.map(|octets| octets.len() as u64))?;
            }
        }
        Ok(())
    }

    pub(super) async fn is_settled(self: &Arc<Self>, content: Named) -> Result<bool, StoreError> {
        let shared = Arc::clone(self);
        blocking(move || Ok(shared.engine.get(Table::Location, settled_key(content.id))?.is_some())).await
    }
}

/// What was found so far, and who is told.
struct Report<F> {
    verified: Verified,
    progress: F,
}

impl<F: FnMut(VerifyProgress)> Report<F> {
    /// Counts what was read, or lists the damage; other failures end the verification.
    fn add(&mut self, content: Option<ContentId>, read: Result<u64, StoreError>) -> Result<(), StoreError> {
        self.verified.read.done += 1;
        match read {
            Ok(octets) => self.verified.read.octets += octets,
            Err(StoreError::Damaged(what)) => self.verified.damage.push(Damage { content, what }),
            Err(other) => return Err(other),
        }
        (self.progress)(self.verified.read);
        Ok(())
    }
}
