//! Reference counts: how many records of the account name each content.
//!
//! Where a record cannot be read, nobody knows what it names: counts are then raised and never lowered, so that
//! nothing is swept that a message may need.

use super::{
    Check, Comparisons,
    account::Read,
    comparison::{Comparison, Cure, Write},
    records,
};
use crate::{
    mail::ContentId,
    store::{StoreError, inner::Inner, key::Place, metadata::Table},
};
use std::collections::HashMap;

pub(super) fn examine(inner: &Inner, place: Place, checks: &mut Comparisons) -> Result<(), StoreError> {
    let Some(comparison) = checks.get_mut(&Check::References) else { return Ok(()) };
    match compare(inner, place, comparison) {
        Err(error @ StoreError::Damaged(_)) => comparison.unreadable(place, error),
        other => other,
    }
}

fn compare(inner: &Inner, place: Place, comparison: &mut Comparison) -> Result<(), StoreError> {
    let view = inner.engine.view();
    let (mut expected, mut all_read) = (HashMap::<ContentId, u64>::new(), true);
    records::scan(&view, place, |rows| {
        match rows.record() {
            Read::Good(record) => {
                for content in record.manifest.contents() {
                    *expected.entry(content).or_default() += 1;
                }
            }
            _ => all_read = false,
        }
        Ok(())
    })?;
    comparison.compared(expected.len() as u64);
    let prefix = place.prefix();
    let mut differing = Vec::new();
    view.scan_prefix(Table::Reference, &prefix, |key, value| {
        let Some(content) = key.get(prefix.len()..).and_then(|id| id.try_into().ok()).map(ContentId) else {
            return true;
        };
        let (counted, rightly) = (<[u8; 8]>::try_from(value).ok().map(u64::from_be_bytes), expected.remove(&content));
        if counted != rightly {
            differing.push((content, counted, rightly));
        }
        true
    })?;
    differing.extend(expected.into_iter().map(|(content, rightly)| (content, None, Some(rightly))));
    for (content, counted, rightly) in differing {
        let lowers = counted.unwrap_or(0) > rightly.unwrap_or(0);
        if lowers && !all_read {
            continue;
        }
        let shown = |count: Option<u64>| count.map_or_else(|| "none".to_owned(), |count| count.to_string());
        let what = format!("its count of references is {}, records name it {} times", shown(counted), shown(rightly));
        let write =
            Write(Table::Reference, place.reference(content), rightly.map(|count| count.to_be_bytes().to_vec()));
        comparison.wrong(Some(place), (format!("content {content}"), what), Cure::Write(vec![write]))?;
    }
    comparison.flush()
}
