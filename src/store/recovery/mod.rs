//! The doctor: holds every derived table against what it derives from, and mends each on its own (P10).
//!
//! Owns: the comparison of rows with rows, packs and segments, and what is written to make them agree. Promises: damage
//! in one row is a finding and never an end (P12); a look changes nothing; a mend is a row that is right by itself,
//! or a batch that is whole, so a crash in the middle leaves less to do, and a second run finds nothing; what cannot be
//! derived is never guessed where a promise rests on it (a mailbox whose counters are lost gets another UIDVALIDITY, P4).
//! Never: removes the only row or object that knows of a message. Errors: those of the engine.
//!
//! | check | what is derived | from what |
//! |---|---|---|
//! | `locations` | where a content is | the indexes of packs |
//! | `mailboxes` | names, headers and blocks that can be read | each other |
//! | `records` | message records and their counts of rows | mailbox rows; packs, which name each message's body |
//! | `references` | how many records name a content | the records |
//! | `counters` | EXISTS, UNSEEN, UIDNEXT, HIGHESTMODSEQ, octets; the account's next numbers | the rows |
//! | `index` | segments and tail of the text index | the records |
//! | `objects` | which objects there are | the rows that name them |
//! | `contents` | octets | what records name; with [`Depth::Contents`] all of it is read |

mod account;
mod comparison;
mod contents;
mod counters;
mod mailboxes;
mod packs;
mod records;
mod references;
mod salvage;
mod spare;
#[cfg(test)]
mod tests;

use super::{Store, StoreError, key::Place, off_the_reactor};
use crate::mail::AccountId;
use account::AccountRows;
use comparison::Comparison;
pub use packs::{FromPacks, FromPacksProgress};
pub use salvage::Salvaged;
pub(super) use spare::{Changed, Part, keep};
use std::{collections::BTreeMap, sync::Arc};

/// One derived table, as the doctor looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Where each content is.
    Locations,
    /// Names, headers and blocks of rows.
    Mailboxes,
    /// Message records.
    Records,
    /// Counts of references to contents.
    References,
    /// Counters of mailboxes and accounts.
    Counters,
    /// Text indexes.
    Index,
    /// Objects and the rows that name them.
    Objects,
    /// Octets of contents.
    Contents,
}

impl Check {
    /// Every check, in the order in which they are made: each stands on those before it.
    pub const ALL: [Self; 8] = [
        Self::Locations,
        Self::Mailboxes,
        Self::Records,
        Self::References,
        Self::Counters,
        Self::Index,
        Self::Objects,
        Self::Contents,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Locations => "locations",
            Self::Mailboxes => "mailboxes",
            Self::Records => "records",
            Self::References => "references",
            Self::Counters => "counters",
            Self::Index => "index",
            Self::Objects => "objects",
            Self::Contents => "contents",
        }
    }

    /// Whether its mends may be written while others write too.
    pub const fn is_mended_while_serving(self) -> bool {
        matches!(self, Self::Locations | Self::Index)
    }
}

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// Rows, indexes of packs and segments.
    Rows,
    /// Every content as well.
    Contents,
}

/// Whether findings are mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is written.
    Look,
    /// What can be mended is. The store must be open for that ([`Store::open_idle`]), but for the checks that
    /// [`Check::is_mended_while_serving`] names.
    Mend,
}

/// What is to be examined.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The checks.
    pub checks: Vec<Check>,
    /// How much is read.
    pub depth: Depth,
    /// Whether findings are mended.
    pub mode: Mode,
}

/// What can be done about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// A repair mends it.
    Mendable,
    /// It was mended.
    Mended,
    /// Nothing in the store can bring it back.
    Lost,
    /// It does no harm, and goes in the course of things.
    Harmless,
}

/// One thing that does not agree with what it derives from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check that found it.
    pub check: Check,
    /// Whose it is.
    pub account: Option<AccountId>,
    /// Which row, message, object.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What can be done.
    pub remedy: Remedy,
}

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The check.
    pub check: Check,
    /// What was compared: rows, messages, contents, objects.
    pub compared: u64,
    /// What does not agree, harmless things left out.
    pub wrong: u64,
    /// What of it was mended.
    pub mended: u64,
    /// What of it nothing can bring back.
    pub lost: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
}

/// How far an examination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExamineProgress {
    /// The check, or the first of those that go over accounts together.
    pub check: Check,
    /// Accounts, packs or contents done.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

/// The comparisons under way.
type Comparisons = BTreeMap<Check, Comparison>;

impl Store {
    /// Holds derived tables against what they derive from and, where the plan says so, mends them.
    ///
    /// While the store serves, each account is looked at as it was at one moment, so mail that comes or goes
    /// meanwhile is no finding.
    pub async fn examine(
        &self,
        plan: &Plan,
        mut progress: impl FnMut(ExamineProgress) + Send,
    ) -> Result<Vec<Examined>, StoreError> {
        let mut checks: Comparisons =
            plan.checks.iter().map(|check| (*check, Comparison::new(*check, plan.mode, &self.inner.engine))).collect();
        self.examine_places(&mut checks, &mut progress).await?;
        let places = self.places().await?;
        let total = places.len() as u64;
        for (done, place) in (0..).zip(places) {
            progress(ExamineProgress { check: Check::Mailboxes, done, total });
            checks = self.examine_account(place, checks).await?;
        }
        if plan.depth == Depth::Contents {
            self.examine_octets(&mut checks, &mut progress).await?;
        }
        checks.into_values().map(Comparison::end).collect()
    }

    /// Everything that is an account's own.
    async fn examine_account(&self, place: Place, mut checks: Comparisons) -> Result<Comparisons, StoreError> {
        let inner = Arc::clone(&self.inner);
        let (mut checks, unread) = off_the_reactor(move || {
            mailboxes::examine(&inner, place, &mut checks)?;
            let unread = records::examine(&inner, place, &mut checks)?;
            Ok::<_, StoreError>((checks, unread))
        })
        .await??;
        if !unread.is_empty() {
            self.mend_records(place, &unread, &mut checks).await?;
        }
        let inner = Arc::clone(&self.inner);
        let mut checks = off_the_reactor(move || {
            references::examine(&inner, place, &mut checks)?;
            counters::examine(&inner, place, &mut checks)?;
            inner.forget_cached(place.account);
            Ok::<_, StoreError>(checks)
        })
        .await??;
        self.examine_index(place, &mut checks).await?;
        Ok(checks)
    }
}

/// The rows of an account as they are now, and the comparison of a check, where the check is wanted.
fn begin<'c>(
    inner: &super::Inner,
    place: Place,
    checks: &'c mut Comparisons,
    check: Check,
) -> Result<Option<(AccountRows, &'c mut Comparison)>, StoreError> {
    let Some(comparison) = checks.get_mut(&check) else { return Ok(None) };
    match AccountRows::read(&inner.engine.view(), place) {
        Ok(rows) => Ok(Some((rows, comparison))),
        Err(error) => comparison.unreadable(place, error).map(|()| None),
    }
}
