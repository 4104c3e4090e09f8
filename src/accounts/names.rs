//! Every name in memory, and where it leads.

use super::{
    Account, AccountsError, Alias, AliasName, Resolution,
    password::ArgonHash,
    row::{AccountRow, AliasRow, DomainRow, Key, Row},
    scram_keys::ScramRow,
};
use crate::{
    limits,
    mail::{AccountId, Address, Domain, ForwardPath},
    store::Store,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The local part that every domain answers for (RFC 5321 §4.5.1).
const POSTMASTER: &str = "postmaster";

/// An account with its credentials.
pub(super) struct Entry {
    pub(super) account: Account,
    pub(super) argon: ArgonHash,
    pub(super) scram: ScramRow,
}

/// Domains, accounts and aliases. The rows of the directory, read once and kept in step with every change.
#[derive(Default)]
pub(super) struct Names {
    domains: HashMap<Domain, u64>,
    /// By folded address.
    accounts: BTreeMap<Address, Entry>,
    aliases: BTreeMap<AliasName, Vec<Address>>,
    removed: BTreeMap<AccountId, AccountRow>,
    returning: BTreeSet<AccountId>,
    secret: Option<[u8; 32]>,
}

/// Where an address leads before aliases are followed.
enum Found<'a> {
    Account(AccountId),
    Alias(&'a AliasName, &'a [Address]),
}

impl Names {
    /// Reads the directory.
    pub(super) fn load(store: &Store) -> Result<Self, AccountsError> {
        let mut names = Self::default();
        for (key, value) in store.directory().scan(b"")? {
            let key = Key::from_octets(&key)?;
            let row = Row::from_octets(&key, &value)?;
            names.apply(key, Some(row))?;
        }
        Ok(names)
    }

    /// Takes over one row that is now stored, or is gone.
    pub(super) fn apply(&mut self, key: Key, row: Option<Row>) -> Result<(), AccountsError> {
        match (key, row) {
            (Key::Domain(domain), Some(Row::Domain(row))) => drop(self.domains.insert(domain, row.order)),
            (Key::Domain(domain), _) => drop(self.domains.remove(&domain)),
            (Key::Account(address), Some(Row::Account(row))) => drop(self.accounts.insert(address, entry(row)?)),
            (Key::Account(address), _) => drop(self.accounts.remove(&address)),
            (Key::Alias(name), Some(Row::Alias(row))) => drop(self.aliases.insert(name, targets(&row)?)),
            (Key::Alias(name), _) => drop(self.aliases.remove(&name)),
            (Key::Removed(id), Some(Row::Removed(row))) => drop(self.removed.insert(id, row)),
            (Key::Removed(id), _) => drop(self.removed.remove(&id)),
            (Key::Returning(id), Some(_)) => drop(self.returning.insert(id)),
            (Key::Returning(id), None) => drop(self.returning.remove(&id)),
            (Key::Secret, Some(Row::Secret(secret))) => self.secret = Some(secret),
            (Key::Secret, _) => self.secret = None,
        }
        Ok(())
    }

    /// The stored secret, where there is one yet.
    pub(super) fn secret(&self) -> Option<[u8; 32]> {
        self.secret
    }

    /// Accounts whose mail is still to be removed.
    pub(super) fn removed(&self) -> Vec<(AccountId, AccountRow)> {
        self.removed.iter().map(|(id, row)| (*id, row.clone())).collect()
    }

    /// Accounts whose mail is still to be brought back.
    pub(super) fn returning(&self) -> Vec<AccountId> {
        self.returning.iter().copied().collect()
    }

    /// The folded address of an account, and what is known of it.
    pub(super) fn entry_of(&self, id: AccountId) -> Option<(&Address, &Entry)> {
        self.accounts.iter().find(|(_, entry)| entry.account.id == id)
    }

    pub(super) fn domain_order(&self, domain: &Domain) -> Option<u64> {
        self.domains.get(domain).copied()
    }

    /// A place after every domain.
    pub(super) fn next_domain_order(&self) -> u64 {
        self.domains.values().max().map_or(0, |order| order + 1)
    }

