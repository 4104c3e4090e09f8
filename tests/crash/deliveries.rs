//! Deliveries to several partitions, ended on the way: there for all recipients or for none, and once for all after
//! the sender has repeated what it was not told of.

use super::{
    doctor::check_derived,
    scenario::{Fault, Scenario},
    victim::{tell, victim},
};
use crate::store::{
    block_on,
    deliveries::{delivery, make_accounts, shown},
    open,
};
use postern::{
    mail::AccountId,
    store::{NewMessage, Store, Target},
};
use std::path::Path;

pub const DELIVERIES: Scenario = Scenario {
    name: "deliveries",
    victim: Some("crash::deliveries::mail_server_until_the_end"),
    failpoints: &[
        "append.after_stage",
        "append.before_outbox",
        "outbox.after_step",
        "outbox.before_forget",
        "repeat.before_forget",
        "commit.before",
        "commit.after",
    ],
    prepare,
    check,
};

/// Deliveries of one victim.
const COUNT: u64 = 14;
/// One that the sender shows that it saw our reply to.
const ACKNOWLEDGED: u64 = 3;

fn prepare(folder: &Path, _seed: u64) {
    block_on(async {
        let store = open(folder).await;
        make_accounts(&store).await;
        store.close().await;
    });
}

/// Without a key where the seed is odd: then only the outbox knows what is left to do.
fn delivery_of(seed: u64, store: &Store, accounts: &[AccountId], number: u64) -> (NewMessage, Vec<Target>) {
    let (message, targets) = delivery(store, accounts, number);
    let repeat = message.repeat.filter(|_| is_repeated(seed));
    (NewMessage { repeat, ..message }, targets)
}

fn is_repeated(seed: u64) -> bool {
    seed.is_multiple_of(2)
}

/// Delivers, one after another, and tells which were acknowledged.
#[test]
#[ignore = "is started by the other tests"]
fn mail_server_until_the_end() {
    let Some((folder, seed)) = victim() else { return };
    block_on(async {
        let store = open(&folder).await;
        let accounts = store.account_ids().unwrap();
        for number in 0..COUNT {
            let (message, targets) = delivery_of(seed, &store, &accounts, number);
            let (count, repeat) = (targets.len(), message.repeat);
            let given = store.append(message, targets).await.unwrap();
            assert_eq!(given.len(), count);
            tell(&number.to_string());
            if let Some(repeat) = repeat.filter(|_| number == ACKNOWLEDGED) {
                store.acknowledge(repeat, given[0].account);
            }
        }
        store.close().await;
        tell("end");
    });
}

fn check(folder: &Path, seed: u64, told: &[String]) -> Result<u64, Fault> {
    let acknowledged = told.iter().filter_map(|line| line.parse().ok()).max();
    let copies = block_on(check_all_or_none(folder, acknowledged))?;
    if is_repeated(seed) {
        block_on(check_repeats(folder, seed, acknowledged))?;
    } else {
        // What the first opening finished stays finished.
        block_on(check_all_or_none(folder, acknowledged))?;
    }
    Ok(copies)
}

/// After a restart each delivery is there once, for all or for none. Returns the copies of acknowledged ones.
async fn check_all_or_none(folder: &Path, acknowledged: Option<u64>) -> Result<u64, Fault> {
    let store = open(folder).await;
    let accounts = store.account_ids().unwrap();
    let mut copies = 0;
    for number in 0..COUNT {
        let (_, targets) = delivery(&store, &accounts, number);
        let mut counts = Vec::new();
        for target in &targets {
            counts.push(shown(&store, target.account, number).await);
        }
        let is_acknowledged = Some(number) <= acknowledged;
        copies += if is_acknowledged { targets.len() as u64 } else { 0 };
        let text = format!("delivery {number} is shown {counts:?}, acknowledged up to {acknowledged:?}");
        match counts.iter().copied().min().zip(counts.iter().copied().max()) {
            Some((1, 1)) => {}
            Some((0, 0)) if !is_acknowledged => {}
            Some((_, 2..)) => return Err(Fault::Duplicated(text)),
            _ if is_acknowledged => return Err(Fault::Lost(text)),
            _ => return Err(Fault::Half(text)),
        }
    }
    check_derived(&store).await?;
    store.close().await;
    Ok(copies)
}

/// After the sender has repeated everything, each is there once for all.
async fn check_repeats(folder: &Path, seed: u64, acknowledged: Option<u64>) -> Result<(), Fault> {
    let store = open(folder).await;
    let accounts = store.account_ids().unwrap();
    // The same again of one that was shown to be known is a second copy, so it is not repeated.
    for number in (0..COUNT).filter(|number| *number != ACKNOWLEDGED) {
        let (message, targets) = delivery_of(seed, &store, &accounts, number);
        let given = store.append(message, targets.clone()).await.unwrap();
        assert_eq!(given.len(), targets.len());
        if Some(number) <= acknowledged && given.iter().any(|copy| !copy.repeated) {
            return Err(Fault::Duplicated(format!("the repeat of delivery {number} was taken for another")));
        }
        for target in &targets {
            let count = shown(&store, target.account, number).await;
            if count != 1 {
                return Err(Fault::Duplicated(format!("delivery {number} is shown {count} times after its repeat")));
            }
        }
    }
    store.close().await;
    Ok(())
}
