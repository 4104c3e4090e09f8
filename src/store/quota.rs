//! Quota: what an account uses, what it may use, and what is let in (RFC 9208 §3).
//!
//! Usage is counted over mailbox rows: RFC822.SIZE of each, trace fields included, and one message each. A copy within
//! the account counts again although no octet of it is stored again, and a content that others have too counts in full: a
//! user sees what any other server would show, and nothing tells what others have. Usage changes in the transaction of the
//! rows, and can be counted again from them ([`Store::count_usage`], P10).
//!
//! Each write that makes an account grow names its [`Admission`], and the account's one writer decides on it from the
//! state that the write changes: two writes never rely on the same room. Copies of a delivery that another partition takes
//! cannot be refused once the first commit is done, so they are admitted before it, by their own writers, and their room is
//! held until they are applied ([`Reservation`]). Moves within an account never make it grow.

use super::{Inner, Store, StoreError, append::Copy, metadata::Table, transaction::Transaction};
use crate::mail::AccountId;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Version of the row's encoding; its first octet.
const VERSION: u8 = 1;

/// An amount of both resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Octets of messages as IMAP shows them; STORAGE counts them in units of 1,024.
    pub octets: u64,
    /// Messages, copies included (MESSAGE).
    pub messages: u64,
}

impl Usage {
    /// What one message takes.
    pub const fn of_message(octets: u64) -> Self {
        Self { octets, messages: 1 }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            octets: self.octets.saturating_add(other.octets),
            messages: self.messages.saturating_add(other.messages),
        }
    }

    /// What is left without `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            octets: self.octets.saturating_sub(other.octets),
            messages: self.messages.saturating_sub(other.messages),
        }
    }
}

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), Self::plus)
    }
}

/// The most that may be used of each resource; `None` where nothing bounds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Octets.
    pub octets: Option<u64>,
    /// Messages.
    pub messages: Option<u64>,
}

/// A limit as an administrator has set it for one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// That of all accounts.
    #[default]
    Default,
    /// None.
    Unlimited,
    /// This one.
    AtMost(u64),
}

impl Limit {
    fn or(self, default: Option<u64>) -> Option<u64> {
        match self {
            Self::Default => default,
            Self::Unlimited => None,
            Self::AtMost(limit) => Some(limit),
        }
    }
}

/// The limits of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLimits {
    /// Of octets.
    pub octets: Limit,
    /// Of messages.
    pub messages: Limit,
}

impl AccountLimits {
    pub(super) fn encode(self) -> Vec<u8> {
        postcard::to_extend(&self, vec![VERSION]).expect("numbers always encode")
    }

    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        postcard::from_bytes(octets.strip_prefix(&[VERSION])?).ok()
    }
}

/// What holds for accounts that have no limits of their own, and when owners are warned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaPolicy {
    /// The limits of all accounts.
    pub limits: ResourceLimits,
    /// Percentages of a limit at which the owner is warned, rising.
    pub warnings: Vec<u8>,
}

impl QuotaPolicy {
    /// The highest percentage of `warnings` that is reached; 0 where none is.
    pub(super) fn level(&self, quota: &Quota) -> u8 {
        let percent = quota.percent().unwrap_or(0);
        self.warnings.iter().copied().filter(|warning| u64::from(*warning) <= percent).max().unwrap_or(0)
    }
}

/// What an account uses, and may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// What it uses.
    pub usage: Usage,
    /// What it may use.
    pub limits: ResourceLimits,
}

/// What a write asks for that makes an account grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Everything must fit below the limits.
    Fits,
    /// The account must not have reached a limit before; one message may carry it beyond.
    NotOver,
    /// Whatever the limits are: what an administrator does, and what must not be lost.
    Always,
}

/// Why a write is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// It would fit into an emptier account.
    Quota,
    /// It would not even fit into an empty one.
    Message,
}

impl Quota {
    /// Whether a limit is reached: there is no room for any message.
    pub fn is_over(&self) -> bool {
        self.pairs().any(|(usage, limit)| usage >= limit)
    }

