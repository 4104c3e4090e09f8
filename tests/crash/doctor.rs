//! The doctor: it finds nothing after a crash, and a crash of its own leaves less to mend and nothing worse.

use super::{
    scenario::{Fault, Scenario},
    victim::{tell, victim},
};
use crate::store::{block_on, contents, inbox, letter, message, open, target};
use postern::{
    clock::Clock,
    mail::AccountId,
    store::{Check, Depth, Mode, Plan, Scope, SearchKey, Settings, Store},
};
use std::path::Path;

pub const DOCTOR: Scenario = Scenario {
    name: "doctor",
    victim: Some("crash::doctor::doctor_until_the_end"),
    failpoints: &["commit.before", "commit.after"],
    prepare,
    check,
};

/// Metadata that is gone, made again from packs.
pub const REBUILD: Scenario = Scenario {
    name: "rebuild",
    victim: Some("crash::doctor::rebuild_until_the_end"),
    failpoints: &["doctor.moved_aside", "commit.before", "commit.after"],
    prepare: |folder, _| {
        prepare(folder, 1);
        // What is left of it does not open, and is moved aside.
        std::fs::write(folder.join("metadata/CURRENT"), "nothing").unwrap();
    },
    check: check_rebuilt,
};

const ACCOUNTS: u64 = 3;
const LETTERS: u64 = 6;

/// Accounts with packed letters, whose indexes are gone.
fn prepare(folder: &Path, seed: u64) {
    block_on(async {
        let store = open(folder).await;
        for number in 0..ACCOUNTS {
            let account = store.create_account().await.unwrap();
            for letter_number in 0..LETTERS {
                let octets = if letter_number == 2 { 9000 } else { 40 };
                let letter = message(letter(number * 100 + letter_number, octets));
                store.append(letter, vec![target(account, inbox(&store, account))]).await.unwrap();
                if letter_number % 2 == 0 {
                    store.flush_index(account).await.unwrap();
                }
            }
        }
        store.pack().await.unwrap();
        store.close().await;
    });
    let accounts = std::fs::read_dir(folder.join("blobs/index")).unwrap();
    // Of one account nothing is gone.
    for account in accounts.skip(usize::from(seed % 2 == 1)) {
        for bundle in std::fs::read_dir(account.unwrap().path()).unwrap() {
            std::fs::remove_file(bundle.unwrap().path()).unwrap();
        }
    }
}

fn plan(mode: Mode) -> Plan {
    Plan { checks: Check::ALL.to_vec(), depth: Depth::Contents, mode }
}

async fn open_idle(folder: &Path) -> Store {
    let settings = Settings { cache_octets: 8 * 1024 * 1024, ..Settings::at(folder) };
    Store::open_idle(settings, Clock::real()).await.expect("the store opens")
}

#[test]
#[ignore = "is started by the other tests"]
fn doctor_until_the_end() {
    let Some((folder, _)) = victim() else { return };
    block_on(async {
        let store = open_idle(&folder).await;
        tell("opened");
        store.examine(&plan(Mode::Mend), |_| {}).await.unwrap();
        store.close().await;
        tell("end");
    });
}

async fn rebuild(folder: &Path) {
    let settings = Settings { cache_octets: 8 * 1024 * 1024, ..Settings::at(folder) };
    let rebuilt = Store::rebuild_from_packs(settings, Clock::real(), |_| {}).await.unwrap();
    assert_eq!((rebuilt.messages, rebuilt.damaged), (ACCOUNTS * LETTERS, 0));
}

#[test]
#[ignore = "is started by the other tests"]
fn rebuild_until_the_end() {
    let Some((folder, _)) = victim() else { return };
    block_on(async {
        tell("begun");
        rebuild(&folder).await;
        tell("end");
    });
}

fn check_rebuilt(folder: &Path, _seed: u64, told: &[String]) -> Result<u64, Fault> {
    block_on(async {
        if told.iter().all(|line| line != "end") {
            rebuild(folder).await;
        }
        check_all(open_idle(folder).await, folder).await
    })
}

fn check(folder: &Path, _seed: u64, told: &[String]) -> Result<u64, Fault> {
    block_on(async {
        let store = open_idle(folder).await;
        if told.iter().all(|line| line != "end") {
            store.examine(&plan(Mode::Mend), |_| {}).await.unwrap();
        }
        check_all(store, folder).await
    })
}

/// Nothing is left to mend, and every letter is there.
async fn check_all(store: Store, folder: &Path) -> Result<u64, Fault> {
    check_derived(&store).await?;
    store.close().await;
    drop(store);
    let store = open(folder).await;
    for (number, account) in (0..).zip(store.account_ids().unwrap()) {
        check_letters(&store, account, number).await?;
    }
    store.close().await;
    Ok(ACCOUNTS * LETTERS)
}

async fn check_letters(store: &Store, account: AccountId, number: u64) -> Result<(), Fault> {
    let shown = contents(store, account, inbox(store, account)).await;
    if shown.len() as u64 != LETTERS {
        return Err(Fault::Lost(format!("{account} has {} letters", shown.len())));
    }
    for letter in 0..LETTERS {
        let needle = format!("<{}@example.org>", number * 100 + letter);
        let key = SearchKey::Header { name: "Message-ID".to_owned(), needle };
        let found = store.search(account, Scope::Account, &key).await.unwrap().len();
        if found != 1 {
            return Err(Fault::Half(format!("letter {letter} of {account} is found {found} times")));
        }
    }
    Ok(())
}

/// Everything derived agrees with what it derives from.
pub async fn check_derived(store: &Store) -> Result<(), Fault> {
    let examined = store.examine(&plan(Mode::Look), |_| {}).await.unwrap();
    let findings: Vec<_> = examined.iter().filter(|examined| examined.wrong > 0).collect();
    if findings.is_empty() { Ok(()) } else { Err(Fault::Half(format!("the doctor finds {findings:?}"))) }
}
