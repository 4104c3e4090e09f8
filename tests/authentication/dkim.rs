//! DKIM: messages signed by somebody else's code, odd bodies, and signatures that are right and must not count.

use super::{
    signer::{DOMAIN, Form, Signer, hash},
    verify,
};
use postern::{authentication::Outcome, dns::ZoneServer};

const HEADER: &str = "Subject:  a  tale\r\nFrom: Alice <alice@example.org>\r\nTo: bob@example.net\r\n";

/// Bodies that end, begin or go on in odd ways.
const BODIES: [&str; 15] = [
    "",
    "\r\n",
    "\r\n\r\n\r\n",
    " \r\n",
    "\t \r\n\r\n \r\n",
    "plain\r\n",
    "no line end",
    "white space at the end \t \r\n",
    "one blank line\r\n \r\n",
    "more of them\r\n\r\n \t\r\n\r\n  \r\n",
    "no line end after blanks\r\n \t",
    " a  b\tc \t d \r\n\r\ne\r\n",
    "blank lines between\r\n \r\n\t\r\n\r\nthe end\r\n",
    "δοκιμή, naïve\r\n",
    ".\r\n..\r\n--\r\n",
];

async fn server(signers: &[&Signer]) -> ZoneServer {
    let zone: String = signers.iter().map(|signer| signer.record("v=DKIM1; ")).collect();
    ZoneServer::start(&zone).await.unwrap()
}

async fn outcome(server: &ZoneServer, raw: String) -> Outcome {
    let report = verify(server, raw).await;
    assert_eq!(report.dkim.len(), 1);
    assert_eq!(report.dkim[0].outcome == Outcome::Pass, report.dkim[0].reason.is_none());
    report.dkim[0].outcome
}

#[tokio::test]
async fn what_others_sign_verifies_over_odd_bodies() {
    let (ed25519, rsa) = (Signer::ed25519(), Signer::rsa());
    let server = server(&[&ed25519, &rsa]).await;
    let mut verified = 0;
    for signer in [&ed25519, &rsa] {
        for body in BODIES {
            for forms in Form::BOTH.iter().flat_map(|header| Form::BOTH.map(|body| (*header, body))) {
                let raw = signer.signed(HEADER, body, forms);
                assert_eq!(outcome(&server, raw.clone()).await, Outcome::Pass, "{forms:?} {body:?}");
                assert_eq!(outcome(&server, format!("{raw}x")).await, Outcome::Fail, "{forms:?} {body:?}");
                let altered = raw.replace("a  tale", "a  sale");
                assert_eq!(outcome(&server, altered).await, Outcome::Fail, "{forms:?} {body:?}");
                verified += 1;
            }
        }
    }
    println!("DKIM: {verified} of {verified} signatures of another signer verified, and none after a change");
}

#[tokio::test]
async fn what_we_sign_verifies_over_odd_bodies() {
    let (ed25519, rsa) = (Signer::ed25519(), Signer::rsa());
    let server = server(&[&ed25519, &rsa]).await;
    for signer in [&ed25519, &rsa] {
        for body in BODIES {
            let message = format!("{HEADER}\r\n{body}");
            let field = signer.key.sign(message.as_bytes(), &DOMAIN.parse().unwrap(), signer.selector).unwrap();
            let compact: String = field.split_ascii_whitespace().collect();
            assert!(compact.contains(&format!("bh={}", hash(&Form::Relaxed.body(body)))), "{body:?}: {field}");
            assert_eq!(outcome(&server, format!("{field}{message}")).await, Outcome::Pass, "{body:?}");
            let second_author = format!("{field}From: mallory@example.com\r\n{message}");
            assert_eq!(outcome(&server, second_author).await, Outcome::Fail, "{body:?}");
        }
    }
}

/// Signs with tags that were changed before, so that the signature itself is right.
fn signed_with(signer: &Signer, from: &str, to: &str) -> String {
    let body = "one\r\ntwo\r\n";
    let tags = signer.tags((Form::Relaxed, Form::Relaxed)).replace("bh=;", &format!("bh={};", hash(body)));
    assert!(tags.contains(from), "{from}");
    signer.signed_as(&tags.replace(from, to), Form::Relaxed, HEADER, body)
}

