//! ValiMail's suite for ARC: chains that pass, and every way to break one.

use super::{authenticator, txt};
use crate::support::corpora;
use bytes::Bytes;
use postern::{
    authentication::{Client, Outcome},
    dns::ZoneServer,
    mail::ReversePath,
};
use serde_norway::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// Cases of the suite. Four names stand there twice, so that readers who keep the last of a name count 171.
const CASES: usize = 175;

#[tokio::test]
async fn valimail_validation_suite_passes_whole() {
    let Some(corpora) = corpora() else { return };
    let text = fs::read_to_string(corpora.join("auth/arc-valimail/arc-draft-validation-tests.yml")).unwrap();
    let text = with_unique_names(&text);
    let (mut faults, mut counts) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for scenario in serde_norway::Deserializer::from_str(&text) {
        let scenario: Value = serde::Deserialize::deserialize(scenario).unwrap();
        if scenario.is_null() {
            continue;
        }
        let server = server(&scenario).await;
        for (name, case) in scenario["tests"].as_mapping().unwrap() {
            let wanted = match case["cv"].as_str().unwrap_or_default() {
                "Pass" => Outcome::Pass,
                // The suite gives no verdict where a seal itself says that the chain has failed; it has.
                "Fail" | "" => Outcome::Fail,
                "None" => Outcome::None,
                other => panic!("{other}"),
            };
            *counts.entry(wanted.as_str()).or_default() += 1;
            let got = verify(&server, case["message"].as_str().unwrap()).await;
            if got != wanted {
                faults.push(format!("{}: wants {wanted:?}, got {got:?}", name.as_str().unwrap()));
            }
        }
    }
    let cases: usize = counts.values().sum();
    println!("ValiMail ARC validation: {} of {cases} {counts:?}", cases - faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(cases, CASES);
}

async fn server(scenario: &Value) -> ZoneServer {
    let records = if scenario["txt-records"].is_null() { &scenario["txt_records"] } else { &scenario["txt-records"] };
    let records = records.as_mapping().unwrap().iter();
    let zone: String =
        records.map(|(name, text)| txt(name.as_str().unwrap(), text.as_str().unwrap_or_default().as_bytes())).collect();
    ZoneServer::start(&zone).await.unwrap()
}

async fn verify(server: &ZoneServer, message: &str) -> Outcome {
    let raw = Bytes::from(message.replace('\n', "\r\n"));
    let client = Client { ip: "192.0.2.1".parse().unwrap(), helo: "mx.example".to_owned() };
    authenticator(server).verify(&client, &ReversePath::Null, &raw).await.arc
}

/// The suite with `_again` behind each name of a case that its scenario has already.
fn with_unique_names(text: &str) -> String {
    let mut seen = BTreeSet::new();
    let lines = text.lines().map(|line| {
        if line == "---" {
            seen.clear();
        }
        match line.strip_prefix("  ").and_then(|rest| rest.strip_suffix(':')) {
            Some(name) if !name.starts_with(' ') && !seen.insert(name) => format!("  {name}_again:\n"),
            _ => format!("{line}\n"),
        }
    });
    lines.collect()
}
