//! Marks: which contents of closed generations somebody names.
//!
//! Memory: contents are looked at in ranges of their names, `limits::SWEEP_CONTENTS_AT_ONCE` at a time, and of each
//! range every account's references are counted, one short scan an account. What is kept over all ranges
//! is a count an object, and the contents that are named without a reference (deliveries under way).
//!
//! Each scan is a view of its own moment. That is enough: a message brings its octets in the batch that brings its
//! reference, so the only reference that comes to be without them is of a delivery to a further partition, and the
//! outbox, which has named its contents since before, was read first.

use super::super::{
    Shared,
    pages::Pages,
    read::blocking,
    rows::{Location, OwnedBody, PackName, SINCE, Since, id_key, id_of_key, since_key},
};
use crate::{
    clock::UnixMillis,
    limits::{GROUP_OCTETS_MAX, SWEEP_CONTENTS_AT_ONCE},
    mail::ContentId,
    store::{
        StoreError,
        key::{Place, places_in},
        metadata::{Batch, Domain, Durability, Table},
    },
};
use std::{
    collections::{HashMap, HashSet},
    ops::Bound,
    sync::Arc,
};

/// Contents of one range of names, by rising name, with how many messages name each.
pub(in super::super) struct Counted {
    pub(in super::super) contents: Vec<Location>,
    pub(in super::super) references: Vec<u64>,
}

impl Counted {
    pub(in super::super) fn iter(&self) -> impl Iterator<Item = (&Location, u64)> {
        self.contents.iter().zip(self.references.iter().copied())
    }

    fn position(&self, id: ContentId) -> Option<usize> {
        self.contents.binary_search_by_key(&id, |location| location.content.id).ok()
    }
}

/// What is kept of an object's contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Octets of records that stay: named, or within the grace time.
    pub(super) kept_octets: u64,
}

/// What the marks of one sweep say.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) contents: u64,
    pub(super) unnamed: u64,
    pub(super) unnamed_octets: u64,
    /// Contents that were without a reference and are named again.
    pub(super) revived: HashSet<ContentId>,
    pub(super) objects: HashMap<PackName, Tally>,
}

/// What a sweep goes by.
#[derive(Clone)]
pub(super) struct Plan {
    /// The first generation that is left alone.
    pub(super) open_from: u32,
    pub(super) now: UnixMillis,
    /// A content that was found without a reference then, or before, may go.
    pub(super) expired_before: UnixMillis,
    /// An object that is written again elsewhere is kept until then.
    pub(super) retire_until: UnixMillis,
    /// Contents that are named by something else than a reference.
    pub(super) pinned: Arc<HashSet<ContentId>>,
    /// Accounts with references, in the order of their keys.
    pub(super) accounts: Arc<Vec<Place>>,
    pub(super) write: Write,
}

/// Whether the sweep changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Yes,
    No,
}

impl Plan {
    /// The same with further contents that stay.
    pub(super) fn with_pinned(&self, further: HashSet<ContentId>) -> Self {
        let pinned = if further.is_empty() {
            Arc::clone(&self.pinned)
        } else {
            Arc::new(self.pinned.union(&further).copied().collect())
        };
        Self { pinned, ..self.clone() }
    }

    pub(super) fn is_expired(&self, since: UnixMillis) -> bool {
        since <= self.expired_before
    }
}

impl Shared {
    /// Looks at every content of the closed generations, and notes since when it has been without a reference.
    pub(super) async fn mark(self: &Arc<Self>, plan: &Plan) -> Result<Marks, StoreError> {
        let (mut marks, mut pages) = (Marks::default(), Pages::settled());
        while let Some(counted) = self.next_range(&mut pages, &plan.accounts, plan.open_from).await? {
            self.go_on()?;
            let (shared, plan) = (Arc::clone(self), plan.clone());
            marks = blocking(move || shared.mark_range(&plan, &counted, marks)).await?;
        }
        Ok(marks)
    }

    /// The next contents of generations before `below`, with their references; `None` after the last.
    pub(in super::super) async fn next_range(
        self: &Arc<Self>,
        pages: &mut Pages,
        accounts: &Arc<Vec<Place>>,
        below: u32,
    ) -> Result<Option<Counted>, StoreError> {
        let mut contents = Vec::new();
        while contents.len() < SWEEP_CONTENTS_AT_ONCE {
            let Some(rows) = self.page(pages).await? else { break };
            let old = rows.iter().filter_map(Location::of_row).filter(|location| location.pack.generation < below);
            contents.extend(old);
        }
        if contents.is_empty() {
            return Ok(None);
        }
        let (shared, accounts) = (Arc::clone(self), Arc::clone(accounts));
        blocking(move || shared.count_references(contents, &accounts)).await.map(Some)
    }

