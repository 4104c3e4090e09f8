//! The one place where an outcome becomes a reply (RFC 5321 §4.2, RFC 3463 §3).
//!
//! Causes go to our log only: their text names paths and keys.

use super::disposition::Refusal;
use crate::{
    accounts::{AccountsError, Resolution},
    delivery::DeliveryError,
    mail::{AccountId, ForwardPath},
    smtp::Reply,
};

/// The domain is not ours (RFC 5321 §3.6.2).
const RELAY_DENIED: Reply = Reply::new(550, "5.7.1", "relaying denied");

/// No memory left for content; it comes before any disk is touched.
pub(super) const NO_ROOM_FOR_CONTENT: Reply = Reply::new(452, "4.3.1", "too much mail at once, try again later");

/// A message that was stored, or was stored before (RFC 5321 §4.2.5).
pub(crate) fn stored(id: &str) -> Reply {
    Reply::with_text(250, "2.0.0", format!("stored as {id}"))
}

/// Whom a RCPT of a stranger reaches.
pub(super) fn recipient(
    resolution: Result<Resolution, AccountsError>,
    path: &ForwardPath,
) -> Result<Vec<AccountId>, Reply> {
    match resolution {
        Ok(Resolution::Accounts(accounts)) => Ok(accounts),
        // `user%elsewhere@here` and its kin ask to be relayed (RFC 5321 §3.6.2, RFC 2505 §2.1).
        Ok(Resolution::NoSuchAddress) if asks_for_relay(path) => Err(RELAY_DENIED),
        Ok(Resolution::NoSuchAddress) => Err(Reply::new(550, "5.1.1", "no such address here")),
        Ok(Resolution::NotLocal) => Err(RELAY_DENIED),
        Err(error) => Err(accounts_failed(&error)),
    }
}

fn asks_for_relay(path: &ForwardPath) -> bool {
    match path {
        ForwardPath::Postmaster => false,
        ForwardPath::Address(address) => address.local_part().contains(['%', '!', '@']),
    }
}

/// Accounts could not be asked.
pub(crate) fn accounts_failed(error: &AccountsError) -> Reply {
    match error {
        AccountsError::Store(_)
        | AccountsError::NoDomain(_)
        | AccountsError::NoAccount(_)
        | AccountsError::NotRemoved(_)
        | AccountsError::Exists(_)
        | AccountsError::NotEmpty(_)
        | AccountsError::NoAlias(_)
        | AccountsError::InUse(..)
        | AccountsError::NoTarget(_)
        | AccountsError::Loop(_)
        | AccountsError::Targets(_)
        | AccountsError::Damaged(_)
        | AccountsError::Conflict
        | AccountsError::NotDone(_)
        | AccountsError::Password => Reply::LOCAL_ERROR,
    }
}

/// A message that will not be taken, whatever the sender does.
pub(super) fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Loop => Reply::new(554, "5.4.6", "too many hops, this message is in a loop"),
        Refusal::SeveralFromFields => Reply::new(550, "5.7.1", "a message has one From field (RFC 5322)"),
        // RFC 7372 §3.3 gives the code for mail that no check authenticates.
        Refusal::DmarcPolicy => {
            Reply::new(550, "5.7.26", "not authenticated, and the domain in From asks to refuse (DMARC)")
        }
        Refusal::Spam => Reply::new(550, "5.7.1", "this message looks like spam; contact the postmaster if it is not"),
    }
}

/// A message that could not be stored. All but one are temporary: the sender keeps it and tries again for days.
pub(crate) fn not_delivered(error: &DeliveryError) -> Reply {
    match error {
        DeliveryError::RecipientGone => Reply::new(450, "4.2.1", "a mailbox went away, try again"),
        DeliveryError::OverQuota(_) => Reply::new(452, "4.2.2", "the mailbox is full, try again later"),
        // No retry helps (RFC 3463 §3.3, X.2.2).
        DeliveryError::LargerThanQuota(_) => {
            Reply::new(552, "5.2.2", "the message is larger than the mailbox may ever be")
        }
        DeliveryError::Full => Reply::new(452, "4.3.1", "no space left, try again later"),
        DeliveryError::Closing => Reply::new(451, "4.3.2", "shutting down, try again later"),
        DeliveryError::Store(_) => Reply::LOCAL_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_that_are_not_ours_are_told_apart() {
        let path = |address: &str| ForwardPath::Address(address.parse().unwrap());
        let code = |resolution, address| recipient(Ok(resolution), &path(address)).unwrap_err().enhanced();
        assert_eq!(code(Resolution::NotLocal, "a@elsewhere.test"), "5.7.1");
        assert_eq!(code(Resolution::NoSuchAddress, "a@example.org"), "5.1.1");
        for address in
            ["x%elsewhere.test@example.org", "elsewhere.test!x@example.org", "\"x@elsewhere.test\"@example.org"]
        {
            assert_eq!(code(Resolution::NoSuchAddress, address), "5.7.1", "{address}");
        }
    }
}
