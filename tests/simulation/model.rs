//! What clients know to be stored, and what they cannot know.
//!
//! A letter lies in a mailbox once at most, so that (account, mailbox, token) names a message. Whoever changes or sends a
//! letter claims it first, so that what one client sees does not depend on another's pace. An operation without an answer is
//! a doubt: with the next start it turns out to be done or not, as a whole.

use super::letter::Letter;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

/// A message: account, mailbox, token of its letter.
pub type Key = (usize, &'static str, u32);
pub type Flags = BTreeSet<String>;

/// Mailboxes of every account.
pub const MAILBOXES: [&str; 3] = ["INBOX", "Archive", "Work"];

/// What one operation changes of one message: `None` where it is not there afterwards.
pub type Edit = (Key, Option<Flags>);

/// What clients know. Clones share it.
#[derive(Clone, Default)]
pub struct Model(Arc<Mutex<State>>);

#[derive(Default)]
pub struct State {
    pub letters: BTreeMap<u32, Arc<Letter>>,
    /// Messages that are there for certain, with their flags.
    pub messages: BTreeMap<Key, Flags>,
    /// Letters that somebody is changing.
    pub claimed: BTreeSet<u32>,
    /// How often a letter was changed.
    changes: BTreeMap<u32, u64>,
    doubts: Vec<Vec<Edit>>,
    /// What was seen under a UIDVALIDITY and UID.
    seen: BTreeMap<(usize, &'static str, u32, u32), u32>,
    /// UIDNEXT and the highest mod-sequence that were told.
    told: BTreeMap<(usize, &'static str), (u32, u64)>,
    pub acknowledged: u64,
    pub resolved: u64,
}

impl Model {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    /// Takes up a new letter, claimed.
    pub fn add_letter(&mut self, letter: Arc<Letter>) {
        self.claimed.insert(letter.token);
        self.letters.insert(letter.token, letter);
    }

    /// The next token.
    pub fn next_token(&self) -> u32 {
        self.letters.last_key_value().map_or(1, |(token, _)| token + 1)
    }

    /// Messages of a mailbox that nobody is changing.
    pub fn free(&self, account: usize, mailbox: &str) -> Vec<u32> {
        let here = self
            .messages
            .keys()
            .filter(|(a, m, token)| (*a, *m) == (account, mailbox) && !self.claimed.contains(token));
        here.map(|(_, _, token)| *token).collect()
    }

    /// Messages of a mailbox that nobody is changing, with how often they were changed.
    pub fn certain(&self, account: usize, mailbox: &str) -> BTreeMap<u32, u64> {
        self.free(account, mailbox).into_iter().map(|token| (token, self.version(token))).collect()
    }

    fn version(&self, token: u32) -> u64 {
        self.changes.get(&token).copied().unwrap_or(0)
    }

    /// Those that nobody has begun to change since.
    pub fn still_certain(&self, before: &BTreeMap<u32, u64>) -> BTreeSet<u32> {
        let still = before
            .iter()
            .filter(|(token, version)| self.version(**token) == **version && !self.claimed.contains(token));
        still.map(|(token, _)| *token).collect()
    }

    /// Whether a letter is in a mailbox for certain.
    pub fn has(&self, key: &Key) -> bool {
        self.messages.contains_key(key)
    }

    pub fn claim(&mut self, tokens: &[u32]) {
        self.claimed.extend(tokens);
    }

    /// The operation was confirmed, or turned out to be done.
    pub fn done(&mut self, edits: &[Edit]) {
        self.acknowledged += 1;
        self.apply(edits);
        self.release(edits);
    }

    /// Nobody knows whether the operation was done. Its letters stay claimed.
    pub fn doubt(&mut self, edits: Vec<Edit>) {
        self.doubts.push(edits);
    }

    fn apply(&mut self, edits: &[Edit]) {
        for (key, flags) in edits {
            *self.changes.entry(key.2).or_default() += 1;
            match flags {
                Some(flags) => drop(self.messages.insert(*key, flags.clone())),
                None => drop(self.messages.remove(key)),
            }
        }
    }

    fn release(&mut self, edits: &[Edit]) {
        edits.iter().for_each(|((_, _, token), _)| {
            self.claimed.remove(token);
        });
    }

    /// Settles every doubt by what is there after a restart: all of an operation, or nothing of it (P2). `pending` are
    /// letters whose senders will come again, and stay claimed.
    pub fn resolve(&mut self, there: &BTreeMap<Key, Flags>, pending: &BTreeSet<u32>) {
        for edits in std::mem::take(&mut self.doubts) {
            let is_done = edits.iter().all(|(key, flags)| there.get(key) == flags.as_ref());
            let is_undone = edits.iter().all(|(key, _)| there.get(key) == self.messages.get(key));
            assert!(
                is_done || is_undone,
                "P2: an operation was done by half: {edits:?}, there is {:?}",
                edits.iter().map(|(key, _)| there.get(key)).collect::<Vec<_>>()
            );
            if is_done {
                self.apply(&edits);
            }
            self.resolved += 1;
            edits.iter().filter(|((_, _, token), _)| !pending.contains(token)).for_each(|((_, _, token), _)| {
                self.claimed.remove(token);
            });
        }
    }

    /// P4: a UID means one message for ever.
    pub fn saw(&mut self, account: usize, mailbox: &'static str, validity: u32, uid: u32, token: u32) {
        let before = *self.seen.entry((account, mailbox, validity, uid)).or_insert(token);
        assert_eq!(before, token, "P4: UID {uid} of {mailbox} of user {account} is another message now");
    }

    /// UIDNEXT and HIGHESTMODSEQ of a mailbox, the highest that were told.
    pub fn told(&self, account: usize, mailbox: &'static str) -> (u32, u64) {
        self.told.get(&(account, mailbox)).copied().unwrap_or_default()
    }

    /// P4 and P5: UIDNEXT and HIGHESTMODSEQ never fall, also across restarts. `before` is what was known when they were
    /// asked for.
    pub fn tell(&mut self, account: usize, mailbox: &'static str, before: (u32, u64), now: (u32, u64)) {
        assert!(now.0 >= before.0, "P4: UIDNEXT of {mailbox} fell from {} to {}", before.0, now.0);
        assert!(now.1 >= before.1, "P5: HIGHESTMODSEQ of {mailbox} fell from {} to {}", before.1, now.1);
        let told = self.told.entry((account, mailbox)).or_default();
        *told = (told.0.max(now.0), told.1.max(now.1));
    }
}
