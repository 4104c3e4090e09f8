//! A disk that fails: full after so many octets, or unable to make something durable.
//!
//! Full: nothing of the refused write is there, and the store goes on once there is space. A failed fsync: what was
//! acknowledged before is there, and nothing is taken any more until the store is opened again, since nobody knows
//! what of that write is on the disk.

use super::{
    dice::Dice,
    disk::{Disk, Survival},
    doctor::check_derived,
    scenario::Fault,
    smtp,
    victim::{Faults, Start, Victim, folder, freed, is_short, seeds, tell, victim},
};
use crate::store::{block_on, contents, inbox, letter, message, open, reopen, target};
use crate::support::server::Server;
use postern::{
    clock::Clock,
    store::{Settings, Store, StoreError},
};
use std::{path::Path, process::Command, time::Duration};

const LETTERS: u64 = 36;

fn octets_of(number: u64) -> usize {
    [100, 6000, 100, 420_000][number as usize % 4]
}

async fn append(store: &Store, number: u64) -> Result<(), StoreError> {
    let account = store.account_ids()?[0];
    let letter = message(letter(number, octets_of(number)));
    store.append(letter, vec![target(account, inbox(store, account))]).await.map(drop)
}

/// Packs and segments now and then; those that fail are made later.
async fn keep_up(store: &Store, number: u64) {
    let account = store.account_ids().unwrap()[0];
    if number % 9 == 8 {
        let _ = store.flush_index(account).await;
        let _ = store.pack().await;
    }
}

fn prepare(folder: &Path) {
    block_on(async {
        let store = open(folder).await;
        store.create_account().await.unwrap();
        store.close().await;
    });
}

