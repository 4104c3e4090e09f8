//! Domains, accounts, addresses, aliases and credentials.
//!
//! Owns: which addresses are ours and where they lead, who may log in, and who may send as whom; its rows lie in the
//! store's directory, and every look-up is answered from memory. Promises: a change is durable before it is
//! visible, and one task at a time changes anything; aliases never loop; names that exist cannot be told from others
//! by answer or time; ids are never reused. Never: keeps a password, or shows one in a log or `Debug`. Errors say
//! what the administrator asked for that cannot be; nothing is logged.
//!
//! RFC 5321 §4.5.1 (postmaster), RFC 5233 (subaddresses), RFC 4422, 4616, 5802, 7677 (SASL), RFC 4013 (passwords).

mod alias;
mod change;
mod names;
mod password;
mod remembered;
mod row;
mod sasl;
mod scram;
mod scram_keys;

use crate::{
    clock::{Clock, UnixMillis},
    mail::{AccountId, Address, Domain, ForwardPath},
    store::{Store, StoreError},
};
use names::Names;
use parking_lot::RwLock;
use password::{ArgonHash, Hasher};
use remembered::Remembered;
use std::sync::Arc;

pub use alias::{Alias, AliasName};
pub use password::Password;
pub use sasl::{Exchange, Mechanism, Step};

/// What a forward path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// These accounts (several for an alias).
    Accounts(Vec<AccountId>),
    /// A domain of ours without such an address.
    NoSuchAddress,
    /// Not a domain of ours.
    NotLocal,
}

/// Why an account task failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The domain is not one of ours.
    #[error("no such domain: {0}")]
    NoDomain(Domain),
    /// No account has this address.
    #[error("no such account: {0}")]
    NoAccount(Address),
    /// No account was removed under this address, or too long ago.
    #[error("no account {0} was removed within store.undelete_days")]
    NotRemoved(Address),
    /// It exists.
    #[error("{0} exists already")]
    Exists(String),
    /// The domain still has accounts or aliases.
    #[error("{0} still has addresses; remove them first")]
    NotEmpty(Domain),
    /// No such alias.
    #[error("no such alias: {0}")]
    NoAlias(AliasName),
    /// An alias leads to it.
    #[error("the alias {1} leads to {0}; remove or change it first")]
    InUse(Address, AliasName),
    /// A target of an alias is no address here.
    #[error("{0} is no account or alias here")]
    NoTarget(Address),
    /// The alias would lead back to itself, or through too many others.
    #[error("the alias {0} would lead to itself, or through too many other aliases")]
    Loop(AliasName),
    /// The alias has no targets, or leads to too many.
    #[error("the alias {0} has no targets, or too many")]
    Targets(AliasName),
    /// The password is empty or too long.
    #[error("the password must have 1 to 1024 octets")]
    Password,
    /// Stored data cannot be read.
    #[error("stored accounts are damaged: {0}")]
    Damaged(String),
    /// Somebody else changed the same thing at the same time.
    #[error("the accounts were changed meanwhile; try again")]
    Conflict,
    /// There was no memory, or the server is stopping.
    #[error("the work was not done: {0}")]
    NotDone(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An account as an administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its address, which is its login name.
    pub address: Address,
}

/// An account that was removed and can be brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedAccount {
    /// Its id.
    pub id: AccountId,
    /// The address that it had.
    pub address: Address,
    /// When it was removed.
    pub at: UnixMillis,
}

/// Keys of SCRAM-SHA-256 (RFC 7677, RFC 5802 §3). No revealing `Debug`.
#[derive(Clone)]
pub struct ScramKeys {
    /// Salt.
    pub salt: Vec<u8>,
    /// Iterations.
    pub iterations: u32,
    /// StoredKey.
    pub stored_key: [u8; 32],
    /// ServerKey.
    pub server_key: [u8; 32],
}

/// The accounts of this server. Clones share them.
#[derive(Clone)]
pub struct Accounts {
    store: Store,
    clock: Clock,
    shared: Arc<Shared>,
}

