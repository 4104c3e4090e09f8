//! What is kept of an account in memory: its counters and the names of its mailboxes.
//!
//! The counters are one row, written with every change; each name is a row of its own. The next numbers
//! only rise, so nothing that they name is ever named again (P4).

use super::{
    Inner, MailboxEntry, SpecialUse, StoreError,
    cache::Weigh,
    key::Place,
    metadata::{Table, View},
    quota::{AccountLimits, Quota, QuotaPolicy, Usage},
};
use crate::mail::{AccountId, MailboxId, MessageNumber, ModSeq, UidValidity};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// The name of the mailbox that every account has.
pub(super) const INBOX: &str = "INBOX";

/// Version of the rows' encoding; their first octet.
const VERSION: u8 = 1;

/// An account. Clones share the names until they change them.
#[derive(Clone, Debug)]
pub(super) struct AccountState {
    counters: Counters,
    limits: AccountLimits,
    names: Arc<Names>,
}

/// What the counters' row keeps: the next of each number, none of which was ever given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) next_modseq: u64,
    pub(super) next_number: u32,
    pub(super) next_mailbox: u64,
    pub(super) last_uid_validity: u32,
    pub(super) usage: Usage,
    /// The highest warning that its owner has had and that still holds, in percent; 0 for none.
    pub(super) warned: u8,
}

impl Counters {
    /// An account's before anything was made in it.
    pub(super) const FIRST: Self = Self {
        next_modseq: 1,
        next_number: 1,
        next_mailbox: 1,
        last_uid_validity: 0,
        usage: Usage { octets: 0, messages: 0 },
        warned: 0,
    };

    pub(super) fn encode(self) -> Vec<u8> {
        postcard::to_extend(&self, vec![VERSION]).expect("numbers always encode")
    }

    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        postcard::from_bytes(octets.strip_prefix(&[VERSION])?).ok()
    }
}

/// Mailboxes by name, and subscribed names.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    mailboxes: BTreeMap<String, Named>,
    by_id: HashMap<MailboxId, String>,
    pub(super) subscriptions: BTreeSet<String>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) id: MailboxId,
    pub(super) special_use: Option<SpecialUse>,
}

impl Named {
    pub(super) fn encode(self) -> Vec<u8> {
        postcard::to_extend(&(self.id.get(), self.special_use), vec![VERSION]).expect("numbers always encode")
    }

    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let (id, special_use) = postcard::from_bytes::<(u64, _)>(octets.strip_prefix(&[VERSION])?).ok()?;
        Some(Self { id: MailboxId::new(id)?, special_use })
    }
}

impl Names {
    pub(super) fn get(&self, name: &str) -> Option<Named> {
        self.mailboxes.get(name).copied()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.mailboxes.contains_key(name)
    }

    pub(super) fn len(&self) -> usize {
        self.mailboxes.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, Named)> {
        self.mailboxes.iter().map(|(name, named)| (name, *named))
    }

    pub(super) fn insert(&mut self, name: &str, named: Named) {
        self.mailboxes.insert(name.to_owned(), named);
        self.by_id.insert(named.id, name.to_owned());
    }

    /// The name of a mailbox.
    pub(super) fn name_of(&self, mailbox: MailboxId) -> Option<&str> {
        self.by_id.get(&mailbox).map(String::as_str)
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Named> {
        let named = self.mailboxes.remove(name)?;
        self.by_id.remove(&named.id);
        Some(named)
    }
}

impl AccountState {
    pub(super) fn new() -> Self {
        Self { counters: Counters::FIRST, limits: AccountLimits::default(), names: Arc::default() }
    }

    /// The counters' row.
    pub(super) fn encode_counters(&self) -> Vec<u8> {
        self.counters.encode()
    }

    /// Reads an account as a view shows it; with the octets of its counters' row.
    fn load(view: &View<'_>, place: Place) -> Result<(Self, Bytes), StoreError> {
        let damaged = || StoreError::Damaged(format!("the rows of account {}", place.account));
        let row = view.get(Table::Mailbox, place.counters())?.ok_or(StoreError::NoAccount)?;
        let counters = Counters::decode(&row).ok_or_else(damaged)?;
        let limits = match view.get(Table::Mailbox, place.limits())? {
            Some(row) => AccountLimits::decode(&row).ok_or_else(damaged)?,
            None => AccountLimits::default(),
        };
        let (mut names, mut intact) = (Names::default(), true);
        view.scan_prefix(Table::Mailbox, &place.name(""), |key, value| {
            match (place.name_of(key), Named::decode(value)) {
                (Some(name), Some(named)) => names.insert(name, named),
                _ => intact = false,
            }
            true
        })?;
        view.scan_prefix(Table::Mailbox, &place.subscription(""), |key, _| {
            match place.name_of(key) {
                Some(name) => intact &= names.subscriptions.insert(name.to_owned()),
                None => intact = false,
            }
            true
        })?;
        if intact { Ok((Self { counters, limits, names: Arc::new(names) }, row)) } else { Err(damaged()) }
    }

