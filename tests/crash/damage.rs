//! P12: octets change on the disk. The store says so, or heals, and never serves wrong octets; damage to one message
//! hides no other.

use super::{
    dice::Dice,
    disk::tree,
    victim::{folder, seeds},
};
use crate::store::{block_on, inbox, letter, message, open, target};
use postern::{
    clock::Clock,
    store::{Scope, SearchKey, Settings, Store, StoreError},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const LETTERS: u64 = 24;

fn octets_of(number: u64) -> usize {
    [80, 6000, 300, 20_000, 420_000, 1_500_000, 50, 9000][number as usize % 8]
}

/// A store with a part of its messages in packs and objects, a part in the log, some indexed, some not. It is opened
/// twice on the way, so that there are table files too.
fn prepare(folder: &Path) {
    for round in 0..3 {
        block_on(async {
            let store = open(folder).await;
            if round == 0 {
                store.create_account().await.unwrap();
            }
            let account = store.account_ids().unwrap()[0];
            for number in round * 8..round * 8 + 8 {
                let letter = message(letter(number, octets_of(number)));
                store.append(letter, vec![target(account, inbox(&store, account))]).await.unwrap();
            }
            if round < 2 {
                store.flush_index(account).await.unwrap();
                store.pack().await.unwrap();
            }
            store.close().await;
        });
    }
}

/// What a file is to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Rows: RocksDB's tables, its log, the files that say which of them count.
    Rows,
    /// The log. Nobody can tell one that lost its end from one that a power cut tore, so only bits change in it.
    Log,
    /// A pack or an object of its own.
    Pack,
    /// A segment of the index.
    Segment,
}

fn kind_of(name: &str) -> Option<Kind> {
    let file = name.rsplit('/').next()?;
    match name.split('/').nth(1)? {
        "packs" => Some(Kind::Pack),
        "index" => Some(Kind::Segment),
        _ if file.ends_with(".log") => Some(Kind::Log),
        _ if file.ends_with(".sst") || file.starts_with("MANIFEST") || file == "CURRENT" => Some(Kind::Rows),
        _ => None,
    }
}

/// Changes a file, and says how.
fn damage(path: &Path, kind: Kind, dice: &mut Dice) -> String {
    let mut octets = fs::read(path).unwrap();
    // Every file has its index at its end.
    let near_end = octets.len().saturating_sub(1 + dice.up_to(600));
    let at = if dice.up_to(2) == 0 { near_end } else { dice.up_to(octets.len() - 1) };
    let how = match dice.up_to(if kind == Kind::Log { 2 } else { 5 }) {
        0..=2 => {
            octets[at] ^= 1 << dice.up_to(7);
            format!("a bit of octet {at}")
        }
        4 => {
            octets.truncate(at);
            format!("cut at {at}")
        }
        3 => {
            let end = (at + 4096).min(octets.len());
            octets[at..end].fill(0);
            format!("zeros from {at} on")
        }
        _ => {
            fs::remove_file(path).unwrap();
            return "gone".to_owned();
        }
    };
    fs::write(path, &octets).unwrap();
    format!("{how} of {}", octets.len())
}

/// What a look at a damaged store came to.
#[derive(Debug, Default)]
struct Seen {
    /// The store does not open, or the mailbox cannot be listed, and says why.
    refused: u64,
    /// Messages that are said to be damaged.
    damaged: u64,
    whole: u64,
    /// Answers to searches that were made again.
    healed: u64,
}

fn is_reported(error: &StoreError) -> bool {
    matches!(error, StoreError::Damaged(_) | StoreError::Failed(_))
}

async fn look(folder: &Path, kind: Kind) -> Seen {
    let mut seen = Seen::default();
    let settings = Settings { partitions: 4, cache_octets: 8 * 1024 * 1024, ..Settings::at(folder) };
    let store = match Store::open(settings, Clock::real()).await {
        Ok(store) => store,
        Err(error) => {
            assert!(is_reported(&error) && kind <= Kind::Log, "{error}");
            return Seen { refused: 1, ..seen };
        }
    };
    match read_all(&store, &mut seen).await {
        Ok(()) => {}
        Err(error) => {
            assert!(is_reported(&error) && kind <= Kind::Log, "{error}");
            seen.refused = 1;
        }
    }
    let read = seen.whole + seen.damaged;
    match kind {
        Kind::Rows => assert!(seen.refused == 1 || read == LETTERS, "{seen:?}"),
        // Nobody can tell a last commit that a power cut tore from one that was damaged later.
        Kind::Log => assert!(seen.refused == 1 || read >= LETTERS - 1, "{seen:?}"),
        Kind::Pack => assert!(read == LETTERS && seen.refused == 0, "{seen:?}"),
        Kind::Segment => {
            assert_eq!((seen.whole, seen.refused), (LETTERS, 0));
            seen.healed = search(&store).await;
        }
    }
    store.close().await;
    seen
}

