//! Accounts, mailboxes and the directory, made and removed until the end. The store itself is made by the victim.

use super::{
    dice::Dice,
    doctor::check_derived,
    scenario::{Fault, Scenario},
    victim::{tell, victim},
};
use crate::store::{block_on, contents, flags, inbox, letter, message, target};
use bytes::Bytes;
use postern::{
    clock::Clock,
    mail::AccountId,
    store::{FlagChange, FlagMode, Settings, Store},
};
use std::{collections::BTreeMap, path::Path};

pub const ACCOUNTS: Scenario = Scenario {
    name: "accounts",
    victim: Some("crash::accounts::administrator_until_the_end"),
    failpoints: &[
        "identity.before_commit",
        "identity.after_commit",
        "account.before_id",
        "account.after_id",
        "account.after_removal",
        "account.index_forgotten",
        "account.before_retirement",
        "account.before_return",
        "undelete.before_commit",
        "directory.before_commit",
        "commit.before",
        "commit.after",
        "object.before_delete",
        "object.after_delete",
    ],
    prepare: |_, _| {},
    check,
};

const STEPS: usize = 30;

#[derive(Clone, Copy, Debug)]
enum Step {
    Make,
    /// The n-th of those that are there.
    Remove(usize),
    /// A letter for the n-th of those that are there, and its index.
    Append(usize),
    /// Takes the n-th of those that are there away, to be brought back or not.
    Retire(usize),
    /// The first of those that were taken away.
    Return,
    /// Expunges what the n-th of those that are there has.
    Expunge(usize),
    /// Brings back what the n-th expunged first.
    Undelete(usize),
    /// A row of the directory.
    Set(u64),
}

fn script(seed: u64) -> Vec<Step> {
    let mut dice = Dice::new(seed ^ 0xacc);
    let drawn = (0..STEPS as u64).map(|number| match dice.up_to(13) {
        0..=2 => Step::Make,
        3 => Step::Remove(dice.up_to(5)),
        4 => Step::Retire(dice.up_to(5)),
        5 => Step::Return,
        6 => Step::Expunge(dice.up_to(2)),
        7 | 8 => Step::Undelete(dice.up_to(2)),
        9..=12 => Step::Append(dice.up_to(3)),
        _ => Step::Set(number),
    });
    // Each kind once, so that its failpoints are passed.
    let begin = [Step::Make, Step::Append(0), Step::Set(99), Step::Expunge(0), Step::Undelete(0)];
    begin.into_iter().chain([Step::Retire(0), Step::Return, Step::Remove(0)]).chain(drawn).collect()
}

/// What is there by the rules: letters of each account by its id, which counts accounts ever made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    accounts: BTreeMap<u64, Vec<Vec<u8>>>,
    retired: BTreeMap<u64, Vec<Vec<u8>>>,
    /// What was expunged together, by account, in order.
    expunged: BTreeMap<u64, Vec<Vec<Vec<u8>>>>,
    made: u64,
    letters: u64,
    set: Vec<u64>,
}

impl Model {
    fn account(&self, among: usize) -> Option<u64> {
        let count = self.accounts.len();
        self.accounts.keys().nth(among.checked_rem(count)?).copied()
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Make => {
                self.made += 1;
                self.accounts.insert(self.made, Vec::new());
            }
            Step::Remove(among) => drop(self.account(among).and_then(|account| self.accounts.remove(&account))),
            Step::Append(among) => {
                if let Some(account) = self.account(among) {
                    let octets = letter_octets(self.letters);
                    self.accounts.entry(account).or_default().push(letter(self.letters, octets));
                    self.letters += 1;
                }
            }
            Step::Retire(among) => {
                if let Some(account) = self.account(among) {
                    self.retired.extend(self.accounts.remove_entry(&account));
                }
            }
            Step::Return => self.accounts.extend(self.retired.pop_first()),
            Step::Expunge(among) => {
                let letters = self.account(among).and_then(|account| self.accounts.get_mut(&account));
                let letters = letters.map(std::mem::take).filter(|letters| !letters.is_empty());
                let account = self.account(among).unwrap_or_default();
                self.expunged.entry(account).or_default().extend(letters);
            }
            Step::Undelete(among) => {
                let Some(account) = self.account(among) else { return };
                let expunged = self.expunged.entry(account).or_default();
                if !expunged.is_empty() {
                    self.accounts.entry(account).or_default().extend(expunged.remove(0));
                }
            }
            Step::Set(number) => self.set.push(number),
        }
    }
}

fn letter_octets(number: u64) -> usize {
    [40, 6000, 400_000][number as usize % 3]
}

#[test]
#[ignore = "is started by the other tests"]
fn administrator_until_the_end() {
    let Some((folder, seed)) = victim() else { return };
    block_on(async {
        let store = open(&folder).await;
        tell("made");
        let mut model = Model::default();
        for step in script(seed) {
            perform(&store, &model, step).await;
            model.apply(step);
            tell("done");
        }
        store.close().await;
        tell("end");
    });
}

