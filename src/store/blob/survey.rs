//! A survey: how much of what is stored messages name.

use super::{Shared, pages::Pages, read::blocking, rows::PackName};
use crate::store::StoreError;
use std::{collections::HashMap, sync::Arc};

/// Bars of [`ContentSurvey::shares`].
const SHARES: usize = 5;

/// How much of what is packed messages name. What is not packed yet is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ContentSurvey {
    /// Distinct contents that a message names.
    pub named: u64,
    /// Octets of these, decoded.
    pub named_octets: u64,
    /// The same, each as often as messages name it.
    pub references_octets: u64,
    /// Octets that the named contents take.
    pub named_stored_octets: u64,
    /// Contents that no message names.
    pub unnamed: u64,
    /// Octets that these take.
    pub unnamed_stored_octets: u64,
    /// Objects whose contents are elsewhere by now, and that wait for their removal.
    pub retired: u64,
    /// Octets of these.
    pub retired_octets: u64,
    /// Objects by the share of their records' octets that is named: up to 20 %, 40 %, 60 %, 80 %, 100 %.
    pub shares: [u64; SHARES],
}

impl Shared {
    /// Looks at every location and every reference, and at no content. Memory as of a sweep's marks.
    pub(super) async fn survey(self: &Arc<Self>) -> Result<ContentSurvey, StoreError> {
        let shared = Arc::clone(self);
        let accounts = Arc::new(blocking(move || shared.accounts_with_references()).await?);
        let (mut survey, mut named) = (ContentSurvey::default(), HashMap::<PackName, u64>::new());
        let mut pages = Pages::settled();
        while let Some(counted) = self.next_range(&mut pages, &accounts, u32::MAX).await? {
            for (location, references) in counted.iter() {
                survey.count(location.content.octets, location.stored_octets, references);
                let stored = if references > 0 { location.stored_octets } else { 0 };
                *named.entry(location.pack).or_default() += stored;
            }
        }
        for (name, row) in self.pack_rows().await?.into_iter().filter(|(_, row)| row.content_octets > 0) {
            let share = named.get(&name).copied().unwrap_or(0).saturating_mul(SHARES as u64) / row.content_octets;
            if let Some(bar) = survey.shares.get_mut((share as usize).min(SHARES - 1)) {
                *bar += 1;
            }
        }
        let retired = self.retired().await?;
        for (_, octets) in self.listed_packs().await?.iter().filter(|(name, _)| retired.contains_key(name)) {
            survey.retired += 1;
            survey.retired_octets += octets;
        }
        Ok(survey)
    }
}

impl ContentSurvey {
    fn count(&mut self, octets: u64, stored_octets: u64, references: u64) {
        if references == 0 {
            self.unnamed += 1;
            self.unnamed_stored_octets += stored_octets;
            return;
        }
        self.named += 1;
        self.named_octets += octets;
        self.references_octets += octets.saturating_mul(references);
        self.named_stored_octets += stored_octets;
    }
}
