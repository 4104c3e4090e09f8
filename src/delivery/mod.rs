//! Delivery to local accounts: per recipient target mailbox and trace fields, then one append.
//!
//! Owns: the choice of the mailbox, the trace fields of each copy, and the key by which a repeated delivery is known.
//! Promises: all recipients get their copy or none does, once each, durable when [`Delivery::deliver`] returns; the
//! octets of the message stay as they came, since trace fields are kept beside them. Never: judges a message, or knows a
//! reply code. How quotas are kept, with several recipients too, stands in `room`. Errors say whose fault it is; nothing is logged here.
//!
//! RFC 5321 §4.4 (trace), RFC 8601 (Authentication-Results), RFC 9228 (Delivered-To), RFC 6154 (`\Junk`), RFC 3834 (warnings).

mod error;
mod room;
mod trace;
mod warning;

pub use error::DeliveryError;

use crate::{
    authentication::{Client, Report},
    clock::Clock,
    limits,
    mail::{AccountId, Flags, ForwardPath, MailboxId, ReversePath},
    message::Analysis,
    spam::{Disposition, Verdict},
    store::{Appended, NewMessage, RepeatKey, SpecialUse, Store, StoreError, Target},
    work,
};
use bytes::Bytes;
use std::{collections::BTreeSet, sync::Arc};
use trace::Trace;

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

/// Delivers. Clones share everything.
#[derive(Clone)]
pub struct Delivery {
    store: Store,
    clock: Clock,
    hostname: String,
}

impl Delivery {
    /// `hostname` stands in the trace fields and is the authserv-id.
    pub fn new(store: Store, clock: Clock, hostname: String) -> Self {
        Self { store, clock, hostname }
    }

    /// Stores one copy for each account, once also where several recipients lead to it. Return-Path, Received,
    /// Authentication-Results, Delivered-To become the copy's trace (RFC 5321 §4.4). All or none.
    pub async fn deliver(&self, received: Received) -> Result<Delivered, DeliveryError> {
        let now = self.clock.now();
        let repeat = repeat_key(&received).await;
        let trace = Trace::new(&received, &self.hostname, now);
        let verdict = received.verdict.as_ref().map(|verdict| Bytes::from(verdict.to_stored()));
        let mut targets = Vec::new();
        let copies = one_path_each(&received.recipients);
        let admissions = self.admissions(&copies)?;
        for ((path, account), admission) in copies.into_iter().zip(admissions) {
            let target = Target {
                account,
                mailbox: self.mailbox(account, received.verdict.as_ref()).await?,
                flags: Flags::default(),
                trace: trace.fields_for(path).into(),
                verdict: verdict.clone(),
            };
            targets.push((target, admission));
        }
        let message =
            NewMessage { raw: received.raw, analysis: received.analysis, internal_date: now, repeat: Some(repeat) };
        let copies = self.store.append_admitted(message, targets).await?;
        Ok(Delivered { copies, repeat })
    }

    /// Forgets the repeat key: the client has shown that it saw our 250, so that the same octets again are
    /// meant as a second message.
    pub fn acknowledge(&self, delivered: &Delivered) {
        if let Some(first) = delivered.copies.first() {
            self.store.acknowledge(delivered.repeat, first.account);
        }
    }

    async fn mailbox(&self, account: AccountId, verdict: Option<&Verdict>) -> Result<MailboxId, StoreError> {
        match verdict.map(|verdict| verdict.disposition) {
            Some(Disposition::Junk) => self.junk(account).await,
            Some(Disposition::Inbox | Disposition::Reject) | None => Ok(self.store.mailbox(account, "INBOX")?.id),
        }
    }

