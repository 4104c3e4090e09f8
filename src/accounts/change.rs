//! The tasks that change the directory.
//!
//! Each is planned against memory, committed where the rows it rests on are still the same, and only then taken over
//! into memory.

use super::{
    Account, Accounts, AccountsError, Alias, AliasName, Password, RemovedAccount,
    names::{Entry, Names, domain_row},
    row::{AccountRow, AliasRow, Key, Row},
};
use crate::{
    limits,
    mail::{AccountId, Address, Domain},
    store::{RetiredAccount, StoreError},
    work,
};
use bytes::Bytes;

/// What a task wants written.
#[derive(Default)]
struct Change {
    expect: Vec<(Key, Option<Row>)>,
    rows: Vec<(Key, Option<Row>)>,
}

impl Change {
    fn expect(mut self, key: Key, row: Option<Row>) -> Self {
        self.expect.push((key, row));
        self
    }

    fn put(mut self, key: Key, row: Row) -> Self {
        self.rows.push((key, Some(row)));
        self
    }

    fn delete(mut self, key: Key) -> Self {
        self.rows.push((key, None));
        self
    }
}

impl Accounts {
    /// Takes on a domain.
    pub async fn add_domain(&self, domain: &Domain) -> Result<(), AccountsError> {
        let domain = domain.clone();
        self.change(move |names| {
            if names.domain_order(&domain).is_some() {
                return Err(AccountsError::Exists(domain.to_string()));
            }
            let key = Key::Domain(domain.clone());
            Ok(Change::default().expect(key.clone(), None).put(key, domain_row(names.next_domain_order())))
        })
        .await
    }

    /// Gives up a domain that has no addresses left.
    pub async fn remove_domain(&self, domain: &Domain) -> Result<(), AccountsError> {
        let domain = domain.clone();
        self.change(move |names| Change::remove_domain(names, &domain)).await
    }

    /// Whether [`Accounts::remove_domain`] would do it now.
    pub fn may_remove_domain(&self, domain: &Domain) -> Result<(), AccountsError> {
        Change::remove_domain(&self.shared.names.read(), domain).map(|_| ())
    }

    /// Makes an account with its mailboxes. A crash on the way may leave mailboxes that nobody can reach, never an
    /// account without them.
    pub async fn add_account(&self, address: &Address, password: &Password) -> Result<Account, AccountsError> {
        Change::default().expect_free(&self.shared.names.read(), address)?;
        let credentials = self.shared.hasher.credentials(password.clone(), &self.clock).await?;
        let id = self.store.create_account().await?;
        let row = AccountRow::new(id, address, credentials);
        let added = {
            let address = address.clone();
            self.change(move |names| {
                let change = Change::default().expect_free(names, &address)?;
                Ok(change.put(Key::Account(address.folded()), Row::Account(row.clone())))
            })
            .await
        };
        match added {
            Ok(()) => Ok(Account { id, address: address.clone() }),
            Err(error) => {
                self.store.remove_account(id).await?;
                Err(error)
            }
        }
    }

    /// Removes an account and its mail, which [`Accounts::undelete_account`] brings back for a time. Refused while an
    /// alias leads to it.
    pub async fn remove_account(&self, address: &Address) -> Result<Account, AccountsError> {
        let account = self.account(address).ok_or_else(|| AccountsError::NoAccount(address.clone()))?;
        let folded = address.folded();
        self.change(move |names| Change::remove_account(names, &folded)).await?;
        self.finish_removals().await?;
        Ok(account)
    }

    /// The account that [`Accounts::remove_account`] would remove now.
    pub fn may_remove_account(&self, address: &Address) -> Result<Account, AccountsError> {
        Change::remove_account(&self.shared.names.read(), &address.folded())?;
        self.account(address).ok_or_else(|| AccountsError::NoAccount(address.clone()))
    }

    /// Removes the mail of accounts whose removal a crash has interrupted, and brings back that of those whose return
    /// was.
    pub async fn finish_removals(&self) -> Result<(), AccountsError> {
        let (removed, returning) = {
            let names = self.shared.names.read();
            (names.removed(), names.returning())
        };
        for (id, row) in removed {
            self.remove_mail(id, &row).await?;
        }
        for id in returning {
            self.finish_return(id).await?;
        }
        Ok(())
    }

    async fn remove_mail(&self, id: AccountId, row: &AccountRow) -> Result<(), AccountsError> {
        match self.store.retire_account(id, row.keepsake().into()).await {
            Ok(()) | Err(StoreError::NoAccount) => {}
            Err(error) => return Err(error.into()),
        }
        self.change(move |_| Ok(Change::default().delete(Key::Removed(id)))).await
    }

