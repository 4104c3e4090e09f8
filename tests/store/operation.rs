//! Operations on one account, and a model of what they do: no store, only what the RFCs promise.

use super::letter;
use postern::{
    mail::{AccountId, Flags, Uid},
    store::{AccountLimits, Admission, Copied, FlagChange, FlagMode, Limit, Store, StoreError, Usage},
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Names that the operations use: levels, INBOX in two cases, one below it.
const NAMES: &[&str] = &["INBOX", "inbox", "a", "a/b", "a/b/c", "b", "b/c", "INBOX/old", "Trash", "Archive"];
const FLAGS: &[&str] = &["\\Seen", "\\Deleted", "\\Flagged", "\\Answered", "$Label", "other", "\\Draft"];
/// What every account begins with.
const FIRST_NAMES: &[&str] = &["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"];

type Name = &'static str;

#[derive(Clone, Debug)]
pub enum Operation {
    /// Letters of these numbers of octets, in one append.
    Append(Name, Vec<usize>, u8),
    /// UIDs are named by bits, from the mailbox's first message on.
    Copy(Name, u64, Name),
    Move(Name, u64, Name),
    Store(Name, u64, Mode, u8),
    Expunge(Name, Option<u64>),
    Create(Name),
    Delete(Name),
    Rename(Name, Name),
    Subscribe(Name),
    Unsubscribe(Name),
    /// Limits of octets and messages above or below what is used.
    Limit(Option<i16>, Option<i8>),
}

#[derive(Clone, Copy, Debug)]
pub enum Mode {
    Replace,
    Add,
    Remove,
}

pub fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let name = || prop_oneof![3 => Just("INBOX"), 4 => proptest::sample::select(NAMES)];
    let octets = || prop_oneof![20 => 0_usize..400, 3 => Just(6000), 1 => Just(420_000)];
    // Most operations mean many messages, some one or none.
    let uids = || prop_oneof![any::<u64>(), (0_u32..6).prop_map(|bit| 1 << bit), Just(u64::MAX)];
    let mode = || proptest::sample::select(vec![Mode::Replace, Mode::Add, Mode::Remove]);
    prop_oneof![
        8 => (name(), proptest::collection::vec(octets(), 1..4), any::<u8>())
            .prop_map(|(name, octets, flags)| Append(name, octets, flags)),
        3 => (name(), uids(), name()).prop_map(|(from, uids, to)| Copy(from, uids, to)),
        3 => (name(), uids(), name()).prop_map(|(from, uids, to)| Move(from, uids, to)),
        5 => (name(), uids(), mode(), any::<u8>()).prop_map(|(name, uids, mode, flags)| Store(name, uids, mode, flags)),
        3 => (name(), proptest::option::of(uids())).prop_map(|(name, among)| Expunge(name, among)),
        3 => name().prop_map(Create),
        2 => name().prop_map(Delete),
        2 => (name(), name()).prop_map(|(from, to)| Rename(from, to)),
        1 => name().prop_map(Subscribe),
        1 => name().prop_map(Unsubscribe),
        2 => (proptest::option::of(-500_i16..3000), proptest::option::of(-2_i8..6))
            .prop_map(|(octets, messages)| Limit(octets, messages)),
    ]
}

/// Flags by bits. `\Deleted` only together with another bit, so that not everything is expunged at once.
pub fn flags_of(bits: u8) -> Flags {
    let names: Vec<&str> =
        FLAGS.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| *name).collect();
    super::flags(&names)
}

#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub octets: Vec<u8>,
    pub flags: Flags,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let subject = String::from_utf8_lossy(&self.octets).lines().nth(1).unwrap_or_default().to_owned();
        let flags: Vec<String> = self.flags.iter().map(|flag| flag.to_string()).collect();
        write!(f, "{subject} of {} octets, {}", self.octets.len(), flags.join(" "))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    pub messages: BTreeMap<u32, Message>,
    pub uid_next: u32,
    /// Which mailbox it is, however it is called: a created one is a new one.
    pub identity: u64,
}

