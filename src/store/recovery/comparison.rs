//! What one check has found so far, and the writes that mend it.

use super::{Check, Examined, Finding, Mode, Remedy};
use crate::{
    limits,
    store::{
        StoreError,
        key::Place,
        metadata::{Batch, Domain, Durability, Engine, Table},
    },
};

/// A row as it has to be: its value, or none.
pub(super) struct Write(pub(super) Table, pub(super) Vec<u8>, pub(super) Option<Vec<u8>>);

/// What makes a finding good.
pub(super) enum Cure {
    /// These rows, in this order. Each may be the last one written.
    Write(Vec<Write>),
    /// Work that the caller does after the comparison, and reports with [`Comparison::cured`].
    Work,
    /// Nothing does.
    None,
    /// Nothing needs to.
    Needless,
}

/// One check at work.
pub(super) struct Comparison {
    mode: Mode,
    engine: Engine,
    batch: Batch,
    examined: Examined,
    /// Findings whose cure is the caller's work.
    pending: u64,
}

impl Comparison {
    pub(super) fn new(check: Check, mode: Mode, engine: &Engine) -> Self {
        let examined = Examined { check, compared: 0, wrong: 0, mended: 0, lost: 0, findings: Vec::new() };
        Self { mode, engine: engine.clone(), batch: Batch::of(Domain::Installation), examined, pending: 0 }
    }

    /// Whether mends are to be written.
    pub(super) fn mends(&self) -> bool {
        self.mode == Mode::Mend
    }

    /// Whether the next finding is listed, and not only counted.
    pub(super) fn tells(&self) -> bool {
        self.examined.findings.len() < limits::DOCTOR_FINDINGS_MAX
    }

    /// Counts what was compared.
    pub(super) fn compared(&mut self, count: u64) {
        self.examined.compared += count;
    }

    /// Something does not agree.
    pub(super) fn wrong(
        &mut self,
        place: Option<Place>,
        (row, what): (String, String),
        cure: Cure,
    ) -> Result<(), StoreError> {
        let remedy = self.remedy(&cure);
        let examined = &mut self.examined;
        examined.wrong += u64::from(remedy != Remedy::Harmless);
        examined.mended += u64::from(remedy == Remedy::Mended);
        examined.lost += u64::from(remedy == Remedy::Lost);
        self.pending += u64::from(matches!(cure, Cure::Work));
        if examined.findings.len() < limits::DOCTOR_FINDINGS_MAX {
            let (check, account) = (examined.check, place.map(|place| place.account));
            examined.findings.push(Finding { check, account, place: row, what, remedy });
        }
        match cure {
            Cure::Write(writes) if self.mends() => writes.into_iter().try_for_each(|write| self.write(write)),
            _ => Ok(()),
        }
    }

    fn remedy(&self, cure: &Cure) -> Remedy {
        match cure {
            Cure::Write(_) if self.mends() => Remedy::Mended,
            Cure::Write(_) | Cure::Work => Remedy::Mendable,
            Cure::None => Remedy::Lost,
            Cure::Needless => Remedy::Harmless,
        }
    }

    /// A table cannot be read to its end, which the engine's own checksums tell. Other failures stay failures.
    pub(super) fn unreadable(&mut self, place: Place, error: StoreError) -> Result<(), StoreError> {
        let StoreError::Damaged(what) = error else { return Err(error) };
        self.wrong(Some(place), ("a table".to_owned(), what), Cure::None)
    }

    /// Puts a row right that is no finding of its own.
    pub(super) fn write(&mut self, Write(table, key, value): Write) -> Result<(), StoreError> {
        if !self.mends() {
            return Ok(());
        }
        if !self.batch.may_write(table, &key) {
            self.flush()?;
            self.batch = Batch::of(Domain::of(table, &key));
        }
        match value {
            Some(value) => self.batch.put(table, key, value),
            None => self.batch.delete(table, key),
        }
        if self.batch.octets() > limits::DOCTOR_BATCH_OCTETS { self.flush() } else { Ok(()) }
    }

    /// Makes what was written durable, so that what is read next shows it.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.engine.commit(self.batch.take(), Durability::Synced)
    }

    /// The caller's work has cured so many of its findings; the others are lost.
    pub(super) fn cured(&mut self, count: u64) {
        let count = count.min(self.pending);
        self.examined.mended += count;
        self.examined.lost += self.pending - count;
        let remedy = if self.pending == count { Remedy::Mended } else { Remedy::Lost };
        let pending = self.examined.findings.iter_mut().filter(|finding| finding.remedy == Remedy::Mendable);
        pending.for_each(|finding| finding.remedy = remedy);
        self.pending = 0;
    }

    /// Writes what is left and gives what was found.
    pub(super) fn end(mut self) -> Result<Examined, StoreError> {
        self.flush()?;
        Ok(self.examined)
    }
}