struct Shared {
    names: RwLock<Names>,
    /// For salts of logins that do not exist.
    secret: [u8; 32],
    changing: tokio::sync::Mutex<()>,
    hasher: Hasher,
    remembered: Remembered,
}

impl Accounts {
    /// Opens the accounts kept in `store`. Reads the whole directory.
    pub fn new(store: Store, clock: Clock) -> Result<Self, AccountsError> {
        let names = Names::load(&store)?;
        let secret = names.secret().unwrap_or_else(|| {
            let mut secret = [0; 32];
            clock.fill_random(&mut secret);
            secret
        });
        let shared = Shared {
            names: RwLock::new(names),
            secret,
            changing: tokio::sync::Mutex::new(()),
            hasher: Hasher::new(),
            remembered: Remembered::new(&clock),
        };
        Ok(Self { store, clock, shared: Arc::new(shared) })
    }

    /// The domains, oldest first.
    pub fn domains(&self) -> Vec<Domain> {
        self.shared.names.read().domains()
    }

    /// The accounts, by address.
    pub fn accounts(&self) -> Vec<Account> {
        self.shared.names.read().accounts()
    }

    /// The aliases, by name.
    pub fn aliases(&self) -> Vec<Alias> {
        self.shared.names.read().aliases()
    }

    /// The account with exactly this address, in any case.
    pub fn account(&self, address: &Address) -> Option<Account> {
        self.shared.names.read().account(address).map(|entry| entry.account.clone())
    }

    /// The account of this id. Looks through all of them.
    pub fn account_of(&self, id: AccountId) -> Option<Account> {
        self.shared.names.read().entry_of(id).map(|(_, entry)| entry.account.clone())
    }

    /// Where mail for `path` goes. `Postmaster` without a domain is the postmaster of the first
    /// domain, or its first account. An in-memory look-up.
    pub fn resolve(&self, path: &ForwardPath) -> Result<Resolution, AccountsError> {
        Ok(self.shared.names.read().resolve(path))
    }

    /// Checks a password (Argon2id, off the reactor, bounded in number at once; a success is
    /// remembered for a while so that a client that reconnects does not pay again). `None` for a wrong name or
    /// password alike, after the same time.
    pub async fn authenticate(&self, login: &str, password: &[u8]) -> Result<Option<Account>, AccountsError> {
        let Ok(password) = Password::new(password) else { return Ok(None) };
        let known = self.shared.names.read().login(login).map(|entry| (entry.account.clone(), entry.argon.clone()));
        let remembered = &self.shared.remembered;
        let Some((account, hash)) = known else {
            self.shared.hasher.verify(password, ArgonHash::impossible(), || true).await?;
            return Ok(None);
        };
        let login = remembered.login(account.id, &hash, &password);
        if remembered.holds(login, self.clock.now()) {
            return Ok(Some(account));
        }
        // Clients open several connections at once: what one of them has proved serves those that wait behind it.
        let not_meanwhile = || !remembered.holds(login, self.clock.now());
        match self.shared.hasher.verify(password, hash, not_meanwhile).await? {
            Some(false) => Ok(None),
            Some(true) => {
                remembered.remember(login, self.clock.now());
                Ok(Some(account))
            }
            None => Ok(Some(account)),
        }
    }

    /// SCRAM keys and account of a login; for an unknown login stable made-up keys and no account,
    /// so that names cannot be told apart (RFC 5802 §9).
    pub fn scram_keys(&self, login: &str) -> Result<(ScramKeys, Option<Account>), AccountsError> {
        let names = self.shared.names.read();
        Ok(match names.login(login) {
            Some(entry) => (entry.scram.keys(), Some(entry.account.clone())),
            None => (scram_keys::made_up(&self.shared.secret, login), None),
        })
    }

    /// Whether `account` may send as `address` (its own address or an alias that leads to it).
    pub fn may_send_as(&self, account: AccountId, address: &Address) -> bool {
        let resolution = self.shared.names.read().resolve(&ForwardPath::Address(address.clone()));
        matches!(resolution, Resolution::Accounts(accounts) if accounts.contains(&account))
    }
}
