//! Change notification: level-triggered, lossless (P8).

use super::{Store, StoreError};
use crate::mail::{AccountId, ModSeq};

/// Wakes when something in an account changed. Carries no news of its own: compare
/// `MailboxStatus::highest_modseq` and read the difference.
pub struct Watch(());

impl Watch {
    /// Waits until the account's highest mod-sequence is above what the last call returned. Cancel-safe.
    pub async fn changed(&mut self) -> Result<ModSeq, StoreError> {
        unimplemented!("frame: store")
    }
}

impl Store {
    /// Watches an account; every change committed after this call is seen.
    pub fn watch(&self, account: AccountId) -> Result<Watch, StoreError> {
        let _ = account;
        unimplemented!("frame: store")
    }
}