    /// Whether `more` is let in.
    pub fn admits(&self, more: Usage, admission: Admission) -> Result<(), Excess> {
        let together = Self { usage: self.usage.plus(more), ..*self };
        let alone = Self { usage: more, ..*self };
        match admission {
            _ if more == Usage::default() => Ok(()),
            Admission::Always => Ok(()),
            Admission::Fits if alone.exceeds() => Err(Excess::Message),
            Admission::Fits if together.exceeds() => Err(Excess::Quota),
            Admission::NotOver if self.is_over() => Err(Excess::Quota),
            Admission::Fits | Admission::NotOver => Ok(()),
        }
    }

    /// How full the fuller of the two resources is, in percent, rounded down; `None` without limits.
    pub fn percent(&self) -> Option<u64> {
        let percent = |(usage, limit): (u64, u64)| u128::from(usage) * 100 / u128::from(limit.max(1));
        self.pairs().map(percent).max().map(|percent| u64::try_from(percent).unwrap_or(u64::MAX))
    }

    /// Whether anything is limited.
    pub fn is_limited(&self) -> bool {
        self.pairs().next().is_some()
    }

    fn exceeds(&self) -> bool {
        self.pairs().any(|(usage, limit)| usage > limit)
    }

    /// Usage and limit of each resource that has one.
    fn pairs(&self) -> impl Iterator<Item = (u64, u64)> {
        let pair = |usage: u64, limit: Option<u64>| limit.map(|limit| (usage, limit));
        [pair(self.usage.octets, self.limits.octets), pair(self.usage.messages, self.limits.messages)]
            .into_iter()
            .flatten()
    }
}

impl AccountLimits {
    pub(super) fn resolve(self, policy: &QuotaPolicy) -> ResourceLimits {
        ResourceLimits {
            octets: self.octets.or(policy.limits.octets),
            messages: self.messages.or(policy.limits.messages),
        }
    }
}

impl Excess {
    pub(super) fn of(self, account: AccountId) -> StoreError {
        match self {
            Self::Quota => StoreError::OverQuota(account),
            Self::Message => StoreError::LargerThanQuota(account),
        }
    }
}

/// Room that is held in one account.
type Held = Vec<(Arc<Holder>, Usage)>;

/// What quotas keep in memory, beside the accounts.
#[derive(Default)]
pub(super) struct Quotas {
    pub(super) policy: QuotaPolicy,
    /// Room that is held, by account, each with who holds it.
    held: Mutex<HashMap<AccountId, Held>>,
    /// Accounts whose owners are to be warned.
    crossed: Mutex<BTreeSet<AccountId>>,
    wake: tokio::sync::Notify,
}

impl Quotas {
    pub(super) fn new(mut policy: QuotaPolicy) -> Self {
        policy.warnings.sort_unstable();
        Self { policy, ..Self::default() }
    }

    fn held(&self, account: AccountId) -> Usage {
        self.held.lock().get(&account).into_iter().flatten().map(|(_, usage)| *usage).sum()
    }

    /// Holds room for a delivery that has not ended; once, however often its operation runs.
    fn hold(&self, account: AccountId, holder: &Arc<Holder>, usage: Usage) {
        let mut held = self.held.lock();
        if holder.has_ended.load(Ordering::Relaxed) {
            return;
        }
        let of_account = held.entry(account).or_default();
        of_account.retain(|(other, _)| !Arc::ptr_eq(other, holder));
        of_account.push((Arc::clone(holder), usage));
    }

    fn release(&self, accounts: &[AccountId], holder: &Arc<Holder>) {
        let mut held = self.held.lock();
        // Operations of it that have not run yet hold nothing any more.
        holder.has_ended.store(true, Ordering::Relaxed);
        for account in accounts {
            let Some(of_account) = held.get_mut(account) else { continue };
            of_account.retain(|(other, _)| !Arc::ptr_eq(other, holder));
            if of_account.is_empty() {
                held.remove(account);
            }
        }
    }

    /// Notes that an account has crossed a warning that its owner has not had.
    pub(super) fn note_crossing(&self, account: AccountId) {
        if self.crossed.lock().insert(account) {
            self.wake.notify_one();
        }
    }
}

/// Room in accounts of other partitions, held until it is dropped.
pub(super) struct Reservation {
    inner: Arc<Inner>,
    holder: Arc<Holder>,
    accounts: Vec<AccountId>,
}

/// A delivery that holds room. Changed under the lock of what is held.
#[derive(Default)]
struct Holder {
    has_ended: AtomicBool,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.inner.quotas.release(&self.accounts, &self.holder);
    }
}

