//! What can be asked for.

use super::{Examination, Form, LimitChange, MessagePlace};
use crate::{
    accounts::{Alias, AliasName},
    mail::{Address, Domain},
};
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf};

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
    /// Lists the accounts that were removed and can be brought back.
    AccountRemoved,
    /// Brings an account back that was removed.
    AccountUndelete {
        /// The address that it had.
        address: Address,
        /// The address that it gets; the same unless told otherwise.
        into: Option<Address>,
        /// Whether to do it.
        run: Run,
    },
    /// Shows an account's quota, after changing its limits where any are given.
    AccountQuota {
        /// The account.
        address: Address,
        /// What to change.
        change: LimitChange,
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
    /// Searches an account.
    Search {
        /// The account.
        account: Address,
        /// What to find.
        query: String,
        /// How many messages to show at most.
        count: usize,
    },
    /// Shows a message.
    MessageShow(MessagePlace),
    /// Explains the verdict on a message.
    MessageExplain(MessagePlace),
    /// Brings back messages that were expunged, or went with their mailbox.
    MessageUndelete {
        /// The account.
        account: Address,
        /// Those of one mailbox; of all unless told otherwise.
        mailbox: Option<String>,
        /// Those deleted since this time, as an administrator writes it.
        since: Option<String>,
        /// Whether to do it.
        run: Run,
    },
    /// Imports mail from files.
    Import {
        /// The account that gets it.
        account: Address,
        /// A file or folder, as an absolute path.
        source: PathBuf,
        /// The mailbox that the source's root becomes; INBOX unless told otherwise.
        mailbox: Option<String>,
        /// The form, where its look does not tell.
        form: Option<Form>,
    },
    /// Exports mail into files.
    Export {
        /// The account.
        account: Address,
        /// A folder that does not exist or is empty, as an absolute path.
        destination: PathBuf,
        /// One mailbox, or all of them.
        mailbox: Option<String>,
        /// The form.
        form: Form,
    },
    /// Builds text indexes again.
    IndexRebuild {
        /// One account, or all of them.
        account: Option<Address>,
    },
    /// Reads and checks every content.
    BlobVerify,
    /// Moves what is fresh into packs now.
    BlobPack,
    /// Holds what is derived against what it derives from, and mends it.
    Doctor(Examination),
    /// Removes contents that no message names, as far as their time has come.
    BlobSweep {
        /// Whether to do it.
        run: Run,
    },
    /// Explains where a content is, who names it and when it would go.
    BlobExplain {
        /// Its name, in hexadecimal digits.
        content: String,
    },
    /// Counts what contents take.
    BlobStatistics,
    /// Makes lost metadata again from packs.
    DoctorFromPacks,
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
            Self::AccountRemoved => "account removed",
            Self::AccountUndelete { .. } => "account undelete",
            Self::AccountQuota { .. } => "account quota",
            Self::AliasAdd { .. } => "alias add",
            Self::AliasList => "alias list",
            Self::AliasRemove { .. } => "alias remove",
            Self::Statistics => "stats",
            Self::Search { .. } => "search",
            Self::MessageShow(_) => "message show",
            Self::MessageExplain(_) => "message explain",
            Self::MessageUndelete { .. } => "message undelete",
            Self::Import { .. } => "import",
            Self::Export { .. } => "export",
            Self::IndexRebuild { .. } => "index rebuild",
            Self::BlobVerify => "blob verify",
            Self::BlobPack => "blob pack",
            Self::Doctor(_) => "doctor",
            Self::BlobSweep { .. } => "blob gc",
            Self::BlobExplain { .. } => "blob gc --explain",
            Self::BlobStatistics => "blob stats",
            Self::DoctorFromPacks => "doctor from packs",
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
