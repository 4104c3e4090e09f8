//! Delivery to local accounts: per recipient target mailbox and trace fields, then one append.

use crate::{
    accounts::Accounts,
    authentication::{Client, Report},
    clock::Clock,
    mail::{AccountId, ForwardPath, ReversePath},
    message::Analysis,
    spam::Verdict,
    store::{Appended, RepeatKey, Store, StoreError},
};
use bytes::Bytes;
use std::sync::Arc;

/// A message that was accepted and judged, for recipients that were resolved at RCPT.
pub struct Received {
    /// Octets as received.
    pub raw: Bytes,
    /// Their analysis.
    pub analysis: Arc<Analysis>,
    /// The reverse path.
    pub reverse_path: ReversePath,
    /// Each accepted forward path and the accounts it leads to.
    pub recipients: Vec<(ForwardPath, Vec<AccountId>)>,
    /// Who sent it.
    pub client: Client,
    /// Protocol for the Received field's `with` clause (RFC 3848), such as `ESMTPS`.
    pub protocol: &'static str,
    /// Session and message id of our log lines, which the Received field and the 250 carry.
    pub id: String,
    /// What authentication found; `None` for submission by a logged-in user.
    pub report: Option<Report>,
    /// The spam verdict; `None` for submission.
    pub verdict: Option<Verdict>,
}

/// What was stored.
pub struct Delivered {
    /// Each copy.
    pub copies: Vec<Appended>,
    /// To be given to `Store::acknowledge` once the client has shown that it saw the 250.
    pub repeat: RepeatKey,
}

/// Why a message was not stored for any recipient. Nothing is kept then.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The store did not take it; the message is still the sender's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Delivers. Clones share everything.
#[derive(Clone)]
pub struct Delivery {
    store: Store,
    accounts: Accounts,
    clock: Clock,
    hostname: String,
}

impl Delivery {
    /// `hostname` stands in the trace fields and is the authserv-id.
    pub fn new(store: Store, accounts: Accounts, clock: Clock, hostname: String) -> Self {
        Self { store, accounts, clock, hostname }
    }

    /// Stores one copy for each account, once also where several recipients lead to it. Return-Path, Received,
    /// Authentication-Results, Delivered-To become the copy's trace (RFC 5321 §4.4). All or none.
    pub async fn deliver(&self, received: Received) -> Result<Delivered, DeliveryError> {
        let _ = (&self.store, &self.accounts, &self.clock, &self.hostname, received);
        unimplemented!("frame: delivery")
    }
}