async fn perform(store: &Store, model: &Model, step: Step) {
    let account = |among| model.account(among).and_then(AccountId::new);
    match step {
        Step::Make => assert_eq!(store.create_account().await.unwrap().get(), model.made + 1),
        Step::Remove(among) => {
            if let Some(account) = account(among) {
                store.remove_account(account).await.unwrap();
            }
        }
        Step::Append(among) => {
            if let Some(account) = account(among) {
                let letter = message(letter(model.letters, letter_octets(model.letters)));
                store.append(letter, vec![target(account, inbox(store, account))]).await.unwrap();
                store.flush_index(account).await.unwrap();
            }
        }
        Step::Retire(among) => {
            if let Some(account) = account(among) {
                store.retire_account(account, Bytes::from_static(b"kept")).await.unwrap();
            }
        }
        Step::Return => {
            if let Some(account) = model.retired.keys().next().copied().and_then(AccountId::new) {
                store.bring_account_back(account).await.unwrap();
            }
        }
        Step::Expunge(among) => {
            if let Some(account) = account(among) {
                expunge(store, account).await;
            }
        }
        Step::Undelete(among) => {
            let Some(account) = account(among) else { return };
            if let Some(deleted) = store.deleted(account, None).unwrap().first() {
                store.undelete(account, deleted).await.unwrap();
            }
        }
        Step::Set(number) => {
            let row = (format!("row {number}").into_bytes(), Some(vec![number as u8; 10]));
            assert!(store.directory().commit(&[], vec![row]).await.unwrap());
        }
    }
}

async fn expunge(store: &Store, account: AccountId) {
    let inbox = inbox(store, account);
    let uids = store.snapshot(account, inbox).unwrap().rows().map(|row| row.uid).collect();
    let change = FlagChange { mode: FlagMode::Add, flags: flags(&["\\Deleted"]), unchanged_since: None };
    store.change_flags(account, inbox, uids, change).await.unwrap();
    store.expunge(account, inbox, None).await.unwrap();
}

/// Opens the store with a day in which everything can be brought back.
async fn open(folder: &Path) -> Store {
    let settings = Settings {
        partitions: 4,
        pack_after_seconds: 3600,
        cache_octets: 8 * 1024 * 1024,
        undelete_days: 1,
        ..Settings::at(folder)
    };
    Store::open(settings, Clock::real()).await.expect("the store opens")
}

fn check(folder: &Path, seed: u64, told: &[String]) -> Result<u64, Fault> {
    let done = told.iter().filter(|line| *line == "done").count();
    block_on(async {
        let store = open(folder).await;
        let (mut model, script) = (Model::default(), script(seed));
        script[..done].iter().for_each(|step| model.apply(*step));
        let told = model.clone();
        let shown = shown(&store).await;
        if !is_shown(&shown, &told) {
            script.get(done).into_iter().for_each(|step| model.apply(*step));
            if !is_shown(&shown, &model) {
                let text = format!("{done} were done, then {:?}: shown {}", script.get(done), brief(&shown));
                let is_lost = told
                    .accounts
                    .keys()
                    .any(|account| model.accounts.contains_key(account) && !shown.accounts.contains_key(account));
                return Err(if is_lost { Fault::Lost(text) } else { Fault::Half(text) });
            }
        }
        check_leftovers(folder, &shown)?;
        check_derived(&store).await?;
        let next = store.create_account().await.unwrap().get();
        // An id is never given out again, whether or not its account came to be (P4).
        if next <= told.made {
            return Err(Fault::Duplicated(format!("account id {next} was given out again")));
        }
        store.close().await;
        Ok(told.accounts.values().map(|letters| 1 + letters.len() as u64).sum::<u64>() + told.set.len() as u64)
    })
}

/// What the store shows, in the model's terms.
async fn shown(store: &Store) -> Model {
    let mut shown = Model::default();
    for account in store.account_ids().unwrap() {
        assert_eq!(store.mailboxes(account).unwrap().len(), 6, "an account is made with all of its mailboxes");
        let letters = contents(store, account, inbox(store, account)).await;
        shown.accounts.insert(account.get(), letters.into_iter().map(|octets| octets.to_vec()).collect());
    }
    let retired = store.retired_accounts().unwrap();
    shown.retired = retired.iter().map(|retired| (retired.account.get(), Vec::new())).collect();
    for (key, value) in store.directory().scan(b"row ").unwrap() {
        let number: u64 = std::str::from_utf8(&key[4..]).unwrap().parse().unwrap();
        assert_eq!(value, vec![number as u8; 10]);
        shown.set.push(number);
    }
    shown
}

fn is_shown(shown: &Model, model: &Model) -> bool {
    let mut set = model.set.clone();
    set.sort_by_key(|number| format!("row {number}"));
    let is_retired = shown.retired.keys().eq(model.retired.keys());
    is_retired && (&shown.accounts, &shown.set) == (&model.accounts, &set)
}

/// Accounts with their numbers of letters.
fn brief(shown: &Model) -> String {
    let accounts: Vec<(u64, usize)> = shown.accounts.iter().map(|(id, letters)| (*id, letters.len())).collect();
    format!("{accounts:?}, rows {:?}", shown.set)
}

/// A removed account leaves no index behind.
fn check_leftovers(folder: &Path, shown: &Model) -> Result<(), Fault> {
    let Ok(entries) = std::fs::read_dir(folder.join("blobs/index")) else { return Ok(()) };
    for entry in entries {
        let entry = entry.unwrap();
        let account: u64 = entry.file_name().to_string_lossy().parse().unwrap();
        let bundles = std::fs::read_dir(entry.path()).unwrap().count();
        let is_there = shown.accounts.contains_key(&account) || shown.retired.contains_key(&account);
        if bundles > 0 && !is_there {
            return Err(Fault::Half(format!("the index of removed account {account} is still there")));
        }
    }
    Ok(())
}
