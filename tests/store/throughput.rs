//! Messages a second, printed: `cargo test --test postern store::throughput -- --ignored --nocapture`. Asserts no time.

use super::{block_on, inbox, letter, message, noise, open, target};
use postern::{
    mail::{Flags, Uid},
    store::{FlagChange, FlagMode, Store, Target},
};
use std::time::Instant;

/// A letter of about 4 kB of words.
fn letter_of_4_kb(number: u64) -> Vec<u8> {
    let words = noise(number, 3600)
        .as_bytes()
        .chunks(6)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect::<Vec<_>>();
    let lines: Vec<String> = words.chunks(10).map(|line| line.join(" ")).collect();
    [letter(number, 0), lines.join("\r\n").into_bytes()].concat()
}

async fn append(store: &Store, targets: &[Target], concurrent: u64, each: u64) {
    let letters: Vec<Vec<u8>> = (0..concurrent * each).map(letter_of_4_kb).collect();
    let octets: usize = letters.iter().map(Vec::len).sum();
    let messages: Vec<_> = letters.into_iter().map(message).collect();
    let begun = Instant::now();
    let tasks: Vec<_> = messages
        .chunks(each as usize)
        .enumerate()
        .map(|(number, messages)| {
            let (store, target, messages) = (store.clone(), targets[number % targets.len()].clone(), messages.to_vec());
            tokio::spawn(async move {
                for message in messages {
                    store.append(message, vec![target.clone()]).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (count, seconds) = (concurrent * each, begun.elapsed().as_secs_f64());
    println!(
        "{concurrent:3} at once, {} mailboxes: {:.0} messages/s of {} octets",
        targets.len().min(concurrent as usize),
        count as f64 / seconds,
        octets as u64 / count
    );
}

#[test]
#[ignore = "a measurement"]
fn appends() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let mut targets = Vec::new();
        for _ in 0..16 {
            let account = store.create_account().await.unwrap();
            targets.push(target(account, inbox(&store, account)));
        }
        append(&store, &targets[..1], 1, 1000).await;
        append(&store, &targets[..1], 16, 500).await;
        append(&store, &targets, 16, 500).await;
        append(&store, &targets, 64, 250).await;
        let total = store.statistics().unwrap().messages;
        assert_eq!(total, 1000 + 8000 + 8000 + 16_000);
        let sizes = postern_folder_octets(folder.path());
        println!("{} octets on disk a message", sizes / total);
        store.close().await;
    });
}

fn postern_folder_octets(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => postern_folder_octets(&entry.path()),
            false => entry.metadata().unwrap().len(),
        })
        .sum()
}

#[test]
#[ignore = "a measurement"]
fn a_mailbox_of_100_000() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path()).await;
        let account = store.create_account().await.unwrap();
        let mailbox = inbox(&store, account);
        let begun = Instant::now();
        for start in (0..100_000_u64).step_by(500) {
            let letters = (start..start + 500).map(|number| (message(letter(number, 40)), target(account, mailbox)));
            store.append_all(letters.collect()).await.unwrap();
        }
        println!("append_all by 500: {:.0} messages/s", 100_000.0 / begun.elapsed().as_secs_f64());
        store = super::reopen(store, folder.path()).await;
        let timed = |what: &str, begun: Instant| println!("{what}: {:.3} ms", begun.elapsed().as_secs_f64() * 1000.0);
        let begun = Instant::now();
        assert_eq!(store.status(account, mailbox).unwrap().exists, 100_000);
        timed("STATUS, cold", begun);
        let begun = Instant::now();
        let snapshot = store.snapshot(account, mailbox).unwrap();
        timed("snapshot, cold", begun);
        let begun = Instant::now();
        assert_eq!(store.snapshot(account, mailbox).unwrap().status().exists, 100_000);
        timed("snapshot, warm", begun);
        let begun = Instant::now();
        assert!(snapshot.rows().all(|row| snapshot.flags(&row) == Flags::default()));
        timed("every row's flags", begun);
        let begun = Instant::now();
        let page: Vec<_> = snapshot.rows_between(Uid::new(50_000).unwrap(), Uid::new(50_049).unwrap()).collect();
        assert!(page.iter().all(|row| store.record(account, row.number).is_ok()));
        timed("50 records, cold", begun);
        let all: Vec<Uid> = snapshot.rows().map(|row| row.uid).collect();
        let change =
            |names: &[&str]| FlagChange { mode: FlagMode::Add, flags: super::flags(names), unchanged_since: None };
        let begun = Instant::now();
        store.change_flags(account, mailbox, all.clone(), change(&["\\Seen"])).await.unwrap();
        timed("STORE 1:* +FLAGS (\\Seen)", begun);
        let archive = store.mailbox(account, "Archive").unwrap().id;
        let begun = Instant::now();
        store.copy(account, mailbox, all.clone(), archive).await.unwrap();
        timed("COPY 1:*", begun);
        let trash = store.mailbox(account, "Trash").unwrap().id;
        let begun = Instant::now();
        store.move_messages(account, archive, all.clone(), trash).await.unwrap();
        timed("MOVE 1:*", begun);
        store.change_flags(account, mailbox, all, change(&["\\Deleted"])).await.unwrap();
        let begun = Instant::now();
        assert_eq!(store.expunge(account, mailbox, None).await.unwrap().len(), 100_000);
        timed("EXPUNGE of all", begun);
        let begun = Instant::now();
        store.subscribe(account, "x").await.unwrap();
        timed("a small write behind it", begun);
        store.close().await;
    });
}
