//! What every engine does, tried on each of them against an ordered map.

use super::{Batch, Durability, Engine, MemoryMetadata, MetadataAt, Table};
use crate::{
    clock::{Clock, UnixMillis},
    store::StoreError,
};
use proptest::prelude::*;
use std::{collections::BTreeMap, ops::Bound};

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Where an engine keeps its rows between two openings.
struct Place {
    at: MetadataAt,
    folder: tempfile::TempDir,
}

impl Place {
    fn new(at: MetadataAt) -> Self {
        Self { at, folder: tempfile::tempdir().unwrap() }
    }

    fn folder() -> Self {
        Self::new(MetadataAt::Folder)
    }

    fn memory() -> Self {
        Self::new(MetadataAt::Memory(MemoryMetadata::new()))
    }

    /// One of each kind.
    fn all() -> [Self; 2] {
        [Self::folder(), Self::memory()]
    }

    fn try_open(&self) -> Result<Engine, StoreError> {
        Engine::open(&self.at, self.folder.path(), 1 << 20)
    }

    fn open(&self) -> Engine {
        self.try_open().unwrap()
    }
}

fn pairs(engine: &Engine, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let visit = |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.to_vec()));
        true
    };
    engine.scan(Table::Row, range, visit).unwrap();
    found
}

fn commit(engine: &Engine, durability: Durability, fill: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::default();
    fill(&mut batch);
    engine.commit(batch, durability).unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
    Commit(Durability),
    Reopen,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(254), Just(255)], 0..4)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![key().prop_map(Bound::Included), key().prop_map(Bound::Excluded), Just(Bound::Unbounded)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (key(), proptest::collection::vec(any::<u8>(), 0..9)).prop_map(|(key, value)| Step::Put(key, value)),
        2 => key().prop_map(Step::Delete),
        1 => (key(), key()).prop_map(|(one, other)| Step::DeleteRange(one, other)),
        2 => Just(Step::Commit(Durability::Buffered)),
        1 => Just(Step::Commit(Durability::Synced)),
        1 => Just(Step::Reopen),
    ]
}

/// What the steps leave behind is what an ordered map holds, also after the engine was opened again.
fn check(place: &Place, steps: &[Step]) -> Pairs {
    let (mut engine, mut batch) = (Some(place.open()), Batch::default());
    let (mut model, mut pending) = (Pairs::new(), Pairs::new());
    for step in steps.iter().cloned() {
        match step {
            Step::Put(key, value) => {
                batch.put(Table::Row, &key, &value);
                pending.insert(key, value);
            }
            Step::Delete(key) => {
                batch.delete(Table::Row, &key);
                pending.remove(&key);
            }
            Step::DeleteRange(start, end) => {
                batch.delete_range(Table::Row, &start, &end);
                pending.retain(|key, _| *key < start || *key >= end);
            }
            Step::Commit(durability) => {
                engine.as_ref().unwrap().commit(std::mem::take(&mut batch), durability).unwrap();
                model.clone_from(&pending);
            }
            Step::Reopen => {
                batch = Batch::default();
                pending.clone_from(&model);
                drop(engine.take());
                engine = Some(place.open());
            }
        }
        let expected: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(pairs(engine.as_ref().unwrap(), (Bound::Unbounded, Bound::Unbounded)), expected);
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_engine_is_an_ordered_map(
        steps in proptest::collection::vec(step(), 1..60),
        ranges in proptest::collection::vec((bound(), bound()), 20),
    ) {
        for place in Place::all() {
            let model = check(&place, &steps);
            let engine = place.open();
            for (start, end) in &ranges {
                let range = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
                let within = |key: &[u8]| {
                    std::ops::RangeBounds::<[u8]>::contains(&range, key)
                };
                let expected: Vec<_> = model.clone().into_iter().filter(|(key, _)| within(key)).collect();
                prop_assert_eq!(pairs(&engine, range), expected);
            }
            let keys: Vec<Vec<u8>> = model.keys().cloned().chain([vec![7, 7]]).collect();
            let values = engine.multi_get(Table::Row, &keys).unwrap();
            for (key, value) in keys.iter().zip(values) {
                prop_assert_eq!(value.map(|value| value.to_vec()), model.get(key).cloned());
                prop_assert_eq!(engine.get(Table::Row, key).unwrap().map(|value| value.to_vec()), model.get(key).cloned());
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
                batch.put(Table::Row, key, b"");
            }
        });
        let count = |prefix: &[u8], at_most: usize| {
            let mut count = 0;
            let visit = |_: &[u8], _: &[u8]| {
                count += 1;
                count < at_most
            };
            engine.scan_prefix(Table::Row, prefix, visit).unwrap();
            count
        };
        assert_eq!([b"\xff", &b"a"[..], b"", b"c"].map(|prefix| count(prefix, 9)), [1, 2, 4, 0]);
        assert_eq!(count(b"", 2), 2);
    }
}