/// What an account holds, by the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub mailboxes: BTreeMap<String, Mailbox>,
    pub subscriptions: BTreeSet<String>,
    limits: AccountLimits,
    letters: u64,
    identities: u64,
}

/// What an operation answers, as far as a client can see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Uids(Vec<u32>),
    Pairs(Vec<(u32, u32)>),
    NoMailbox,
    Exists,
    NotAllowed,
    OverQuota,
}

impl Model {
    pub fn new() -> Self {
        let mut model = Self {
            mailboxes: BTreeMap::new(),
            subscriptions: BTreeSet::new(),
            limits: AccountLimits::default(),
            letters: 0,
            identities: 0,
        };
        for name in FIRST_NAMES {
            model.make(name);
            model.subscriptions.insert((*name).to_owned());
        }
        model
    }

    fn make(&mut self, name: &str) {
        self.identities += 1;
        let mailbox = Mailbox { messages: BTreeMap::new(), uid_next: 1, identity: self.identities };
        self.mailboxes.insert(name.to_owned(), mailbox);
    }

    fn make_parents(&mut self, name: &str) {
        let levels: Vec<&str> = name.split('/').collect();
        for level in 1..levels.len() {
            let parent = levels[..level].join("/");
            if !self.mailboxes.contains_key(&parent) {
                self.make(&parent);
            }
        }
    }

