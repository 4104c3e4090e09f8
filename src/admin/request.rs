//! What can be asked for.

use crate::{
    accounts::{Alias, AliasName},
    mail::{Address, Domain},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One task with what it needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Request {
    /// Takes on a domain.
    DomainAdd {
        /// The domain.
        domain: Domain,
    },
    /// Lists the domains.
    DomainList,
    /// Gives up a domain without addresses.
    DomainRemove {
        /// The domain.
        domain: Domain,
        /// Whether to do it.
        run: Run,
    },
    /// Lists the DNS records that a domain should publish.
    DomainDns {
        /// The domain.
        domain: Domain,
    },
    /// Makes an account.
    AccountAdd {
        /// Its address and login name.
        address: Address,
        /// Its password.
        password: Secret,
    },
    /// Lists the accounts with their counters.
    AccountList,
    /// Changes a password.
    AccountPassword {
        /// The account.
        address: Address,
        /// The new password.
        password: Secret,
    },
    /// Removes an account and all its mail.
    AccountRemove {
        /// The account.
        address: Address,
        /// Whether to do it.
        run: Run,
    },
    /// Adds an alias, or changes where one leads.
    AliasAdd {
        /// The alias.
        alias: Alias,
    },
    /// Lists the aliases.
    AliasList,
    /// Removes an alias.
    AliasRemove {
        /// The alias.
        name: AliasName,
        /// Whether to do it.
        run: Run,
    },
    /// Counts everything.
    Statistics,
}

impl Request {
    /// The task's name in logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DomainAdd { .. } => "domain add",
            Self::DomainList => "domain list",
            Self::DomainRemove { .. } => "domain remove",
            Self::DomainDns { .. } => "domain dns",
            Self::AccountAdd { .. } => "account add",
            Self::AccountList => "account list",
            Self::AccountPassword { .. } => "account passwd",
            Self::AccountRemove { .. } => "account remove",
            Self::AliasAdd { .. } => "alias add",
            Self::AliasList => "alias list",
            Self::AliasRemove { .. } => "alias remove",
            Self::Statistics => "stats",
        }
    }
}

/// Whether a destructive task is done or only checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Run {
    /// Do it.
    Really,
    /// Say what it would do.
    Dry,
}

/// A password on its way. `Debug` does not show it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
