//! Caches bounded by octets: what was used least lately goes first.

use super::StoreError;
use lru::LruCache;
use parking_lot::Mutex;
use std::{hash::Hash, sync::Arc};

/// Octets that an entry takes beside its value, about.
const ENTRY_OCTETS: usize = 160;

/// Says how much memory a value takes, about.
pub(super) trait Weigh {
    fn octets(&self) -> usize;
}

/// Values shared by all who read them; one that is dropped here lives on with whoever holds it.
pub(super) struct Cache<K: Hash + Eq, V>(Mutex<Weighed<K, V>>);

struct Weighed<K: Hash + Eq, V> {
    /// With the octets that each was counted with.
    values: LruCache<K, (Arc<V>, usize)>,
    octets: usize,
    octets_max: usize,
}

impl<K: Hash + Eq, V: Weigh> Cache<K, V> {
    pub(super) fn new(octets_max: usize) -> Self {
        Self(Mutex::new(Weighed { values: LruCache::unbounded(), octets: 0, octets_max }))
    }

    pub(super) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.0.lock().values.get(key).map(|(value, _)| Arc::clone(value))
    }

    pub(super) fn put(&self, key: K, value: Arc<V>) {
        self.0.lock().put(key, value);
    }

    /// Keeps a value that was read from the tables, where no other came first and `is_current` still
    /// holds, and returns what is to be used. The writer puts new values behind its commits, so nothing older
    /// than what is committed ever gets in.
    pub(super) fn keep(
        &self,
        key: K,
        value: Arc<V>,
        is_current: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Result<Arc<V>, StoreError> {
        let mut weighed = self.0.lock();
        if let Some((known, _)) = weighed.values.get(&key) {
            return Ok(Arc::clone(known));
        }
        if is_current()? {
            weighed.put(key, Arc::clone(&value));
        }
        Ok(value)
    }

    pub(super) fn remove(&self, key: &K) {
        self.0.lock().remove(key);
    }
}

impl<K: Hash + Eq + Clone, V: Weigh> Cache<K, V> {
    pub(super) fn remove_if(&self, is_gone: impl Fn(&K) -> bool) {
        let mut weighed = self.0.lock();
        let gone: Vec<K> = weighed.values.iter().map(|(key, _)| key).filter(|key| is_gone(key)).cloned().collect();
        for key in gone {
            weighed.remove(&key);
        }
    }
}

impl<K: Hash + Eq, V: Weigh> Weighed<K, V> {
    fn remove(&mut self, key: &K) {
        if let Some((_, octets)) = self.values.pop(key) {
            self.octets = self.octets.saturating_sub(octets);
        }
    }

    fn put(&mut self, key: K, value: Arc<V>) {
        let octets = value.octets() + ENTRY_OCTETS;
        self.octets += octets;
        if let Some((_, before)) = self.values.put(key, (value, octets)) {
            self.octets = self.octets.saturating_sub(before);
        }
        while self.octets > self.octets_max && self.values.len() > 1 {
            let Some((_, (_, dropped))) = self.values.pop_lru() else { break };
            self.octets = self.octets.saturating_sub(dropped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for Vec<u8> {
        fn octets(&self) -> usize {
            self.len()
        }
    }

    fn value(octets: usize) -> Arc<Vec<u8>> {
        Arc::new(vec![0; octets])
    }

    #[test]
    fn what_was_used_least_lately_goes_first_once_the_bound_is_passed() {
        let cache = Cache::new(3 * (1000 + ENTRY_OCTETS));
        (1..=3).for_each(|key| cache.put(key, value(1000)));
        assert!(cache.get(&1).is_some());
        cache.put(4, value(1000));
        assert_eq!([1, 2, 3, 4].map(|key| cache.get(&key).is_some()), [true, false, true, true]);
        cache.put(4, value(10));
        cache.put(5, value(500));
        assert_eq!([1, 3, 4, 5].map(|key| cache.get(&key).is_some()), [true; 4], "a replaced value weighs no more");
        cache.put(6, value(1 << 20));
        assert_eq!([1, 3, 4, 5, 6].map(|key| cache.get(&key).is_some()), [false, false, false, false, true]);
    }

    #[test]
    fn what_was_read_before_a_commit_does_not_get_in_behind_it() {
        let cache = Cache::new(1 << 20);
        let read = cache.keep(1, value(1), || Ok(false)).unwrap();
        assert_eq!((read.len(), cache.get(&1)), (1, None));
        cache.put(1, value(2));
        assert_eq!(cache.keep(1, value(1), || Ok(true)).unwrap().len(), 2);
    }
}
