//! The engine in memory, for simulations: ordered maps that a view shares until a commit changes them.
//!
//! What it holds outlives the store that opened it, so that a test can close a store, or cut its power, and open
//! the next one on what is left. It keeps no file.

use super::{
    Durability, Table,
    batch::Write,
    engine::{Backend, KeyRange, Reader, Visit},
};
use crate::{clock::Clock, store::StoreError};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

type Rows = BTreeMap<Box<[u8]>, Bytes>;
/// By table. Whoever holds a clone of the pointer has a view; a commit copies a table that has one.
type Tables = HashMap<Table, Arc<Rows>>;

/// Metadata in memory. Clones are the same one. A store has it for itself until its last clone is dropped, or
/// until [`MemoryMetadata::crash`].
#[derive(Clone, Default)]
pub struct MemoryMetadata {
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for MemoryMetadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryMetadata")
    }
}

#[derive(Default)]
struct State {
    tables: Tables,
    /// What takes back each commit that a crash may lose, oldest first.
    unsynced: Vec<Vec<Undo>>,
    /// How often it was opened. Only the latest opening may use it.
    openings: u64,
    is_open: bool,
    faults: Option<Faults>,
    /// A commit whose outcome nobody knows before the next opening.
    doubtful: Option<Doubtful>,
}

/// Commits that fail by chance.
struct Faults {
    chance: Clock,
    one_in: u64,
}

struct Doubtful {
    writes: Vec<Write>,
    was_written: bool,
}

/// Sets a key to what it was.
struct Undo {
    table: Table,
    key: Box<[u8]>,
    before: Option<Bytes>,
}

impl MemoryMetadata {
    /// Empty metadata.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of its own, with what this holds now. Cheap: they share rows until one of them changes.
    #[must_use]
    pub fn copy(&self) -> Self {
        let tables = self.state.lock().tables.clone();
        Self { state: Arc::new(Mutex::new(State { tables, ..State::default() })) }
    }

    /// Cuts the power: every commit that was not synced is lost, and the store that has it open can neither read nor
    /// write any more. The next one may open it at once.
    pub fn crash(&self) {
        let mut state = self.state.lock();
        state.lose(usize::MAX);
    }

    /// The same, where a part of what was not synced reached the disk: the latest commits are lost, by chance from
    /// none to all of them.
    pub fn crash_in_part(&self, chance: &Clock) {
        let mut state = self.state.lock();
        let some = chance.random_u64() % (state.unsynced.len() as u64 + 1);
        state.lose(usize::try_from(some).unwrap_or(usize::MAX));
    }

    /// From now on one commit in `one_in` fails, by chance: for want of space, or with an outcome that shows
    /// at the next opening only, and no further commits until then. `None` ends it.
    pub fn fail_commits(&self, chance: Option<(Clock, u64)>) {
        self.state.lock().faults = chance.map(|(chance, one_in)| Faults { chance, one_in: one_in.max(1) });
    }

    /// Opens it, unless somebody has.
    pub(super) fn open(&self) -> Result<Memory, StoreError> {
        let mut state = self.state.lock();
        if state.is_open {
            return Err(StoreError::InUse);
        }
        if let Some(doubtful) = state.doubtful.take()
            && doubtful.was_written
        {
            state.write(doubtful.writes);
        }
        state.is_open = true;
        state.openings += 1;
        Ok(Memory { state: Arc::clone(&self.state), opening: state.openings })
    }
}

impl State {
    /// Takes back the latest commits and shuts out whoever has it open.
    fn lose(&mut self, commits: usize) {
        for _ in 0..commits {
            let Some(undo) = self.unsynced.pop() else { break };
            // Latest first: a commit may have written a key twice.
            for Undo { table, key, before } in undo.into_iter().rev() {
                set(self.rows(table), key, before);
            }
        }
        self.unsynced.clear();
        self.openings += 1;
        self.is_open = false;
    }

    fn rows(&mut self, table: Table) -> &mut Rows {
        Arc::make_mut(self.tables.entry(table).or_default())
    }

