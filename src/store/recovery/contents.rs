//! What reaches beyond rows: locations and packs, objects, text indexes, octets; and what is mended from them.

use super::{
    Check, Comparisons, ExamineProgress,
    account::Read,
    comparison::{Comparison, Cure},
    records,
};
use crate::{
    mail::{ContentId, MessageNumber},
    message,
    store::{
        Store, StoreError,
        blob::{self, LocationReport},
        index::Indexes,
        inner::Inner,
        key::Place,
        metadata::{Batch, Domain, Durability, Table},
        off_the_reactor,
        record::StoredRecord,
    },
};
use roaring::RoaringBitmap;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// A message, for findings about its contents.
type User = (Place, MessageNumber);

impl Store {
    /// Locations against packs, objects against rows, and whether every content that a record names has a place.
    pub(super) async fn examine_places(
        &self,
        checks: &mut Comparisons,
        progress: &mut (impl FnMut(ExamineProgress) + Send),
    ) -> Result<(), StoreError> {
        if ![Check::Locations, Check::Objects, Check::Contents].iter().any(|check| checks.contains_key(check)) {
            return Ok(());
        }
        progress(ExamineProgress { check: Check::Locations, done: 0, total: 0 });
        let (wanted, mut report) = self.compare_locations(checks).await?;
        if let Some(comparison) = checks.get_mut(&Check::Locations) {
            comparison.compared(report.compared);
            let cured = locations(comparison, &wanted, &report)?;
            if comparison.mends() && cured > 0 {
                self.rebuild_locations().await?;
                report = self.inner.blobs.compare_locations(&HashSet::new()).await?;
                comparison.cured(cured.saturating_sub(report.wrong.len() as u64));
            }
        }
        if let Some(comparison) = checks.get_mut(&Check::Objects) {
            objects(comparison, &report)?;
        }
        if let Some(comparison) = checks.get_mut(&Check::Contents) {
            let lost = wanted.iter().filter(|(content, _)| !report.found.contains(*content));
            for (content, user) in lost {
                let what = format!("content {content} is in no pack");
                comparison.wrong(Some(user.0), (format!("message {}", user.1), what), Cure::None)?;
            }
        }
        Ok(())
    }

    /// The contents that records name and that have no place, each with a message that names it, and how locations
    /// agree with packs.
    async fn compare_locations(
        &self,
        checks: &mut Comparisons,
    ) -> Result<(HashMap<ContentId, User>, LocationReport), StoreError> {
        let (mut wanted, mut named) = (HashMap::new(), 0);
        for place in self.places().await? {
            let inner = Arc::clone(&self.inner);
            let (placeless, count) = match off_the_reactor(move || placeless(&inner, place)).await? {
                Ok(found) => found,
                // A table that cannot be read is told by the checks of the account.
                Err(StoreError::Damaged(_)) => continue,
                Err(other) => return Err(other),
            };
            named += count;
            wanted.extend(placeless);
        }
        if let Some(contents) = checks.get_mut(&Check::Contents) {
            contents.compared(named);
        }
        let report = self.inner.blobs.compare_locations(&wanted.keys().copied().collect()).await?;
        Ok((wanted, report))
    }

    /// The text index of one account.
    pub(super) async fn examine_index(&self, place: Place, checks: &mut Comparisons) -> Result<(), StoreError> {
        let Some(comparison) = checks.get_mut(&Check::Index) else { return Ok(()) };
        let inner = Arc::clone(&self.inner);
        let numbers = match off_the_reactor(move || readable(&inner, place)).await? {
            Ok(numbers) => numbers,
            Err(error) => return comparison.unreadable(place, error),
        };
        let report = self.inner.indexes.compare(place, &numbers).await?;
        comparison.compared(report.compared);
        for (row, what) in &report.damaged {
            comparison.wrong(Some(place), (row.clone(), what.clone()), Cure::Work)?;
        }
        if !report.missing.is_empty() {
            let (messages, first) = (report.missing.len(), report.missing.min().unwrap_or(0));
            let what = format!("{messages} messages are not indexed, the first is {first}");
            comparison.wrong(Some(place), ("index".to_owned(), what), Cure::Work)?;
        }
        for name in &report.orphans {
            let what = ("no row names it".to_owned(), Cure::Needless);
            comparison.wrong(Some(place), (name.clone(), what.0), what.1)?;
        }
        let wrong = report.damaged.len() as u64 + u64::from(!report.missing.is_empty());
        if comparison.mends() && wrong > 0 {
            self.mend_index(place).await?;
            comparison.cured(wrong);
        }
        if comparison.mends() && self.inner.is_idle() {
            let orphans = self.inner.indexes.compare(place, &numbers).await?.orphans;
            self.inner.indexes.remove_orphans(&orphans).await?;
        }
        Ok(())
    }

