//! What every engine does, tried on each of them against an ordered map.

use super::{Batch, Domain, Durability, Engine, MemoryMetadata, MetadataAt, Table, View};
use crate::{
    clock::{Clock, UnixMillis},
    limits::{BATCH_OCTETS_MAX, KEY_OCTETS_MAX, VALUE_OCTETS_MAX},
    store::StoreError,
};
use proptest::{collection::vec, prelude::*};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Bound, RangeBounds},
    path::Path,
};

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// A table whose keys begin with anything.
const TABLE: Table = Table::Directory;

/// Where an engine keeps its rows between two openings.
struct Place {
    at: MetadataAt,
    folder: tempfile::TempDir,
    chance: Clock,
}

impl Place {
    fn new(at: MetadataAt) -> Self {
        Self { at, folder: tempfile::tempdir().unwrap(), chance: Clock::simulated(UnixMillis(0), 1) }
    }

    /// One for each engine.
    fn all() -> [Self; 2] {
        [Self::new(MetadataAt::Folder), Self::new(MetadataAt::Memory(MemoryMetadata::new()))]
    }

    fn try_open(&self) -> Result<Engine, StoreError> {
        Engine::open(&self.at, self.folder.path(), 1 << 20)
    }

    fn open(&self) -> Engine {
        self.try_open().unwrap()
    }

    /// Ends an engine without its doing: files are as they are at this moment, memory loses what it may lose.
    fn crash(&mut self, engine: Engine) {
        match &self.at {
            MetadataAt::Folder => {
                self.folder = copy_of(self.folder.path());
            }
            MetadataAt::Memory(memory) => memory.crash_in_part(&self.chance),
        }
        drop(engine);
    }
}

/// A copy of the files in a folder. Where one goes while they are copied (RocksDB removes those of before its opening
/// when it finds the time), once more: a crash would not have seen both states.
fn copy_of(folder: &Path) -> tempfile::TempDir {
    let names = || std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>();
    loop {
        let (copy, before) = (tempfile::tempdir().unwrap(), names());
        let mut files = before.iter().filter(|name| *name != "LOCK");
        if files.all(|name| std::fs::copy(folder.join(name), copy.path().join(name)).is_ok()) && before == names() {
            return copy;
        }
    }
}

fn pairs(engine: &Engine, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let visit = |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.to_vec()));
        true
    };
    engine.scan(TABLE, range, visit).unwrap();
    found
}

fn everything(engine: &Engine) -> Pairs {
    pairs(engine, (Bound::Unbounded, Bound::Unbounded)).into_iter().collect()
}

fn everything_in(view: &View<'_>) -> Pairs {
    let mut found = Pairs::new();
    let visit = |key: &[u8], value: &[u8]| found.insert(key.to_vec(), value.to_vec()).is_none();
    view.scan_prefix(TABLE, b"", visit).unwrap();
    found
}

fn batch() -> Batch {
    Batch::of(Domain::Installation)
}

