//! The one log line of each message, written at its outcome.

use super::{
    counters::{Counters, Stored},
    disposition::{Decision, Disposition},
};
use crate::{
    authentication::{Client, Outcome, Report},
    mail::ReversePath,
    smtp::Reply,
    spam::Verdict,
};
use std::net::IpAddr;

/// What is known of a message for its line. Neither its subject nor its text is.
#[derive(Debug)]
pub(crate) struct Line {
    id: String,
    peer: IpAddr,
    helo: String,
    mail_from: String,
    recipients: usize,
    octets: u64,
    spf: &'static str,
    dkim: &'static str,
    dmarc: &'static str,
    probability: Option<f32>,
    disposition: &'static str,
    reason: String,
}

impl Line {
    /// The line of a message that was not judged.
    pub(crate) fn new(id: &str, client: &Client, reverse_path: &ReversePath, recipients: usize, octets: u64) -> Self {
        Self {
            id: id.to_owned(),
            peer: client.ip,
            helo: client.helo.clone(),
            mail_from: reverse_path.to_string(),
            recipients,
            octets,
            spf: word(Outcome::None),
            dkim: word(Outcome::None),
            dmarc: word(Outcome::None),
            probability: None,
            disposition: "inbox",
            reason: String::new(),
        }
    }

    /// A message that is taken without being judged, and why.
    pub(crate) fn because(self, reason: &str) -> Self {
        Self { reason: reason.to_owned(), ..self }
    }

    /// A message that is refused without being judged, and why.
    pub(super) fn refused(self, reason: &str) -> Self {
        Self { disposition: "refuse", reason: reason.to_owned(), ..self }
    }

    /// Adds what was found and decided.
    pub(super) fn judged(self, report: &Report, verdict: &Verdict, decision: &Decision<'_>) -> Self {
        Self {
            spf: word(report.spf_mail_from.outcome),
            dkim: word(dkim(report)),
            dmarc: word(report.dmarc.outcome),
            probability: Some(verdict.probability),
            disposition: match decision.disposition {
                Disposition::Inbox => "inbox",
                Disposition::Junk => "junk",
                Disposition::Refuse(_) => "refuse",
            },
            reason: decision.reason.to_owned(),
            ..self
        }
    }

    /// Writes it and counts the message.
    pub(crate) fn write(self, reply: &Reply, counters: &Counters) {
        let Self { id, peer, helo, mail_from, recipients, octets, spf, dkim, dmarc, probability, disposition, reason } =
            self;
        counters.message(reply, if disposition == "junk" { Stored::Junk } else { Stored::Inbox });
        let (reply, enhanced) = (reply.code(), reply.enhanced());
        tracing::info!(
            %id, %peer, helo, mail_from, recipients, octets, spf, dkim, dmarc, probability, disposition, reason, reply, enhanced,
            "message"
        );
    }
}

/// A pass of any signature, or the outcome of the first.
fn dkim(report: &Report) -> Outcome {
    let mut outcomes = report.dkim.iter().map(|signature| signature.outcome);
    let first = outcomes.next().unwrap_or(Outcome::None);
    if outcomes.any(|outcome| outcome == Outcome::Pass) { Outcome::Pass } else { first }
}

/// RFC 8601 §2.7.
const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::None => "none",
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::SoftFail => "softfail",
        Outcome::Neutral => "neutral",
        Outcome::TempError => "temperror",
        Outcome::PermError => "permerror",
    }
}
