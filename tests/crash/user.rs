//! One user at work, with packer and index beside, against the model of what the operations do.

use super::{
    doctor::check_derived,
    scenario::{Fault, Scenario},
    victim::{tell, victim},
};
use crate::store::{
    block_on, letter,
    operation::{Message, Model, Operation, operation, perform, shown},
};
use postern::{
    clock::{Clock, UnixMillis},
    store::{Scope, SearchKey, Settings, Store},
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    time::Duration,
};

/// Mostly what a mail client does.
pub const CLIENT: Scenario = Scenario {
    name: "client",
    victim: Some("crash::user::client_until_the_end"),
    failpoints: &[
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
        "mailbox.before_create",
        "mailbox.before_delete",
        "mailbox.before_rename",
        "commit.before",
        "commit.after",
        "object.before_put",
        "object.after_put",
    ],
    prepare,
    check: |folder, seed, told| check(folder, seed, &client_script(seed), told),
};

/// Mostly what the store does beside: packs, segments, locations.
pub const UPKEEP: Scenario = Scenario {
    name: "upkeep",
    victim: Some("crash::user::upkeep_until_the_end"),
    failpoints: &[
        "pack.gathered",
        "pack.written",
        "pack.committed",
        "pack.cleaned",
        "index.before_put",
        "index.before_commit",
        "index.after_commit",
        "index.before_merge_commit",
        "index.after_merge_commit",
        "index.before_tail_again",
        "index.before_segments_drop",
        "locations.before_commit",
        "locations.before_totals",
        "commit.before",
        "commit.after",
        "object.before_put",
        "object.after_put",
        "object.before_delete",
        "object.after_delete",
    ],
    prepare,
    check: |folder, seed, told| check(folder, seed, &upkeep_script(seed), told),
};

/// Contents that lose their last reference, and sweeps while hours go by.
pub const SWEEP: Scenario = Scenario {
    name: "sweep",
    victim: Some("crash::user::sweep_until_the_end"),
    failpoints: &[
        "sweep.closed",
        "sweep.marked",
        "sweep.repacked",
        "sweep.committed",
        "sweep.deleted",
        "sweep.orphan_deleted",
        "pack.written",
        "pack.committed",
        "commit.before",
        "commit.after",
        "object.before_delete",
        "object.after_delete",
    ],
    prepare: prepare_sweep,
    check: |folder, seed, told| check(folder, seed, &sweep_script(seed), told),
};

#[derive(Clone, Debug)]
enum Step {
    Operation(Operation),
    Pack,
    Flush,
    /// Waits for the index worker, which comes by itself after many messages and merges segments.
    Merge,
    RebuildIndex,
    RebuildLocations,
    Hours(u64),
    Sweep,
}

const CLIENT_STEPS: usize = 60;
const UPKEEP_STEPS: usize = 20;
const SWEEP_STEPS: usize = 30;
/// Messages that make the index worker come.
const MANY: usize = 130;

fn drawn(seed: u64, step: impl Strategy<Value = Step>, steps: usize) -> Vec<Step> {
    let mut octets = [7; 32];
    octets[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &octets);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    proptest::collection::vec(step, steps).new_tree(&mut runner).unwrap().current()
}

/// Appends first, so that there is something to change.
fn client_script(seed: u64) -> Vec<Step> {
    let step = prop_oneof![
        30 => operation().prop_map(Step::Operation),
        1 => Just(Step::Pack),
        1 => Just(Step::Flush),
    ];
    let begin = [
        Operation::Append("INBOX", vec![300, 20, 420_000], 3),
        Operation::Append("INBOX", vec![10], 2),
        Operation::Create("b/c"),
        Operation::Rename("b", "a"),
        Operation::Delete("a"),
    ];
    begin.into_iter().map(Step::Operation).chain(drawn(seed, step, CLIENT_STEPS)).collect()
}

/// Segments first, as many as a merge takes.
fn upkeep_script(seed: u64) -> Vec<Step> {
    let step = prop_oneof![
        8 => operation().prop_map(Step::Operation),
        4 => Just(Step::Pack),
        4 => Just(Step::Flush),
        1 => Just(Step::RebuildIndex),
        1 => Just(Step::RebuildLocations),
    ];
    let append = |octets: usize| Step::Operation(Operation::Append("INBOX", vec![octets, 5000], 3));
    let begin = (0..8).flat_map(|number| [append(10 + 60_000 * (number % 2)), Step::Flush]);
    let expunge = Step::Operation(Operation::Expunge("INBOX", Some(7)));
    let rebuild = [Step::Merge, Step::Pack, Step::RebuildIndex, Step::RebuildLocations];
    let many = (0..MANY).map(|_| Step::Operation(Operation::Append("INBOX", vec![8], 0)));
    begin
        .chain([expunge])
        .chain(many)
        .chain(rebuild)
        .chain(drawn(seed, step, UPKEEP_STEPS))
        .chain([Step::Pack])
        .collect()
}