/// Reads every message: the octets that were appended, or a word about damage.
async fn read_all(store: &Store, seen: &mut Seen) -> Result<(), StoreError> {
    let account = *store.account_ids()?.first().ok_or_else(|| StoreError::Damaged("no account".to_owned()))?;
    let snapshot = store.snapshot(account, store.mailbox(account, "INBOX")?.id)?;
    for row in snapshot.rows() {
        let read = async {
            let record = store.record(account, row.number)?;
            store.read(&record, 0..u64::MAX).await
        };
        let number = u64::from(row.uid.get() - 1);
        match read.await {
            Ok(octets) => {
                assert!(octets == letter(number, octets_of(number)), "wrong octets of letter {number}");
                seen.whole += 1;
            }
            Err(error) => {
                assert!(is_reported(&error), "{error}");
                seen.damaged += 1;
            }
        }
    }
    Ok(())
}

/// Searches for each letter: found, or a word about damage, and found once the index is made again.
async fn search(store: &Store) -> u64 {
    let account = store.account_ids().unwrap()[0];
    let mut healed = 0;
    for number in 0..LETTERS {
        let needle = format!("<{number}@example.org>");
        let key = SearchKey::Header { name: "Message-ID".to_owned(), needle };
        let uids = |hits: Vec<postern::store::Hit>| hits.iter().map(|hit| u64::from(hit.uid.get())).collect::<Vec<_>>();
        match store.search(account, Scope::Account, &key).await {
            Ok(hits) => assert_eq!(uids(hits), [number + 1]),
            Err(error) => {
                assert!(is_reported(&error), "{error}");
                store.rebuild_index(account).await.unwrap();
                healed += 1;
                let hits = store.search(account, Scope::Account, &key).await.unwrap();
                assert_eq!(uids(hits), [number + 1], "after the index was made again");
            }
        }
    }
    healed
}

#[test]
fn damage_is_told_and_never_served_and_hides_nothing_else() {
    let whole = folder();
    prepare(whole.path());
    let files = tree(whole.path());
    let mut by_kind: BTreeMap<Kind, Vec<&String>> = BTreeMap::new();
    for (name, octets) in &files {
        if let (Some(kind), true) = (kind_of(name), octets.as_ref().is_some_and(|octets| !octets.is_empty())) {
            by_kind.entry(kind).or_default().push(name);
        }
    }
    assert_eq!(by_kind.len(), 4, "{by_kind:?}");
    let seeds = seeds(6);
    for (kind, names) in &by_kind {
        let mut sum = Seen::default();
        for seed in 0..seeds {
            let mut dice = Dice::new(seed * 7 + *kind as u64);
            let (image, name) = (folder(), names[dice.up_to(names.len() - 1)]);
            copy(&files, image.path());
            let how = damage(&image.path().join(name), *kind, &mut dice);
            let looked = std::panic::catch_unwind(|| block_on(look(image.path(), *kind)));
            let seen = looked.unwrap_or_else(|_| panic!("{kind:?} seed {seed}, {name}: {how}"));
            sum.refused += seen.refused;
            sum.damaged += seen.damaged;
            sum.whole += seen.whole;
            sum.healed += seen.healed;
        }
        println!("{kind:?}: {seeds} seeds over {} files, {sum:?}", names.len());
    }
}

/// Writes what [`tree`] has read.
pub fn copy(files: &BTreeMap<String, Option<Vec<u8>>>, folder: &Path) {
    for (name, octets) in files {
        let path: PathBuf = folder.join(name);
        match octets {
            None => fs::create_dir_all(path).unwrap(),
            Some(octets) => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, octets).unwrap();
            }
        }
    }
}
