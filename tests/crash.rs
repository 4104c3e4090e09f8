//! P1, P2: whatever moment a process ends at, or the power fails, the store that opens again shows all that was
//! acknowledged, and of what was under way all or nothing.
//!
//! The test binary starts itself as the process that ends (`victim`): at a named failpoint or by kill -9, under a
//! shim that tells what a power cut would leave (`shim`, `journal`, `disk`). Each scenario (`scenario`) is looked at
//! after its end and after several power cuts. `make crash` asks for many seeds (`POSTERN_CRASH_SEEDS`) and prints
//! a table; `POSTERN_CRASH_SCENARIO` names one scenario.

mod accounts;
mod damage;
mod deliveries;
mod dice;
mod disk;
mod doctor;
mod faults;
mod journal;
mod scenario;
mod shim;
mod smtp;
mod user;
pub mod victim;

use scenario::{Scenario, Tally, table};
use std::{collections::BTreeSet, fs, path::Path};

const SCENARIOS: &[&Scenario] = &[
    &user::CLIENT,
    &user::UPKEEP,
    &user::SWEEP,
    &deliveries::DELIVERIES,
    &accounts::ACCOUNTS,
    &doctor::DOCTOR,
    &doctor::REBUILD,
    &smtp::SMTP,
];

#[test]
fn whatever_ends_the_process_nothing_is_lost_doubled_or_half_there() {
    let only = std::env::var("POSTERN_CRASH_SCENARIO").ok();
    let chosen = SCENARIOS.iter().filter(|scenario| only.as_ref().is_none_or(|only| only == scenario.name));
    // Each failpoint once and some kills; a server takes longer to start.
    let few = |scenario: &Scenario| scenario.victim.map_or(2, |_| scenario.failpoints.len() as u64 + 2);
    let tallies: Vec<(&str, Tally)> =
        chosen.map(|scenario| (scenario.name, scenario.run(victim::seeds(few(scenario))))).collect();
    println!("\n{}", table(&tallies));
    let faults: Vec<&str> = tallies.iter().flat_map(|(_, tally)| tally.faults.iter().map(String::as_str)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for (name, tally) in &tallies {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.name == *name).unwrap();
        let missed: Vec<&&str> = scenario.failpoints.iter().filter(|point| !tally.points.contains(**point)).collect();
        assert!(tally.seeds < scenario.failpoints.len() as u64 || missed.is_empty(), "{name} never passes {missed:?}");
    }
}

/// Every failpoint in the source.
fn failpoints(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            failpoints(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let passages = text.split("failpoint::reach(\"").skip(1);
            found.extend(passages.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
}

#[test]
fn every_failpoint_of_the_source_ends_a_scenario() {
    let mut in_source = BTreeSet::new();
    failpoints(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut in_source);
    let in_scenarios: BTreeSet<String> =
        SCENARIOS.iter().flat_map(|scenario| scenario.failpoints.iter().map(|point| (*point).to_owned())).collect();
    let missed: Vec<&String> = in_source.difference(&in_scenarios).collect();
    assert!(missed.is_empty(), "no scenario ends at {missed:?}");
    let gone: Vec<&String> = in_scenarios.difference(&in_source).collect();
    assert!(gone.is_empty(), "the source has no failpoint {gone:?}");
}