    /// Accounts that were removed and can be brought back, the last removed first.
    pub fn removed_accounts(&self) -> Result<Vec<RemovedAccount>, AccountsError> {
        Ok(self.retired()?.into_iter().map(|(removed, _)| removed).collect())
    }

    fn retired(&self) -> Result<Vec<(RemovedAccount, AccountRow)>, AccountsError> {
        let read = |retired: RetiredAccount| -> Result<_, AccountsError> {
            let row = AccountRow::from_keepsake(retired.account, &retired.keepsake)?;
            let damaged = || AccountsError::Damaged(format!("the row of removed account {}", retired.account));
            let address = row.address.parse().map_err(|_| damaged())?;
            Ok((RemovedAccount { id: retired.account, address, at: retired.at }, row))
        };
        let mut retired = self.store.retired_accounts()?.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        retired.sort_by_key(|(removed, _)| std::cmp::Reverse((removed.at, removed.id)));
        Ok(retired)
    }

    /// Brings back the account that was last removed under `address`, whole: mail, UIDs, password. It gets the address
    /// `to`, which must be free.
    pub async fn undelete_account(&self, address: &Address, to: &Address) -> Result<Account, AccountsError> {
        let folded = address.folded();
        let retired = self.retired()?.into_iter().find(|(removed, _)| removed.address.folded() == folded);
        let (removed, row) = retired.ok_or_else(|| AccountsError::NotRemoved(address.clone()))?;
        let (id, row, free) = (removed.id, AccountRow { address: to.to_string(), ..row }, to.clone());
        self.change(move |names| {
            let change = Change::default().expect_free(names, &free)?;
            let change = change.put(Key::Account(free.folded()), Row::Account(row.clone()));
            Ok(change.put(Key::Returning(id), Row::Returning))
        })
        .await?;
        self.finish_return(id).await?;
        self.account(to).ok_or_else(|| AccountsError::NotRemoved(address.clone()))
    }

    /// Brings the mail of an account back. One whose grace has just ended stays gone, and its address with it.
    async fn finish_return(&self, id: AccountId) -> Result<(), AccountsError> {
        let is_there = match self.store.bring_account_back(id).await {
            Ok(()) => true,
            Err(StoreError::NoAccount) => self.store.mailboxes(id).is_ok(),
            Err(error) => return Err(error.into()),
        };
        self.change(move |names| {
            let change = Change::default().delete(Key::Returning(id));
            Ok(match names.entry_of(id) {
                Some((address, _)) if !is_there => change.delete(Key::Account(address.clone())),
                _ => change,
            })
        })
        .await
    }

    /// Changes a password. Logins with the old one end at once; sessions that are open stay.
    pub async fn set_password(&self, address: &Address, password: &Password) -> Result<(), AccountsError> {
        let account = self.account(address).ok_or_else(|| AccountsError::NoAccount(address.clone()))?;
        let credentials = self.shared.hasher.credentials(password.clone(), &self.clock).await?;
        let row = AccountRow::new(account.id, &account.address, credentials);
        let folded = address.folded();
        self.change(move |names| {
            let change = Change::default().expect_account(names, &folded)?;
            // The address may have gone to another account while the password was hashed.
            if names.account(&folded).map(|entry| entry.account.id.get()) != Some(row.id) {
                return Err(AccountsError::Conflict);
            }
            Ok(change.put(Key::Account(folded.clone()), Row::Account(row.clone())))
        })
        .await
    }

    /// Adds an alias, or gives one that exists other targets.
    pub async fn add_alias(&self, alias: &Alias) -> Result<(), AccountsError> {
        let name = alias.name.clone();
        let targets: Vec<Address> = alias.targets.iter().map(Address::folded).collect();
        self.change(move |names| {
            let change = Change::default().expect_domain(names, name.domain())?;
            if let AliasName::Address(address) = &name
                && names.account(address).is_some()
            {
                return Err(AccountsError::Exists(address.to_string()));
            }
            names.check_alias(&name, &targets)?;
            let before = names.alias(&name).map(alias_row);
            let key = Key::Alias(name.clone());
            Ok(change.expect(key.clone(), before).put(key, alias_row(&targets)))
        })
        .await
    }

    /// Removes an alias. Refused while another alias leads to it.
    pub async fn remove_alias(&self, name: &AliasName) -> Result<(), AccountsError> {
        let name = name.clone();
        self.change(move |names| Change::remove_alias(names, &name)).await
    }

    /// Whether [`Accounts::remove_alias`] would do it now.
    pub fn may_remove_alias(&self, name: &AliasName) -> Result<(), AccountsError> {
        Change::remove_alias(&self.shared.names.read(), name).map(|_| ())
    }