    /// The UIDs that an operation names: by bits from the first message on; bits behind the last name the next
    /// UIDs, which are not there.
    pub fn uids(&self, name: &str, bits: u64) -> Vec<u32> {
        let Some(mailbox) = self.mailboxes.get(&canonical(name)) else { return Vec::new() };
        let all = mailbox.messages.keys().copied().chain(mailbox.uid_next..);
        let count = mailbox.messages.len().min(62) + 2;
        all.take(count).enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, uid)| uid).collect()
    }

    pub fn apply(&mut self, operation: &Operation) -> Outcome {
        match operation {
            Operation::Append(name, octets, flags) => self.append(&canonical(name), octets, *flags),
            Operation::Copy(from, uids, to) => {
                self.copy_within(&canonical(from), &self.uids(from, *uids), &canonical(to))
            }
            Operation::Move(from, uids, to) => {
                let uids = self.uids(from, *uids);
                let outcome = self.copy(&canonical(from), &uids, &canonical(to));
                if let (Outcome::Pairs(pairs), Some(source)) = (&outcome, self.mailboxes.get_mut(&canonical(from))) {
                    pairs.iter().for_each(|(uid, _)| drop(source.messages.remove(uid)));
                }
                outcome
            }
            Operation::Store(name, uids, mode, flags) => {
                let uids = self.uids(name, *uids);
                self.store(&canonical(name), &uids, *mode, &flags_of(*flags))
            }
            Operation::Expunge(name, among) => {
                let among = among.map(|bits| self.uids(name, bits));
                self.expunge(&canonical(name), among)
            }
            Operation::Create(name) => self.create(&canonical(name)),
            Operation::Delete(name) => self.delete(&canonical(name)),
            Operation::Rename(from, to) => self.rename(&canonical(from), &canonical(to)),
            Operation::Subscribe(name) => {
                self.subscriptions.insert(canonical(name));
                Outcome::Done
            }
            Operation::Unsubscribe(name) => {
                self.subscriptions.remove(&canonical(name));
                Outcome::Done
            }
            Operation::Limit(octets, messages) => {
                self.limits = self.limits_of(*octets, *messages);
                Outcome::Done
            }
        }
    }

    /// The octets of the letters that the next append of these sizes is made of.
    pub fn letters(&self, octets: &[usize]) -> Vec<Vec<u8>> {
        (self.letters..).zip(octets).map(|(number, octets)| letter(number, *octets)).collect()
    }

    fn append(&mut self, name: &str, octets: &[usize], flags: u8) -> Outcome {
        let letters = self.letters(octets);
        // Also where there is no mailbox, so that store and model stay in step.
        self.letters += letters.len() as u64;
        let more = letters.iter().map(|octets| Usage::of_message(octets.len() as u64)).sum();
        // Several letters at once are an administrator's import, which no limit stops.
        let has_room = letters.len() > 1 || self.has_room(more);
        let Some(mailbox) = self.mailboxes.get_mut(name) else { return Outcome::NoMailbox };
        if !has_room {
            return Outcome::OverQuota;
        }
        let messages = letters.into_iter().map(|octets| Message { octets, flags: flags_of(flags) });
        Outcome::Uids(messages.map(|message| mailbox.add(message)).collect())
    }

    /// What the rows use together.
    pub fn usage(&self) -> Usage {
        let messages = self.mailboxes.values().flat_map(|mailbox| mailbox.messages.values());
        messages.map(|message| Usage::of_message(message.octets.len() as u64)).sum()
    }

    fn limits_of(&self, octets: Option<i16>, messages: Option<i8>) -> AccountLimits {
        let usage = self.usage();
        let near = |used: u64, by: i64| Limit::AtMost(used.saturating_add_signed(by));
        AccountLimits {
            octets: octets.map_or(Limit::Unlimited, |by| near(usage.octets, by.into())),
            messages: messages.map_or(Limit::Default, |by| near(usage.messages, by.into())),
        }
    }

    fn has_room(&self, more: Usage) -> bool {
        let after = self.usage().plus(more);
        let fits = |limit: Limit, amount: u64| !matches!(limit, Limit::AtMost(limit) if amount > limit);
        more.messages == 0 || (fits(self.limits.octets, after.octets) && fits(self.limits.messages, after.messages))
    }

    /// A copy, where it fits; a move always does.
    fn copy_within(&mut self, from: &str, uids: &[u32], to: &str) -> Outcome {
        let (Some(source), true) = (self.mailboxes.get(from), self.mailboxes.contains_key(to)) else {
            return Outcome::NoMailbox;
        };
        let copied = uids.iter().filter_map(|uid| source.messages.get(uid));
        if !self.has_room(copied.map(|message| Usage::of_message(message.octets.len() as u64)).sum()) {
            return Outcome::OverQuota;
        }
        self.copy(from, uids, to)
    }

    fn copy(&mut self, from: &str, uids: &[u32], to: &str) -> Outcome {
        let Some(source) = self.mailboxes.get(from) else { return Outcome::NoMailbox };
        let messages: Vec<(u32, Message)> =
            uids.iter().filter_map(|uid| Some((*uid, source.messages.get(uid)?.clone()))).collect();
        let Some(destination) = self.mailboxes.get_mut(to) else { return Outcome::NoMailbox };
        Outcome::Pairs(messages.into_iter().map(|(uid, message)| (uid, destination.add(message))).collect())
    }

    fn store(&mut self, name: &str, uids: &[u32], mode: Mode, flags: &Flags) -> Outcome {
        let Some(mailbox) = self.mailboxes.get_mut(name) else { return Outcome::NoMailbox };
        let mut stored = Vec::new();
        for uid in uids {
            let Some(message) = mailbox.messages.get_mut(uid) else { continue };
            let before = &message.flags;
            message.flags = match mode {
                Mode::Replace => flags.clone(),
                Mode::Add => before.iter().chain(flags.iter()).collect(),
                Mode::Remove => before.iter().filter(|flag| !flags.contains(flag)).collect(),
            };
            stored.push(*uid);
        }
        Outcome::Uids(stored)
    }

    fn expunge(&mut self, name: &str, among: Option<Vec<u32>>) -> Outcome {
        let Some(mailbox) = self.mailboxes.get_mut(name) else { return Outcome::NoMailbox };
        let deleted = super::flags(&["\\Deleted"]).system;
        let is_meant = |uid: &u32| among.as_ref().is_none_or(|among| among.contains(uid));
        let gone: Vec<u32> = mailbox
            .messages
            .iter()
            .filter(|(uid, message)| message.flags.system.contains(deleted) && is_meant(uid))
            .map(|(uid, _)| *uid)
            .collect();
        gone.iter().for_each(|uid| drop(mailbox.messages.remove(uid)));
        Outcome::Uids(gone)
    }

    fn create(&mut self, name: &str) -> Outcome {
        if self.mailboxes.contains_key(name) {
            return Outcome::Exists;
        }
        self.make_parents(name);
        self.make(name);
        Outcome::Done
    }

    fn delete(&mut self, name: &str) -> Outcome {
        if name == "INBOX" {
            return Outcome::NotAllowed;
        }
        self.mailboxes.remove(name).map_or(Outcome::NoMailbox, |_| Outcome::Done)
    }

    fn rename(&mut self, from: &str, to: &str) -> Outcome {
        if !self.mailboxes.contains_key(from) {
            return Outcome::NoMailbox;
        }
        if self.mailboxes.contains_key(to) {
            return Outcome::Exists;
        }
        if from == "INBOX" {
            self.make_parents(to);
            self.make(to);
            let all: Vec<u32> = self.mailboxes["INBOX"].messages.keys().copied().collect();
            self.copy("INBOX", &all, to);
            self.mailboxes.get_mut("INBOX").unwrap().messages.clear();
            return Outcome::Done;
        }
        let below = format!("{from}/");
        if to.starts_with(&below) {
            return Outcome::NotAllowed;
        }
        let moved: Vec<String> =
            self.mailboxes.keys().filter(|name| *name == from || name.starts_with(&below)).cloned().collect();
        let renamed = |name: &String| format!("{to}{}", &name[from.len()..]);
        if moved.iter().any(|name| self.mailboxes.contains_key(&renamed(name)) && !moved.contains(&renamed(name))) {
            return Outcome::Exists;
        }
        self.make_parents(to);
        let taken: Vec<Mailbox> = moved.iter().map(|name| self.mailboxes.remove(name).unwrap()).collect();
        for (name, mailbox) in moved.iter().zip(taken) {
            self.mailboxes.insert(renamed(name), mailbox);
        }
        Outcome::Done
    }
}

