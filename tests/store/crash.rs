//! P1, P2: whatever moment a process ends at, the store that opens again shows all that was acknowledged, and of
//! what was under way all or nothing.
//!
//! The test binary starts itself as the process that ends: at a named failpoint (`POSTERN_FAILPOINT`), or by
//! kill -9 once it has acknowledged so much. `POSTERN_CRASH_SEEDS` asks for more seeds.

use super::{
    block_on, open,
    operation::{Model, Operation, operation, perform, shown},
};
use postern::mail::AccountId;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

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
const FOLDER: &str = "POSTERN_CRASH_FOLDER";
const SEED: &str = "POSTERN_CRASH_SEED";

/// How many seeds each way of ending is tried with.
pub fn seeds(few: u64) -> u64 {
    std::env::var("POSTERN_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(few)
}

/// The process that ends. What it prints behind `- ` is what its caller was told.
pub struct Victim {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Victim {
    /// Starts the test of this binary that plays the victim.
    pub fn start(test: &str, folder: &Path, seed: u64, failpoint: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads", "1"]);
        command.env(FOLDER, folder).env(SEED, seed.to_string()).env_remove("POSTERN_FAILPOINT");
        if let Some(failpoint) = failpoint {
            command.env("POSTERN_FAILPOINT", failpoint);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next thing that its caller was told; `None` once it has ended.
    pub fn told(&mut self) -> Option<String> {
        // The last line may be cut short by the end of the process; then nobody was told.
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("- ")?.strip_suffix('.').map(str::to_owned))
    }

    /// Ends it at once, and returns what it had told by then.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.rest()
    }

    /// Waits for its end, and returns what it told until then.
    pub fn rest(mut self) -> Vec<String> {
        let told = std::iter::from_fn(|| self.told()).collect();
        self.child.wait().unwrap();
        told
    }
}

/// Says something as the victim. The test runner may have begun a line before.
pub fn tell(text: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "\n- {text}.").and_then(|()| stdout.flush()).unwrap();
}

/// Folder and seed of the victim, where this process is one.
pub fn victim() -> Option<(std::path::PathBuf, u64)> {
    Some((std::env::var_os(FOLDER)?.into(), std::env::var(SEED).ok()?.parse().ok()?))
}

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
            let folder = tempfile::tempdir().unwrap();
            let account = prepare(folder.path());
            // The passage at which it ends is drawn too.
            let passage = 1 + (seed.wrapping_mul(0x9e37_79b9) ^ number as u64) % [3, 9, 27][seed as usize % 3];
            let point = format!("{failpoint}:{passage}");
            let test = "store::crash::user_until_the_end";
            let mut told = Victim::start(test, folder.path(), seed, Some(&point)).rest();
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
        let folder = tempfile::tempdir().unwrap();
        let account = prepare(folder.path());
        let mut victim = Victim::start("store::crash::user_until_the_end", folder.path(), seed, None);
        let until = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize % OPERATIONS;
        let mut done = (0..until).map_while(|_| victim.told()).count();
        done += victim.kill().iter().filter(|line| *line == "done").count();
        assert!(done >= until, "the victim ended by itself after {done} operations");
        check(folder.path(), account, seed, done);
    }
}
