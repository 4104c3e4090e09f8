//! One user at work, ended at any moment.

use super::victim::{Start, Victim, folder, seeds, tell, victim};
use crate::store::{
    block_on, open,
    operation::{Model, Operation, operation, perform, shown},
};
use postern::mail::AccountId;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::path::Path;

/// Failpoints that the script of a mailbox user passes.
const FAILPOINTS: &[&str] = &[
    "append.after_stage",
    "stage.before",
    "stage.written",
    "group.before_commit",
    "group.after_commit",
    "group.published",
    "copy.before_commit",
    "move.before_commit",
    "flags.before_commit",
    "expunge.before_commit",
    "release.before_commit",
];

const OPERATIONS: usize = 60;

/// The operations of a seed: appends first, so that there is something to change.
fn script(seed: u64) -> Vec<Operation> {
    let mut octets = [7; 32];
    octets[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &octets);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let drawn = proptest::collection::vec(operation(), OPERATIONS).new_tree(&mut runner).unwrap().current();
    [Operation::Append("INBOX", vec![300, 20, 420_000], 3), Operation::Append("INBOX", vec![10], 2)]
        .into_iter()
        .chain(drawn)
        .collect()
}

/// Runs the script and tells after each operation that it was done.
#[test]
#[ignore = "is started by the other tests"]
fn user_until_the_end() {
    let Some((folder, seed)) = victim() else { return };
    block_on(async {
        let store = open(&folder).await;
        let account = store.account_ids().unwrap()[0];
        let mut model = Model::new();
        for operation in script(seed) {
            let before = model.clone();
            let expected = model.apply(&operation);
            assert_eq!(perform(&store, account, &before, &operation).await, expected);
            tell("done");
        }
        tell("end");
    });
}

/// Makes a store with one account for the victim.
fn prepare(folder: &Path) -> AccountId {
    block_on(async {
        let store = open(folder).await;
        let account = store.create_account().await.unwrap();
        store.close().await;
        account
    })
}

/// What the store shows is what was told to be done, or the operation after that too.
fn check(folder: &Path, account: AccountId, seed: u64, done: usize) {
    block_on(async {
        let store = open(folder).await;
        let (mut model, script) = (Model::new(), script(seed));
        for operation in &script[..done] {
            model.apply(operation);
        }
        let shown = shown(&store, account).await;
        if shown != model.shown() {
            let under_way = script.get(done).expect("every operation was told to be done, and something else is shown");
            let told = model.shown();
            model.apply(under_way);
            assert_eq!(shown, model.shown(), "seed {seed}: {done} operations were done: {told:?}, then {under_way:?}");
        }
        // A store that has been through this is as good as new.
        let before = model.clone();
        let operation = Operation::Append("INBOX", vec![50], 1);
        assert_eq!(model.apply(&operation), perform(&store, account, &before, &operation).await);
        store.close().await;
    });
}

#[test]
fn a_crash_at_any_failpoint_loses_nothing_and_shows_no_half() {
    let mut reached = 0;
    for (number, failpoint) in FAILPOINTS.iter().enumerate() {
        for seed in 0..seeds(2) {
            let folder = folder();
            let account = prepare(folder.path());
            // The passage at which it ends is drawn too.
            let passage = 1 + (seed.wrapping_mul(0x9e37_79b9) ^ number as u64) % [3, 9, 27][seed as usize % 3];
            let point = format!("{failpoint}:{passage}");
            let test = "crash::user::user_until_the_end";
            let mut told = Victim::start(&Start::new(test, folder.path(), seed).ending_at(Some(point))).rest();
            let is_finished = told.last().is_some_and(|line| line == "end");
            reached += u64::from(!is_finished);
            told.retain(|line| line == "done");
            check(folder.path(), account, seed, told.len());
        }
    }
    println!("{reached} crashes");
    assert!(reached >= FAILPOINTS.len() as u64, "only {reached} crashes");
}

#[test]
fn a_kill_at_any_moment_loses_nothing_and_shows_no_half() {
    for seed in 100..100 + seeds(4) {
        let folder = folder();
        let account = prepare(folder.path());
        let mut victim = Victim::start(&Start::new("crash::user::user_until_the_end", folder.path(), seed));
        let until = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize % OPERATIONS;
        let mut done = (0..until).map_while(|_| victim.told()).count();
        victim.kill();
        done += victim.rest().iter().filter(|line| *line == "done").count();
        assert!(done >= until, "the victim ended by itself after {done} operations");
        check(folder.path(), account, seed, done);
    }
}