    /// The domains, oldest first.
    pub(super) fn domains(&self) -> Vec<Domain> {
        let mut domains: Vec<_> = self.domains.iter().collect();
        domains.sort_by_key(|(_, order)| **order);
        domains.into_iter().map(|(domain, _)| domain.clone()).collect()
    }

    /// The accounts, by address.
    pub(super) fn accounts(&self) -> Vec<Account> {
        self.accounts.values().map(|entry| entry.account.clone()).collect()
    }

    /// The aliases, by name.
    pub(super) fn aliases(&self) -> Vec<Alias> {
        self.aliases.iter().map(|(name, targets)| Alias { name: name.clone(), targets: targets.clone() }).collect()
    }

    /// The account with exactly this address.
    pub(super) fn account(&self, address: &Address) -> Option<&Entry> {
        self.accounts.get(&address.folded())
    }

    pub(super) fn alias(&self, name: &AliasName) -> Option<&[Address]> {
        self.aliases.get(name).map(Vec::as_slice)
    }

    /// The account that logs in by this name.
    pub(super) fn login(&self, login: &str) -> Option<&Entry> {
        self.account(&login.parse().ok()?)
    }

    pub(super) fn has_addresses(&self, domain: &Domain) -> bool {
        self.accounts.keys().any(|address| address.domain() == domain)
            || self.aliases.keys().any(|name| name.domain() == domain)
    }

    /// An alias that names this address as a target.
    pub(super) fn alias_to(&self, address: &Address) -> Option<&AliasName> {
        let folded = address.folded();
        let leads = |target: &Address| *target == folded || without_tag(target).as_ref() == Some(&folded);
        self.aliases.iter().find(|(_, targets)| targets.iter().any(leads)).map(|(name, _)| name)
    }

    /// Where mail goes.
    pub(super) fn resolve(&self, path: &ForwardPath) -> Resolution {
        let address = match path {
            ForwardPath::Address(address) => address.folded(),
            ForwardPath::Postmaster => {
                let Some(domain) = self.domains().into_iter().next() else { return Resolution::NotLocal };
                let Some(address) = postmaster_of(&domain) else { return Resolution::NoSuchAddress };
                address
            }
        };
        if !self.domains.contains_key(address.domain()) {
            return Resolution::NotLocal;
        }
        let accounts = match self.find(&address).or_else(|| self.catch_all(address.domain())) {
            Some(found) => self.follow(found),
            None if address.local_part() == POSTMASTER => self.postmaster_of_last_resort(address.domain()),
            None => Vec::new(),
        };
        if accounts.is_empty() { Resolution::NoSuchAddress } else { Resolution::Accounts(accounts) }
    }

    /// An account or alias of this name, or of the name before its `+` (RFC 5233 calls that a detail).
    fn find(&self, folded: &Address) -> Option<Found<'_>> {
        self.find_exactly(folded).or_else(|| self.find_exactly(&without_tag(folded)?))
    }

    fn find_exactly(&self, folded: &Address) -> Option<Found<'_>> {
        if let Some(entry) = self.accounts.get(folded) {
            return Some(Found::Account(entry.account.id));
        }
        let (name, targets) = self.aliases.get_key_value(&AliasName::Address(folded.clone()))?;
        Some(Found::Alias(name, targets))
    }

    fn catch_all(&self, domain: &Domain) -> Option<Found<'_>> {
        let (name, targets) = self.aliases.get_key_value(&AliasName::CatchAll(domain.clone()))?;
        Some(Found::Alias(name, targets))
    }

    /// RFC 5321 §4.5.1: somebody must read it, so the domain's first account does, or the server's.
    fn postmaster_of_last_resort(&self, domain: &Domain) -> Vec<AccountId> {
        let here = self.accounts.values().filter(|entry| entry.account.address.domain() == domain);
        let first = |accounts: &mut dyn Iterator<Item = &Entry>| accounts.map(|entry| entry.account.id).min();
        first(&mut here.into_iter()).or_else(|| first(&mut self.accounts.values())).into_iter().collect()
    }

    /// The accounts behind a name, each once. Loops, depth and number were bounded when the aliases were added.
    fn follow(&self, found: Found<'_>) -> Vec<AccountId> {
        let mut accounts = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![found];
        while let Some(found) = waiting.pop() {
            match found {
                Found::Account(id) => drop(accounts.insert(id)),
                Found::Alias(name, targets) if seen.insert(name) => {
                    waiting.extend(targets.iter().filter_map(|target| self.find(target)));
                }
                Found::Alias(..) => {}
            }
        }
        accounts.into_iter().collect()
    }

    /// Whether an alias may be added: every target exists here, and no alias loops, is too deep or reaches too
    /// many accounts afterwards.
    pub(super) fn check_alias(&self, name: &AliasName, targets: &[Address]) -> Result<(), AccountsError> {
        if targets.is_empty() || targets.len() > limits::ALIAS_TARGETS_MAX {
            return Err(AccountsError::Targets(name.clone()));
        }
        let is_itself = |target: &&Address| *name == AliasName::Address((*target).clone());
        if targets.iter().any(|target| is_itself(&target)) {
            return Err(AccountsError::Loop(name.clone()));
        }
        if let Some(target) = targets.iter().find(|target| self.find(target).is_none()) {
            return Err(AccountsError::NoTarget(target.clone()));
        }
        let after = Aliases { names: self, added: (name, targets) };
        std::iter::once(name).chain(self.aliases.keys()).try_for_each(|alias| after.check(alias))
    }
}