    async fn mend_index(&self, place: Place) -> Result<(), StoreError> {
        if !self.inner.indexes.is_started() {
            self.start_indexes()?;
        }
        let inner = Arc::clone(&self.inner);
        let numbers = off_the_reactor(move || readable(&inner, place)).await??;
        let numbers: Vec<MessageNumber> = numbers.iter().filter_map(MessageNumber::new).collect();
        self.inner.indexes.rebuild(place.account, &numbers).await
    }

    /// Makes lost records again from what packs know of their messages.
    pub(super) async fn mend_records(
        &self,
        place: Place,
        numbers: &BTreeSet<MessageNumber>,
        checks: &mut Comparisons,
    ) -> Result<(), StoreError> {
        let Some(comparison) = checks.get_mut(&Check::Records) else { return Ok(()) };
        if !comparison.mends() {
            return Ok(());
        }
        let bodies = self.inner.blobs.bodies_of(place.account, numbers).await?;
        let mut cured = 0;
        for body in bodies.into_values() {
            let number = body.owner.number;
            let record = match self.record_of(body).await {
                Ok(record) => record,
                Err(StoreError::Damaged(what)) => {
                    tracing::warn!(account = %place.account, %number, %what, "a record cannot be made again");
                    continue;
                }
                Err(other) => return Err(other),
            };
            let inner = Arc::clone(&self.inner);
            off_the_reactor(move || put_record(&inner, place, number, record)).await??;
            cured += 1;
        }
        comparison.cured(cured);
        Ok(())
    }

    /// The record of a message whose body a pack has. What was judged of it is lost.
    pub(super) async fn record_of(&self, body: blob::OwnedBody) -> Result<StoredRecord, StoreError> {
        let raw = self.inner.blobs.read(&body.manifest, 0..body.manifest.octets()).await?;
        let blobs = self.inner.blobs.clone();
        off_the_reactor(move || {
            let analysis = message::analyse(&raw);
            StoredRecord {
                raw_id: blobs.name(&raw),
                raw_octets: raw.len() as u64,
                internal_date: body.owner.internal_date,
                trace: body.owner.tag,
                verdict: None,
                text_chunks: 0,
                manifest: body.manifest,
                analysis: analysis.to_stored().into(),
            }
        })
        .await
    }

    /// Reads every content.
    pub(super) async fn examine_octets(
        &self,
        checks: &mut Comparisons,
        progress: &mut (impl FnMut(ExamineProgress) + Send),
    ) -> Result<(), StoreError> {
        let Some(comparison) = checks.get_mut(&Check::Contents) else { return Ok(()) };
        let told = |read: blob::VerifyProgress| {
            progress(ExamineProgress { check: Check::Contents, done: read.done, total: read.total });
        };
        let verified = self.inner.blobs.verify(told).await?;
        comparison.compared(verified.read.done);
        let damaged: HashSet<ContentId> = verified.damage.iter().filter_map(|damage| damage.content).collect();
        let users = if damaged.is_empty() { HashMap::new() } else { self.users(damaged).await? };
        for damage in verified.damage {
            let user = damage.content.and_then(|content| users.get(&content));
            let row = match (user, damage.content) {
                (Some((_, number)), _) => format!("message {number}"),
                (None, Some(content)) => format!("content {content}, which no message names"),
                (None, None) => "a pack or its row".to_owned(),
            };
            comparison.wrong(user.map(|(place, _)| *place), (row, damage.what), Cure::None)?;
        }
        Ok(())
    }

