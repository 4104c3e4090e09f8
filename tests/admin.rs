//! Administrator tasks: over a real control socket, and mail into files and back.

use crate::support::{archive, corpora, task::outcome};
use postern::{
    accounts::Accounts,
    admin::{
        Admin, Connection, Done, Event, Exported, Failure, Form, FoundMessage, Imported, Item, Kind, MessagePlace,
        Request, Run, Secret, Socket, store_settings,
    },
    clock::Clock,
    config::Config,
    mail::{AccountId, Address},
    store::Store,
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

const ACCOUNTS: [&str; 2] = ["ann@example.org", "bob@example.org"];

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// A store with two accounts and the tasks on it, without a server.
struct Fixture {
    folder: tempfile::TempDir,
    config: Config,
    store: Store,
    accounts: Accounts,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.server.data = folder.path().join("data");
        config.server.hostname = "mx.example.org".to_owned();
        config.store.partitions = 2;
        let store = Store::open(store_settings(&config), Clock::real()).await.unwrap();
        let accounts = Accounts::new(store.clone(), Clock::real()).unwrap();
        let fixture = Self { folder, config, store, accounts };
        fixture.done(Request::DomainAdd { domain: "example.org".parse().unwrap() }).await;
        for account in ACCOUNTS {
            let password = Secret("secret".to_owned());
            fixture.done(Request::AccountAdd { address: address(account), password }).await;
        }
        fixture
    }

    fn admin(&self) -> Admin {
        Admin::new(self.store.clone(), self.accounts.clone(), "mx.example.org".to_owned())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn account(&self, name: &str) -> AccountId {
        self.accounts.account(&address(name)).unwrap().id
    }

    /// Every item of a task, and its end.
    async fn run(&self, request: Request) -> (Vec<Item>, Result<Done, Failure>) {
        outcome(self.admin().start(request)).await
    }

    async fn done(&self, request: Request) -> Done {
        self.run(request).await.1.unwrap()
    }

    async fn items(&self, request: Request) -> Vec<Item> {
        let (items, done) = self.run(request).await;
        done.unwrap();
        items
    }

    async fn refused(&self, request: Request) -> Failure {
        self.run(request).await.1.unwrap_err()
    }

    async fn import(&self, account: &str, source: &Path, form: Option<Form>) -> Imported {
        let (account, source, mailbox) = (address(account), source.to_owned(), None);
        match self.done(Request::Import { account, source, mailbox, form }).await {
            Done::Imported(imported) => imported,
            other => panic!("{other:?}"),
        }
    }

    async fn export(&self, account: &str, destination: &Path, form: Form) -> Exported {
        let (account, destination, mailbox) = (address(account), destination.to_owned(), None);
        match self.done(Request::Export { account, destination, mailbox, form }).await {
            Done::Exported(exported) => exported,
            other => panic!("{other:?}"),
        }
    }

    /// Every message by mailbox and UID: its octets, time and flags.
    async fn mail(&self, account: &str) -> BTreeMap<String, Vec<(Vec<u8>, i64, String)>> {
        let account = self.account(account);
        let mut mail = BTreeMap::new();
        for entry in self.store.mailboxes(account).unwrap() {
            let snapshot = self.store.snapshot(account, entry.id).unwrap();
            let rows: Vec<_> = snapshot.rows().collect();
            for row in rows {
                let record = self.store.record(account, row.number).unwrap();
                let octets = self.store.read(&record, 0..record.octets()).await.unwrap().to_vec();
                let flags = snapshot.flags(&row).iter().map(|flag| flag.to_string()).collect::<Vec<_>>().join(" ");
                mail.entry(entry.name.clone()).or_insert_with(Vec::new).push((octets, row.internal_seconds, flags));
            }
        }
        mail
    }

    /// The messages of a mailbox, by UID.
    async fn octets(&self, account: &str, mailbox: &str) -> Vec<Vec<u8>> {
        let mail = self.mail(account).await.remove(mailbox).unwrap_or_default();
        mail.into_iter().map(|(octets, _, _)| octets).collect()
    }
}

/// Writes files below a folder; those above are made.
fn write(folder: &Path, files: &[(&str, &[u8])]) {
    for (name, octets) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, octets).unwrap();
    }
}

