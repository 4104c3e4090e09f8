//! What becomes of a message: a pure function of what is known about it.

use crate::{
    authentication::{DmarcPolicy, DmarcResult, Outcome, Report},
    limits,
    message::{self, header_fields},
    spam::{self, Verdict},
};

/// What the message itself says that matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// Received fields.
    pub(super) received_fields: usize,
    /// From fields.
    pub(super) from_fields: usize,
}

impl Header {
    /// Counts the fields of a message.
    pub(super) fn of(raw: &[u8]) -> Self {
        let from_fields = header_fields(raw).filter(|field| field.is("From")).count();
        Self { received_fields: message::received_count(raw), from_fields }
    }
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is going in circles.
    Loop,
    /// It has several From fields, so that nobody can say who its author is.
    SeveralFromFields,
    /// The domain in From says that what it did not sign or send is to be refused.
    DmarcPolicy,
    /// It is spam beyond doubt.
    Spam,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// It goes to INBOX.
    Inbox,
    /// It goes to the mailbox for junk.
    Junk,
    /// It is refused while its sender still listens, so that no bounce is ever needed (RFC 5321 §6.2).
    Refuse(Refusal),
}

/// A disposition, with the code of its reason for the log and the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision<'a> {
    pub(super) disposition: Disposition,
    pub(super) reason: &'a str,
}

/// Decides. What protects the mail system comes first, then what the author's domain asks for, then the filter; the first
/// that refuses is the reason told.
pub(super) fn decide<'a>(header: Header, report: &Report, verdict: &'a Verdict) -> Decision<'a> {
    if header.received_fields >= limits::RECEIVED_FIELDS_OF_A_LOOP {
        return Decision { disposition: Disposition::Refuse(Refusal::Loop), reason: "loop" };
    }
    // RFC 5322 §3.6 allows one, and a display that shows the second is what a forger counts on.
    if header.from_fields > 1 {
        return Decision {
            disposition: Disposition::Refuse(Refusal::SeveralFromFields),
            reason: "several_from_fields",
        };
    }
    if asks(&report.dmarc, DmarcPolicy::Reject) {
        return Decision { disposition: Disposition::Refuse(Refusal::DmarcPolicy), reason: "dmarc_reject" };
    }
    let reason = verdict.reason.as_str();
    match verdict.disposition {
        spam::Disposition::Reject => Decision { disposition: Disposition::Refuse(Refusal::Spam), reason },
        spam::Disposition::Junk => Decision { disposition: Disposition::Junk, reason },
        spam::Disposition::Inbox if asks(&report.dmarc, DmarcPolicy::Quarantine) => {
            Decision { disposition: Disposition::Junk, reason: "dmarc_quarantine" }
        }
        spam::Disposition::Inbox => Decision { disposition: Disposition::Inbox, reason },
    }
}

/// Whether DMARC failed for sure and the policy is this one. A name server that did not answer proves nothing.
fn asks(dmarc: &DmarcResult, policy: DmarcPolicy) -> bool {
    dmarc.outcome == Outcome::Fail && dmarc.policy == policy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::SpfResult;

    fn report(outcome: Outcome, policy: DmarcPolicy) -> Report {
        let spf = SpfResult { outcome: Outcome::None, domain: String::new(), explanation: None };
        Report {
            iprev: (Outcome::None, None),
            spf_helo: spf.clone(),
            spf_mail_from: spf,
            dkim: Vec::new(),
            arc: Outcome::None,
            dmarc: DmarcResult { outcome, policy, header_from: None },
        }
    }

    fn verdict(disposition: spam::Disposition) -> Verdict {
        Verdict {
            probability: 0.5,
            disposition,
            reason: "model".into(),
            reasons: Vec::new(),
            model: String::new(),
            report: None,
        }
    }

    const ONE_FROM: Header = Header { received_fields: 3, from_fields: 1 };

    #[track_caller]
    fn decides(header: Header, report: &Report, filter: spam::Disposition, disposition: Disposition, reason: &str) {
        assert_eq!(decide(header, report, &verdict(filter)), Decision { disposition, reason });
    }

    #[test]
    fn the_filter_decides_where_nothing_else_speaks() {
        let report = report(Outcome::None, DmarcPolicy::None);
        decides(ONE_FROM, &report, spam::Disposition::Inbox, Disposition::Inbox, "model");
        decides(ONE_FROM, &report, spam::Disposition::Junk, Disposition::Junk, "model");
        decides(ONE_FROM, &report, spam::Disposition::Reject, Disposition::Refuse(Refusal::Spam), "model");
        let none = Header { from_fields: 0, ..ONE_FROM };
        decides(none, &report, spam::Disposition::Inbox, Disposition::Inbox, "model");
    }

    #[test]
    fn dmarc_policy_is_followed_where_it_failed_for_sure() {
        use spam::Disposition::Inbox;
        let refused = Disposition::Refuse(Refusal::DmarcPolicy);
        decides(ONE_FROM, &report(Outcome::Fail, DmarcPolicy::Reject), Inbox, refused, "dmarc_reject");
        decides(
            ONE_FROM,
            &report(Outcome::Fail, DmarcPolicy::Quarantine),
            Inbox,
            Disposition::Junk,
            "dmarc_quarantine",
        );
        for report in [
            report(Outcome::Fail, DmarcPolicy::None),
            report(Outcome::Pass, DmarcPolicy::Reject),
            report(Outcome::TempError, DmarcPolicy::Reject),
        ] {
            decides(ONE_FROM, &report, Inbox, Disposition::Inbox, "model");
        }
    }

    #[test]
    fn loops_and_several_authors_are_refused_first() {
        let report = report(Outcome::Fail, DmarcPolicy::Reject);
        let two = Header { from_fields: 2, ..ONE_FROM };
        let refused = Disposition::Refuse(Refusal::SeveralFromFields);
        decides(two, &report, spam::Disposition::Inbox, refused, "several_from_fields");
        let looping = Header { received_fields: limits::RECEIVED_FIELDS_OF_A_LOOP, from_fields: 2 };
        decides(looping, &report, spam::Disposition::Inbox, Disposition::Refuse(Refusal::Loop), "loop");
    }

    #[test]
    fn fields_are_counted_in_the_header_alone() {
        let raw = b"Received: a\r\n b\r\nreceived: c\r\nFROM: a\r\nX-From: b\r\n\r\nFrom: c\r\nReceived: d\r\n";
        assert_eq!(Header::of(raw), Header { received_fields: 2, from_fields: 1 });
    }
}
