//! Reading a table a page at a time, so that a long look over it holds neither memory nor a view.

use super::{
    Shared,
    read::blocking,
    rows::{OWNER, PACK, RETIRED, SETTLED, STRAY},
};
use crate::store::{
    StoreError,
    metadata::{Table, after_prefix},
};
use std::{ops::Bound, sync::Arc};

/// Rows of one page.
const ROWS: usize = 256;

/// Key and value of a row.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// Where a look over rows of one sort stands.
#[derive(Clone)]
pub(super) struct Pages {
    table: Table,
    after: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl Pages {
    /// The settled locations.
    pub(super) fn settled() -> Self {
        Self::new(Table::Location, SETTLED)
    }

    /// The rows of objects.
    pub(super) fn packs() -> Self {
        Self::new(Table::Location, PACK)
    }

    /// The objects that wait for their removal.
    pub(super) fn retired() -> Self {
        Self::new(Table::Location, RETIRED)
    }

    /// The objects that no row names.
    pub(super) fn strays() -> Self {
        Self::new(Table::Location, STRAY)
    }

    /// The owners of bodies that are not packed.
    pub(super) fn owners() -> Self {
        Self::new(Table::Fresh, OWNER)
    }

    pub(super) fn new(table: Table, sort: u8) -> Self {
        Self { table, after: vec![sort], end: after_prefix(vec![sort]) }
    }

    fn range(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (Bound::Excluded(&self.after), self.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded))
    }
}

impl Shared {
    /// The next rows, or `None` after the last.
    pub(super) async fn page(self: &Arc<Self>, pages: &mut Pages) -> Result<Option<Vec<Row>>, StoreError> {
        let (shared, from) = (Arc::clone(self), pages.clone());
        let rows = blocking(move || shared.rows(&from)).await?;
        let Some((last, _)) = rows.last() else { return Ok(None) };
        pages.after.clone_from(last);
        Ok(Some(rows))
    }

    fn rows(&self, pages: &Pages) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::with_capacity(ROWS);
        self.engine.scan(pages.table, pages.range(), |key, row| {
            rows.push((key.to_vec(), row.to_vec()));
            rows.len() < ROWS
        })?;
        Ok(rows)
    }

    /// How many rows there are.
    pub(super) fn count(&self, pages: &Pages) -> Result<u64, StoreError> {
        let mut count = 0;
        self.engine.scan(pages.table, pages.range(), |_, _| {
            count += 1;
            true
        })?;
        Ok(count)
    }
}
