//! Mail that is made to cost: floods of signatures, of fields, of look-ups.

use super::{
    signer::{Form, Signer},
    verify,
};
use postern::{
    authentication::Outcome,
    dns::{Failure, ZoneServer},
    limits,
};

const FORMS: (Form, Form) = (Form::Relaxed, Form::Relaxed);
const HEADER: &str = "From: a@example.org\r\nSubject: x\r\n";

#[tokio::test]
async fn a_flood_of_signatures_is_counted_and_not_followed() {
    let signer = Signer::ed25519();
    let server = ZoneServer::start(&signer.record("v=DKIM1; ")).await.unwrap();
    let flood: String = (0..1000).map(|n| signature_of(&format!("s{n}"))).collect();
    let raw = flood + &signer.signed(HEADER, "text\r\n", FORMS);
    let report = verify(&server, raw).await;
    assert_eq!(report.dkim.len(), limits::DKIM_SIGNATURES_MAX + 1);
    assert!(report.dkim.iter().all(|signature| signature.outcome != Outcome::Pass));
    let last = report.dkim.last().unwrap();
    assert_eq!(last.reason.as_deref(), Some("991 more signatures were not looked at"));
    // iprev, SPF twice, DMARC three names deep at most, and the keys.
    assert!(server.questions() <= 10 + limits::DKIM_SIGNATURES_MAX, "{}", server.questions());
}

fn signature_of(selector: &str) -> String {
    format!(
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s={selector}; h=From; bh=AAAA; b=AAAA\r\n"
    )
}

#[tokio::test]
async fn a_signature_over_too_many_names_is_refused() {
    let signer = Signer::ed25519();
    let server = ZoneServer::start(&signer.record("v=DKIM1; ")).await.unwrap();
    let names = "x:".repeat(limits::SIGNED_NAMES_MAX);
    let raw = signer.signed(HEADER, "text\r\n", FORMS).replace("h=From:", &format!("h={names}From:"));
    assert_eq!(verify(&server, raw).await.dkim[0].outcome, Outcome::PermError);
}

#[tokio::test]
async fn a_header_of_many_fields_is_not_verified() {
    let signer = Signer::ed25519();
    let server = ZoneServer::start(&signer.record("v=DKIM1; ")).await.unwrap();
    let raw = "X: y\r\n".repeat(50_000) + &signer.signed(HEADER, "text\r\n", FORMS);
    let report = verify(&server, raw).await;
    assert_eq!(report.dkim[0].reason.as_deref(), Some("the header is too large"));
    assert_eq!((report.arc, report.dmarc.outcome), (Outcome::PermError, Outcome::PermError));
}

#[tokio::test]
async fn a_chain_that_is_too_long_fails_without_a_question() {
    let server = ZoneServer::start("").await.unwrap();
    let plain = verify(&server, HEADER.to_owned() + "\r\n").await;
    assert_eq!(plain.arc, Outcome::None);
    let before = server.questions();
    let sets = |count: usize| -> String { (1..=count).map(set).collect() };
    let long = verify(&server, sets(limits::ARC_SETS_MAX + 1) + HEADER + "\r\n").await;
    assert_eq!(long.arc, Outcome::Fail);
    let questions_of_a_message = before;
    assert_eq!(server.questions() - before, questions_of_a_message, "no key is asked for");
    assert_eq!(verify(&server, sets(3) + HEADER + "\r\n").await.arc, Outcome::Fail);
}

fn set(i: usize) -> String {
    let cv = if i == 1 { "none" } else { "pass" };
    format!(
        "ARC-Seal: i={i}; a=rsa-sha256; cv={cv}; d=example.com; s=k{i}; b=AAAA\r\n\
         ARC-Message-Signature: i={i}; a=rsa-sha256; d=example.com; s=m{i}; h=From; bh=AAAA; b=AAAA\r\n\
         ARC-Authentication-Results: i={i}; mx.example.com; none\r\n"
    )
}

/// Ten names that are never answered about: the first of them settles it.
#[tokio::test]
async fn records_that_wait_are_given_up() {
    let mut zone = String::from("example.net. TXT \"v=spf1");
    let mut builder = ZoneServer::builder();
    for n in 0..10 {
        zone += &format!(" a:slow{n}.example.net");
        builder = builder.failing(&format!("slow{n}.example.net"), Failure::Silence).unwrap();
    }
    let server = builder.zone(format!("{zone} -all\"\n").parse().unwrap()).start().await.unwrap();
    let report = verify(&server, HEADER.to_owned() + "\r\n").await;
    assert_eq!(report.spf_mail_from.outcome, Outcome::TempError);
    assert!(server.questions() < 20, "{}", server.questions());
}

/// Octets that are no message, no header, no anything.
#[tokio::test]
async fn any_octets_have_a_report() {
    let server = ZoneServer::start("").await.unwrap();
    let mut seed = 1_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    let pieces: [&[u8]; 20] = [
        b"DKIM-Signature:",
        b"ARC-Seal:",
        b"ARC-Message-Signature:",
        b"ARC-Authentication-Results:",
        b"From:",
        b" v=1;",
        b" a=rsa-sha256;",
        b" i=1;",
        b" b=;",
        b" bh=AAAA;",
        b" h=From:;",
        b" d=example.org;",
        b" s=a;",
        b" l=18446744073709551615;",
        b"\r\n",
        b"\r\n\r\n",
        b"\xff\x00",
        b"=",
        b" c=relaxed/relaxed;",
        b"a@example.org",
    ];
    for _ in 0..300 {
        let raw: Vec<u8> = (0..random() % 60).flat_map(|_| pieces[random() % pieces.len()]).copied().collect();
        let report = verify(&server, raw).await;
        assert!(report.dkim.iter().all(|signature| signature.outcome != Outcome::Pass));
        assert_ne!(report.arc, Outcome::Pass);
        assert_ne!(report.dmarc.outcome, Outcome::Pass);
    }
}