    /// Whether the names and limits are those of another state: what its spare copy shows.
    pub(super) fn has_names_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.names, &other.names) && self.limits == other.limits
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// Never gives out this number, nor one below it: its message comes back.
    pub(super) fn pass_number(&mut self, number: MessageNumber) {
        self.counters.next_number = self.counters.next_number.max(number.get().saturating_add(1));
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn names_mut(&mut self) -> &mut Names {
        Arc::make_mut(&mut self.names)
    }

    /// What it uses.
    pub(super) fn usage(&self) -> Usage {
        self.counters.usage
    }

    pub(super) fn set_usage(&mut self, change: impl FnOnce(Usage) -> Usage) {
        self.counters.usage = change(self.counters.usage);
    }

    /// What it uses and may use.
    pub(super) fn quota(&self, policy: &QuotaPolicy) -> Quota {
        Quota { usage: self.counters.usage, limits: self.limits.resolve(policy) }
    }

    /// The limits that were set for it.
    pub(super) fn limits(&self) -> AccountLimits {
        self.limits
    }

    pub(super) fn set_limits(&mut self, limits: AccountLimits) {
        self.limits = limits;
    }

    /// The highest warning that its owner has had and that still holds, in percent.
    pub(super) fn warned(&self) -> u8 {
        self.counters.warned
    }

    /// The warning that its owner has not had, in percent, and what it is about.
    pub(super) fn warning_due(&self, policy: &QuotaPolicy) -> Option<(u8, Quota)> {
        let quota = self.quota(policy);
        let level = policy.level(&quota);
        (level > self.counters.warned).then_some((level, quota))
    }

    pub(super) fn set_warned(&mut self, level: u8) {
        self.counters.warned = level;
    }

    /// Gives out the next modification sequence. Every change of an account takes one, so it also tells
    /// which of two states of an account is the later.
    pub(super) fn take_modseq(&mut self) -> Result<ModSeq, StoreError> {
        let modseq = ModSeq::new(self.counters.next_modseq).ok_or_else(used_up)?;
        self.counters.next_modseq += 1;
        Ok(modseq)
    }

    /// The highest modification sequence given out.
    pub(super) fn highest_modseq(&self) -> u64 {
        self.counters.next_modseq - 1
    }

    /// Gives out the next message number.
    pub(super) fn take_number(&mut self) -> Result<MessageNumber, StoreError> {
        let number = MessageNumber::new(self.counters.next_number).ok_or_else(used_up)?;
        self.counters.next_number = self.counters.next_number.checked_add(1).ok_or_else(used_up)?;
        Ok(number)
    }

    /// Gives out the next mailbox id.
    pub(super) fn take_mailbox(&mut self) -> Result<MailboxId, StoreError> {
        let id = MailboxId::new(self.counters.next_mailbox).ok_or_else(used_up)?;
        self.counters.next_mailbox += 1;
        Ok(id)
    }

    /// A UIDVALIDITY above every earlier one of the account: the time where the clock allows
    /// (RFC 9051 §2.3.1.1 suggests it).
    pub(super) fn take_uid_validity(&mut self, now_seconds: i64) -> Result<UidValidity, StoreError> {
        let now = u32::try_from(now_seconds).unwrap_or(0);
        self.counters.last_uid_validity = now.max(self.counters.last_uid_validity.checked_add(1).ok_or_else(used_up)?);
        UidValidity::new(self.counters.last_uid_validity).ok_or_else(used_up)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = MailboxEntry> {
        self.names.iter().map(|(name, named)| self.entry(name, named))
    }

    /// The mailbox of a name in its kept form.
    pub(super) fn find(&self, name: &str) -> Option<MailboxEntry> {
        self.names.get(name).map(|named| self.entry(name, named))
    }

    pub(super) fn has(&self, mailbox: MailboxId) -> bool {
        self.names.by_id.contains_key(&mailbox)
    }

    fn entry(&self, name: &str, Named { id, special_use }: Named) -> MailboxEntry {
        MailboxEntry { id, name: name.to_owned(), special_use, subscribed: self.names.subscriptions.contains(name) }
    }
}

fn used_up() -> StoreError {
    StoreError::Failed("a range of numbers is used up".to_owned())
}

impl Weigh for AccountState {
    fn octets(&self) -> usize {
        let of_names = self.names.mailboxes.keys().map(|name| 2 * name.len() + 200).sum::<usize>();
        256 + of_names + self.names.subscriptions.iter().map(|name| name.len() + 60).sum::<usize>()
    }
}

impl Inner {
    /// The account, from memory where it was used lately.
    pub(super) fn account(&self, account: AccountId) -> Result<Arc<AccountState>, StoreError> {
        if let Some(state) = self.accounts.get(&account) {
            return Ok(state);
        }
        let place = self.place(account);
        let (state, counters) = AccountState::load(&self.engine.view(), place)?;
        self.accounts
            .keep(account, Arc::new(state), || Ok(self.engine.get(Table::Mailbox, place.counters())? == Some(counters)))
    }
}
