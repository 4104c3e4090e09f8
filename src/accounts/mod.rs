//! Domains, accounts, addresses, aliases and credentials.

mod sasl;
mod scram;

use crate::{
    clock::Clock,
    mail::{AccountId, Address, Domain, ForwardPath},
    store::{Store, StoreError},
};

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
    /// It exists.
    #[error("{0} exists already")]
    Exists(String),
    /// The domain still has accounts or aliases.
    #[error("{0} still has addresses; remove them first")]
    NotEmpty(Domain),
    /// The password is empty or too long.
    #[error("the password must have 1 to 1024 octets")]
    Password,
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
}

impl Accounts {
    /// Opens the accounts kept in `store`.
    pub fn new(store: Store, clock: Clock) -> Result<Self, AccountsError> {
        Ok(Self { store, clock })
    }

    /// Where mail for `path` goes. `Postmaster` without a domain is the postmaster of the first
    /// domain, or its first account. An in-memory look-up.
    pub fn resolve(&self, path: &ForwardPath) -> Result<Resolution, AccountsError> {
        let _ = (&self.store, &self.clock, path);
        unimplemented!("frame: accounts")
    }

    /// Checks a password (Argon2id, off the reactor, bounded in number at once; a success is
    /// remembered for a while so that a client that reconnects does not pay again). `None` for a wrong name or
    /// password alike, after the same time.
    pub async fn authenticate(&self, login: &str, password: &[u8]) -> Result<Option<Account>, AccountsError> {
        let _ = (login, password);
        unimplemented!("frame: accounts")
    }

    /// SCRAM keys and account of a login; for an unknown login stable made-up keys and no account,
    /// so that names cannot be told apart (RFC 5802 §9).
    pub fn scram_keys(&self, login: &str) -> Result<(ScramKeys, Option<Account>), AccountsError> {
        let _ = login;
        unimplemented!("frame: accounts")
    }

    /// Whether `account` may send as `address` (its own address or an alias that leads to it).
    pub fn may_send_as(&self, account: AccountId, address: &Address) -> bool {
        let _ = (account, address);
        unimplemented!("frame: accounts")
    }
}
