//! Why a delivery failed.

use crate::store::StoreError;

/// Why a message was not stored for any recipient. Nothing is kept then, or the outcome is not known and the
/// sender's repeat is recognised.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// A recipient's account or mailbox went away since RCPT. The sender's next try hears of it there.
    #[error("a recipient went away during the transaction")]
    RecipientGone,
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
            StoreError::Full => Self::Full,
            StoreError::Closing => Self::Closing,
            // Whatever else the store says, no message is lost by a 4yz reply.
            other => Self::Store(other),
        }
    }
}