#[tokio::test]
async fn a_right_signature_counts_only_if_its_tags_are_right() {
    let signer = Signer::ed25519();
    let server = server(&[&signer]).await;
    for (from, to, expected) in [
        ("v=1", "v=1", Outcome::Pass),
        ("v=1; ", "", Outcome::PermError),
        ("v=1", "v=2", Outcome::PermError),
        ("v=1", "v=1; v=1", Outcome::PermError),
        ("v=1", "v=1; x-new=1; new=2", Outcome::PermError),
        ("v=1", "v=1; new=2", Outcome::Pass),
        ("h=From:Subject", "h=Subject", Outcome::PermError),
        ("h=From:Subject", "h=", Outcome::PermError),
        ("h=From:Subject", "h=from : subject:missing", Outcome::Pass),
        ("v=1", "v=1; q=dns/txt", Outcome::Pass),
        ("v=1", "v=1; q=dns/other:dns/txt", Outcome::Pass),
        ("v=1", "v=1; q=dns/other", Outcome::PermError),
        ("v=1", "v=1; i=@example.org", Outcome::Pass),
        ("v=1", "v=1; i=a@sub.example.org", Outcome::Pass),
        ("v=1", "v=1; i=@example.net", Outcome::PermError),
        ("v=1", "v=1; i=@badexample.org", Outcome::PermError),
        ("v=1", "v=1; t=1600000000; x=1699999999", Outcome::Neutral),
        ("v=1", "v=1; t=1600000000; x=1700000001", Outcome::Pass),
        ("v=1", "v=1; t=1800000000; x=1700000001", Outcome::PermError),
        ("v=1", "v=1; l=10", Outcome::Pass),
        ("v=1", "v=1; l=9", Outcome::Neutral),
        ("v=1", "v=1; l=0", Outcome::Neutral),
        ("v=1", "v=1; l=11", Outcome::PermError),
        ("h=From:Subject", "h=From:Subject; atps=example.org; atpsh=none", Outcome::Pass),
        ("v=1", "v=1; r=y", Outcome::Pass),
        ("ed25519-sha256", "rsa-sha256", Outcome::PermError),
        ("ed25519-sha256", "rsa-sha1", Outcome::Neutral),
        ("ed25519-sha256", "none", Outcome::PermError),
        ("s=ed", "s=other", Outcome::PermError),
        ("d=example.org", "d=example.org..", Outcome::PermError),
    ] {
        assert_eq!(outcome(&server, signed_with(&signer, from, to)).await, expected, "{from} -> {to}");
    }
}

#[tokio::test]
async fn a_right_signature_counts_only_if_its_key_may_make_it() {
    let signer = Signer::ed25519();
    let raw = signed_with(&signer, "v=1", "v=1; i=@sub.example.org");
    for (tags, expected) in [
        ("v=DKIM1; ", Outcome::Pass),
        ("", Outcome::Pass),
        ("v=DKIM1; t=y; ", Outcome::Pass),
        ("v=DKIM1; t=s; ", Outcome::Fail),
        ("v=DKIM1; h=sha1; ", Outcome::PermError),
        ("v=DKIM1; s=tlsrpt; ", Outcome::PermError),
        ("v=DKIM1; p=; x=", Outcome::PermError),
        ("v=DKIM2; ", Outcome::PermError),
    ] {
        let server = ZoneServer::start(&signer.record(tags)).await.unwrap();
        assert_eq!(outcome(&server, raw.clone()).await, expected, "{tags}");
    }
    let other = ZoneServer::start(&Signer::ed25519().record("v=DKIM1; ")).await.unwrap();
    assert_eq!(outcome(&other, raw).await, Outcome::Fail);
}

/// A record that is no key beside the key does no harm (SPF at a wildcard, say).
#[tokio::test]
async fn another_record_beside_the_key_is_passed_over() {
    let signer = Signer::ed25519();
    let zone = format!("ed._domainkey.{DOMAIN}. TXT \"v=spf1 -all\"\n{}", signer.record("v=DKIM1; "));
    let server = ZoneServer::start(&zone).await.unwrap();
    assert_eq!(outcome(&server, signed_with(&signer, "v=1", "v=1")).await, Outcome::Pass);
}