/// The aliases as they would be with one more.
struct Aliases<'a> {
    names: &'a Names,
    added: (&'a AliasName, &'a [Address]),
}

impl<'a> Aliases<'a> {
    fn check(&self, alias: &'a AliasName) -> Result<(), AccountsError> {
        let mut accounts = BTreeSet::new();
        let mut level = BTreeSet::from([alias]);
        for _ in 0..limits::ALIAS_DEPTH_MAX {
            level = self.below(&level, &mut accounts);
            if level.contains(alias) {
                return Err(AccountsError::Loop(alias.clone()));
            }
            if accounts.len() > limits::ALIAS_ACCOUNTS_MAX {
                return Err(AccountsError::Targets(alias.clone()));
            }
            if level.is_empty() {
                return Ok(());
            }
        }
        Err(AccountsError::Loop(alias.clone()))
    }

    /// The aliases that these lead to; accounts go into `accounts`.
    fn below(&self, level: &BTreeSet<&'a AliasName>, accounts: &mut BTreeSet<AccountId>) -> BTreeSet<&'a AliasName> {
        let mut next = BTreeSet::new();
        for target in level.iter().flat_map(|alias| self.targets(alias)) {
            let added = self.added.0;
            if *added == AliasName::Address(target.clone()) {
                next.insert(added);
                continue;
            }
            match self.names.find(target) {
                Some(Found::Account(id)) => drop(accounts.insert(id)),
                Some(Found::Alias(name, _)) => drop(next.insert(name)),
                None => {}
            }
        }
        next
    }

    fn targets(&self, alias: &AliasName) -> &'a [Address] {
        let (added, targets) = self.added;
        if alias == added { targets } else { self.names.alias(alias).unwrap_or_default() }
    }
}

/// `user+tag@example.org` without its tag; `None` where there is none, or nothing before it.
fn without_tag(address: &Address) -> Option<Address> {
    let (user, _) = address.local_part().split_once('+').filter(|(user, _)| !user.is_empty())?;
    address.with_local_part(user)
}

fn postmaster_of(domain: &Domain) -> Option<Address> {
    format!("{POSTMASTER}@{domain}").parse().ok()
}

fn entry(row: AccountRow) -> Result<Entry, AccountsError> {
    let damaged = || AccountsError::Damaged(format!("directory row of {}", row.address));
    let id = AccountId::new(row.id).ok_or_else(damaged)?;
    let address = row.address.parse().map_err(|_| damaged())?;
    Ok(Entry { account: Account { id, address }, argon: row.argon, scram: row.scram })
}

fn targets(row: &AliasRow) -> Result<Vec<Address>, AccountsError> {
    let target = |text: &String| text.parse().map_err(|_| AccountsError::Damaged(format!("alias target {text}")));
    row.targets.iter().map(target).collect()
}

/// The row of a domain at this place.
pub(super) fn domain_row(order: u64) -> Row {
    Row::Domain(DomainRow { order })
}