fn commit(engine: &Engine, durability: Durability, fill: impl FnOnce(&mut Batch)) {
    let mut batch = batch();
    fill(&mut batch);
    engine.commit(batch, durability).unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
    Commit(Durability),
    View,
    Reopen,
    Crash,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0_u8), Just(1), Just(254), Just(255)], 0..4)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![key().prop_map(Bound::Included), key().prop_map(Bound::Excluded), Just(Bound::Unbounded)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (key(), vec(any::<u8>(), 0..9)).prop_map(|(key, value)| Step::Put(key, value)),
        4 => key().prop_map(Step::Delete),
        2 => (key(), key()).prop_map(|(one, other)| Step::DeleteRange(one, other)),
        5 => Just(Step::Commit(Durability::Buffered)),
        2 => Just(Step::Commit(Durability::Synced)),
        2 => Just(Step::View),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

/// Performs the steps and returns what is left: after each commit what an ordered map holds, after a crash what it
/// held at the last synced commit or at one of those behind it.
fn perform(place: &mut Place, steps: &[Step]) -> Pairs {
    let mut possible = vec![Pairs::new()];
    for session in steps.split_inclusive(|step| matches!(step, Step::Reopen | Step::Crash)) {
        let engine = place.open();
        perform_session(&engine, session, &mut possible);
        if let Some(Step::Crash) = session.last() {
            place.crash(engine);
            let found = everything(&place.open());
            assert!(possible.contains(&found), "{found:?} is none of {possible:?}");
            possible = vec![found];
        }
    }
    everything(&place.open())
}

/// The steps between two openings. `possible` is what a crash may leave; the last of it is what is there.
fn perform_session(engine: &Engine, steps: &[Step], possible: &mut Vec<Pairs>) {
    let (mut pending, mut writes) = (possible.last().unwrap().clone(), batch());
    let mut views: Vec<(View<'_>, Pairs)> = Vec::new();
    assert_eq!(&everything(engine), possible.last().unwrap());
    for step in steps.iter().cloned() {
        match step {
            Step::Put(key, value) => {
                writes.put(TABLE, &key, &value);
                pending.insert(key, value);
            }
            Step::Delete(key) => {
                writes.delete(TABLE, &key);
                pending.remove(&key);
            }
            Step::DeleteRange(start, end) => {
                writes.delete_range(TABLE, &start, &end);
                pending.retain(|key, _| *key < start || *key >= end);
            }
            Step::Commit(durability) => {
                engine.commit(std::mem::replace(&mut writes, batch()), durability).unwrap();
                if durability == Durability::Synced {
                    possible.clear();
                }
                possible.push(pending.clone());
            }
            Step::View => views.push((engine.view(), possible.last().unwrap().clone())),
            Step::Reopen | Step::Crash => {}
        }
        assert_eq!(&everything(engine), possible.last().unwrap());
        for (view, then) in &views {
            assert_eq!(&everything_in(view), then, "a view moved");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_engine_is_an_ordered_map(steps in vec(step(), 1..80), ranges in vec((bound(), bound()), 20)) {
        for mut place in Place::all() {
            let model = perform(&mut place, &steps);
            let engine = place.open();
            for (start, end) in &ranges {
                let range = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
                let within = |key: &[u8]| RangeBounds::<[u8]>::contains(&range, key);
                let expected: Vec<_> = model.clone().into_iter().filter(|(key, _)| within(key)).collect();
                prop_assert_eq!(pairs(&engine, range), expected);
            }
            let keys: Vec<Vec<u8>> = model.keys().cloned().chain([vec![7, 7]]).collect();
            let values = engine.multi_get(TABLE, &keys).unwrap();
            for (key, value) in keys.iter().zip(values) {
                prop_assert_eq!(value.as_deref(), model.get(key).map(Vec::as_slice));
                prop_assert_eq!(engine.get(TABLE, key).unwrap(), value);
            }
        }
    }
}

#[test]
fn a_scan_of_a_prefix_keeps_to_it_and_ends_when_told() {
    for place in Place::all() {
        let engine = place.open();
        commit(&engine, Durability::Synced, |batch| {
            for key in [&b"a"[..], b"a\xff", b"b", b"\xff\xff"] {
                batch.put(TABLE, key, b"");
            }
        });
        let count = |prefix: &[u8], at_most: usize| {
            let mut count = 0;
            let visit = |_: &[u8], _: &[u8]| {
                count += 1;
                count < at_most
            };
            engine.scan_prefix(TABLE, prefix, visit).unwrap();
            count
        };
        assert_eq!([b"\xff", &b"a"[..], b"", b"c"].map(|prefix| count(prefix, 9)), [1, 2, 4, 0]);
        assert_eq!(count(b"", 2), 2);
    }
}

#[test]
fn tables_know_nothing_of_one_another() {
    for place in Place::all() {
        let engine = place.open();
        let mut batch = Batch::of(Domain::Partition(7));
        let tables = Table::ALL.iter().filter(|table| !matches!(table, Table::System | Table::Directory));
        tables.clone().for_each(|table| batch.put(*table, [0, 7], table.name()));
        engine.commit(batch, Durability::Synced).unwrap();
        for table in tables {
            assert_eq!(engine.get(*table, [0, 7]).unwrap().as_deref(), Some(table.name().as_bytes()));
            assert_eq!(engine.view().get(*table, [0, 7]).unwrap().as_deref(), Some(table.name().as_bytes()));
        }
        assert_eq!(engine.get(Table::System, [0, 7]).unwrap(), None);
    }
}

#[test]
fn a_second_opener_is_told_that_the_store_is_in_use() {
    for place in Place::all() {
        let engine = place.open();
        let clone = engine.clone();
        drop(engine);
        assert!(matches!(place.try_open(), Err(StoreError::InUse)));
        drop(clone);
        place.open();
    }
}

/// Puts of so many octets in all, in values as large as they may be.
fn filled(octets: usize) -> Batch {
    let mut batch = batch();
    for number in 0_u16.. {
        let left = octets - batch.octets();
        if left == 0 {
            break;
        }
        let value = (left - 2).min(VALUE_OCTETS_MAX - 2);
        batch.put(TABLE, number.to_be_bytes(), vec![0; value]);
    }
    batch
}

#[test]
fn what_is_beyond_a_limit_is_refused_whole_and_what_is_not_is_taken() {
    let one = |key: usize, value: usize| {
        let mut batch = batch();
        batch.put(TABLE, "beside", "");
        batch.put(TABLE, vec![1; key], vec![2; value]);
        batch
    };
    let gone = |key: usize| {
        let mut batch = batch();
        batch.put(TABLE, "beside", "");
        batch.delete(TABLE, vec![1; key]);
        batch
    };
    for place in Place::all() {
        let engine = place.open();
        for batch in [one(KEY_OCTETS_MAX + 1, 1), one(1, VALUE_OCTETS_MAX + 1), gone(KEY_OCTETS_MAX + 1)] {
            assert!(matches!(engine.commit(batch, Durability::Synced), Err(StoreError::Limit(_))));
            assert!(everything(&engine).is_empty());
        }
        let mut above = filled(BATCH_OCTETS_MAX);
        above.delete(TABLE, [7]);
        let refused = engine.commit(above, Durability::Synced);
        assert!(matches!(refused, Err(StoreError::Limit(_))));
        assert!(everything(&engine).is_empty());
        for batch in [one(KEY_OCTETS_MAX, VALUE_OCTETS_MAX), gone(KEY_OCTETS_MAX), one(1, 0), one(0, 1)] {
            engine.commit(batch, Durability::Synced).unwrap();
        }
        engine.commit(filled(BATCH_OCTETS_MAX), Durability::Buffered).unwrap();
        assert_eq!(engine.get(TABLE, [0, 0]).unwrap().map(|value| value.len()), Some(VALUE_OCTETS_MAX - 2));
    }
}

#[test]
fn a_batch_writes_to_its_own_domain_only() {
    let (inside, other) = ([0_u8, 3, 9], [0_u8, 4, 9]);
    let of = |domain: Domain, fill: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::of(domain);
        fill(&mut batch);
        batch
    };
    let three = Domain::Partition(3);
    for place in Place::all() {
        let engine = place.open();
        let refused = [
            of(three, &|batch| batch.put(Table::Row, other, "")),
            of(three, &|batch| batch.delete(Table::Outbox, other)),
            of(three, &|batch| batch.delete_range(Table::Record, inside, other)),
            of(three, &|batch| batch.delete_range(Table::Record, [0, 2, 9], [0, 4])),
            of(three, &|batch| batch.put(Table::System, inside, "")),
            of(three, &|batch| batch.put(Table::Directory, inside, "")),
            of(three, &|batch| batch.put(Table::Repeat, [3], "")),
            of(Domain::Installation, &|batch| batch.put(Table::Mailbox, inside, "")),
            of(Domain::Installation, &|batch| batch.delete_range(Table::Segment, inside, other)),
        ];
        for batch in refused {
            assert!(matches!(engine.commit(batch, Durability::Synced), Err(StoreError::Limit(_))));
        }
        let taken = [
            of(three, &|batch| batch.put(Table::Row, inside, "")),
            of(three, &|batch| batch.delete_range(Table::Record, inside, [0, 4])),
            of(three, &|batch| batch.put(Table::Fresh, other, "")),
            of(Domain::Installation, &|batch| batch.put(Table::Location, other, "")),
            of(Domain::Installation, &|batch| batch.delete_range(Table::System, [0], [9])),
            of(Domain::Partition(u16::MAX), &|batch| batch.delete_range(Table::Row, [255, 255], [255, 255, 255])),
        ];
        for batch in taken {
            engine.commit(batch, Durability::Synced).unwrap();
        }
    }
}

/// The keys 0, 1, 2… that were committed one after another and are there when the metadata is opened again.
fn survivors(memory: &MemoryMetadata) -> Vec<u8> {
    everything(&Place::new(MetadataAt::Memory(memory.clone())).open()).into_keys().flatten().collect()
}

#[test]
fn a_crash_takes_the_latest_of_what_was_not_synced_and_shuts_the_owner_out() {
    let chance = Clock::simulated(UnixMillis(0), 1);
    let mut left = BTreeSet::new();
    for round in 0..60 {
        let memory = MemoryMetadata::new();
        let engine = Place::new(MetadataAt::Memory(memory.clone())).open();
        for number in 0..6_u8 {
            let durability = if number == 2 { Durability::Synced } else { Durability::Buffered };
            commit(&engine, durability, |batch| batch.put(TABLE, [number], b""));
        }
        if round == 0 {
            memory.crash()
        } else {
            memory.crash_in_part(&chance)
        }
        assert!(engine.get(TABLE, [0]).is_err() && engine.view().get(TABLE, [0]).is_err());
        assert!(engine.commit(batch(), Durability::Synced).is_err());
        let survivors = survivors(&memory);
        assert!(survivors.iter().copied().eq(0..survivors.len() as u8), "{survivors:?}");
        assert!(round > 0 || survivors.len() == 3);
        left.insert(survivors.len());
    }
    assert!(left.into_iter().eq(3..=6), "everything from the synced one on to all of it");
}

#[test]
fn a_failed_commit_is_either_not_done_or_shows_at_the_next_opening() {
    let chance = Clock::simulated(UnixMillis(0), 2);
    let mut seen = BTreeSet::new();
    for _ in 0..60 {
        let memory = MemoryMetadata::new();
        let engine = Place::new(MetadataAt::Memory(memory.clone())).open();
        memory.fail_commits(Some((chance.clone(), 1)));
        let mut writes = batch();
        writes.put(TABLE, [7], b"");
        let error = engine.commit(writes, Durability::Synced).unwrap_err();
        memory.fail_commits(None);
        assert_eq!(engine.get(TABLE, [7]).unwrap(), None);
        let again = engine.commit(batch(), Durability::Synced);
        assert_eq!(matches!(error, StoreError::Full), again.is_ok(), "{error}");
        drop(engine);
        seen.insert((matches!(error, StoreError::Full), survivors(&memory).len()));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(false, 0), (false, 1), (true, 0)]);
}
