//! Stored contents: what they take, what a sweep removes and why.

use super::{Admin, AdminError, Done, Run};
use crate::{
    clock::UnixMillis,
    mail::ContentId,
    store::{ContentFate, ContentPlace, Swept},
};
use serde::{Deserialize, Serialize};

/// Figures of contents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlobFigures {
    /// Messages that packs name or that are not packed yet.
    pub messages: u64,
    /// Octets of these as received.
    pub raw_octets: u64,
    /// Octets of all mailboxes as clients see them, each copy counted.
    pub logical_octets: u64,
    /// Octets that contents take on disk.
    pub stored_octets: u64,
    /// Of `stored_octets`, those not yet packed.
    pub fresh_octets: u64,
    /// Packs and other objects.
    pub objects: u64,
    /// Packed contents that messages name, decoded and each as often as it is named.
    pub references_octets: u64,
    /// The same, each once.
    pub named_octets: u64,
    /// What those take.
    pub named_stored_octets: u64,
    /// What packed contents take that no message names.
    pub unnamed_stored_octets: u64,
    /// `references_octets` by `named_octets`; none where nothing is packed.
    pub dedup_ratio: Option<f64>,
    /// `named_octets` by `named_stored_octets`; none where nothing is packed.
    pub compression_ratio: Option<f64>,
    /// Octets of objects that no row names.
    pub orphan_octets: u64,
    /// Octets of objects that were written again and wait for their removal.
    pub retired_octets: u64,
    /// Objects by the share of their octets that messages name: up to 20 %, 40 %, 60 %, 80 %, 100 %.
    pub shares: Vec<u64>,
}

/// A content, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedContent {
    /// Its name.
    pub content: String,
    /// Its octets, decoded; none where it is nowhere.
    pub octets: Option<u64>,
    /// Where it is.
    pub places: Vec<ContentPlace>,
    /// Who names it.
    pub references: Vec<ExplainedReference>,
    /// Whether a delivery that is not finished or not packed names it.
    pub under_way: bool,
    /// When it would go.
    pub fate: Fate,
}

/// An account that names a content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedReference {
    /// Its address, or its number where it has none any more.
    pub account: String,
    /// How many of its messages name it.
    pub messages: u64,
}

/// When a content would go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Fate {
    /// It is not in this store.
    Unknown,
    /// It stays: a message names it.
    Named,
    /// The sweep looks at it from this time on (RFC 3339).
    Open {
        /// The time.
        from: String,
    },
    /// No message names it; the next sweep notes that, and the grace time begins.
    Unnoted,
    /// No message names it; its grace time ends then (RFC 3339).
    Waiting {
        /// The time.
        until: String,
    },
    /// It goes as soon as less than half of its pack is kept.
    Expired,
}

/// Sweeps, or says what a sweep would do.
pub(super) async fn sweep(admin: &Admin, run: Run) -> Result<Done, AdminError> {
    let swept: Swept = match run {
        Run::Really => admin.store.sweep().await?,
        Run::Dry => admin.store.sweep_dry().await?,
    };
    Ok(Done::Swept { run, swept })
}

/// Says where a content is, who names it and when it would go.
pub(super) async fn explain(admin: &Admin, content: &str) -> Result<Done, AdminError> {
    let id: ContentId = content.parse().map_err(|()| AdminError::ContentName(content.to_owned()))?;
    let explained = admin.store.explain_content(id).await?;
    let references = explained.references.iter().map(|(account, messages)| {
        let known = admin.accounts.account_of(*account);
        let account = known.map_or_else(|| account.to_string(), |known| known.address.to_string());
        ExplainedReference { account, messages: *messages }
    });
    Ok(Done::Content(Box::new(ExplainedContent {
        content: id.to_string(),
        octets: explained.octets,
        references: references.collect(),
        under_way: explained.is_under_way,
        fate: fate(explained.fate),
        places: explained.places,
    })))
}

fn fate(fate: ContentFate) -> Fate {
    let time = |time: UnixMillis| super::date::rfc3339(time.seconds());
    match fate {
        ContentFate::Unknown => Fate::Unknown,
        ContentFate::Named => Fate::Named,
        ContentFate::Open(from) => Fate::Open { from: time(from) },
        ContentFate::Unnoted => Fate::Unnoted,
        ContentFate::Waiting(until) => Fate::Waiting { until: time(until) },
        ContentFate::Expired => Fate::Expired,
    }
}

/// Counts. Reads every location and every reference, and no content.
pub(super) async fn statistics(admin: &Admin) -> Result<Done, AdminError> {
    let mail = admin.store.statistics()?;
    let contents = admin.store.content_statistics().await?;
    let survey = admin.store.content_survey().await?;
    let ratio = |of: u64, to: u64| (to > 0).then(|| of as f64 / to as f64);
    Ok(Done::BlobStatistics(BlobFigures {
        messages: contents.messages,
        raw_octets: contents.raw_octets,
        logical_octets: mail.octets,
        stored_octets: contents.stored_octets,
        fresh_octets: contents.fresh_octets,
        objects: contents.packs,
        references_octets: survey.references_octets,
        named_octets: survey.named_octets,
        named_stored_octets: survey.named_stored_octets,
        unnamed_stored_octets: survey.unnamed_stored_octets,
        dedup_ratio: ratio(survey.references_octets, survey.named_octets),
        compression_ratio: ratio(survey.named_octets, survey.named_stored_octets),
        orphan_octets: contents.orphan_octets,
        retired_octets: survey.retired_octets,
        shares: survey.shares.to_vec(),
    }))
}
