//! SPF (RFC 7208) of the reverse path.

use super::Finding;
use crate::{authentication::Outcome, spam::Evidence};

/// A fail is what forwarding does to honest mail as well, so it never weighs much alone.
pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    let spf = &evidence.report?.spf_mail_from;
    match spf.outcome {
        Outcome::Fail => Some(Finding::new(1.2, "SPF fails")),
        Outcome::SoftFail => Some(Finding::new(0.5, "SPF fails softly")),
        Outcome::PermError => Some(Finding::new(0.3, "SPF record is broken")),
        Outcome::None | Outcome::Pass | Outcome::Neutral | Outcome::TempError => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        authentication::{DmarcPolicy, DmarcResult, Report, SpfResult},
        spam::signal::names_found,
    };

    pub(in crate::spam) fn report(spf: Outcome) -> Report {
        let spf = SpfResult { outcome: spf, domain: "example.org".to_owned(), explanation: None };
        Report {
            iprev: (Outcome::Pass, Some("mx.example.org".to_owned())),
            spf_helo: spf.clone(),
            spf_mail_from: spf,
            dkim: Vec::new(),
            arc: Outcome::None,
            dmarc: DmarcResult { outcome: Outcome::None, policy: DmarcPolicy::None, header_from: None },
        }
    }

    #[test]
    fn a_fail_counts_and_a_pass_or_an_outage_does_not() {
        let raw = b"From: Alice <alice@example.org>\r\nSubject: a\r\n\r\nb\r\n";
        for (outcome, found) in [
            (Outcome::Pass, false),
            (Outcome::None, false),
            (Outcome::TempError, false),
            (Outcome::SoftFail, true),
            (Outcome::Fail, true),
        ] {
            assert_eq!(names_found(raw, Some(&report(outcome))).contains(&"spf".to_owned()), found, "{outcome:?}");
        }
    }
}