impl Mailbox {
    fn add(&mut self, message: Message) -> u32 {
        let uid = self.uid_next;
        self.messages.insert(uid, message);
        self.uid_next += 1;
        uid
    }
}

/// INBOX in any case is one (RFC 9051 §5.1).
fn canonical(name: &str) -> String {
    let (first, rest) = name.split_once('/').map_or((name, ""), |(first, _)| (first, &name[first.len()..]));
    if first.eq_ignore_ascii_case("INBOX") { format!("INBOX{rest}") } else { name.to_owned() }
}

/// Does the same to the store. `before` is the model as it was, which names UIDs and letters.
pub async fn perform(store: &Store, account: AccountId, before: &Model, operation: &Operation) -> Outcome {
    match attempt(store, account, before, operation).await {
        Ok(outcome) => outcome,
        Err(StoreError::NoMailbox) => Outcome::NoMailbox,
        Err(StoreError::MailboxExists) => Outcome::Exists,
        Err(StoreError::MailboxName) => Outcome::NotAllowed,
        Err(StoreError::OverQuota(_) | StoreError::LargerThanQuota(_)) => Outcome::OverQuota,
        Err(error) => panic!("{operation:?}: {error}"),
    }
}

async fn attempt(
    store: &Store,
    account: AccountId,
    before: &Model,
    operation: &Operation,
) -> Result<Outcome, StoreError> {
    let id = |name: &str| store.mailbox(account, name).map(|entry| entry.id);
    let uids = |name: &str, bits: u64| before.uids(name, bits).into_iter().filter_map(Uid::new).collect::<Vec<_>>();
    match operation {
        Operation::Append(name, octets, flags) => {
            let mut target = super::target(account, id(name)?);
            target.flags = flags_of(*flags);
            let letters = before.letters(octets).into_iter().map(super::message);
            let given = match octets.len() {
                1 => {
                    store.append_admitted(letters.into_iter().next().unwrap(), vec![(target, Admission::Fits)]).await?
                }
                _ => store.append_all(letters.map(|letter| (letter, target.clone())).collect()).await?,
            };
            Ok(Outcome::Uids(given.iter().map(|copy| copy.uid.get()).collect()))
        }
        Operation::Copy(from, bits, to) => store.copy(account, id(from)?, uids(from, *bits), id(to)?).await.map(pairs),
        Operation::Move(from, bits, to) => {
            store.move_messages(account, id(from)?, uids(from, *bits), id(to)?).await.map(pairs)
        }
        Operation::Store(name, bits, mode, flags) => {
            let mode = match mode {
                Mode::Replace => FlagMode::Replace,
                Mode::Add => FlagMode::Add,
                Mode::Remove => FlagMode::Remove,
            };
            let change = FlagChange { mode, flags: flags_of(*flags), unchanged_since: None };
            let changed = store.change_flags(account, id(name)?, uids(name, *bits), change).await?;
            assert_eq!(changed.modified, []);
            Ok(Outcome::Uids(changed.stored.iter().map(|uid| uid.get()).collect()))
        }
        Operation::Expunge(name, among) => {
            let among = among.map(|bits| uids(name, bits));
            let gone = store.expunge(account, id(name)?, among).await?;
            Ok(Outcome::Uids(gone.iter().map(|uid| uid.get()).collect()))
        }
        Operation::Create(name) => store.create_mailbox(account, name, None).await.map(|_| Outcome::Done),
        Operation::Delete(name) => store.delete_mailbox(account, name).await.map(|()| Outcome::Done),
        Operation::Rename(from, to) => store.rename_mailbox(account, from, to).await.map(|()| Outcome::Done),
        Operation::Subscribe(name) => store.subscribe(account, name).await.map(|()| Outcome::Done),
        Operation::Unsubscribe(name) => store.unsubscribe(account, name).await.map(|()| Outcome::Done),
        Operation::Limit(octets, messages) => {
            let limits = before.limits_of(*octets, *messages);
            store.set_account_limits(account, limits).await.map(|()| Outcome::Done)
        }
    }
}

fn pairs(copied: Copied) -> Outcome {
    Outcome::Pairs(copied.uids.iter().map(|(from, to)| (from.get(), to.get())).collect())
}

/// What the store shows of an account, in the model's terms; identities are left out.
pub async fn shown(store: &Store, account: AccountId) -> BTreeMap<String, (u32, BTreeMap<u32, Message>)> {
    let mut mailboxes = BTreeMap::new();
    for entry in store.mailboxes(account).unwrap() {
        let snapshot = store.snapshot(account, entry.id).unwrap();
        let octets = super::contents(store, account, entry.id).await;
        let messages = snapshot
            .rows()
            .zip(octets)
            .map(|(row, octets)| (row.uid.get(), Message { octets: octets.to_vec(), flags: snapshot.flags(&row) }));
        mailboxes.insert(entry.name, (snapshot.status().uid_next.get(), messages.collect()));
    }
    mailboxes
}

impl Model {
    /// The same of the model.
    pub fn shown(&self) -> BTreeMap<String, (u32, BTreeMap<u32, Message>)> {
        let mailboxes = self.mailboxes.iter();
        mailboxes.map(|(name, mailbox)| (name.clone(), (mailbox.uid_next, mailbox.messages.clone()))).collect()
    }
}
