//! DMARC (RFC 9989): alignment, policies up the tree, and authors that nobody can be sure of.

use super::{
    signer::{Form, Signer},
    verify,
};
use postern::{
    authentication::{DmarcPolicy, Outcome},
    dns::ZoneServer,
};

/// Signed as example.org, sent by bob@example.net from 192.0.2.1.
async fn check(zone: &str, from: &str) -> (Outcome, DmarcPolicy, Option<String>) {
    let signer = Signer::ed25519();
    let server = ZoneServer::start(&format!("{}{zone}", signer.record("v=DKIM1; "))).await.unwrap();
    let raw = signer.signed(&format!("{from}Subject: x\r\n"), "text\r\n", (Form::Relaxed, Form::Relaxed));
    let dmarc = verify(&server, raw).await.dmarc;
    (dmarc.outcome, dmarc.policy, dmarc.header_from)
}

#[track_caller]
fn is(found: (Outcome, DmarcPolicy, Option<String>), outcome: Outcome, policy: DmarcPolicy) {
    assert_eq!((found.0, found.1), (outcome, policy), "{:?}", found.2);
}

const SPF: &str = "example.net. TXT \"v=spf1 ip4:192.0.2.1 -all\"\n";

#[tokio::test]
async fn an_aligned_signature_or_sender_passes() {
    let reject = "_dmarc.example.org. TXT \"v=DMARC1; p=reject\"\n_dmarc.example.net. TXT \"v=DMARC1; p=reject\"\n";
    let zone = format!("{reject}{SPF}");
    is(check(&zone, "From: a@example.org\r\n").await, Outcome::Pass, DmarcPolicy::Reject);
    is(check(&zone, "From: a@Sub.Example.org\r\n").await, Outcome::Pass, DmarcPolicy::Reject);
    is(check(&zone, "From: a@example.net\r\n").await, Outcome::Pass, DmarcPolicy::Reject);
    is(check(&zone, "From: a@sub.example.net\r\n").await, Outcome::Pass, DmarcPolicy::Reject);
    is(check(reject, "From: a@example.net\r\n").await, Outcome::Fail, DmarcPolicy::Reject);
}

#[tokio::test]
async fn what_is_not_aligned_fails_as_the_policy_says() {
    for (record, outcome, policy) in [
        ("v=DMARC1; p=reject", Outcome::Fail, DmarcPolicy::Reject),
        ("v=DMARC1; p=quarantine", Outcome::Fail, DmarcPolicy::Quarantine),
        ("v=DMARC1; p=none", Outcome::Fail, DmarcPolicy::None),
        ("v=DMARC1; p=reject; t=y", Outcome::Fail, DmarcPolicy::Quarantine),
        ("v=DMARC1", Outcome::None, DmarcPolicy::None),
        ("v=DMARC2; p=reject", Outcome::None, DmarcPolicy::None),
        ("p=reject; v=DMARC1", Outcome::None, DmarcPolicy::None),
    ] {
        let zone = format!("_dmarc.example.com. TXT \"{record}\"\n{SPF}");
        is(check(&zone, "From: a@example.com\r\n").await, outcome, policy);
    }
    is(check(SPF, "From: a@example.com\r\n").await, Outcome::None, DmarcPolicy::None);
}

#[tokio::test]
async fn strict_alignment_wants_the_same_name() {
    let zone = "_dmarc.example.org. TXT \"v=DMARC1; p=reject; adkim=s\"\n";
    is(check(zone, "From: a@example.org\r\n").await, Outcome::Pass, DmarcPolicy::Reject);
    is(check(zone, "From: a@sub.example.org\r\n").await, Outcome::Fail, DmarcPolicy::Reject);
}