    fn write(&mut self, writes: Vec<Write>) {
        let mut undo = Vec::with_capacity(writes.len());
        for write in writes {
            match write {
                Write::Put(table, key, value) => {
                    let before = set(self.rows(table), key.clone(), Some(value.into()));
                    undo.push(Undo { table, key, before });
                }
                Write::Delete(table, key) => {
                    let before = set(self.rows(table), key.clone(), None);
                    undo.push(Undo { table, key, before });
                }
                Write::DeleteRange(table, start, end) => {
                    let range = (Bound::Included(&*start), Bound::Excluded(&*end));
                    let gone: Vec<_> = self.rows(table).range::<[u8], _>(range).map(|(key, _)| key.clone()).collect();
                    for key in gone {
                        let before = set(self.rows(table), key.clone(), None);
                        undo.push(Undo { table, key, before });
                    }
                }
            }
        }
        self.unsynced.push(undo);
    }

    /// What chance has for this commit.
    fn fault(&mut self, writes: &[Write]) -> Option<StoreError> {
        let Faults { chance, one_in } = self.faults.as_ref()?;
        if chance.random_u64() % one_in != 0 {
            return None;
        }
        if chance.random_u64().is_multiple_of(2) {
            return Some(StoreError::Full);
        }
        let was_written = chance.random_u64().is_multiple_of(2);
        self.doubtful = Some(Doubtful { writes: writes.to_vec(), was_written });
        Some(StoreError::Failed("the write was not confirmed".to_owned()))
    }
}

fn set(rows: &mut Rows, key: Box<[u8]>, value: Option<Bytes>) -> Option<Bytes> {
    match value {
        Some(value) => rows.insert(key, value),
        None => rows.remove(&key),
    }
}

/// Metadata in memory, opened.
pub(super) struct Memory {
    state: Arc<Mutex<State>>,
    opening: u64,
}

impl Memory {
    /// Runs something on the state, unless it is another's by now.
    fn with<T>(&self, run: impl FnOnce(&mut State) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut state = self.state.lock();
        if state.openings == self.opening {
            run(&mut state)
        } else {
            Err(StoreError::Failed("the metadata is another's".to_owned()))
        }
    }

    fn rows(&self, table: Table) -> Result<Arc<Rows>, StoreError> {
        self.with(|state| Ok(state.tables.get(&table).cloned().unwrap_or_default()))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.openings == self.opening {
            state.is_open = false;
        }
    }
}

impl Reader for Memory {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.with(|state| Ok(state.tables.get(&table).and_then(|rows| rows.get(key)).cloned()))
    }

    fn scan(&self, table: Table, range: KeyRange<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        scan(&*self.rows(table)?, range, visit);
        Ok(())
    }
}

impl Backend for Memory {
    fn multi_get(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let rows = self.rows(table)?;
        Ok(keys.iter().map(|key| rows.get(key.as_slice()).cloned()).collect())
    }

    fn view(&self) -> Box<dyn Reader + '_> {
        let tables = self.with(|state| Ok(state.tables.clone()));
        Box::new(Moment { tables: tables.map_err(|error| error.to_string()) })
    }

    fn commit(&self, writes: Vec<Write>, durability: Durability) -> Result<(), StoreError> {
        self.with(|state| {
            if state.doubtful.is_some() {
                return Err(StoreError::Failed("an earlier write was not confirmed".to_owned()));
            }
            if let Some(fault) = state.fault(&writes) {
                return Err(fault);
            }
            state.write(writes);
            if durability == Durability::Synced {
                state.unsynced.clear();
            }
            Ok(())
        })
    }
}

/// All tables as they were at one moment; the error where they were another's then.
struct Moment {
    tables: Result<Tables, String>,
}

impl Moment {
    fn rows(&self, table: Table) -> Result<Arc<Rows>, StoreError> {
        let tables = self.tables.as_ref().map_err(|error| StoreError::Failed(error.clone()))?;
        Ok(tables.get(&table).cloned().unwrap_or_default())
    }
}

impl Reader for Moment {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.rows(table)?.get(key).cloned())
    }

    fn scan(&self, table: Table, range: KeyRange<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        scan(&*self.rows(table)?, range, visit);
        Ok(())
    }
}

fn scan(rows: &Rows, range: KeyRange<'_>, visit: Visit<'_>) {
    for (key, value) in rows.range::<[u8], _>(range) {
        if !visit(key, value) {
            break;
        }
    }
}
