//! What was deleted comes back while its grace lasts, and goes for good afterwards.

use super::support::task::outcome;
use bytes::Bytes;
use postern::{
    accounts::{Accounts, AccountsError, Password},
    admin::{Admin, Done, Failure, Item, Kind, Request, Run},
    clock::{Clock, UnixMillis},
    mail::{AccountId, Address, Flag, Flags, MailboxId, Uid},
    message::analyse,
    store::{FlagChange, FlagMode, NewMessage, Scope, SearchKey, Settings, Store, StoreError, Target},
};
use std::{path::Path, sync::Arc, time::Duration};

const START: UnixMillis = UnixMillis(1_767_225_600_000);
const DAY: Duration = Duration::from_secs(86_400);

struct Fixture {
    folder: tempfile::TempDir,
    clock: Clock,
    store: Store,
    accounts: Accounts,
}

async fn open(folder: &Path, clock: &Clock) -> (Store, Accounts) {
    let settings = Settings {
        partitions: 2,
        pack_after_seconds: 3600,
        cache_octets: 1 << 20,
        undelete_days: 14,
        ..Settings::at(folder.join("store"))
    };
    let store = loop {
        match Store::open(settings.clone(), clock.clone()).await {
            // A task that has answered may hold the store for a moment longer.
            Err(StoreError::InUse) => tokio::task::yield_now().await,
            opened => break opened.unwrap(),
        }
    };
    let accounts = Accounts::new(store.clone(), clock.clone()).unwrap();
    accounts.finish_removals().await.unwrap();
    (store, accounts)
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(START, 11);
        let (store, accounts) = open(folder.path(), &clock).await;
        accounts.add_domain(&"example.org".parse().unwrap()).await.unwrap();
        for account in ["ann@example.org", "bob@example.org"] {
            accounts.add_account(&address(account), &password()).await.unwrap();
        }
        Self { folder, clock, store, accounts }
    }

    async fn reopen(self) -> Self {
        let Self { folder, clock, store, accounts } = self;
        store.close().await;
        drop((store, accounts));
        let (store, accounts) = open(folder.path(), &clock).await;
        Self { folder, clock, store, accounts }
    }

    fn ann(&self) -> AccountId {
        self.accounts.account(&address("ann@example.org")).unwrap().id
    }

    fn mailbox(&self, name: &str) -> MailboxId {
        self.store.mailbox(self.ann(), name).unwrap().id
    }

    async fn append(&self, mailbox: &str, text: &str, flags: &[&str]) {
        let target = Target {
            account: self.ann(),
            mailbox: self.mailbox(mailbox),
            flags: named(flags),
            trace: Bytes::from_static(b"Received: by mx.example.org\r\n"),
            verdict: None,
        };
        let raw = Bytes::from(format!("From: carl@example.net\r\nSubject: {text}\r\n\r\nThe word is {text}.\r\n"));
        let analysis = Arc::new(analyse(&raw));
        let message = NewMessage { raw, analysis, internal_date: UnixMillis(1_600_000_000_000), repeat: None };
        self.store.append(message, vec![target]).await.unwrap();
    }

    async fn expunge(&self, mailbox: &str, uids: &[u32]) {
        let (ann, mailbox) = (self.ann(), self.mailbox(mailbox));
        let uids: Vec<Uid> = uids.iter().filter_map(|uid| Uid::new(*uid)).collect();
        let change = FlagChange { mode: FlagMode::Add, flags: named(&["\\Deleted"]), unchanged_since: None };
        self.store.change_flags(ann, mailbox, uids.clone(), change).await.unwrap();
        assert_eq!(self.store.expunge(ann, mailbox, Some(uids.clone())).await.unwrap(), uids);
    }

    /// UID, flags and text of every message.
    async fn shown(&self, mailbox: &str) -> Vec<(u32, String, String)> {
        let snapshot = self.store.snapshot(self.ann(), self.mailbox(mailbox)).unwrap();
        let rows: Vec<_> = snapshot.rows().collect();
        let mut shown = Vec::new();
        for row in rows {
            assert_eq!(row.internal_seconds, 1_600_000_000);
            let record = self.store.record(self.ann(), row.number).unwrap();
            let octets = self.store.read(&record, 0..u64::MAX).await.unwrap();
            assert_eq!(octets.len() as u64, row.octets);
            let flags = snapshot.flags(&row).iter().map(|flag| flag.to_string()).collect::<Vec<_>>().join(" ");
            let text = String::from_utf8_lossy(&octets);
            let word = text.rsplit_once("word is ").unwrap().1.trim_end_matches(".\r\n").to_owned();
            assert!(text.starts_with("Received: by mx"));
            shown.push((row.uid.get(), flags, word));
        }
        let status = self.store.status(self.ann(), self.mailbox(mailbox)).unwrap();
        assert_eq!(status.exists as usize, shown.len());
        shown
    }

    async fn found(&self, text: &str) -> usize {
        let key = SearchKey::Text(text.to_owned());
        self.store.search(self.ann(), Scope::Account, &key).await.unwrap().len()
    }

    async fn run(&self, request: Request) -> (Vec<Item>, Result<Done, Failure>) {
        let admin = Admin::new(self.store.clone(), self.accounts.clone(), "mx.example.org".to_owned());
        outcome(admin.with_clock(self.clock.clone()).start(request)).await
    }

    async fn undelete(&self, mailbox: Option<&str>, since: Option<&str>, run: Run) -> (Vec<Item>, u64) {
        let (account, mailbox, since) =
            (address("ann@example.org"), mailbox.map(str::to_owned), since.map(str::to_owned));
        match self.run(Request::MessageUndelete { account, mailbox, since, run }).await {
            (items, Ok(Done::Undeleted { messages, .. })) => (items, messages),
            other => panic!("{other:?}"),
        }
    }

    /// Lets every writer work off what is due.
    async fn settle(&self) {
        for account in ["ann@example.org", "bob@example.org"] {
            let Some(account) = self.accounts.account(&address(account)) else { continue };
            for round in 0..6 {
                let name = format!("round {round}");
                self.store.create_mailbox(account.id, &name, None).await.unwrap();
                self.store.delete_mailbox(account.id, &name).await.unwrap();
            }
        }
    }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn password() -> Password {
    Password::new(b"secret").unwrap()
}