    fn count_references(&self, contents: Vec<Location>, accounts: &[Place]) -> Result<Counted, StoreError> {
        let mut counted = Counted { references: vec![0; contents.len()], contents };
        let ends = counted.contents.first().zip(counted.contents.last());
        let Some((first, last)) = ends.map(|(first, last)| (first.content.id, last.content.id)) else {
            return Ok(counted);
        };
        for place in accounts {
            let (first, last) = (place.reference(first), place.reference(last));
            let range = (Bound::Included(&*first), Bound::Included(&*last));
            self.engine.scan(Table::Reference, range, |key, value| {
                let id = key.last_chunk().map(|id| ContentId(*id));
                let count = value.first_chunk().map_or(1, |count| u64::from_be_bytes(*count));
                if let Some(named) =
                    id.and_then(|id| counted.position(id)).and_then(|at| counted.references.get_mut(at))
                {
                    *named += count;
                }
                true
            })?;
        }
        Ok(counted)
    }

    fn mark_range(&self, plan: &Plan, counted: &Counted, mut marks: Marks) -> Result<Marks, StoreError> {
        let mut batch = Batch::of(Domain::Installation);
        let noted = self.noted(counted)?;
        for (location, references) in counted.iter() {
            let id = location.content.id;
            let is_named = references > 0 || plan.pinned.contains(&id);
            let since = noted.get(&id).copied();
            if is_named && since.is_some() {
                marks.revived.insert(id);
                batch.delete(Table::Location, since_key(id));
            } else if !is_named && since.is_none() {
                Since(plan.now).put(since_key(id), &mut batch);
            }
            marks.add(plan, location, (!is_named).then_some(since.unwrap_or(plan.now)));
            self.note(plan, GROUP_OCTETS_MAX, &mut batch)?;
        }
        self.note(plan, 0, &mut batch)?;
        Ok(marks)
    }

    /// Writes what was found, once it is more than so many octets. Where a crash loses it, it is found again.
    pub(super) fn note(&self, plan: &Plan, octets: usize, batch: &mut Batch) -> Result<(), StoreError> {
        match plan.write {
            Write::Yes => self.engine.commit_beyond(octets, batch, Durability::Buffered),
            Write::No if batch.octets() > octets => {
                drop(batch.take());
                Ok(())
            }
            Write::No => Ok(()),
        }
    }

    /// Since when contents of the range have been without a reference.
    fn noted(&self, counted: &Counted) -> Result<HashMap<ContentId, UnixMillis>, StoreError> {
        let mut noted = HashMap::new();
        let ends = counted.contents.first().zip(counted.contents.last());
        let Some((first, last)) = ends else { return Ok(noted) };
        let (first, last) = (id_key(SINCE, first.content.id), id_key(SINCE, last.content.id));
        self.engine.scan(Table::Location, (Bound::Included(&*first), Bound::Included(&*last)), |key, row| {
            noted.extend(id_of_key(key).zip(Since::decode(row).map(|since| since.0)));
            true
        })?;
        Ok(noted)
    }

    /// Contents that a message names which is not packed. Most have their octets with them; one that a further
    /// partition was given has not.
    pub(super) async fn named_by_owners(self: &Arc<Self>) -> Result<HashSet<ContentId>, StoreError> {
        let (mut named, mut pages) = (HashSet::new(), Pages::owners());
        while let Some(rows) = self.page(&mut pages).await? {
            for body in rows.iter().filter_map(|(key, row)| OwnedBody::decode(key, row)) {
                named.extend(body.manifest.contents());
            }
        }
        Ok(named)
    }

    /// Every account that has references.
    pub(in super::super) fn accounts_with_references(&self) -> Result<Vec<Place>, StoreError> {
        places_in(&self.engine, Table::Reference)
    }
}

impl Marks {
    /// Counts a content; `unnamed_since` where it has no reference.
    fn add(&mut self, plan: &Plan, location: &Location, unnamed_since: Option<UnixMillis>) {
        self.contents += 1;
        let is_expired = unnamed_since.is_some_and(|since| plan.is_expired(since));
        if unnamed_since.is_some() {
            self.unnamed += 1;
            self.unnamed_octets += location.stored_octets;
        }
        let tally = self.objects.entry(location.pack).or_default();
        if !is_expired {
            tally.kept_octets += location.stored_octets;
        }
    }
}
