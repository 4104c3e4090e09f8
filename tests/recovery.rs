//! Recovery as an administrator sees it: the doctor, export past damage, stores whose metadata is gone.

use crate::support::server::{Server, postern, prepared, succeed};
use std::{
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