/// Contents that go in parts, so that there is something to repack, and an object that nothing names.
fn sweep_script(seed: u64) -> Vec<Step> {
    let step = prop_oneof![
        10 => operation().prop_map(Step::Operation),
        3 => Just(Step::Operation(Operation::Append("INBOX", vec![6000, 1_500_000, 9000], 2))),
        3 => Just(Step::Pack),
        4 => (1_u64..40).prop_map(Step::Hours),
        5 => Just(Step::Sweep),
    ];
    let append = |flags| Step::Operation(Operation::Append("INBOX", vec![6000, 20_000, 400, 1_500_000], flags));
    let expunge = Step::Operation(Operation::Expunge("INBOX", None));
    let begin = [append(0), append(3), append(3), append(2), Step::Pack, Step::Sweep, expunge, Step::Hours(3)];
    let sweeps = (0..3).flat_map(|_| [Step::Sweep, Step::Hours(30)]);
    begin.into_iter().chain(sweeps).chain(drawn(seed, step, SWEEP_STEPS)).collect()
}

#[test]
#[ignore = "is started by the other tests"]
fn sweep_until_the_end() {
    if let Some((folder, seed)) = victim() {
        run(&folder, sweep_script(seed));
    }
}

#[test]
#[ignore = "is started by the other tests"]
fn client_until_the_end() {
    if let Some((folder, seed)) = victim() {
        run(&folder, client_script(seed));
    }
}

#[test]
#[ignore = "is started by the other tests"]
fn upkeep_until_the_end() {
    if let Some((folder, seed)) = victim() {
        run(&folder, upkeep_script(seed));
    }
}

/// Runs a script and tells after each step that it was done.
fn run(folder: &Path, script: Vec<Step>) {
    block_on(async {
        let clock = Clock::simulated(START, 1);
        let store = open_swept(folder, &clock).await;
        let account = store.account_ids().unwrap()[0];
        let mut model = Model::new();
        for step in script {
            match step.operation() {
                Some(operation) => {
                    let before = model.clone();
                    let expected = model.apply(&operation);
                    assert_eq!(perform(&store, account, &before, &operation).await, expected);
                }
                None => keep_up(&store, &clock, &step).await,
            }
            tell("done");
        }
        store.close().await;
        tell("end");
    });
}

async fn keep_up(store: &Store, clock: &Clock, step: &Step) {
    let account = store.account_ids().unwrap()[0];
    match step {
        Step::Pack => drop(store.pack().await.unwrap()),
        Step::Flush => store.flush_index(account).await.unwrap(),
        Step::RebuildIndex => store.rebuild_index(account).await.unwrap(),
        Step::RebuildLocations => drop(store.rebuild_locations().await.unwrap()),
        Step::Merge => wait_for_merge(store).await,
        Step::Hours(hours) => clock.advance(Duration::from_secs(hours * 3600)),
        Step::Sweep => drop(store.sweep().await.unwrap()),
        Step::Operation(_) => {}
    }
}

