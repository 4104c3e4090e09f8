//! Messages that other projects keep for their verifiers, with the records that they need.

use super::{NOW, authenticator_at, txt, verify_with};
use crate::support::corpora;
use postern::{
    authentication::{DkimResult, Outcome},
    clock::UnixMillis,
    dns::ZoneServer,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Before the one signature of these that expires has done so.
const NOVEMBER_2022: UnixMillis = UnixMillis(1_667_900_000_000);

/// The text with CRLF at every line's end.
fn crlf(text: &[u8]) -> Vec<u8> {
    let lines = text.split_inclusive(|octet| *octet == b'\n').map(|line| match line.strip_suffix(b"\n") {
        Some(line) => [line.strip_suffix(b"\r").unwrap_or(line), b"\r\n"].concat(),
        None => line.to_vec(),
    });
    lines.collect::<Vec<_>>().concat()
}

/// A zone from lines of a name and a text.
fn zone<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let records = lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(char::is_whitespace));
    records.map(|(name, text)| txt(name, text.trim().as_bytes())).collect()
}

async fn verified(zone: &str, raw: &[u8], now: UnixMillis) -> (Vec<DkimResult>, Outcome) {
    let server = ZoneServer::start(zone).await.unwrap();
    let report = verify_with(&authenticator_at(&server, now), crlf(raw)).await;
    (report.dkim, report.arc)
}

fn outcomes(dkim: &[DkimResult]) -> Vec<Outcome> {
    dkim.iter().map(|signature| signature.outcome).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A zone, an empty line, a message: RFC 6376's and RFC 8463's examples among them.
#[tokio::test]
async fn messages_of_mail_auth_verify() {
    let Some(corpora) = corpora() else { return };
    let folder = corpora.join("auth/dkim-mail-auth");
    let (mut signatures, mut chains) = (0, 0);
    for path in files(&folder.join("dkim")).into_iter().chain(files(&folder.join("arc"))) {
        let text = fs::read_to_string(&path).unwrap();
        let (records, raw) = text.split_once("\n\n").unwrap();
        let (dkim, arc) = verified(&zone(records.lines()), raw.as_bytes(), NOVEMBER_2022).await;
        let passed = dkim.iter().filter(|signature| signature.outcome == Outcome::Pass).count();
        assert!(passed > 0, "{}: {dkim:?}", path.display());
        signatures += passed;
        if path.parent().unwrap().ends_with("arc") {
            assert_eq!(arc, Outcome::Pass, "{}", path.display());
            chains += 1;
        }
    }
    println!("mail-auth's messages: {signatures} signatures and {chains} chains verified");
}

/// The key of RFC 8463 §A.2.
const BRISBANE: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

#[tokio::test]
async fn messages_of_dkimpy_have_their_outcomes() {
    use Outcome::{Fail, Pass, PermError};
    let Some(corpora) = corpora() else { return };
    let folder = corpora.join("auth/dkim-dkimpy");
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let zone = [
        txt("brisbane._domainkey.football.example.com", BRISBANE.as_bytes()),
        txt("test._domainkey.football.example.com", read("test.txt").trim_ascii()),
        txt("sed._domainkey.test.ex", read("eximtest.dns").trim_ascii()),
    ]
    .concat();
    for (file, expected) in [
        ("ed25519test2.msg", vec![Pass]),
        ("rfc6376.signed.msg", vec![Pass, Pass]),
        ("rfc6376.signed.rsa.msg", vec![Pass]),
        // The field was changed after signing.
        ("rfc6376.signed.no_t.msg", vec![Fail]),
        ("test.message.baddomain", vec![PermError]),
        ("test2.message", vec![PermError]),
        ("test.message", vec![]),
    ] {
        let (dkim, _) = verified(&zone, &read(file), NOW).await;
        assert_eq!(outcomes(&dkim), expected, "{file}: {dkim:?}");
    }
}

/// Mail::DKIM's corpus is from the days of DomainKeys, drafts without v= and RSA with SHA-1: of 79 messages one counts today,
/// and why each of the others does not is told.
#[tokio::test]
async fn messages_of_mail_dkim_count_only_where_they_still_may() {
    let Some(corpora) = corpora() else { return };
    let folder = corpora.join("auth/dkim-arc-mail-dkim");
    let records = fs::read_to_string(folder.join("FAKE_DNS.dat")).unwrap();
    let zone = zone(records.lines().filter(|line| !line.contains("NXDOMAIN") && !line.contains("~~")));
    let (mut messages, mut passed) = (0, Vec::new());
    for path in files(&folder.join("corpus")) {
        messages += 1;
        let (dkim, _) = verified(&zone, &fs::read(&path).unwrap(), NOW).await;
        assert!(dkim.iter().all(|signature| (signature.outcome == Outcome::Pass) == signature.reason.is_none()));
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("good") {
            let obsolete = ["v= is not 1", "rsa-sha1 is not accepted"];
            let reasons = dkim.iter().filter_map(|signature| signature.reason.as_deref());
            assert!(reasons.clone().all(|reason| obsolete.contains(&reason)), "{name}: {dkim:?}");
        }
        if outcomes(&dkim).contains(&Outcome::Pass) {
            passed.push(name);
        }
    }
    println!("Mail::DKIM's messages: {messages} read, {} verified", passed.len());
    assert_eq!(passed, ["goodkey_ed25519"]);
    assert_eq!(messages, 79);
}
