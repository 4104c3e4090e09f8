//! Whatever the DNS does, each check has its outcome.

use super::{
    authenticator,
    signer::{Form, Signer},
    verify, verify_with,
};
use postern::{
    authentication::{
        Outcome::{self, Fail, None, Pass, PermError, TempError},
        Report,
    },
    dns::{Failure, ZoneServer},
};

const ZONE: &str = "1.2.0.192.in-addr.arpa. PTR mx.example.net.\n\
                    mx.example.net. A 192.0.2.1\n\
                    mx.example.net. TXT \"v=spf1 a -all\"\n\
                    example.net. TXT \"v=spf1 a:mail.example.net -all\"\n\
                    mail.example.net. A 192.0.2.1\n\
                    _dmarc.example.org. TXT \"v=DMARC1; p=reject\"\n";

/// What the checks of one signed message come to: iprev, SPF of HELO and MAIL, DKIM, DMARC.
fn outcomes(report: &Report) -> [Outcome; 5] {
    let dkim = report.dkim.first().map_or(None, |signature| signature.outcome);
    [report.iprev.0, report.spf_helo.outcome, report.spf_mail_from.outcome, dkim, report.dmarc.outcome]
}

/// What one check's name may do.
enum Trouble {
    /// The name is not there.
    Missing,
    /// The name is there without the type.
    Empty,
    Fails(Failure),
}

async fn check(name: &str, trouble: Trouble) -> [Outcome; 5] {
    let signer = Signer::ed25519();
    let whole = format!("{ZONE}{}", signer.record("v=DKIM1; "));
    let owner = format!("{name}. ");
    let mut zone: String =
        whole.lines().filter(|line| !line.starts_with(&owner)).map(|line| format!("{line}\n")).collect();
    assert!(zone.len() < whole.len(), "{name} is not in the zone");
    let mut builder = ZoneServer::builder();
    match trouble {
        Trouble::Missing => {}
        Trouble::Empty => zone += &format!("{owner}SOA . . 1 1 1 1 1\n"),
        Trouble::Fails(failure) => builder = builder.failing(name, failure).unwrap(),
    }
    let server = builder.zone(zone.parse().unwrap()).start().await.unwrap();
    let raw = signer.signed("From: a@example.org\r\nSubject: x\r\n", "text\r\n", (Form::Relaxed, Form::Relaxed));
    outcomes(&verify(&server, raw).await)
}

/// Both ways of not answering.
const FAILURES: [Failure; 2] = [Failure::Silence, Failure::ServerFailure];

#[tokio::test]
async fn with_everything_there_everything_passes() {
    let signer = Signer::ed25519();
    let server = ZoneServer::start(&format!("{ZONE}{}", signer.record("v=DKIM1; "))).await.unwrap();
    let raw = signer.signed("From: a@example.org\r\nSubject: x\r\n", "text\r\n", (Form::Relaxed, Form::Relaxed));
    let report = verify(&server, raw).await;
    assert_eq!(outcomes(&report), [Pass; 5]);
    assert_eq!(report.iprev.1.as_deref(), Some("mx.example.net"));
}

#[tokio::test]
async fn each_trouble_has_its_outcome() {
    let names = [
        "1.2.0.192.in-addr.arpa",
        "mail.example.net",
        "example.net",
        "ed._domainkey.example.org",
        "_dmarc.example.org",
    ];
    let expected = [
        // The name, missing or without the type, and silent or failing.
        ([PermError, Pass, Pass, Pass, Pass], [TempError, Pass, Pass, Pass, Pass]),
        ([Pass, Pass, Fail, Pass, Pass], [Pass, Pass, TempError, Pass, Pass]),
        ([Pass, Pass, None, Pass, Pass], [Pass, Pass, TempError, Pass, Pass]),
        ([Pass, Pass, Pass, PermError, Fail], [Pass, Pass, Pass, TempError, TempError]),
        ([Pass, Pass, Pass, Pass, None], [Pass, Pass, Pass, Pass, TempError]),
    ];
    for (name, (nothing, failing)) in names.into_iter().zip(expected) {
        assert_eq!(check(name, Trouble::Missing).await, nothing, "{name} is missing");
        assert_eq!(check(name, Trouble::Empty).await, nothing, "{name} is empty");
        for failure in FAILURES {
            assert_eq!(check(name, Trouble::Fails(failure)).await, failing, "{name}: {failure:?}");
        }
        let cut = check(name, Trouble::Fails(Failure::Truncation)).await;
        assert_eq!(cut, nothing, "{name} is cut, and has nothing by TCP");
    }
}

/// The host of the client's name: without an address the name is not confirmed (RFC 8601 §3), and SPF has no record.
#[tokio::test]
async fn a_host_without_address_confirms_nothing() {
    assert_eq!(check("mx.example.net", Trouble::Missing).await, [Fail, None, Pass, Pass, Pass]);
    for failure in FAILURES {
        let outcomes = check("mx.example.net", Trouble::Fails(failure)).await;
        assert_eq!(outcomes, [TempError, TempError, Pass, Pass, Pass], "{failure:?}");
    }
}

#[tokio::test]
async fn with_no_name_server_at_all_nothing_is_wrong_for_good() {
    let signer = Signer::ed25519();
    let server = ZoneServer::start(ZONE).await.unwrap();
    let raw = signer.signed("From: a@example.org\r\nSubject: x\r\n", "text\r\n", (Form::Relaxed, Form::Relaxed));
    let authenticator = authenticator(&server);
    drop(server);
    let report = verify_with(&authenticator, raw).await;
    assert_eq!(outcomes(&report), [TempError; 5]);
}
