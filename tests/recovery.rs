//! Recovery as an administrator sees it: the doctor, export past damage, stores whose metadata is gone.

mod stores;

use crate::support::{
    archive,
    server::{Server, postern, prepared, succeed},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    net::TcpStream,
    path::{Path, PathBuf},
};

/// Imports so many letters into an account and packs them.
fn fill(folder: &Path, data: &Path, account: &str, letters: usize) {
    let source = folder.join(account);
    fs::create_dir_all(&source).unwrap();
    for number in 0..letters {
        let raw = format!("From: bob@example.net\nSubject: letter {number}\n\nabout number {number} for {account}\n");
        fs::write(source.join(format!("{number:03}.eml")), raw).unwrap();
    }
    succeed(data, &["import", account, source.to_str().unwrap()], "");
    succeed(data, &["blob", "pack"], "");
}

/// The packs of a store.
fn packs(data: &Path) -> Vec<PathBuf> {
    let generations = fs::read_dir(data.join("store/blobs/packs")).unwrap().map(|entry| entry.unwrap().path());
    let mut packs: Vec<_> =
        generations.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).collect();
    packs.sort();
    packs
}

/// Exit code and standard output of a command.
fn run(data: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = postern(data, arguments, "");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_doctor_says_what_it_compared_and_what_to_do_next() {
    let (folder, data) = prepared(&["ann"]);
    assert_eq!(run(&folder.path().join("nothing"), &["doctor"]).0, Some(4));
    fill(folder.path(), &data, "ann@example.org", 12);
    let (code, told) = run(&data, &["doctor", "--deep"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.lines().count() == 9 && told.ends_with("everything agrees\n"), "{told}");
    let (code, told) = run(&data, &["doctor", "--json", "--only", "counters,records"]);
    assert_eq!((code, told.lines().count()), (Some(0), 3), "{told}");
    assert!(told.contains("{\"item\":\"examined\",\"check\":\"counters\",\"compared\":7,\"wrong\":0,"), "{told}");

    let pack = packs(&data).pop().unwrap();
    let octets = fs::read(&pack).unwrap();
    fs::remove_file(&pack).unwrap();
    let (code, told) = run(&data, &["doctor"]);
    assert_eq!(code, Some(5), "{told}");
    assert!(told.contains("rows name it, and it is gone\tbring it back from a backup"), "{told}");
    fs::write(&pack, octets).unwrap();
    assert_eq!(run(&data, &["doctor", "--repair"]).0, Some(0), "nothing was forgotten meanwhile");
}

#[test]
fn a_running_server_is_looked_at_and_little_of_it_is_mended() {
    let (folder, data) = prepared(&["ann"]);
    fill(folder.path(), &data, "ann@example.org", 5);
    let server = Server::start(&data, &[]);
    // Its greeting says that it has the store.
    let mut greeting = [0; 4];
    TcpStream::connect(server.imap).unwrap().read_exact(&mut greeting).unwrap();
    assert_eq!(run(&data, &["doctor"]).0, Some(0));
    assert_eq!(run(&data, &["doctor", "--repair", "--only", "locations,index"]).0, Some(0));
    let refused = postern(&data, &["doctor", "--repair"], "");
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("stop it first"));
    assert_eq!(run(&data, &["doctor", "--repair", "--dry-run"]).0, Some(0));
}

/// What an account's archive holds, by mailbox.
fn exported(folder: &Path, data: &Path, account: &str) -> BTreeMap<String, BTreeSet<Vec<u8>>> {
    let destination = folder.join("export");
    succeed(data, &["export", account, destination.to_str().unwrap(), "--form", "eml"], "");
    let mut mailboxes = BTreeMap::new();
    for entry in archive::walk(&destination) {
        let mailbox = Path::new(&entry.path).parent().unwrap().to_str().unwrap().to_owned();
        mailboxes.entry(mailbox).or_insert_with(BTreeSet::new).insert(entry.octets);
    }
    fs::remove_dir_all(destination).unwrap();
    mailboxes
}

/// With RocksDB gone, packs and spare copies bring every packed message back into its account and mailbox.
#[test]
fn lost_metadata_comes_back_from_packs() {
    let (folder, data) = prepared(&["ann", "bob", "eve"]);
    let accounts = ["ann@example.org", "bob@example.org"];
    for account in accounts {
        fill(folder.path(), &data, account, 10);
        let source = folder.path().join(account);
        succeed(&data, &["import", account, source.to_str().unwrap(), "--mailbox", "Projects/Été"], "");
    }
    fill(folder.path(), &data, "eve@example.org", 3);
    succeed(&data, &["account", "remove", "eve@example.org"], "");
    succeed(&data, &["blob", "pack"], "");
    let before = accounts.map(|account| exported(folder.path(), &data, account));
    assert_eq!(before[0].values().map(BTreeSet::len).collect::<Vec<_>>(), [10, 10]);

    fs::remove_dir_all(data.join("store/metadata")).unwrap();
    let refused = postern(&data, &["account", "list"], "");
    assert_eq!(refused.status.code(), Some(1), "no mail comes to a store that has lost its metadata");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--from-packs"));
    let told = succeed(&data, &["doctor", "--repair", "--from-packs"], "");
    assert!(
        told.starts_with("brought back 40 messages of 2 accounts\nnot: 3 messages of removed accounts\n"),
        "{told}"
    );
    assert_eq!(accounts.map(|account| exported(folder.path(), &data, account)), before);
    assert_eq!(run(&data, &["doctor", "--deep"]).0, Some(0));
    assert_eq!(succeed(&data, &["search", accounts[1], "subject:letter", "--count", "1"], "").lines().count(), 2);

    // A store that is well may be made again too; the old metadata is kept.
    assert_eq!(run(&data, &["doctor", "--repair", "--from-packs"]).0, Some(0));
    assert_eq!(accounts.map(|account| exported(folder.path(), &data, account)), before);
    let kept = fs::read_dir(data.join("store")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(kept.filter(|name| name.starts_with("metadata.old-")).count(), 2);
}

/// P12: an archive has every message that can be read, and the list names every other.
#[test]
fn export_goes_past_flipped_bits_and_lists_them() {
    let (folder, data) = prepared(&["ann"]);
    fill(folder.path(), &data, "ann@example.org", 30);
    let pack = packs(&data).pop().unwrap();
    let mut octets = fs::read(&pack).unwrap();
    // Three places in the octets of contents, in front of the index at the end.
    let length = octets.len();
    for place in [length / 8, length / 4, length * 3 / 8] {
        octets[place] ^= 0x10;
    }
    fs::write(&pack, octets).unwrap();
    let archive = folder.path().join("archive");
    let (code, told) = run(&data, &["export", "ann@example.org", archive.to_str().unwrap(), "--form", "eml"]);
    assert_eq!(code, Some(5), "{told}");
    let skipped: BTreeSet<&str> = told.lines().filter_map(|line| line.strip_prefix("skipped\tINBOX\tUID ")).collect();
    assert!((1..=3).contains(&skipped.len()), "{told}");
    assert_eq!(archive::walk(&archive).count(), 30 - skipped.len());
    assert!(skipped.iter().all(|line| line.contains("(message ") && line.contains('\t')), "{told}");
    let doctor = run(&data, &["doctor", "--deep"]);
    let found = doctor.1.lines().filter(|line| line.starts_with("contents\tann@example.org\tmessage ")).count();
    assert_eq!((doctor.0, found), (Some(5), skipped.len()), "{}", doctor.1);
}