/// RFC 9989 §4.10: the record of the name itself, or the one of its organization with sp and np.
#[tokio::test]
async fn subdomains_have_their_policies_from_above() {
    let zone = "_dmarc.example.com. TXT \"v=DMARC1; p=none; sp=quarantine; np=reject\"\n\
                there.example.com. A 192.0.2.9\n\
                own.example.com. A 192.0.2.9\n\
                _dmarc.own.example.com. TXT \"v=DMARC1; p=reject\"\n";
    is(check(zone, "From: a@example.com\r\n").await, Outcome::Fail, DmarcPolicy::None);
    is(check(zone, "From: a@there.example.com\r\n").await, Outcome::Fail, DmarcPolicy::Quarantine);
    is(check(zone, "From: a@nowhere.example.com\r\n").await, Outcome::Fail, DmarcPolicy::Reject);
    is(check(zone, "From: a@own.example.com\r\n").await, Outcome::Fail, DmarcPolicy::Reject);
}

/// Two tenants of one public suffix are not one organization (RFC 9989 §4.10.2).
#[tokio::test]
async fn a_public_suffix_does_not_align_its_tenants() {
    let zone = "_dmarc.org. TXT \"v=DMARC1; p=reject; psd=y\"\n";
    is(check(zone, "From: a@other.org\r\n").await, Outcome::Fail, DmarcPolicy::Reject);
    is(check(zone, "From: a@example.org\r\n").await, Outcome::Pass, DmarcPolicy::Reject);
}

/// RFC 9989 §4.10: several valid records are none.
#[tokio::test]
async fn two_records_are_none() {
    let zone = "_dmarc.example.com. TXT \"v=DMARC1; p=reject\"\n_dmarc.example.com. TXT \"v=DMARC1; p=none\"\n";
    is(check(zone, "From: a@example.com\r\n").await, Outcome::None, DmarcPolicy::None);
    let beside = "_dmarc.example.com. TXT \"v=DMARC1; p=reject\"\n_dmarc.example.com. TXT \"v=spf1 -all\"\n";
    is(check(beside, "From: a@example.com\r\n").await, Outcome::Fail, DmarcPolicy::Reject);
}

/// Whoever may be shown as the author, an unclear one never passes.
#[tokio::test]
async fn an_unclear_author_is_never_a_pass() {
    let zone = "_dmarc.example.org. TXT \"v=DMARC1; p=reject\"\n_dmarc.example.com. TXT \"v=DMARC1; p=reject\"\n";
    for (from, expected) in [
        ("From: a@example.org\r\nFrom: m@example.com\r\n", Outcome::PermError),
        ("From: m@example.com\r\nFrom: a@example.org\r\n", Outcome::PermError),
        ("From: a@example.org\r\nFROM: a@example.org\r\n", Outcome::PermError),
        ("From: a@example.org, m@example.com\r\n", Outcome::None),
        ("From: \r\n", Outcome::PermError),
        ("From: nobody\r\n", Outcome::PermError),
        ("Subject: y\r\n", Outcome::PermError),
        ("Fr om: a@example.org\r\n", Outcome::PermError),
    ] {
        let found = check(zone, from).await;
        assert_eq!((found.0, found.2), (expected, None), "{from}");
    }
    // The line that is no field hides nothing: the author is who From says.
    let found = check(zone, "Fr om: a@example.org\r\nFrom: m@example.com\r\n").await;
    assert_eq!((found.0, found.2.as_deref()), (Outcome::Fail, Some("example.com")));
}

/// l= leaves the rest of the body to anybody, and SPF of another domain proves nothing about this one.
#[tokio::test]
async fn a_partial_signature_does_not_align() {
    let signer = Signer::ed25519();
    let zone = format!("{}_dmarc.example.org. TXT \"v=DMARC1; p=reject\"\n{SPF}", signer.record("v=DKIM1; "));
    let server = ZoneServer::start(&zone).await.unwrap();
    let hash = super::signer::hash("one\r\n");
    let tags = signer.tags((Form::Relaxed, Form::Relaxed)).replace("bh=;", &format!("bh={hash}; l=5;"));
    let header = "From: a@example.org\r\nSubject: x\r\n";
    let whole = signer.signed_as(&tags, Form::Relaxed, header, "one\r\n");
    assert_eq!(verify(&server, whole.clone()).await.dmarc.outcome, Outcome::Pass);
    let longer = format!("{whole}more\r\n");
    assert_eq!(verify(&server, longer).await.dmarc.outcome, Outcome::Fail);
}