fn named(names: &[&str]) -> Flags {
    names.iter().map(|name| Flag::parse(name).unwrap()).collect()
}

fn row(uid: u32, flags: &str, word: &str) -> (u32, String, String) {
    (uid, flags.to_owned(), word.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn expunged_messages_come_back_under_new_uids() {
    let fixture = Fixture::new().await;
    fixture.append("INBOX", "apple", &["\\Seen", "$Label"]).await;
    fixture.append("INBOX", "pear", &["\\Flagged"]).await;
    fixture.append("INBOX", "plum", &[]).await;
    fixture.store.pack().await.unwrap();
    fixture.expunge("INBOX", &[1, 3]).await;
    assert_eq!((fixture.found("apple").await, fixture.found("pear").await), (0, 1));
    fixture.clock.advance(13 * DAY);
    fixture.settle().await;
    let fixture = fixture.reopen().await;

    let (items, messages) = fixture.undelete(None, None, Run::Dry).await;
    assert_eq!((items.len(), messages), (2, 2));
    let Item::Deleted { deleted, mailbox, uid: 1, new_uid: None, from, subject, .. } = &items[0] else {
        panic!("{items:?}")
    };
    assert_eq!(
        [deleted, mailbox, from, subject].map(String::as_str),
        ["2026-01-01T00:00:00Z", "INBOX", "carl@example.net", "apple"]
    );
    assert_eq!(fixture.shown("INBOX").await, [row(2, "\\Flagged", "pear")], "a dry run changes nothing");

    let (items, _) = fixture.undelete(Some("inbox"), None, Run::Really).await;
    assert!(matches!(items[1], Item::Deleted { uid: 3, new_uid: Some(5), .. }), "{items:?}");
    let expected = [row(2, "\\Flagged", "pear"), row(4, "\\Seen $Label", "apple"), row(5, "", "plum")];
    assert_eq!(fixture.shown("INBOX").await, expected);
    assert_eq!((fixture.found("apple").await, fixture.found("plum").await), (1, 1));
    assert_eq!(fixture.undelete(None, None, Run::Really).await, (Vec::new(), 0), "once");
    // What came back stays, however long.
    fixture.clock.advance(30 * DAY);
    fixture.settle().await;
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.shown("INBOX").await, expected);
    fixture.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_mailbox_comes_back_with_its_name() {
    let fixture = Fixture::new().await;
    let ann = fixture.ann();
    fixture.store.create_mailbox(ann, "Ablage/Über", None).await.unwrap();
    fixture.append("Ablage/Über", "one", &["\\Seen", "\\Deleted"]).await;
    fixture.append("Archive", "two", &[]).await;
    let before = fixture.store.status(ann, fixture.mailbox("Ablage/Über")).unwrap().uid_validity;
    fixture.store.delete_mailbox(ann, "Ablage/Über").await.unwrap();
    fixture.store.delete_mailbox(ann, "Ablage").await.unwrap();
    fixture.store.delete_mailbox(ann, "Archive").await.unwrap();
    fixture.clock.advance(DAY);
    fixture.append("INBOX", "three", &[]).await;
    fixture.expunge("INBOX", &[1]).await;

    assert_eq!(fixture.undelete(Some("Ablage/Über"), None, Run::Dry).await.1, 1);
    assert_eq!(fixture.undelete(None, Some("2h"), Run::Dry).await.1, 1, "the expunged one alone is so young");
    assert_eq!(fixture.undelete(None, Some("2026-01-01T00:00:00Z"), Run::Really).await.1, 3);
    assert_eq!(fixture.shown("Ablage/Über").await, [row(1, "\\Deleted \\Seen", "one")]);
    assert!(fixture.store.status(ann, fixture.mailbox("Ablage/Über")).unwrap().uid_validity > before);
    let archive = fixture.store.mailbox_for(ann, postern::store::SpecialUse::Archive).unwrap().unwrap();
    assert_eq!(archive.name, "Archive");
    assert_eq!(fixture.shown("INBOX").await, [row(2, "", "three")]);
    let (account, since) = (address("ann@example.org"), Some("yesterday".to_owned()));
    let refused = fixture.run(Request::MessageUndelete { account, mailbox: None, since, run: Run::Dry }).await.1;
    assert_eq!(refused.unwrap_err().kind, Kind::Refused);
    fixture.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_follow_their_mailbox_to_its_new_name() {
    let fixture = Fixture::new().await;
    let ann = fixture.ann();
    fixture.store.create_mailbox(ann, "old", None).await.unwrap();
    fixture.append("old", "leaf", &[]).await;
    fixture.expunge("old", &[1]).await;
    fixture.store.rename_mailbox(ann, "old", "new").await.unwrap();
    assert_eq!(fixture.undelete(Some("new"), None, Run::Dry).await.1, 1, "by its present name");
    assert_eq!(fixture.undelete(Some("old"), None, Run::Really).await.1, 1, "by the name it had");
    assert_eq!(fixture.shown("new").await, [row(2, "", "leaf")]);
    assert!(fixture.store.mailbox(ann, "old").is_err());
    fixture.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_grace_messages_are_gone() {
    let fixture = Fixture::new().await;
    let ann = fixture.ann();
    fixture.append("INBOX", "leaf", &[]).await;
    let number = fixture.store.snapshot(ann, fixture.mailbox("INBOX")).unwrap().rows().next().unwrap().number;
    fixture.expunge("INBOX", &[1]).await;
    let deleted = fixture.store.deleted(ann, None).unwrap();
    fixture.clock.advance(14 * DAY - Duration::from_secs(1));
    fixture.settle().await;
    assert!(fixture.store.record(ann, number).is_ok());
    fixture.clock.advance(Duration::from_secs(1));
    fixture.settle().await;
    assert!(matches!(fixture.store.undelete(ann, &deleted[0]).await, Err(StoreError::NoMessage)));
    let fixture = fixture.reopen().await;
    assert!(matches!(fixture.store.record(ann, number), Err(StoreError::NoMessage)));
    assert_eq!(fixture.undelete(None, None, Run::Dry).await.1, 0);
    fixture.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_account_comes_back_whole() {
    let fixture = Fixture::new().await;
    let (ann, name) = (fixture.ann(), address("ann@example.org"));
    fixture.append("INBOX", "apple", &["\\Seen"]).await;
    fixture.append("INBOX", "pear", &[]).await;
    fixture.expunge("INBOX", &[1]).await;
    let inbox = fixture.mailbox("INBOX");
    let before = fixture.store.status(ann, inbox).unwrap();
    let mut watch = fixture.store.watch(ann).unwrap();
    fixture.accounts.remove_account(&name).await.unwrap();

    assert!(matches!(watch.changed().await, Err(StoreError::NoAccount)), "sessions end");
    assert!(matches!(fixture.store.snapshot(ann, inbox), Err(StoreError::NoMailbox)));
    assert!(matches!(fixture.store.status(ann, inbox), Err(StoreError::NoMailbox)));
    assert!(!fixture.store.account_ids().unwrap().contains(&ann));
    assert!(fixture.accounts.authenticate("ann@example.org", b"secret").await.unwrap().is_none());
    fixture.clock.advance(13 * DAY);
    let fixture = fixture.reopen().await;
    let (items, _) = fixture.run(Request::AccountRemoved).await;
    let removed = "2026-01-01T00:00:00Z".to_owned();
    assert_eq!(items, [Item::RemovedAccount { address: name.clone(), removed }]);

    // Somebody else has the address by now.
    fixture.accounts.add_account(&name, &password()).await.unwrap();
    let back =
        |into: Option<&str>, run| Request::AccountUndelete { address: name.clone(), into: into.map(address), run };
    assert_eq!(fixture.run(back(None, Run::Really)).await.1.unwrap_err().kind, Kind::Refused);
    assert_eq!(fixture.run(back(None, Run::Dry)).await.1.unwrap_err().kind, Kind::Refused);
    fixture.accounts.remove_account(&name).await.unwrap();
    assert_eq!(fixture.accounts.removed_accounts().unwrap().len(), 2);
    fixture.run(back(Some("anna@example.org"), Run::Really)).await.1.unwrap();
    assert_ne!(fixture.accounts.account(&address("anna@example.org")).unwrap().id, ann, "the last removed comes first");
    fixture.run(back(None, Run::Dry)).await.1.unwrap();
    assert!(fixture.accounts.account(&name).is_none());
    fixture.run(back(None, Run::Really)).await.1.unwrap();

    let fixture = fixture.reopen().await;
    assert_eq!(fixture.ann(), ann);
    assert_eq!(fixture.store.status(ann, inbox).unwrap(), before);
    assert_eq!(fixture.shown("INBOX").await, [row(2, "", "pear")]);
    assert!(fixture.accounts.authenticate("ann@example.org", b"secret").await.unwrap().is_some());
    assert_eq!(fixture.undelete(None, None, Run::Really).await.1, 1, "with what could be brought back in it");
    assert_eq!(fixture.run(back(None, Run::Really)).await.1.unwrap_err().kind, Kind::NotFound);
    fixture.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_grace_an_account_is_gone() {
    let fixture = Fixture::new().await;
    let name = address("ann@example.org");
    fixture.append("INBOX", "apple", &[]).await;
    fixture.append("INBOX", "pear", &[]).await;
    fixture.expunge("INBOX", &[1]).await;
    fixture.accounts.remove_account(&name).await.unwrap();
    fixture.clock.advance(14 * DAY);
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.accounts.removed_accounts().unwrap(), []);
    assert!(matches!(fixture.accounts.undelete_account(&name, &name).await, Err(AccountsError::NotRemoved(_))));
    assert!(fixture.accounts.account(&name).is_none());
    fixture.settle().await;
    fixture.store.close().await;
}