/// Messages that are hard on line ends, quoting and MIME readers, as they are stored.
const ODD: &[&[u8]] = &[
    b"Subject: usual\r\nDate: Thu, 1 Jan 2026 10:00:00 +0000\r\n\r\nOne.\r\n",
    b"Subject: separators\r\n\r\n\r\nFrom the start 10:00 on\r\n>From there\r\n>>From here\r\n\r\n",
    b"Subject: no end\r\n\r\nlast line",
    b"Subject: mixed\r\n\r\nbare LF\nthen CRLF\r\n",
    b"Subject: bare CR\r\n\r\na\rb\r\n",
    b"Subject: octets\r\n\r\n\x00\xff\xfe\x80\r\n.\r\n..\r\n",
    b"\r\nno header\r\n",
    b"no header, no end",
    b"Subject: empty lines at the end\r\n\r\n\r\n\r\n\r\n",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_task_through_the_socket_answers_as_one_on_the_store() {
    let fixture = Fixture::new().await;
    let path = fixture.config.control_socket();
    let socket = Socket::bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(socket.serve(fixture.admin(), async { drop(stopped.await) }));

    let connection = Connection::open(&fixture.config).await.unwrap();
    assert!(matches!(connection, Connection::Server(_)));
    for request in [
        Request::DomainList,
        Request::AccountList,
        Request::DomainDns { domain: "example.org".parse().unwrap() },
        Request::DomainDns { domain: "example.net".parse().unwrap() },
        Request::DomainRemove { domain: "example.org".parse().unwrap(), run: Run::Really },
        Request::AccountRemove { address: address("ann@example.org"), run: Run::Dry },
        Request::AccountRemove { address: address("nobody@example.org"), run: Run::Really },
        Request::Statistics,
    ] {
        let (items, done) = fixture.run(request.clone()).await;
        let mut expected: Vec<Event> = items.into_iter().map(Event::Item).collect();
        expected.push(done.map_or_else(Event::Failed, Event::Done));
        let mut running = connection.start(request).await.unwrap();
        let mut told = Vec::new();
        while let Some(event) = running.next().await.unwrap() {
            told.push(event);
        }
        assert_eq!(told, expected);
    }
    connection.close().await;
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert!(!path.exists(), "the socket's file goes with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_refuses_what_it_does_not_know() {
    let fixture = Fixture::new().await;
    let path = fixture.config.control_socket();
    // What a killed server left is replaced.
    fs::write(&path, "").unwrap();
    let socket = Socket::bind(&path).unwrap();
    let server = tokio::spawn(socket.serve(fixture.admin(), std::future::pending()));
    for (sent, told) in [
        (b"{\"task\":\"reboot\"}\n".to_vec(), "not a request of this release"),
        (b"hello\n".to_vec(), "not a request of this release"),
        (vec![b'x'; 65_536], "a line is longer than 65536 octets"),
        (Vec::new(), ""),
    ] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        // The server need not read all of it.
        let _ = stream.write_all(&sent).await;
        let _ = stream.shutdown().await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.contains(told), "{answer}");
        assert_eq!(answer.is_empty(), told.is_empty());
    }
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_client_goes_away_stops() {
    let fixture = Fixture::new().await;
    let messages: String = (0..2000).map(|n| format!("From a Thu Jan  1 10:00:00 2026\nN: {n}\n\nx\n\n")).collect();
    write(fixture.folder.path(), &[("all.mbox", messages.as_bytes())]);
    let (account, source) = (address("ann@example.org"), fixture.path("all.mbox"));
    let mut events = fixture.admin().start(Request::Import { account, source, mailbox: None, form: None });
    while !matches!(events.recv().await.unwrap(), Event::Progress(progress) if progress.done > 0) {}
    events.close();
    // The task holds its end open until it has ended.
    while events.recv().await.is_some() {}
    let before = fixture.octets("ann@example.org", "INBOX").await.len();
    assert!((64..2000).contains(&before), "{before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_survives_every_form_octet_for_octet() {
    let fixture = Fixture::new().await;
    let files: Vec<(String, &[u8])> = (0..).zip(ODD).map(|(n, octets)| (format!("{n}.eml"), *octets)).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, octets)| (name.as_str(), *octets)).collect();
    write(&fixture.path("source"), &files);
    let imported = fixture.import("ann@example.org", &fixture.path("source"), None).await;
    assert_eq!((imported.messages, imported.skipped), (ODD.len() as u64, 0));
    let mut expected = ODD.iter().map(|octets| octets.to_vec()).collect::<Vec<_>>();
    expected.sort();
    let mut stored = fixture.octets("ann@example.org", "INBOX").await;
    stored.sort();
    assert_eq!(stored, expected);

    for (form, name, changed) in [(Form::Eml, "eml", 0), (Form::Maildir, "maildir", 0), (Form::Mbox, "mbox", 2)] {
        let exported = fixture.export("ann@example.org", &fixture.path(name), form).await;
        assert_eq!((exported.messages, exported.changed, exported.damaged), (ODD.len() as u64, changed, 0), "{name}");
        let (account, source) = (address("bob@example.org"), fixture.path(name));
        let into = Some(format!("Back/{name}"));
        fixture.done(Request::Import { account, source, mailbox: into, form: None }).await;
        let back = if form == Form::Maildir { format!("Back/{name}") } else { format!("Back/{name}/INBOX") };
        let back = if form == Form::Mbox { format!("Back/{name}") } else { back };
        let mut back = fixture.octets("bob@example.org", &back).await;
        back.sort();
        // An mbox file ends each message with a line end.
        let with_end = |octets: &Vec<u8>| {
            let mut octets = octets.clone();
            if form == Form::Mbox && !octets.ends_with(b"\n") {
                octets.extend_from_slice(b"\r\n");
            }
            octets
        };
        let mut expected: Vec<_> = expected.iter().map(with_end).collect();
        expected.sort();
        let readable =
            |mail: &[Vec<u8>]| mail.iter().map(|octets| octets.escape_ascii().to_string()).collect::<Vec<_>>();
        assert_eq!(readable(&back), readable(&expected), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uids_rise_with_dates() {
    let fixture = Fixture::new().await;
    let mbox = "From a Sat Jan  3 10:00:00 2026\nN: 3\n\n\nFrom b Thu Jan  1 10:00:00 2026\nN: 1\n\n\n\
                From c Fri Jan  2 10:00:00 2026\nDate: Mon, 1 Jan 2024 10:00:00 +0000\nN: 2\n\nx\n\
                From - \nDate: Sun, 4 Jan 2026 10:00:00 +0000\nN: 4\n\n";
    write(fixture.folder.path(), &[("a.mbox", mbox.as_bytes())]);
    assert_eq!(fixture.import("ann@example.org", &fixture.path("a.mbox"), None).await.messages, 3);
    let mail = fixture.mail("ann@example.org").await.remove("INBOX").unwrap();
    let seconds: Vec<i64> = mail.iter().map(|(_, seconds, _)| *seconds).collect();
    assert_eq!(seconds, [1_767_261_600, 1_767_348_000, 1_767_434_400], "by the lines between messages");
    assert_eq!(mail[0].0, b"N: 1\r\n\r\n");
    assert!(mail[1].0.ends_with(b"N: 4\r\n"), "a line that names no time is text");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maildir_keeps_folders_dates_and_flags() {
    let fixture = Fixture::new().await;
    write(
        &fixture.path("source"),
        &[
            ("cur/1700000002.b.host:2,FS", b"N: 2\n\nx\n"),
            ("cur/1700000001.a.host:2,RPT", b"N: 1\n\nx\n"),
            ("new/1700000003.c.host", b"N: 3\n\nx\n"),
            (".Entw&APw-rfe.alt/cur/1700000004.d.host:2,D", b"N: 4\n\nx\n"),
            (".Empty/cur/.keep", b""),
            ("dovecot.index", b"not mail"),
            ("cur/1700000005.e.host:2,", b""),
        ],
    );
    let account = address("ann@example.org");
    let (source, mailbox, form) = (fixture.path("source"), None, None);
    let (items, done) = fixture.run(Request::Import { account, source, mailbox, form }).await;
    let Ok(Done::Imported(imported)) = done else { panic!("{done:?}") };
    assert_eq!((imported.mailboxes, imported.messages, imported.skipped), (3, 4, 1));
    assert!(matches!(&items[..], [Item::Skipped { file, reason }]
        if file.ends_with("cur/1700000005.e.host:2,") && reason == "empty"));
    let mail = fixture.mail("ann@example.org").await;
    let shown: Vec<(i64, &str)> = mail["INBOX"].iter().map(|(_, seconds, flags)| (*seconds, flags.as_str())).collect();
    assert_eq!(
        shown,
        [(1_700_000_001, "\\Answered \\Deleted $Forwarded"), (1_700_000_002, "\\Flagged \\Seen"), (1_700_000_003, "")]
    );
    assert_eq!(mail["Entwürfe/alt"][0].2, "\\Draft");
    let names: Vec<String> = fixture
        .store
        .mailboxes(fixture.account("ann@example.org"))
        .unwrap()
        .into_iter()
        .map(|mailbox| mailbox.name)
        .collect();
    assert!(names.contains(&"Empty".to_owned()), "{names:?}");

    fixture.export("ann@example.org", &fixture.path("out"), Form::Maildir).await;
    fixture.import("bob@example.org", &fixture.path("out"), None).await;
    assert_eq!(fixture.mail("bob@example.org").await, mail);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_and_nothing_is_written_over() {
    let fixture = Fixture::new().await;
    write(&fixture.path("full"), &[("a.eml", b"x: y\n\n")]);
    let export = |destination: PathBuf| Request::Export {
        account: address("ann@example.org"),
        destination,
        mailbox: None,
        form: Form::Eml,
    };
    let import = |account: &str, source: PathBuf, form: Option<Form>| Request::Import {
        account: address(account),
        source,
        mailbox: None,
        form,
    };
    assert_eq!(fixture.refused(export(fixture.path("full"))).await.kind, Kind::Refused);
    let none = fixture.refused(import("ann@example.org", fixture.path("none"), None)).await;
    assert_eq!((none.kind, none.message.contains("none: ")), (Kind::NotFound, true));
    let nobody = fixture.refused(import("nobody@example.org", fixture.path("full"), None)).await;
    assert_eq!(nobody.kind, Kind::NotFound);
    let no_mbox = import("ann@example.org", fixture.path("full/a.eml"), Some(Form::Mbox));
    assert!(fixture.refused(no_mbox).await.message.contains("a.eml: no mbox file"));
    assert_eq!(fs::read_dir(fixture.path("full")).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_shows_what_was_imported() {
    let fixture = Fixture::new().await;
    write(
        &fixture.path("source"),
        &[
            (
                "a.eml",
                b"From: \"Caf\xc3\xa9 Owner\" <owner@example.net>\nSubject: =?utf-8?Q?Men=C3=BC?= of the week\n\
                  Date: Thu, 1 Jan 2026 10:00:00 +0000\n\nSoup and bread.\n",
            ),
            ("Old/b.eml", b"From: bob@example.org\nSubject: soup\nDate: Thu, 2 Jan 2025 10:00:00 +0000\n\nNo.\n"),
        ],
    );
    fixture.import("ann@example.org", &fixture.path("source"), None).await;
    let search = |query: &str, count: usize| Request::Search {
        account: address("ann@example.org"),
        query: query.to_owned(),
        count,
    };
    let places = async |query: &str| {
        let items = fixture.items(search(query, 10)).await;
        items
            .into_iter()
            .map(|item| match item {
                Item::Found(found) => found.mailbox,
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(places("oup").await, ["Old", "INBOX"], "parts of words, last arrival first");
    assert_eq!(places("in:INBOX soup").await, ["INBOX"]);
    assert_eq!(places("soup -from:owner").await, ["Old"]);
    assert_eq!(places("subject:menü OR before:2025-06-01").await, ["Old", "INBOX"]);
    assert_eq!(places("is:read").await, Vec::<String>::new());
    assert_eq!(fixture.done(search("soup", 1)).await, Done::Found { found: 2, shown: 1 });
    assert_eq!(fixture.refused(search("(soup", 1)).await.kind, Kind::Refused);
    assert_eq!(
        fixture.items(search("from:owner@", 1)).await,
        [Item::Found(FoundMessage {
            mailbox: "INBOX".to_owned(),
            uid: 1,
            date: "2026-01-01T10:00:00Z".to_owned(),
            from: "Café Owner <owner@example.net>".to_owned(),
            subject: "Menü of the week".to_owned(),
            octets: 142,
        })]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_shown_and_explained() {
    let fixture = Fixture::new().await;
    write(&fixture.path("source"), &[("a.eml", b"Subject: a\nX-Odd: \x1b[2J\n\ntext\n")]);
    fixture.import("ann@example.org", &fixture.path("source"), None).await;
    let place = |uid| MessagePlace { account: address("ann@example.org"), mailbox: "inbox".to_owned(), uid };
    let Done::Message(shown) = fixture.done(Request::MessageShow(place(1))).await else { panic!("no message") };
    assert_eq!(shown.header, "Subject: a\r\nX-Odd: \u{1b}[2J\r\n\r\n");
    assert_eq!((shown.parts.len(), shown.parts[0].media_type.as_str()), (1, "text/plain"));
    let Done::Explained(explained) = fixture.done(Request::MessageExplain(place(1))).await else { panic!("none") };
    assert_eq!((explained.subject.as_str(), explained.verdict), ("a", None));
    assert_eq!(fixture.refused(Request::MessageShow(place(2))).await.kind, Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_changes_no_answer() {
    let fixture = Fixture::new().await;
    write(&fixture.path("source"), &[("a.eml", b"Subject: a\n\nneedle\n"), ("b.eml", b"Subject: b\n\nhay\n")]);
    fixture.import("ann@example.org", &fixture.path("source"), None).await;
    let search = || Request::Search { account: address("ann@example.org"), query: "needle".to_owned(), count: 9 };
    let before = (fixture.items(search()).await, fixture.mail("ann@example.org").await);
    let rebuilt = fixture.done(Request::IndexRebuild { account: None }).await;
    assert_eq!(rebuilt, Done::Rebuilt { accounts: 2, messages: 2 });
    fixture.done(Request::BlobPack).await;
    let (items, done) = fixture.run(Request::BlobVerify).await;
    assert!(items.is_empty());
    assert!(matches!(done, Ok(Done::Verified { damaged: 0, contents: 1.., .. })), "{done:?}");
    assert_eq!((fixture.items(search()).await, fixture.mail("ann@example.org").await), before);
}

/// Folders of real mailboxes, in and out again.
#[tokio::test(flavor = "multi_thread")]
async fn real_mailboxes_survive_every_form() {
    let Some(corpora) = corpora() else { return };
    let fixture = Fixture::new().await;
    let source = fixture.path("source");
    let mut files = 0;
    for entry in archive::open(&corpora.join("mailboxes/enron-5-users/messages.tar.zst")).take(600) {
        // A dot in a folder's name is a level in Maildir++.
        write(&source, &[(&format!("{}.eml", entry.path.replace('.', "_")), &entry.octets)]);
        files += 1;
    }
    let mime = archive::walk(&corpora.join("mime")).filter(|entry| !entry.octets.is_empty());
    for (number, entry) in mime.step_by(4).enumerate() {
        write(&source, &[(&format!("mime/{number}.eml"), &entry.octets)]);
        files += 1;
    }
    let imported = fixture.import("ann@example.org", &source, None).await;
    assert_eq!((imported.messages, imported.skipped), (files, 0));
    let mail = fixture.mail("ann@example.org").await;
    for (form, name) in [(Form::Maildir, "maildir"), (Form::Mbox, "mbox"), (Form::Eml, "eml")] {
        let exported = fixture.export("ann@example.org", &fixture.path(name), form).await;
        println!("{name}: {} of {files} written and read back, {} changed", exported.messages, exported.changed);
        assert_eq!((exported.messages, exported.damaged), (files, 0));
    }
    fixture.import("bob@example.org", &fixture.path("maildir"), None).await;
    let back = fixture.mail("bob@example.org").await;
    for (mailbox, messages) in &mail {
        let back = &back[mailbox];
        assert_eq!(back.len(), messages.len(), "{mailbox}");
        for (uid, (one, other)) in (1..).zip(messages.iter().zip(back)) {
            // A name in a Maildir begins with a time after 1970.
            assert!(one.0 == other.0 && one.1.max(1) == other.1, "{mailbox} UID {uid}");
        }
    }
}