#[test]
fn a_view_does_not_move() {
    for place in Place::all() {
        let engine = place.open();
        let put = |value: &str| commit(&engine, Durability::Buffered, |batch| batch.put(Table::Row, "key", value));
        put("before");
        let view = engine.view();
        put("after");
        assert_eq!(view.get(Table::Row, "key").unwrap().as_deref(), Some(&b"before"[..]));
        assert_eq!(engine.get(Table::Row, "key").unwrap().as_deref(), Some(&b"after"[..]));
        let mut seen = Vec::new();
        let visit = |_: &[u8], value: &[u8]| {
            seen.push(value.to_vec());
            true
        };
        view.scan_prefix(Table::Row, b"k", visit).unwrap();
        assert_eq!(seen, [b"before".to_vec()]);
    }
}

#[test]
fn a_second_opener_is_told_that_the_store_is_in_use() {
    for place in Place::all() {
        let engine = place.open();
        assert!(matches!(place.try_open(), Err(StoreError::InUse)));
        drop(engine);
        place.open();
    }
}

/// The values of the keys 0, 1, 2… that were committed one after another.
fn survivors(memory: &MemoryMetadata) -> Vec<u8> {
    let place = Place::new(MetadataAt::Memory(memory.clone()));
    pairs(&place.open(), (Bound::Unbounded, Bound::Unbounded)).into_iter().flat_map(|(key, _)| key).collect()
}

#[test]
fn a_crash_takes_the_latest_of_what_was_not_synced_and_shuts_the_owner_out() {
    let chance = Clock::simulated(UnixMillis(0), 1);
    let mut left = std::collections::BTreeSet::new();
    for round in 0..60 {
        let memory = MemoryMetadata::new();
        let engine = Place::new(MetadataAt::Memory(memory.clone())).open();
        for number in 0..6_u8 {
            let durability = if number == 2 { Durability::Synced } else { Durability::Buffered };
            commit(&engine, durability, |batch| batch.put(Table::Row, [number], b""));
        }
        if round == 0 {
            memory.crash()
        } else {
            memory.crash_in_part(&chance)
        }
        assert!(engine.get(Table::Row, [0]).is_err());
        assert!(engine.commit(Batch::default(), Durability::Synced).is_err());
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
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let memory = MemoryMetadata::new();
        let engine = Place::new(MetadataAt::Memory(memory.clone())).open();
        memory.fail_commits(Some((chance.clone(), 1)));
        let mut batch = Batch::default();
        batch.put(Table::Row, [7], b"");
        let error = engine.commit(batch, Durability::Synced).unwrap_err();
        memory.fail_commits(None);
        assert_eq!(engine.get(Table::Row, [7]).unwrap(), None);
        let again = engine.commit(Batch::default(), Durability::Synced);
        assert_eq!(matches!(error, StoreError::Full), again.is_ok(), "{error}");
        drop(engine);
        seen.insert((matches!(error, StoreError::Full), survivors(&memory).len()));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(false, 0), (false, 1), (true, 0)]);
}