impl Transaction<'_> {
    /// The account's quota as the group has left it, with what others hold counted as used.
    fn quota(&self, account: AccountId) -> Result<Quota, StoreError> {
        let quotas = &self.inner().quotas;
        let quota = self.account(account)?.quota(&quotas.policy);
        Ok(Quota { usage: quota.usage.plus(quotas.held(account)), ..quota })
    }

    /// Refuses what is not admitted. Comes before the first change of an operation.
    pub(super) fn admit(&self, account: AccountId, more: Usage, admission: Admission) -> Result<(), StoreError> {
        if admission == Admission::Always {
            return Ok(());
        }
        self.quota(account)?.admits(more, admission).map_err(|excess| excess.of(account))
    }

    /// Takes rows out of the usage. A warning that no longer holds can be given again.
    pub(super) fn count_out(&mut self, account: AccountId, usage: Usage) -> Result<(), StoreError> {
        self.account_mut(account)?.set_usage(|before| before.minus(usage));
        self.settle_warning(account)
    }

    /// Notes that the owner has the warning that is due; `false` where none is.
    pub(super) fn take_warning(&mut self, account: AccountId) -> Result<bool, StoreError> {
        let policy = &self.inner().quotas.policy;
        let Some((level, _)) = self.account(account)?.warning_due(policy) else { return Ok(false) };
        self.account_mut(account)?.set_warned(level);
        Ok(true)
    }

    fn settle_warning(&mut self, account: AccountId) -> Result<(), StoreError> {
        let policy = &self.inner().quotas.policy;
        let state = self.account_mut(account)?;
        let level = policy.level(&state.quota(policy));
        state.set_warned(state.warned().min(level));
        Ok(())
    }
}

impl Inner {
    /// Holds room for the copies of a delivery that its first commit does not take.
    pub(super) async fn reserve(self: &Arc<Self>, copies: &[Copy], octets: u64) -> Result<Reservation, StoreError> {
        let accounts = copies.iter().map(|copy| copy.target.account).collect();
        let reservation = Reservation { inner: Arc::clone(self), holder: Arc::default(), accounts };
        let mut asked = Vec::new();
        for Copy { target, admission, .. } in copies {
            let (account, admission) = (target.account, *admission);
            if !self.account(account)?.quota(&self.quotas.policy).is_limited() {
                continue;
            }
            let more = Usage::of_message(octets + target.trace.len() as u64);
            let holder = Arc::clone(&reservation.holder);
            let hold = move |transaction: &mut Transaction<'_>| {
                transaction.admit(account, more, admission)?;
                transaction.inner().quotas.hold(account, &holder, more);
                Ok(())
            };
            let partition = self.partition(self.place(account).partition)?;
            asked.push(async move { partition.write(hold).await });
        }
        futures_util::future::try_join_all(asked).await?;
        Ok(reservation)
    }
}

impl Store {
    /// What an account uses, and may use.
    pub fn quota(&self, account: AccountId) -> Result<Quota, StoreError> {
        Ok(self.inner.account(account)?.quota(&self.inner.quotas.policy))
    }

    /// Whether a write would be admitted now; to be asked before octets are read that it needs.
    pub fn admits(&self, account: AccountId, more: Usage, admission: Admission) -> Result<(), StoreError> {
        self.quota(account)?.admits(more, admission).map_err(|excess| excess.of(account))
    }

    /// Waits for an account that has crossed a warning which its owner has not had. For one caller at a time. An account
    /// that is forgotten here comes again when it grows.
    pub async fn crossing(&self) -> AccountId {
        let quotas = &self.inner.quotas;
        loop {
            if let Some(account) = quotas.crossed.lock().pop_first() {
                return account;
            }
            quotas.wake.notified().await;
        }
    }

    /// The percentage of the warning that an account's owner has not had, and what it is about.
    pub fn warning_due(&self, account: AccountId) -> Result<Option<(u8, Quota)>, StoreError> {
        Ok(self.inner.account(account)?.warning_due(&self.inner.quotas.policy))
    }

    /// The limits that were set for an account.
    pub fn account_limits(&self, account: AccountId) -> Result<AccountLimits, StoreError> {
        Ok(self.inner.account(account)?.limits())
    }