    /// The mailbox for junk, made anew where its owner has deleted it.
    async fn junk(&self, account: AccountId) -> Result<MailboxId, StoreError> {
        const NAME: &str = "Junk";
        if let Some(entry) = self.store.mailbox_for(account, SpecialUse::Junk)? {
            return Ok(entry.id);
        }
        match self.store.create_mailbox(account, NAME, Some(SpecialUse::Junk)).await {
            Ok(entry) => Ok(entry.id),
            // Somebody else made it meanwhile, or it lost its special use.
            Err(StoreError::MailboxExists) => Ok(self.store.mailbox(account, NAME)?.id),
            Err(error) => Err(error),
        }
    }
}

/// Each account once, with the first of the paths that lead to it.
fn one_path_each(recipients: &[(ForwardPath, Vec<AccountId>)]) -> Vec<(&ForwardPath, AccountId)> {
    let mut seen = BTreeSet::new();
    recipients
        .iter()
        .flat_map(|(path, accounts)| accounts.iter().map(move |account| (path, *account)))
        .filter(|(_, account)| seen.insert(*account))
        .collect()
}

/// The key of this delivery: content, reverse path and recipients in any order.
async fn repeat_key(received: &Received) -> RepeatKey {
    let mut recipients: Vec<String> = received.recipients.iter().map(|(path, _)| path.to_string()).collect();
    recipients.sort_unstable();
    recipients.dedup();
    let envelope = format!("<{}>\n{}\n", received.reverse_path, recipients.join("\n"));
    if received.raw.len() < limits::INLINE_WORK_OCTETS_MAX {
        return hash(&envelope, &received.raw);
    }
    let raw = received.raw.clone();
    let hashed = work::blocking(move || hash(&envelope, &raw));
    hashed.await.expect("hashing neither panics nor is aborted")
}

fn hash(envelope: &str, raw: &[u8]) -> RepeatKey {
    // The envelope is one of our own, and its addresses hold no line feed: it cannot run into the message.
    let hash = blake3::Hasher::new().update(envelope.as_bytes()).update(b"\n").update(raw).finalize();
    let (key, _) = hash.as_bytes().split_first_chunk().expect("a hash of 32 octets begins with 16");
    RepeatKey(*key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(address: &str) -> ForwardPath {
        ForwardPath::Address(address.parse().unwrap())
    }

    fn account(id: u64) -> AccountId {
        AccountId::new(id).unwrap()
    }

    #[test]
    fn an_account_gets_one_copy() {
        let recipients = [
            (path("all@example.org"), vec![account(1), account(2)]),
            (path("alice@example.org"), vec![account(1)]),
            (path("carol@example.org"), vec![account(3)]),
        ];
        let targets: Vec<_> =
            one_path_each(&recipients).into_iter().map(|(path, id)| (path.to_string(), id.get())).collect();
        let all = "all@example.org".to_owned();
        assert_eq!(targets, [(all.clone(), 1), (all, 2), ("carol@example.org".to_owned(), 3)]);
    }

    fn received(sender: &str, recipients: &[&str], raw: &'static [u8]) -> Received {
        Received {
            raw: Bytes::from_static(raw),
            analysis: Arc::new(crate::message::analyse(raw)),
            reverse_path: ReversePath::Address(sender.parse().unwrap()),
            recipients: recipients.iter().map(|recipient| (path(recipient), vec![account(1)])).collect(),
            client: Client { ip: [192, 0, 2, 1].into(), helo: "client.example".into() },
            protocol: "ESMTP",
            id: "1".into(),
            report: None,
            verdict: None,
        }
    }

    #[tokio::test]
    async fn a_repeat_is_the_same_content_from_and_to_the_same() {
        let (one, two) = ("a@example.org", "b@example.org");
        let key = repeat_key(&received("s@example.net", &[one, two], b"x\r\n")).await;
        assert_eq!(repeat_key(&received("s@example.net", &[two, one, one], b"x\r\n")).await, key);
        for other in [
            received("t@example.net", &[one, two], b"x\r\n"),
            received("s@example.net", &[one], b"x\r\n"),
            received("s@example.net", &[one, two], b"y\r\n"),
        ] {
            assert_ne!(repeat_key(&other).await, key);
        }
    }
}