    /// A message that names each of these contents.
    async fn users(&self, contents: HashSet<ContentId>) -> Result<HashMap<ContentId, User>, StoreError> {
        let contents = Arc::new(contents);
        let mut users = HashMap::new();
        for place in self.places().await? {
            let (inner, contents) = (Arc::clone(&self.inner), Arc::clone(&contents));
            let found = off_the_reactor(move || {
                let mut found = Vec::new();
                named_contents(&inner, place, |number, content| {
                    if contents.contains(&content) {
                        found.push((content, (place, number)));
                    }
                    Ok(())
                })
                .map(|()| found)
            });
            match found.await? {
                Ok(found) => users.extend(found),
                Err(StoreError::Damaged(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(users)
    }
}

/// Adds what is wrong with locations; returns how much of it a rebuild cures.
fn locations(
    comparison: &mut Comparison,
    wanted: &HashMap<ContentId, User>,
    report: &LocationReport,
) -> Result<u64, StoreError> {
    for (row, what) in &report.wrong {
        comparison.wrong(None, (row.clone(), what.clone()), Cure::Work)?;
    }
    for content in &report.found {
        let place = wanted.get(content).map(|(place, _)| *place);
        let what = "it has no location, and a pack has it".to_owned();
        comparison.wrong(place, (format!("content {content}"), what), Cure::Work)?;
    }
    Ok(report.wrong.len() as u64 + report.found.len() as u64)
}

fn objects(comparison: &mut Comparison, report: &LocationReport) -> Result<(), StoreError> {
    comparison.compared(report.objects);
    for (name, what) in &report.damaged {
        let what = format!("{what} cannot be read; contents are read by their locations as long as these are kept");
        comparison.wrong(None, (name.clone(), what), Cure::None)?;
    }
    for name in &report.missing {
        comparison.wrong(None, (name.clone(), "rows name it, and it is gone".to_owned()), Cure::None)?;
    }
    for (name, octets) in &report.orphans {
        comparison.wrong(None, (name.clone(), format!("no row names it ({octets} octets)")), Cure::Needless)?;
    }
    Ok(())
}

/// Calls `visit` with each content that a readable record of an account names.
fn named_contents(
    inner: &Inner,
    place: Place,
    mut visit: impl FnMut(MessageNumber, ContentId) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let view = inner.engine.view();
    records::scan(&view, place, |rows| match rows.record() {
        Read::Good(record) => record.manifest.stored_contents().try_for_each(|content| visit(rows.number, content)),
        _ => Ok(()),
    })
}

/// Contents that records name and that have no place, and how many were looked up.
fn placeless(inner: &Inner, place: Place) -> Result<(HashMap<ContentId, User>, u64), StoreError> {
    let (mut placeless, mut count) = (HashMap::new(), 0);
    let view = inner.engine.view();
    records::scan(&view, place, |rows| {
        let Read::Good(record) = rows.record() else { return Ok(()) };
        for content in record.manifest.stored_contents() {
            count += 1;
            if !blob::has_place(&view, content)? {
                placeless.insert(content, (place, rows.number));
            }
        }
        Ok(())
    })?;
    Ok((placeless, count))
}

/// The numbers of messages whose records can be read: those that an index can be made of.
fn readable(inner: &Inner, place: Place) -> Result<RoaringBitmap, StoreError> {
    let mut numbers = RoaringBitmap::new();
    let view = inner.engine.view();
    records::scan(&view, place, |rows| {
        if matches!(rows.record(), Read::Good(_)) {
            numbers.insert(rows.number.get());
        }
        Ok(())
    })?;
    Ok(numbers)
}

/// Writes a record that was made again. What the tail has of its text stays its own.
fn put_record(inner: &Inner, place: Place, number: MessageNumber, record: StoredRecord) -> Result<(), StoreError> {
    let mut chunks = 0;
    inner.engine.scan_prefix(Table::Tail, &Indexes::tail_key(place, number), |_, _| {
        chunks += 1;
        true
    })?;
    let mut batch = Batch::of(Domain::Partition(place.partition));
    StoredRecord { text_chunks: chunks, ..record }.write(place, number, &mut batch);
    inner.engine.commit(batch, Durability::Synced)
}