/// The worker comes within a tick; that it has come shows in fewer segments than a merge takes.
async fn wait_for_merge(store: &Store) {
    let account = store.account_ids().unwrap()[0];
    for _ in 0..400 {
        if store.index_statistics(account).unwrap().segments < 8 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Step {
    fn pass(&self, clock: &Clock) {
        if let Self::Hours(hours) = self {
            clock.advance(Duration::from_secs(hours * 3600));
        }
    }

    /// What it changes that a client sees.
    fn operation(&self) -> Option<Operation> {
        match self {
            Self::Operation(operation) => Some(operation.clone()),
            Self::Hours(_)
            | Self::Sweep
            | Self::Pack
            | Self::Flush
            | Self::Merge
            | Self::RebuildIndex
            | Self::RebuildLocations => None,
        }
    }
}

const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// Opens the store with generations of an hour. Every victim has the same time, and random numbers of its own.
async fn open_swept(folder: &Path, clock: &Clock) -> Store {
    let settings = Settings {
        partitions: 4,
        pack_after_seconds: 3600,
        cache_octets: 8 * 1024 * 1024,
        generation_seconds: 3600,
        sweep_grace_hours: 1,
        ..Settings::at(folder)
    };
    Store::open(settings, clock.clone()).await.expect("the store opens")
}

/// Makes a store with one account.
fn prepare(folder: &Path, _seed: u64) {
    block_on(async {
        let store = open_swept(folder, &Clock::simulated(START, 0)).await;
        store.create_account().await.unwrap();
        store.close().await;
    });
}

/// The same with an object that a crash might have left.
fn prepare_sweep(folder: &Path, seed: u64) {
    prepare(folder, seed);
    let packs = folder.join("blobs/packs/00001");
    std::fs::create_dir_all(&packs).unwrap();
    std::fs::write(packs.join("00000000000000aa"), b"left by a crash").unwrap();
}

type Shown = BTreeMap<String, (u32, BTreeMap<u32, Message>)>;

/// What the store shows is what was told to be done, or the step after that too.
fn check(folder: &Path, seed: u64, script: &[Step], told: &[String]) -> Result<u64, Fault> {
    let done = told.iter().filter(|line| *line == "done").count();
    block_on(async {
        let clock = Clock::simulated(START, seed + 2);
        script.iter().for_each(|step| step.pass(&clock));
        let store = open_swept(folder, &clock).await;
        let account = store.account_ids().unwrap()[0];
        let mut told = Model::new();
        script[..done].iter().filter_map(Step::operation).for_each(|operation| drop(told.apply(&operation)));
        let mut next = told.clone();
        let under_way = script.get(done).and_then(Step::operation);
        under_way.iter().for_each(|operation| drop(next.apply(operation)));
        let shown = shown(&store, account).await;
        // What is under way may change nothing that is shown, such as a limit; then both are possible.
        let mut possible = vec![told.clone(), next.clone()];
        possible.retain(|model| model.shown() == shown);
        if possible.is_empty() {
            let when = format!("{done} were done, then {under_way:?}");
            return Err(difference(&shown, &told.shown(), &next.shown(), &when));
        }
        check_search(&store, &shown).await?;
        if script.iter().any(|step| matches!(step, Step::Sweep)) {
            check_sweep(&store, &clock, &shown).await?;
        }
        check_derived(&store).await?;
        // A store that has been through this is as good as new.
        let operation = Operation::Append("INBOX", vec![50], 1);
        let outcome = perform(&store, account, &possible[0], &operation).await;
        let expected: Vec<_> = possible.iter_mut().map(|model| model.apply(&operation)).collect();
        assert!(expected.contains(&outcome), "{outcome:?} instead of {expected:?}");
        store.close().await;
        Ok(told.shown().values().map(|(_, messages)| messages.len() as u64).sum())
    })
}

/// What a crash has interrupted is finished by later sweeps: what is named stays, what is not goes (P9).
async fn check_sweep(store: &Store, clock: &Clock, before: &Shown) -> Result<(), Fault> {
    let account = store.account_ids().unwrap()[0];
    store.pack().await.unwrap();
    for _ in 0..4 {
        clock.advance(Duration::from_secs(30 * 3600));
        store.sweep().await.unwrap();
    }
    if shown(store, account).await != *before {
        return Err(Fault::Lost("a sweep changed what is shown".to_owned()));
    }
    let left = store.content_statistics().await.unwrap().orphans;
    if left > 0 { Err(Fault::Half(format!("{left} objects are left that nothing names"))) } else { Ok(()) }
}

/// What is wrong with what is shown: neither what was told to be done nor that and the next step.
fn difference(shown: &Shown, told: &Shown, next: &Shown, when: &str) -> Fault {
    let copies = |shown: &Shown| {
        let mut copies: HashMap<Vec<u8>, usize> = HashMap::new();
        let messages = shown.values().flat_map(|(_, messages)| messages.values());
        messages.for_each(|message| *copies.entry(message.octets.clone()).or_default() += 1);
        copies
    };
    let (now, told_copies, next_copies) = (copies(shown), copies(told), copies(next));
    let of = |copies: &HashMap<Vec<u8>, usize>, octets: &[u8]| copies.get(octets).copied().unwrap_or_default();
    let is_lost = |octets: &Vec<u8>| of(&now, octets) < of(&told_copies, octets).min(of(&next_copies, octets));
    let is_doubled = |octets: &Vec<u8>| of(&now, octets) > of(&told_copies, octets).max(of(&next_copies, octets));
    let text = format!("{when}: shown {shown:?}, told {told:?}");
    if told_copies.keys().any(is_lost) {
        Fault::Lost(text)
    } else if now.keys().any(is_doubled) {
        Fault::Duplicated(text)
    } else {
        Fault::Half(text)
    }
}

/// A search finds what is shown, from tail or segments, and nothing that is not (P7).
async fn check_search(store: &Store, shown: &Shown) -> Result<(), Fault> {
    let account = store.account_ids().unwrap()[0];
    let messages: Vec<&Message> = shown.values().flat_map(|(_, messages)| messages.values()).collect();
    for number in [0, 1, 5, 9, 21] {
        let key = SearchKey::Header { name: "Message-ID".to_owned(), needle: format!("<{number}@example.org>") };
        let found = store.search(account, Scope::Account, &key).await.unwrap().len();
        let head = letter(number, 0);
        let head = &head[..head.windows(4).position(|end| end == b"\r\n\r\n").unwrap()];
        let there = messages.iter().filter(|message| message.octets.starts_with(head)).count();
        if found != there {
            return Err(Fault::Half(format!("letter {number} is there {there} times, and found {found} times")));
        }
    }
    Ok(())
}
