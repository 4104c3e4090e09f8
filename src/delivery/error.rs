//! Why a delivery failed.

use crate::{mail::AccountId, store::StoreError};

/// Why a message was not stored for any recipient. Nothing is kept then, or the outcome is not known and the
/// sender's repeat is recognised.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// A recipient's account or mailbox went away since RCPT. The sender's next try hears of it there.
    #[error("a recipient went away during the transaction")]
    RecipientGone,
    /// An account has no room now; its owner may make some at any time. Nothing was written.
    #[error("account {0} is over its quota")]
    OverQuota(AccountId),
    /// The message is more than an account may ever hold. Nothing was written.
    #[error("larger than the whole quota of account {0}")]
    LargerThanQuota(AccountId),
    /// There is no space; nothing was written.
    #[error("no space left for new mail")]
    Full,
    /// The server is stopping.
    #[error("the store is closing")]
    Closing,
    /// The store did not take it; the message is still the sender's.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for DeliveryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoAccount | StoreError::NoMailbox => Self::RecipientGone,
            StoreError::OverQuota(account) => Self::OverQuota(account),
            StoreError::LargerThanQuota(account) => Self::LargerThanQuota(account),
            StoreError::Full => Self::Full,
            StoreError::Closing => Self::Closing,
            // Whatever else the store says, no message is lost by a 4yz reply.
            other => Self::Store(other),
        }
    }
}