/// Appends, and frees space where there is none.
#[test]
#[ignore = "is started by the other tests"]
fn full_disk_until_the_end() {
    let Some((folder, _)) = victim() else { return };
    block_on(async {
        let mut store = open_full(&folder).await;
        for number in 0..LETTERS {
            let mut tries = 0;
            while let Err(error) = append(&store, number).await {
                tell(&format!("refused {number} {error}"));
                std::fs::write(freed(), b"").unwrap();
                tries += 1;
                if tries == TRIES {
                    tell("reopened");
                    store = reopen(store, &folder).await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            tell(&format!("stored {number}"));
            keep_up(&store, number).await;
        }
        store.close().await;
        tell("end");
    });
}

/// Opens the store, with space freed first where opening needs some.
async fn open_full(folder: &Path) -> Store {
    let settings = || Settings { partitions: 4, cache_octets: 8 * 1024 * 1024, ..Settings::at(folder) };
    match Store::open(settings(), Clock::real()).await {
        Err(error) => {
            tell(&format!("refused to open: {error}"));
            std::fs::write(freed(), b"").unwrap();
            Store::open(settings(), Clock::real()).await.unwrap()
        }
        Ok(store) => store,
    }
}

/// Tries after space was freed, a tenth of a second apart, before the store is given up.
const TRIES: u32 = 100;

/// The letters that the store shows, once each, against those that were told to be stored.
fn check(folder: &Path, told: &[String]) -> Result<u64, Fault> {
    let stored: Vec<u64> = told.iter().filter_map(|line| line.strip_prefix("stored ")?.parse().ok()).collect();
    block_on(async {
        let store = open(folder).await;
        let account = store.account_ids().unwrap()[0];
        let shown = contents(&store, account, inbox(&store, account)).await;
        for number in 0..LETTERS {
            let whole = letter(number, octets_of(number));
            let times = shown.iter().filter(|octets| **octets == whole).count();
            match (times, stored.contains(&number)) {
                (1, _) | (0, false) => {}
                (0, true) => return Err(Fault::Lost(format!("letter {number} is not there"))),
                _ => return Err(Fault::Duplicated(format!("letter {number} is there {times} times"))),
            }
        }
        if shown.len() as u64 > stored.len() as u64 + 1 {
            return Err(Fault::Half(format!("{} letters, {} stored", shown.len(), stored.len())));
        }
        check_derived(&store).await?;
        append(&store, LETTERS).await.unwrap();
        store.close().await;
        Ok(stored.len() as u64)
    })
}

#[test]
fn a_full_disk_refuses_whole_messages_and_goes_on_when_there_is_space() {
    let (mut refused, mut reopened, mut stored) = (0, 0, 0);
    let seeds = seeds(4);
    for seed in 0..seeds {
        let real = folder();
        prepare(real.path());
        let mut dice = Dice::new(seed);
        let full_after = Some(20_000 + dice.up_to(6_000_000) as u64);
        let start = Start::new("crash::faults::full_disk_until_the_end", real.path(), seed);
        let (told, _) = Victim::start(&start.with(Faults { full_after, ..Faults::default() })).rest_with_journal();
        assert_eq!(told.last().map(String::as_str), Some("end"), "seed {seed}: {told:?}");
        let refusals: Vec<&String> = told.iter().filter(|line| line.starts_with("refused")).collect();
        let is_full = |line: &&&String| line.ends_with("no space left for new mail");
        let others: Vec<_> = refusals.iter().filter(|line| !is_full(line)).collect();
        assert!(others.is_empty(), "seed {seed}, full after {full_after:?}: {others:?}");
        refused += usize::from(!refusals.is_empty());
        reopened += told.iter().filter(|line| *line == "reopened").count();
        stored += check(real.path(), &told).unwrap_or_else(|fault| panic!("seed {seed}, {full_after:?}: {fault:?}"));
    }
    println!("full disk: {seeds} seeds, {refused} refused something, {stored} stored, {reopened} opened again");
    assert!(refused > 0 && reopened == 0, "{refused} refused something, {reopened} had to be opened again");
}

/// A small file system in memory, gone with this.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// What the store leaves free, the log as RocksDB allocates it, and some more.
    const MEGABYTES: usize = 448;

    /// `None` where this process may not mount one.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={}m", Self::MEGABYTES);
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(folder.path()).output();
        mount.is_ok_and(|mount| mount.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that was killed may take a moment to leave it.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_that_is_nearly_full_is_told_to_senders_before_anything_is_written() {
    let Some(disk) = SmallDisk::mount() else {
        println!("not run: only root may mount the small disk that this test fills");
        return;
    };
    let (data, ballast) = (disk.0.path().join("data"), disk.0.path().join("ballast"));
    smtp::prepare(&data, 0);
    let server = Server::start(&data, smtp::SETTINGS);
    assert!(smtp::deliver(server.smtp, 1).starts_with("250"));
    std::fs::write(&ballast, vec![0; 200 << 20]).unwrap();
    for number in [2, 3] {
        let reply = smtp::deliver(server.smtp, number);
        assert!(reply.starts_with("452 4.3.1"), "{reply}");
    }
    std::fs::remove_file(&ballast).unwrap();
    let reply = smtp::deliver(server.smtp, 3);
    assert!(reply.starts_with("250"), "{reply}");
    server.kill();
    smtp::check_only(&data, &[1, 3]).unwrap();
}

/// Appends until something fails, and then tries more.
#[test]
#[ignore = "is started by the other tests"]
fn failing_sync_until_the_end() {
    let Some((folder, _)) = victim() else { return };
    block_on(async {
        let store = match Store::open(Settings::at(&folder), Clock::real()).await {
            Ok(store) => store,
            Err(error) => return tell(&format!("refused to open: {error}")),
        };
        for number in 0..LETTERS {
            match append(&store, number).await {
                Ok(()) => tell(&format!("stored {number}")),
                Err(error) => tell(&format!("refused {number} {error}")),
            }
            keep_up(&store, number).await;
        }
        tell("end");
    });
}

#[test]
fn after_a_failed_sync_nothing_is_taken_that_could_be_lost() {
    let (mut poisoned, mut stored, seeds) = (0, 0, seeds(6));
    for seed in 0..seeds {
        let real = folder();
        prepare(real.path());
        let sync_fails = Some(1 + Dice::new(seed).up_to(70) as u64);
        let start = Start::new("crash::faults::failing_sync_until_the_end", real.path(), seed);
        let (told, journal) =
            Victim::start(&start.with(Faults { sync_fails, ..Faults::default() })).rest_with_journal();
        poisoned += u64::from(told.iter().any(|line| line.starts_with("refused")));
        let mut disk = Disk::new(&journal);
        disk.advance(journal.events.len());
        for survival in [Survival::Nothing, Survival::Ordered(seed)].into_iter().take(if is_short() { 1 } else { 2 }) {
            let image = folder();
            disk.cut(survival, image.path());
            let checked = check(image.path(), &told);
            stored += checked
                .unwrap_or_else(|fault| panic!("seed {seed}, {sync_fails:?}, {survival:?}: {fault:?}, {told:?}"));
        }
    }
    println!("failed sync: {seeds} seeds, {poisoned} refused something, {stored} stored");
    assert!(poisoned > 0);
}
