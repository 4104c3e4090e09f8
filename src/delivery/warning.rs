//! Messages that tell owners how full their accounts are.
//!
//! The store says which accounts have crossed a percentage that their owners have not been told of. The message and the note
//! that it was given are one commit, so each crossing is told once, whatever crashes; when usage falls below, it can be
//! told again. It is stored whatever the limits are, and is no mail that anybody could answer or bounce (RFC 3834 §5).

use super::{Delivery, trace::date};
use crate::{
    accounts::Accounts,
    clock::UnixMillis,
    mail::{AccountId, Address},
    message,
    store::{NewMessage, Quota, StoreError},
};
use bytes::Bytes;
use std::sync::Arc;

impl Delivery {
    /// Warns owners, one after the other, for as long as the future is polled. One that cannot be warned now is when its
    /// account grows again.
    pub async fn warn_owners(&self, accounts: &Accounts) {
        loop {
            let account = self.store.crossing().await;
            match self.warn(account, accounts).await {
                Ok(()) | Err(StoreError::NoAccount) => {}
                Err(error) => tracing::warn!(%account, %error, "quota warning not stored"),
            }
        }
    }

    async fn warn(&self, account: AccountId, accounts: &Accounts) -> Result<(), StoreError> {
        let Some((level, quota)) = self.store.warning_due(account)? else { return Ok(()) };
        let Some(owner) = accounts.account_of(account) else { return Ok(()) };
        let now = self.clock.now();
        let warning = Warning { level, quota, owner: &owner.address, id: self.clock.random_u64(), date: date(now) };
        if self.store.append_warning(account, warning.message(&self.hostname, now)).await? {
            tracing::info!(account = %owner.address, percent = level, "quota warning stored");
        }
        Ok(())
    }
}

/// One warning.
struct Warning<'a> {
    level: u8,
    quota: Quota,
    owner: &'a Address,
    id: u64,
    date: String,
}

impl Warning<'_> {
    fn message(&self, hostname: &str, now: UnixMillis) -> NewMessage {
        let raw = Bytes::from(self.text(hostname));
        let analysis = Arc::new(message::analyse(&raw));
        NewMessage { raw, analysis, internal_date: now, repeat: None }
    }

    fn text(&self, hostname: &str) -> String {
        let Self { level, quota, owner, id, date } = self;
        let mut used = String::new();
        if let Some(limit) = quota.limits.octets {
            used += &format!("    {} of {}\r\n", size(quota.usage.octets), size(limit));
        }
        if let Some(limit) = quota.limits.messages {
            used += &format!("    {} of {limit} messages\r\n", quota.usage.messages);
        }
        format!(
            "From: Postmaster <postmaster@{hostname}>\r\nTo: {owner}\r\nSubject: Your mailbox is more than {level} % full\r\n\
             Date: {date}\r\nMessage-ID: <quota.{id:016x}@{hostname}>\r\nAuto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
             Your mailbox uses\r\n\r\n{used}\r\n\
             When it is full, new mail for you is put off and in the end sent back, and\r\n\
             nothing can be copied into it. To make room, delete messages, in Junk and\r\n\
             Trash too, and let your mail program remove them for good.\r\n"
        )
    }
}

/// Octets as people read them.
fn size(octets: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(unit, _)| octets >= *unit);
    unit.map_or_else(
        || format!("{octets} octets"),
        |(unit, name)| format!("{:.1} {name}", octets as f64 / *unit as f64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ResourceLimits, Usage};

    /// RFC 5322 §3.6, RFC 3834 §5: fields once, short lines, and nothing that would be answered.
    #[test]
    fn warnings_are_well_formed() {
        let quota = Quota {
            usage: Usage { octets: 850 << 20, messages: 12 },
            limits: ResourceLimits { octets: Some(1 << 30), messages: Some(1000) },
        };
        let owner = "ann@example.org".parse().unwrap();
        let warning = Warning { level: 80, quota, owner: &owner, id: 255, date: date(UnixMillis(0)) };
        let text = warning.text("mx.example.org");
        for field in ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"] {
            assert_eq!(
                text.matches(&format!("\r\n{field}: ")).count() + usize::from(text.starts_with(field)),
                1,
                "{field}"
            );
        }
        assert!(text.contains("\r\nAuto-Submitted: auto-generated\r\n") && text.is_ascii());
        assert!(text.contains("    850.0 MiB of 1.0 GiB\r\n    12 of 1000 messages\r\n"), "{text}");
        assert!(text.split("\r\n").all(|line| line.len() <= 78 && !line.contains(['\r', '\n'])), "{text}");
        let stored = warning.message("mx.example.org", UnixMillis(7000));
        assert_eq!((stored.analysis.sent_day, stored.internal_date), (Some(0), UnixMillis(7000)));
    }
}