    /// Sets the limits of an account. What it holds stays, also where it is more.
    pub async fn set_account_limits(&self, account: AccountId, limits: AccountLimits) -> Result<(), StoreError> {
        self.write(account, move |transaction| {
            let state = transaction.account_mut(account)?;
            state.take_modseq()?;
            state.set_limits(limits);
            let key = transaction.place(account).limits();
            transaction.put(Table::Mailbox, key, limits.encode());
            transaction.settle_warning(account)
        })
        .await
    }

    /// What an account uses by its mailbox rows, counted one by one. O(messages); what [`Store::quota`] says is the
    /// same unless stored data is damaged.
    pub fn count_usage(&self, account: AccountId) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        for entry in self.mailboxes(account)? {
            match self.snapshot(account, entry.id) {
                Ok(snapshot) => {
                    usage = usage.plus(snapshot.rows().map(|row| Usage::of_message(row.octets)).sum());
                }
                // Deleted since the list was made.
                Err(StoreError::NoMailbox) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(usage)
    }

    /// Counts an account's usage from its rows again and writes it down; returns what it was and what it is.
    pub async fn rebuild_usage(&self, account: AccountId) -> Result<(Usage, Usage), StoreError> {
        self.write(account, move |transaction| {
            let mailboxes: Vec<_> = transaction.account(account)?.entries().map(|entry| entry.id).collect();
            let mut usage = Usage::default();
            for mailbox in mailboxes {
                let rows = transaction.mailbox(account, mailbox)?.rows();
                usage = usage.plus(rows.map(|row| Usage::of_message(row.octets)).sum());
            }
            let before = transaction.account(account)?.usage();
            let state = transaction.account_mut(account)?;
            state.take_modseq()?;
            state.set_usage(|_| usage);
            transaction.settle_warning(account)?;
            Ok((before, usage))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(octets: (u64, Option<u64>), messages: (u64, Option<u64>)) -> Quota {
        Quota {
            usage: Usage { octets: octets.0, messages: messages.0 },
            limits: ResourceLimits { octets: octets.1, messages: messages.1 },
        }
    }

    #[test]
    fn what_fits_is_admitted_and_nothing_else() {
        let near = quota((90, Some(100)), (3, None));
        let more = Usage::of_message;
        assert_eq!(near.admits(more(10), Admission::Fits), Ok(()));
        assert_eq!(near.admits(more(11), Admission::Fits), Err(Excess::Quota));
        assert_eq!(near.admits(more(101), Admission::Fits), Err(Excess::Message));
        assert_eq!(near.admits(more(101), Admission::NotOver), Ok(()), "one message may carry it beyond");
        let full = quota((100, Some(100)), (3, None));
        assert_eq!(full.admits(more(1), Admission::NotOver), Err(Excess::Quota));
        assert_eq!(full.admits(more(1), Admission::Always), Ok(()));
        assert_eq!(full.admits(Usage::default(), Admission::Fits), Ok(()), "nothing always fits");
        let many = quota((0, None), (3, Some(3)));
        assert_eq!(many.admits(more(0), Admission::Fits), Err(Excess::Quota));
        assert_eq!(quota((9, None), (9, None)).admits(more(u64::MAX), Admission::Fits), Ok(()));
    }

    #[test]
    fn the_fuller_resource_decides_what_is_warned_of() {
        let policy = QuotaPolicy { warnings: vec![80, 95], ..QuotaPolicy::default() };
        for (octets, messages, level) in [(799, 0, 0), (800, 0, 80), (949, 9, 80), (0, 10, 95), (u64::MAX, 0, 95)] {
            assert_eq!(policy.level(&quota((octets, Some(1000)), (messages, Some(10)))), level, "{octets} {messages}");
        }
        assert_eq!(policy.level(&quota((5, None), (5, None))), 0);
    }

    #[test]
    fn limits_read_back() {
        for limit in [Limit::Default, Limit::Unlimited, Limit::AtMost(0), Limit::AtMost(u64::MAX)] {
            let limits = AccountLimits { octets: limit, messages: Limit::AtMost(3) };
            assert_eq!(AccountLimits::decode(&limits.encode()), Some(limits));
        }
        assert_eq!(AccountLimits::decode(&[9, 0, 0]), None);
    }
}
