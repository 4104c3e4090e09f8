//! The command line: what is printed, and the exit codes.

use crate::support::server::{DOMAIN, PASSWORD, postern, prepared, succeed};
use std::{fs, net::TcpListener, path::Path};

#[track_caller]
fn fails(data: &Path, arguments: &[&str], code: i32, told: &str) {
    let output = postern(data, arguments, "");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    assert!(error.contains(told), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty(), "nothing on standard output: {arguments:?}");
}

#[test]
fn lists_are_printed_for_people_and_for_programs() {
    let (_folder, data) = prepared(&["ann", "bob"]);
    succeed(&data, &["alias", "add", "@example.org", "ann@example.org"], "");
    assert_eq!(succeed(&data, &["domain", "list"], ""), "example.org\t2 accounts\t1 alias\n");
    assert_eq!(
        succeed(&data, &["account", "list"], ""),
        "ann@example.org\t6 mailboxes\t0 messages\t0 octets\nbob@example.org\t6 mailboxes\t0 messages\t0 octets\n"
    );
    assert_eq!(succeed(&data, &["alias", "list"], ""), "@example.org\tann@example.org\n");
    assert_eq!(
        succeed(&data, &["account", "list", "--json"], "").lines().next(),
        Some(
            "{\"item\":\"account\",\"address\":\"ann@example.org\",\"mailboxes\":6,\"messages\":0,\"octets\":0,\"messages_max\":null,\"octets_max\":null,\"percent\":null}"
        )
    );
    let records = succeed(&data, &["domain", "dns", DOMAIN, "--set", "server.hostname=mx.example.org"], "");
    assert!(records.contains("example.org.\tIN\tMX\t10 mx.example.org.\n"), "{records}");
}

#[test]
fn quotas_are_set_and_drawn() {
    let (_folder, data) = prepared(&["ann"]);
    let quota =
        |arguments: &[&str]| succeed(&data, &[&["account", "quota", "ann@example.org"], arguments].concat(), "");
    let line = |name: &str, value: &str| format!("{name:<16}{value}\n");
    let unlimited = "unlimited as for all accounts";
    assert_eq!(
        quota(&[]),
        line("storage", &format!("0 octets, {unlimited}")) + &line("messages", &format!("0, {unlimited}"))
    );
    let drawn = line("full", "[....................] 0 %");
    assert_eq!(
        quota(&["--storage", "5GB", "--set", "limits.account_messages_max=1000"]),
        line("storage", "0 octets of 5.0 GiB") + &line("messages", "0 of 1000, as for all accounts") + &drawn
    );
    assert_eq!(
        succeed(&data, &["account", "list"], ""),
        "ann@example.org\t6 mailboxes\t0 messages\t0 octets\t[....................] 0 %\n"
    );
    assert_eq!(
        quota(&["--storage", "none", "--messages", "7"]),
        line("storage", "0 octets, unlimited") + &line("messages", "0 of 7") + &drawn
    );
    assert_eq!(
        quota(&["--messages", "default", "--json"]),
        "{\"done\":\"quota\",\"messages\":0,\"octets\":0,\"messages_max\":null,\"octets_max\":null,\"percent\":null,\
         \"own_octets_max\":true,\"own_messages_max\":false}\n"
    );
    fails(&data, &["account", "quota", "ann@example.org", "--storage", "5 elephants"], 2, "such as 500MB or 5GB");
    fails(&data, &["account", "quota", "bob@example.org"], 4, "no such account: bob@example.org");
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let (folder, data) = prepared(&["ann"]);
    fails(&data, &["domain", "add", DOMAIN], 3, "example.org exists already");
    fails(&data, &["domain", "remove", "example.net"], 4, "no such domain: example.net");
    fails(&data, &["domain", "remove", DOMAIN], 3, "still has addresses");
    fails(&data, &["account", "add", "nobody"], 2, "the address has no domain");
    fails(&data, &["account", "add", "bob@example.org"], 2, "--password-stdin");
    fails(&data, &["account", "add", "bob@example.org", "--password-stdin"], 3, "1 to 1024 octets");
    fails(&data, &["stats", "--set", "dns.atempts=1"], 2, "did you mean `dns.attempts`?");
    fails(&data, &["search", "ann@example.org", "(a"], 3, "is not closed");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    fails(&file, &["stats"], 1, "file");
}

#[test]
fn a_dry_run_changes_nothing() {
    let (_folder, data) = prepared(&["ann"]);
    let told = succeed(&data, &["account", "remove", "ann@example.org", "--dry-run"], "");
    assert_eq!(told, "would be removed with 6 mailboxes and 0 messages (0 octets); nothing was changed\n");
    assert!(succeed(&data, &["account", "list"], "").contains("ann@example.org"));
    succeed(&data, &["account", "remove", "ann@example.org"], "");
    assert_eq!(succeed(&data, &["account", "list"], ""), "");
}

#[test]
fn text_of_strangers_moves_no_terminal() {
    let (folder, data) = prepared(&["ann"]);
    let file = folder.path().join("a.eml");
    fs::write(&file, "Subject: \x1b]0;owned\x07 =?utf-8?Q?=1B[2J?=\nX: \x1b[2J\n\ntext\n").unwrap();
    succeed(&data, &["import", "ann@example.org", file.to_str().unwrap()], "");
    for command in [
        &["search", "ann@example.org", "owned"][..],
        &["message", "show", "ann@example.org", "INBOX", "1"],
        &["message", "explain", "ann@example.org", "INBOX", "1"],
    ] {
        let told = succeed(&data, command, "");
        assert!(told.contains("owned") && !told.contains(['\x1b', '\x07']), "{told:?}");
    }
}

#[test]
fn the_configuration_to_copy_is_the_one_that_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("config.toml"));
    fs::write(&file, succeed(&data, &["config", "default"], "")).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(succeed(&data, &["config", "check", "--config", file], ""), "the configuration is right\n");
    fs::write(file, "[mx]\nlisen = []\n").unwrap();
    fails(&data, &["config", "check", "--config", file], 2, "config.toml:2: there is no setting `mx.lisen`");
    assert!(!data.exists(), "checking makes no data folder");
}

/// The tour on free ports, so that it does not meet a server of the machine's.
fn quickstart(data: &Path) -> (bool, String, String) {
    let mut arguments = vec!["quickstart".to_owned(), "--once".to_owned()];
    for key in
        ["mx.listen", "submission.listen_starttls", "submission.listen_tls", "imap.listen_starttls", "imap.listen_tls"]
    {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        arguments.extend(["--set".to_owned(), format!("{key}=[\"{address}\"]")]);
    }
    arguments.extend(["--set".to_owned(), "metrics.listen=[]".to_owned()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = postern(data, &arguments, "");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_quickstart_shows_everything_and_may_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (seen, told, error) = quickstart(&data);
    assert!(seen, "{told}\n{error}");
    for part in [
        "alice@letters.example      pass      pass  pass",
        "Junk     model",
        "security@bank.example      refused: 550 5.7.26",
        "会議の日程変更について",
        "(shown once",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let before = succeed(&data, &["account", "list"], "");
    let (seen, told, error) = quickstart(&data);
    assert!(seen, "{told}\n{error}");
    assert!(told.contains("7 of them were here from before") && !told.contains("(shown once"), "{told}");
    assert_eq!(succeed(&data, &["account", "list"], ""), before);
    succeed(&data, &["account", "passwd", "postmaster@example.org", "--password-stdin"], PASSWORD);
    let (seen, told, _) = quickstart(&data);
    assert!(!seen && told.contains("Searches over IMAP are left out"), "{told}");
}