    /// Plans, commits and takes over one change. It runs in a task of its own: a caller that goes away does not leave
    /// memory behind the disk.
    async fn change(
        &self,
        plan: impl Fn(&Names) -> Result<Change, AccountsError> + Send + 'static,
    ) -> Result<(), AccountsError> {
        let accounts = self.clone();
        let changing = work::spawn(async move {
            let _one_at_a_time = accounts.shared.changing.lock().await;
            for _ in 0..limits::DIRECTORY_TRIES_MAX {
                let change = accounts.with_secret(plan(&accounts.shared.names.read())?);
                if accounts.commit(change).await? {
                    return Ok(());
                }
                let names = Names::load(&accounts.store)?;
                *accounts.shared.names.write() = names;
            }
            Err(AccountsError::Conflict)
        });
        changing.await.map_err(|error| AccountsError::NotDone(error.to_string()))?
    }

    /// The first change also writes down the secret that this process has made up.
    fn with_secret(&self, change: Change) -> Change {
        if self.shared.names.read().secret().is_some() {
            return change;
        }
        change.expect(Key::Secret, None).put(Key::Secret, Row::Secret(self.shared.secret))
    }

    async fn commit(&self, change: Change) -> Result<bool, AccountsError> {
        let octets = |row: &Option<Row>| row.as_ref().map(Row::to_octets);
        let expect: Vec<_> =
            change.expect.iter().map(|(key, row)| (key.to_octets(), octets(row).map(Bytes::from))).collect();
        let rows = change.rows.iter().map(|(key, row)| (key.to_octets(), octets(row))).collect();
        if !self.store.directory().commit(&expect, rows).await? {
            return Ok(false);
        }
        let mut names = self.shared.names.write();
        change.rows.into_iter().try_for_each(|(key, row)| names.apply(key, row))?;
        Ok(true)
    }
}

impl Change {
    fn remove_domain(names: &Names, domain: &Domain) -> Result<Self, AccountsError> {
        let change = Self::default().expect_domain(names, domain)?;
        if names.has_addresses(domain) {
            return Err(AccountsError::NotEmpty(domain.clone()));
        }
        Ok(change.delete(Key::Domain(domain.clone())))
    }

    fn remove_account(names: &Names, folded: &Address) -> Result<Self, AccountsError> {
        let change = Self::default().expect_account(names, folded)?;
        let entry = names.account(folded).ok_or_else(|| AccountsError::NoAccount(folded.clone()))?;
        if let Some(alias) = names.alias_to(folded) {
            return Err(AccountsError::InUse(folded.clone(), alias.clone()));
        }
        let (id, row) = (entry.account.id, account_row(entry));
        Ok(change.delete(Key::Account(folded.clone())).put(Key::Removed(id), Row::Removed(row)))
    }

    fn remove_alias(names: &Names, name: &AliasName) -> Result<Self, AccountsError> {
        let targets = names.alias(name).ok_or_else(|| AccountsError::NoAlias(name.clone()))?;
        if let AliasName::Address(address) = name
            && let Some(other) = names.alias_to(address)
        {
            return Err(AccountsError::InUse(address.clone(), other.clone()));
        }
        let key = Key::Alias(name.clone());
        Ok(Self::default().expect(key.clone(), Some(alias_row(targets))).delete(key))
    }

    fn expect_domain(self, names: &Names, domain: &Domain) -> Result<Self, AccountsError> {
        let order = names.domain_order(domain).ok_or_else(|| AccountsError::NoDomain(domain.clone()))?;
        Ok(self.expect(Key::Domain(domain.clone()), Some(domain_row(order))))
    }

    /// Nobody has the address, and its domain is ours.
    fn expect_free(self, names: &Names, address: &Address) -> Result<Self, AccountsError> {
        let folded = address.folded();
        let alias = AliasName::Address(folded.clone());
        if names.account(address).is_some() || names.alias(&alias).is_some() {
            return Err(AccountsError::Exists(address.to_string()));
        }
        let change = self.expect_domain(names, address.domain())?;
        Ok(change.expect(Key::Account(folded), None).expect(Key::Alias(alias), None))
    }

    fn expect_account(self, names: &Names, folded: &Address) -> Result<Self, AccountsError> {
        let entry = names.account(folded).ok_or_else(|| AccountsError::NoAccount(folded.clone()))?;
        Ok(self.expect(Key::Account(folded.clone()), Some(Row::Account(account_row(entry)))))
    }
}

fn account_row(entry: &Entry) -> AccountRow {
    AccountRow {
        id: entry.account.id.get(),
        address: entry.account.address.to_string(),
        argon: entry.argon.clone(),
        scram: entry.scram.clone(),
    }
}

fn alias_row(targets: &[Address]) -> Row {
    Row::Alias(AliasRow { targets: targets.iter().map(Address::to_string).collect() })
}
