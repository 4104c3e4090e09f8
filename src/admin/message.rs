//! One message: what it is, and why it was judged as it was.

use super::{
    Admin, AdminError, Done, account, date,
    search::{author, subject},
};
use crate::{
    authentication::{Outcome, Report},
    limits,
    mail::{Address, Flags, Uid},
    message::Part,
    spam::{Reason, Verdict},
    store::{MessageRecord, StoreError},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The place of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePlace {
    /// The account.
    pub account: Address,
    /// The mailbox.
    pub mailbox: String,
    /// The UID in it.
    pub uid: u32,
}

/// A message as an administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// When it came (RFC 3339, UTC).
    pub date: String,
    /// Octets as clients see them.
    pub octets: u64,
    /// Name of its octets as received.
    pub content: String,
    /// Its flags.
    pub flags: Vec<String>,
    /// Its parts, as type, octets and file name.
    pub parts: Vec<ShownPart>,
    /// The header section, trace fields first. Octets that are not UTF-8 are replaced.
    pub header: String,
}

/// One part without parts inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownPart {
    /// Type and subtype.
    pub media_type: String,
    /// Octets as sent.
    pub octets: u64,
    /// File name.
    pub filename: Option<String>,
}

/// Why a message was judged as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// When it came (RFC 3339, UTC).
    pub date: String,
    /// Its author.
    pub from: String,
    /// Its subject.
    pub subject: String,
    /// The verdict with every reason; `None` for messages that were not judged: from a logged-in user, appended by a
    /// client, or imported.
    pub verdict: Option<Judged>,
}

/// A verdict and what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// `inbox`, `junk` or `reject`.
    pub disposition: String,
    /// Probability that it is spam.
    pub probability: f32,
    /// Name of the model.
    pub model: String,
    /// What spoke for spam (above zero) or against it, strongest first.
    pub reasons: Vec<JudgedReason>,
    /// What was found of its sender.
    pub authentication: Vec<JudgedSender>,
}

/// One reason of a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedReason {
    /// The signal's name.
    pub signal: String,
    /// What it adds to the log-odds.
    pub weight: f32,
    /// What was seen.
    pub evidence: String,
}

/// One check of a sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedSender {
    /// The method, as in Authentication-Results.
    pub method: String,
    /// The outcome, as there.
    pub outcome: String,
    /// For whom.
    pub domain: String,
}

/// Shows a message.
pub(super) async fn show(admin: &Admin, place: &MessagePlace) -> Result<Done, AdminError> {
    let (record, flags) = find(admin, place)?;
    let header_octets = record.trace.len() as u64 + record.analysis.root.header.end;
    let header = admin.store.read(&record, 0..header_octets.min(limits::SHOWN_HEADER_OCTETS_MAX)).await?;
    let parts = record.analysis.root.leaves().take(limits::SHOWN_PARTS_MAX).map(shown_part).collect();
    Ok(Done::Message(Box::new(Shown {
        date: date::rfc3339(record.internal_date.seconds()),
        octets: record.octets(),
        content: record.raw_id.to_string(),
        flags: flags.iter().map(|flag| flag.to_string()).collect(),
        parts,
        header: String::from_utf8_lossy(&header).into_owned(),
    })))
}

/// Explains the verdict on a message.
pub(super) fn explain(admin: &Admin, place: &MessagePlace) -> Result<Done, AdminError> {
    let (record, _) = find(admin, place)?;
    Ok(Done::Explained(Box::new(Explained {
        date: date::rfc3339(record.internal_date.seconds()),
        from: author(&record),
        subject: subject(&record),
        verdict: record.verdict.as_deref().and_then(Verdict::from_stored).map(judged),
    })))
}

fn find(admin: &Admin, place: &MessagePlace) -> Result<(Arc<MessageRecord>, Flags), AdminError> {
    let account = account::find(admin, &place.account)?;
    let mailbox = admin.store.mailbox(account, &place.mailbox)?;
    let snapshot = admin.store.snapshot(account, mailbox.id)?;
    let row = Uid::new(place.uid).and_then(|uid| snapshot.row(uid)).ok_or(StoreError::NoMessage)?;
    Ok((admin.store.record(account, row.number)?, snapshot.flags(&row)))
}

fn shown_part(part: &Part) -> ShownPart {
    ShownPart {
        media_type: format!("{}/{}", part.media_type, part.media_subtype),
        octets: part.body.octets(),
        filename: part.filename().map(str::to_owned),
    }
}

fn judged(verdict: Verdict) -> Judged {
    let reason = |Reason { signal, weight, evidence }| JudgedReason { signal, weight, evidence };
    Judged {
        disposition: word(&verdict.disposition),
        probability: verdict.probability,
        model: verdict.model,
        reasons: verdict.reasons.into_iter().map(reason).collect(),
        authentication: verdict.report.as_ref().map(senders).unwrap_or_default(),
    }
}

fn senders(report: &Report) -> Vec<JudgedSender> {
    let check = |method: &str, outcome: &Outcome, domain: &str| JudgedSender {
        method: method.to_owned(),
        outcome: word(outcome),
        domain: domain.to_owned(),
    };
    let (iprev, host) = &report.iprev;
    let mut checks = vec![
        check("iprev", iprev, host.as_deref().unwrap_or_default()),
        check("spf", &report.spf_mail_from.outcome, &report.spf_mail_from.domain),
    ];
    checks.extend(report.dkim.iter().map(|signature| check("dkim", &signature.outcome, &signature.domain)));
    checks.push(check("arc", &report.arc, ""));
    checks.push(check("dmarc", &report.dmarc.outcome, report.dmarc.header_from.as_deref().unwrap_or_default()));
    checks
}

/// The word by which a value is kept, which is the RFCs' own.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    value.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}
