//! DMARC (RFC 9989): the domain in From disowns the message.

use super::Finding;
use crate::{
    authentication::{DmarcPolicy, Outcome},
    spam::Evidence,
};

/// A fail under `p=reject` never comes here where the server refuses it at once; under `p=none` it is
/// common in mail that was forwarded, so it weighs little. A pass says who sent it and
/// nothing of what it is: modern phishing passes more often than not.
pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    let dmarc = &evidence.report?.dmarc;
    if dmarc.outcome != Outcome::Fail {
        return None;
    }
    Some(match dmarc.policy {
        DmarcPolicy::Reject => Finding::new(3.0, "fails DMARC, policy reject"),
        DmarcPolicy::Quarantine => Finding::new(2.5, "fails DMARC, policy quarantine"),
        DmarcPolicy::None => Finding::new(0.7, "fails DMARC, policy none"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spam::signal::names_found;

    const RAW: &[u8] = b"From: Alice <alice@example.org>\r\nSubject: a\r\n\r\nb\r\n";

    #[test]
    fn only_a_fail_counts() {
        let mut report = crate::spam::signal::spf::tests::report(Outcome::Pass);
        report.dmarc.outcome = Outcome::Pass;
        assert!(!names_found(RAW, Some(&report)).contains(&"dmarc".to_owned()));
        report.dmarc.outcome = Outcome::Fail;
        assert!(names_found(RAW, Some(&report)).contains(&"dmarc".to_owned()));
    }
}
