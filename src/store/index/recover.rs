//! Segments and tail held against the messages that they should hold.

use super::{Indexes, row, segments};
use crate::{
    limits,
    store::{StoreError, key::Place, off_the_reactor},
};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// How an account's index agrees with its messages.
#[derive(Debug, Default)]
pub(in crate::store) struct IndexReport {
    /// Segments and messages of the tail that were read.
    pub(in crate::store) compared: u64,
    /// Messages that neither a segment nor the tail has.
    pub(in crate::store) missing: RoaringBitmap,
    /// What cannot be read, and why.
    pub(in crate::store) damaged: Vec<(String, String)>,
    /// Bundles that no row names.
    pub(in crate::store) orphans: Vec<String>,
}

impl Indexes {
    /// Reads every segment and the tail of an account. `numbers` are the messages that must be there.
    pub(in crate::store) async fn compare(
        &self,
        place: Place,
        numbers: &RoaringBitmap,
    ) -> Result<IndexReport, StoreError> {
        for _ in 0..limits::INDEX_RETRIES {
            self.renew_copies(place).await?;
            let shared = Arc::clone(&self.0);
            let read = off_the_reactor(move || read(&shared, place)).await??;
            let Some((held, mut report, objects)) = read else { continue };
            report.missing = numbers - &held;
            let listed = self.0.blobs.list_objects(&row::folder(place.account)).await?;
            report.orphans = listed.into_iter().filter(|name| !objects.contains(name)).collect();
            return Ok(report);
        }
        Err(StoreError::Failed("index segments came and went too fast".to_owned()))
    }

    /// Gets what is kept elsewhere again, so that damage to it shows.
    async fn renew_copies(&self, place: Place) -> Result<(), StoreError> {
        // A damaged row is told of by who reads the rows next.
        for row in self.rows(place).await.unwrap_or_default() {
            let name = row.object(place.account);
            self.0.blobs.forget_copy(&name);
            self.0.blobs.fetch_copy(&name).await?;
        }
        Ok(())
    }

    /// Whether the indexes know where texts come from ([`Indexes::start`]).
    pub(in crate::store) fn is_started(&self) -> bool {
        self.0.source.get().is_some()
    }

    /// Removes bundles that no row names. Nothing else may write meanwhile.
    pub(in crate::store) async fn remove_orphans(&self, orphans: &[String]) -> Result<(), StoreError> {
        for name in orphans {
            self.0.blobs.delete_object(name).await?;
        }
        Ok(())
    }
}

/// Which messages are held, what was found, and the names of the segments' objects. `None` where a merge took a
/// segment away meanwhile.
fn read(shared: &super::Shared, place: Place) -> Result<Option<(RoaringBitmap, IndexReport, Vec<String>)>, StoreError> {
    let view = shared.engine.view();
    let (mut held, mut report) = (RoaringBitmap::new(), IndexReport::default());
    let rows = match row::all(&view, place) {
        Ok(rows) => rows,
        Err(StoreError::Damaged(what)) => {
            report.damaged.push(("segments".to_owned(), what));
            Vec::new()
        }
        Err(other) => return Err(other),
    };
    for segment in &rows {
        report.compared += 1;
        // Read from its file again, so that damage since it was opened shows.
        shared.open.forget_segment(place.account, &segment.id);
        match segments::open(shared, place.account, segment) {
            Ok(open) if open.documents() == segment.documents && open.weight() as u64 == segment.octets => {
                held.extend((0..open.documents()).map(|document| open.number(document)));
            }
            Ok(_) => report.damaged.push((format!("segment {}", segment.id), "it is not what its row says".to_owned())),
            Err(StoreError::NoMessage) if row::all(&shared.engine.view(), place)? != rows => return Ok(None),
            Err(StoreError::NoMessage) => {
                report.damaged.push((format!("segment {}", segment.id), "its object is missing".to_owned()));
            }
            Err(StoreError::Damaged(what) | StoreError::Failed(what)) => {
                report.damaged.push((format!("segment {}", segment.id), what));
            }
            Err(other) => return Err(other),
        }
    }
    for (number, octets) in segments::tail_rows(&view, place, usize::MAX)? {
        report.compared += 1;
        held.insert(number);
        if !octets.is_empty()
            && let Err(StoreError::Damaged(what)) = segments::read(place, number, &octets)
        {
            report.damaged.push((format!("message {number}"), what));
        }
    }
    let objects = rows.iter().map(|segment| segment.object(place.account)).collect();
    Ok(Some((held, report, objects)))
}
