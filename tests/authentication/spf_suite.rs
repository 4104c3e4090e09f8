//! The OpenSPF suite for RFC 7208, each scenario's zone served in real packets.

use super::{authenticator, quoted};
use crate::support::corpora;
use postern::{
    authentication::Outcome,
    dns::{Failure, ZoneServer},
};
use serde_norway::{Mapping, Value};
use std::{collections::BTreeSet, fs, net::IpAddr};

/// Cases of the suite.
const CASES: usize = 203;

#[tokio::test]
async fn openspf_suite_passes_whole() {
    let Some(corpora) = corpora() else { return };
    let text = fs::read_to_string(corpora.join("auth/spf-openspf/rfc7208-tests.yml")).unwrap();
    let (mut cases, mut explanations, mut faults) = (0, 0, Vec::new());
    for scenario in serde_norway::Deserializer::from_str(&text) {
        let scenario: Value = serde::Deserialize::deserialize(scenario).unwrap();
        if scenario.is_null() {
            continue;
        }
        let server = server(scenario["zonedata"].as_mapping().unwrap()).await;
        for (name, case) in scenario["tests"].as_mapping().unwrap() {
            cases += 1;
            let (outcome, explanation) = check(&server, case).await;
            let name = name.as_str().unwrap();
            let wanted = words(&case["result"]);
            if !wanted.contains(&outcome.as_str().to_owned()) {
                faults.push(format!("{name}: wants {wanted:?}, got {}", outcome.as_str()));
            }
            if outcome == Outcome::Fail && !case["explanation"].is_null() {
                explanations += 1;
                let wanted = case["explanation"].as_str().unwrap();
                let given = explanation.as_deref().unwrap_or("DEFAULT");
                if given != wanted {
                    faults.push(format!("{name}: wants explanation {wanted:?}, got {given:?}"));
                }
            }
        }
    }
    println!("OpenSPF RFC 7208: {cases} cases, {explanations} explanations, {} faults", faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(cases, CASES);
}

async fn check(server: &ZoneServer, case: &Value) -> (Outcome, Option<String>) {
    let helo = case["helo"].as_str().unwrap();
    let ip: IpAddr = case["host"].as_str().unwrap().parse().unwrap();
    let sender = match case["mailfrom"].as_str().unwrap() {
        "" => format!("postmaster@{helo}"),
        sender => sender.to_owned(),
    };
    let domain = sender.rsplit_once('@').map_or("", |(_, domain)| domain);
    // Each case has a cache of its own, as a record may be meant to time out more than once.
    let result = authenticator(server).spf(ip, domain, &sender, helo).await;
    (result.outcome, result.explanation)
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Sequence(words) => words.iter().map(|word| word.as_str().unwrap().to_owned()).collect(),
        word => vec![word.as_str().unwrap().to_owned()],
    }
}

/// Serves a scenario's zone. SPF entries stand for TXT records, unless the name has TXT entries too.
async fn server(zone: &Mapping) -> ZoneServer {
    let (mut text, mut silent) = (String::new(), BTreeSet::new());
    for (name, entries) in zone {
        let name = name.as_str().unwrap();
        let entries: Vec<&Value> = entries.as_sequence().unwrap().iter().collect();
        let has_txt = entries.iter().any(|entry| !entry["TXT"].is_null());
        for entry in entries {
            let Some(record) = entry.as_mapping() else {
                assert_eq!(entry.as_str(), Some("TIMEOUT"));
                silent.insert(name);
                continue;
            };
            let (kind, data) = record.iter().next().unwrap();
            match kind.as_str().unwrap() {
                "SPF" if has_txt => {}
                _ if data.as_str() == Some("NONE") => {}
                kind => text.push_str(&format!("{} {}\n", owner(name), data_of(kind, data))),
            }
        }
    }
    let mut builder = ZoneServer::builder().zone(text.parse().unwrap_or_else(|error| panic!("{error}: {text}")));
    for name in silent {
        builder = builder.failing(name, Failure::Silence).unwrap();
    }
    builder.start().await.unwrap()
}

/// A name with every octet but the dots escaped.
fn owner(name: &str) -> String {
    let name = name.trim_end_matches('.');
    let labels = name.split('.').map(|label| label.bytes().map(|octet| format!("\\{octet:03}")).collect::<String>());
    labels.collect::<Vec<_>>().join(".") + "."
}

fn data_of(kind: &str, data: &Value) -> String {
    match kind {
        "SPF" | "TXT" => {
            let strings: Vec<String> = match data {
                Value::Sequence(strings) => strings.iter().map(string).collect(),
                string_value => vec![string(string_value)],
            };
            format!("TXT {}", if strings.is_empty() { "\"\"".to_owned() } else { strings.join(" ") })
        }
        "MX" => match data[1].as_str().unwrap() {
            "" => format!("MX {} .", data[0].as_u64().unwrap()),
            host => format!("MX {} {}", data[0].as_u64().unwrap(), owner(host)),
        },
        "A" | "AAAA" => format!("{kind} {}", data.as_str().unwrap()),
        other => format!("{other} {}", owner(data.as_str().unwrap())),
    }
}

/// Characters up to U+00FF stand for octets in the suite.
fn string(value: &Value) -> String {
    let octets: Vec<u8> = value.as_str().unwrap().chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    octets.chunks(255).map(quoted).collect::<Vec<_>>().join(" ")
}
