//! The quota of an account: shown, and its limits changed.

use super::{Admin, AdminError, Done, account};
use crate::{
    mail::{AccountId, Address},
    store::{AccountLimits, Limit, ResourceLimits, StoreError},
};
use serde::{Deserialize, Serialize};

/// Limits to be changed; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitChange {
    /// Of octets.
    pub octets: Option<Limit>,
    /// Of messages.
    pub messages: Option<Limit>,
}

/// What an account uses, and may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaFigures {
    /// Messages in its mailboxes.
    pub messages: u64,
    /// Octets of these.
    pub octets: u64,
    /// The most of messages; none where nothing bounds them.
    pub messages_max: Option<u64>,
    /// The most of octets.
    pub octets_max: Option<u64>,
    /// How full the fuller of the two is, in percent.
    pub percent: Option<u64>,
}

impl QuotaFigures {
    pub(super) fn of(admin: &Admin, account: AccountId) -> Result<Self, StoreError> {
        let quota = admin.store.quota(account)?;
        let ResourceLimits { octets, messages } = quota.limits;
        Ok(Self {
            octets: quota.usage.octets,
            octets_max: octets,
            messages: quota.usage.messages,
            messages_max: messages,
            percent: quota.percent(),
        })
    }
}

/// Changes limits where any are given, and shows what holds then.
pub(super) async fn quota(admin: &Admin, address: &Address, change: LimitChange) -> Result<Done, AdminError> {
    let account = account::find(admin, address)?;
    let before = admin.store.account_limits(account)?;
    let limits = AccountLimits {
        octets: change.octets.unwrap_or(before.octets),
        messages: change.messages.unwrap_or(before.messages),
    };
    if limits != before {
        admin.store.set_account_limits(account, limits).await?;
    }
    let is_own = |limit: Limit| limit != Limit::Default;
    let figures = QuotaFigures::of(admin, account)?;
    Ok(Done::Quota { figures, own_octets_max: is_own(limits.octets), own_messages_max: is_own(limits.messages) })
}
