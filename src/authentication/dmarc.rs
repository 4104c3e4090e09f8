//! DMARC (RFC 9989) through mail_auth, which asks through our resolver.
//!
//! What decides stays here: who the author is (one From field, by the same reading as everything else), which signatures
//! count, and that a name with several valid records has none (RFC 9989 §4.10; mail_auth 0.13 takes the first).

use super::{
    DkimResult, DmarcPolicy, DmarcResult, Outcome, SpfResult,
    header::Author,
    public_key::{Answers, Otherwise},
};
use crate::{
    dns::{DnsError, Resolver},
    limits,
    mail::Domain,
};
use futures_util::future::join_all;
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DmarcOutput, Error, MessageAuthenticator, Parameters, SpfOutput, Txt,
    common::parse::TxtRecordParser,
    dkim::Signature,
    dmarc::{Dmarc, Policy, verify::DmarcParameters},
};

/// What the other checks found, as far as DMARC builds on it.
pub(super) struct Identifiers<'a> {
    pub(super) spf_mail_from: &'a SpfResult,
    pub(super) dkim: &'a [DkimResult],
}

/// Evaluates the policy of the author's domain.
pub(super) async fn dmarc(
    resolver: &Resolver,
    authenticator: &MessageAuthenticator,
    author: &Author,
    identifiers: &Identifiers<'_>,
) -> DmarcResult {
    match author {
        Author::Of(domain) => evaluate(resolver, authenticator, domain, identifiers).await,
        Author::Exempt => DmarcResult { outcome: Outcome::None, policy: DmarcPolicy::None, header_from: None },
        Author::Unclear => DmarcResult { outcome: Outcome::PermError, policy: DmarcPolicy::None, header_from: None },
    }
}

async fn evaluate(
    resolver: &Resolver,
    authenticator: &MessageAuthenticator,
    author: &Domain,
    identifiers: &Identifiers<'_>,
) -> DmarcResult {
    let answers = walk(resolver, author.as_str()).await;
    let signed: Vec<(Outcome, Signature)> = identifiers.dkim.iter().map(signature).collect();
    let dkim: Vec<DkimOutput<'_>> =
        signed.iter().filter_map(|(outcome, signature)| dkim_output(*outcome, signature)).collect();
    let spf = identifiers.spf_mail_from;
    let spf_output = SpfOutput::new(spf.domain.clone()).with_result(spf_outcome(spf.outcome));
    let message = AuthenticatedMessage { from: vec![format!("author@{author}")], ..AuthenticatedMessage::default() };
    let parameters = DmarcParameters {
        message: &message,
        dkim_output: &dkim,
        dkim2_output: None,
        rfc5321_mail_from_domain: &spf.domain,
        spf_output: &spf_output,
    };
    let output = authenticator.verify_dmarc(Parameters::new(parameters).with_txt_cache(&answers)).await;
    result(&output, author)
}

fn result(output: &DmarcOutput, author: &Domain) -> DmarcResult {
    let outcome = match output.result() {
        mail_auth::DmarcResult::Pass => Outcome::Pass,
        mail_auth::DmarcResult::Fail(_) => Outcome::Fail,
        mail_auth::DmarcResult::TempError(_) => Outcome::TempError,
        mail_auth::DmarcResult::PermError(_) => Outcome::PermError,
        mail_auth::DmarcResult::None => Outcome::None,
    };
    let policy = match output.policy() {
        Policy::Reject => DmarcPolicy::Reject,
        Policy::Quarantine => DmarcPolicy::Quarantine,
        Policy::None | Policy::Unspecified => DmarcPolicy::None,
    };
    DmarcResult { outcome, policy, header_from: Some(author.to_string()) }
}

fn signature(result: &DkimResult) -> (Outcome, Signature) {
    (result.outcome, Signature { d: result.domain.clone(), ..Signature::default() })
}

/// A signature as mail_auth takes it; one that proves nothing is left out.
fn dkim_output(outcome: Outcome, signature: &Signature) -> Option<DkimOutput<'_>> {
    let output = match outcome {
        Outcome::Pass => DkimOutput::pass(),
        Outcome::TempError => DkimOutput::temp_err(Error::Dns(mail_auth::DnsError::Resolver(String::new()))),
        Outcome::None | Outcome::Fail | Outcome::SoftFail | Outcome::Neutral | Outcome::PermError => return None,
    };
    Some(output.with_signature(signature))
}

fn spf_outcome(outcome: Outcome) -> mail_auth::SpfResult {
    match outcome {
        Outcome::None => mail_auth::SpfResult::None,
        Outcome::Pass => mail_auth::SpfResult::Pass,
        Outcome::Fail => mail_auth::SpfResult::Fail,
        Outcome::SoftFail => mail_auth::SpfResult::SoftFail,
        Outcome::Neutral => mail_auth::SpfResult::Neutral,
        Outcome::TempError => mail_auth::SpfResult::TempError,
        Outcome::PermError => mail_auth::SpfResult::PermError,
    }
}

/// The policy records from a domain up to its top level (RFC 9989 §4.10), asked for at once.
async fn walk(resolver: &Resolver, domain: &str) -> Answers {
    let names = walk_names(domain).into_iter().map(|name| async move {
        let answer = match resolver.txt(&name).await {
            Ok(records) => only_record(&records),
            Err(DnsError::Temporary) => Answers::temporary(),
            Err(DnsError::NoName | DnsError::NoRecord | DnsError::BadName) => Answers::nothing(),
        };
        (name, answer)
    });
    let mut answers = Answers::new(Otherwise::Ask);
    for (name, answer) in join_all(names).await {
        answers.insert(&name, answer);
    }
    answers
}

/// The one valid record among the TXT records of a name.
fn only_record(records: &[Vec<u8>]) -> Txt {
    let mut valid = records.iter().filter_map(|record| Dmarc::parse(record).ok());
    match (valid.next(), valid.next()) {
        (Some(record), None) => record.into(),
        _ => Answers::nothing(),
    }
}

/// The names that hold a policy for a domain: its own, and at most seven labels of it, one label less each time.
fn walk_names(domain: &str) -> Vec<String> {
    let labels: Vec<&str> = domain.split('.').collect();
    let longest = labels.len();
    let shorter = (1..longest).rev().filter(|count| *count < limits::DMARC_WALK_MAX);
    let counts = std::iter::once(longest).chain(shorter);
    counts
        .map(|count| {
            let suffix: Vec<&str> = labels.iter().copied().skip(longest - count).collect();
            format!("_dmarc.{}.", suffix.join("."))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_takes_eight_steps_at_most() {
        assert_eq!(walk_names("a.example"), ["_dmarc.a.example.", "_dmarc.example."]);
        let long = walk_names("a.b.c.d.e.f.g.h.i.example");
        assert_eq!(long.len(), 8);
        assert_eq!(long.first().map(String::as_str), Some("_dmarc.a.b.c.d.e.f.g.h.i.example."));
        assert_eq!(long.get(1).map(String::as_str), Some("_dmarc.d.e.f.g.h.i.example."));
        assert_eq!(long.last().map(String::as_str), Some("_dmarc.example."));
        assert_eq!(walk_names("a.b.c.d.e.f.g.example").len(), 8);
    }

    #[test]
    fn several_records_are_none() {
        let record = b"v=DMARC1; p=reject".to_vec();
        assert!(matches!(only_record(&[b"other".to_vec(), record.clone()]), Txt::Dmarc(_)));
        assert!(matches!(only_record(&[record.clone(), record]), Txt::Error(_)));
        assert!(matches!(only_record(&[]), Txt::Error(_)));
    }
}
