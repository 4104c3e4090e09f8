//! The rows of the directory: the stored form of domains, accounts and aliases.
//!
//! ```text
//! key                    value, each after one octet of version
//! d DOMAIN               order in which the domains were added
//! a ADDRESS (folded)     id, address as written, Argon2id hash, SCRAM keys
//! l ALIAS (folded)       targets
//! r ID (8 octets)        the account's row: it is gone, and its mail is to be removed
//! b ID (8 octets)        nothing: the account is there again, and its mail is to be brought back
//! s                      secret from which salts of unknown logins are made
//! ```

use super::{
    AccountsError, AliasName,
    password::{ArgonHash, Credentials},
    scram_keys::ScramRow,
};
use crate::mail::{AccountId, Address, Domain};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Version of the values.
const VERSION: u8 = 1;

/// A row's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Domain(Domain),
    Account(Address),
    Alias(AliasName),
    Removed(AccountId),
    Returning(AccountId),
    Secret,
}

impl Key {
    pub(super) fn to_octets(&self) -> Vec<u8> {
        match self {
            Self::Domain(domain) => format!("d{domain}").into_bytes(),
            Self::Account(address) => format!("a{address}").into_bytes(),
            Self::Alias(name) => format!("l{name}").into_bytes(),
            Self::Removed(id) => [&b"r"[..], &id.get().to_be_bytes()].concat(),
            Self::Returning(id) => [&b"b"[..], &id.get().to_be_bytes()].concat(),
            Self::Secret => b"s".to_vec(),
        }
    }

    pub(super) fn from_octets(octets: &[u8]) -> Result<Self, AccountsError> {
        let parse = || {
            let (kind, name) = octets.split_first()?;
            let text = || str::from_utf8(name).ok();
            let id = || AccountId::new(u64::from_be_bytes(name.try_into().ok()?));
            match kind {
                b'd' => text()?.parse().ok().map(Self::Domain),
                b'a' => text()?.parse().ok().map(Self::Account),
                b'l' => text()?.parse().ok().map(Self::Alias),
                b'r' => id().map(Self::Removed),
                b'b' => id().map(Self::Returning),
                b's' if name.is_empty() => Some(Self::Secret),
                _ => None,
            }
        };
        parse().ok_or_else(|| AccountsError::Damaged(format!("directory key {}", octets.escape_ascii())))
    }
}

/// A row's value.
#[derive(Clone)]
pub(super) enum Row {
    Domain(DomainRow),
    Account(AccountRow),
    Alias(AliasRow),
    Removed(AccountRow),
    Returning,
    Secret([u8; 32]),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct DomainRow {
    pub(super) order: u64,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct AccountRow {
    pub(super) id: u64,
    pub(super) address: String,
    pub(super) argon: ArgonHash,
    pub(super) scram: ScramRow,
}

impl AccountRow {
    pub(super) fn new(id: AccountId, address: &Address, credentials: Credentials) -> Self {
        let Credentials { argon, scram } = credentials;
        Self { id: id.get(), address: address.to_string(), argon, scram }
    }

    /// What the store keeps for a removed account.
    pub(super) fn keepsake(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads it again.
    pub(super) fn from_keepsake(id: AccountId, octets: &[u8]) -> Result<Self, AccountsError> {
        decode(&Key::Removed(id), octets)
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct AliasRow {
    pub(super) targets: Vec<String>,
}

impl Row {
    pub(super) fn to_octets(&self) -> Vec<u8> {
        match self {
            Self::Domain(row) => encode(row),
            Self::Account(row) => encode(row),
            Self::Alias(row) => encode(row),
            Self::Removed(row) => encode(row),
            Self::Returning => vec![VERSION],
            Self::Secret(secret) => encode(secret),
        }
    }

    pub(super) fn from_octets(key: &Key, octets: &[u8]) -> Result<Self, AccountsError> {
        match key {
            Key::Domain(_) => decode(key, octets).map(Self::Domain),
            Key::Account(_) => decode(key, octets).map(Self::Account),
            Key::Alias(_) => decode(key, octets).map(Self::Alias),
            Key::Removed(_) => decode(key, octets).map(Self::Removed),
            Key::Returning(_) => Ok(Self::Returning),
            Key::Secret => decode(key, octets).map(Self::Secret),
        }
    }
}

fn encode(row: &impl Serialize) -> Vec<u8> {
    let mut octets = vec![VERSION];
    octets.extend(postcard::to_allocvec(row).expect("rows are plain values of known length"));
    octets
}

fn decode<T: DeserializeOwned>(key: &Key, octets: &[u8]) -> Result<T, AccountsError> {
    let damaged = || AccountsError::Damaged(format!("directory row {}", key.to_octets().escape_ascii()));
    match octets.split_first() {
        Some((&VERSION, row)) => postcard::from_bytes(row).map_err(|_| damaged()),
        _ => Err(damaged()),
    }
}
