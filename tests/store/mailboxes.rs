//! What the model does not reach: limits, reading in parts, accounts, watches, the directory.

use super::{block_on, contents, flags, inbox, letter, message, open, reopen, target};
use bytes::Bytes;
use futures_util::FutureExt;
use postern::{
    mail::{MailboxId, ModSeq, Uid},
    store::{FlagChange, FlagMode, SpecialUse, Store, StoreError},
};

fn add(names: &[&str]) -> FlagChange {
    FlagChange { mode: FlagMode::Add, flags: flags(names), unchanged_since: None }
}

#[test]
fn an_account_begins_with_its_special_mailboxes_and_ends_with_nothing() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let (one, other) = (store.create_account().await.unwrap(), store.create_account().await.unwrap());
        let junk = store.mailbox_for(one, SpecialUse::Junk).unwrap().unwrap();
        assert_eq!((junk.name.as_str(), junk.subscribed), ("Junk", true));
        let given = store.append(message(letter(1, 9)), vec![target(one, junk.id)]).await.unwrap();
        let mut watch = store.watch(one).unwrap();
        store.remove_account(one).await.unwrap();
        assert!(matches!(watch.changed().await, Err(StoreError::NoAccount)));
        assert!(matches!(store.mailboxes(one), Err(StoreError::NoAccount)));
        assert!(matches!(store.snapshot(one, junk.id), Err(StoreError::NoMailbox)));
        assert!(matches!(store.record(one, given[0].number), Err(StoreError::NoMessage)));
        let refused =
            store.append(message(letter(2, 9)), vec![target(other, inbox(&store, other)), target(one, junk.id)]);
        assert!(matches!(refused.await, Err(StoreError::NoAccount)));
        assert_eq!(store.status(other, inbox(&store, other)).unwrap().exists, 0, "all or none");
        assert!(matches!(store.remove_account(one).await, Err(StoreError::NoAccount)));
        let store = reopen(store, folder.path()).await;
        assert_eq!(store.account_ids().unwrap(), [other]);
        assert!(store.create_account().await.unwrap() > other, "ids are not used again");
        store.close().await;
    });
}

#[test]
fn a_message_is_read_whole_and_in_parts_behind_its_trace() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let account = store.create_account().await.unwrap();
        let mut target = target(account, inbox(&store, account));
        target.trace = Bytes::from_static(b"Return-Path: <bob@example.net>\r\n");
        target.verdict = Some(Bytes::from_static(b"ham"));
        for octets in [0, 6000, 700_000] {
            let raw = letter(octets as u64, octets);
            let given = store.append(message(raw.clone()), vec![target.clone()]).await.unwrap();
            let record = store.record(account, given[0].number).unwrap();
            let whole = [&target.trace, &*raw].concat();
            assert_eq!(record.octets(), whole.len() as u64);
            assert_eq!((record.verdict.as_deref(), record.trace.clone()), (Some(&b"ham"[..]), target.trace.clone()));
            let length = whole.len() as u64;
            for (start, end) in
                [(0, length), (0, 5), (30, 34), (31, 32), (32, 33), (length - 3, length + 9), (length, 1 << 40)]
            {
                let expected = &whole[start.min(length) as usize..end.min(length) as usize];
                assert_eq!(store.read(&record, start..end).await.unwrap(), expected, "{start}..{end} of {length}");
            }
            assert_eq!(store.read_raw(&record, 0..u64::MAX).await.unwrap(), raw);
        }
        store.close().await;
    });
}

#[test]
fn the_sixty_fifth_keyword_is_refused_and_changes_nothing() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let account = store.create_account().await.unwrap();
        let (mailbox, archive) = (inbox(&store, account), store.mailbox(account, "Archive").unwrap().id);
        let names: Vec<String> = (0..64).map(|number| format!("k{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut target = target(account, mailbox);
        target.flags = flags(&names);
        let uid = store.append(message(letter(1, 9)), vec![target.clone()]).await.unwrap()[0].uid;
        let before = store.status(account, mailbox).unwrap();
        let refused = store.change_flags(account, mailbox, vec![uid], add(&["one-more"])).await;
        assert!(matches!(refused, Err(StoreError::TooManyKeywords)));
        target.flags = flags(&["yet-another"]);
        let pair = vec![(message(letter(2, 9)), super::target(account, mailbox)), (message(letter(3, 9)), target)];
        assert!(matches!(store.append_all(pair).await, Err(StoreError::TooManyKeywords)));
        assert_eq!(store.status(account, mailbox).unwrap(), before, "neither of the two was appended");
        store.change_flags(account, mailbox, vec![Uid::new(99).unwrap()], add(&["nobody-has-it"])).await.unwrap();
        assert_eq!(store.status(account, mailbox).unwrap(), before);
        // K0 is k0: keywords compare without regard to case.
        store.change_flags(account, mailbox, vec![uid], add(&["K0"])).await.unwrap();
        assert_eq!(store.status(account, mailbox).unwrap(), before);
        let copied = store.copy(account, mailbox, vec![uid], archive).await.unwrap();
        let (from, to) = (store.snapshot(account, mailbox).unwrap(), store.snapshot(account, archive).unwrap());
        let row = to.row(copied.uids[0].1).unwrap();
        assert_eq!(to.flags(&row), from.flags(&from.row(uid).unwrap()));
        store.close().await;
    });
}

#[test]
fn writes_beside_one_that_fails_are_done() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let account = store.create_account().await.unwrap();
        let mailbox = inbox(&store, account);
        let names: Vec<String> = (0..63).map(|number| format!("k{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let appends = (0..60_u64).map(|number| {
            let (store, mut target) = (store.clone(), target(account, mailbox));
            // Every third has keywords that fit only once, and comes behind a message that fits.
            target.flags =
                if number % 3 == 0 { flags(&[&*names, &[&format!("own{number}")]].concat()) } else { flags(&[]) };
            let pair =
                vec![(message(letter(number, 9)), super::target(account, mailbox)), (message(letter(99, 9)), target)];
            tokio::spawn(async move { store.append_all(pair).await })
        });
        let (mut done, mut refused) = (0, 0);
        for append in appends.collect::<Vec<_>>() {
            match append.await.unwrap() {
                Ok(given) => done += given.len(),
                Err(StoreError::TooManyKeywords) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((done, refused), (41 * 2, 19));
        assert_eq!(contents(&store, account, mailbox).await.len(), done);
        let store = reopen(store, folder.path()).await;
        assert_eq!(contents(&store, account, mailbox).await.len(), done);
        assert_eq!(store.status(account, mailbox).unwrap().uid_next.get() as usize, done + 1);
        store.close().await;
    });
}

#[test]
fn the_change_log_is_cut_and_says_so() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let account = store.create_account().await.unwrap();
        let mailbox = inbox(&store, account);
        let mut target = target(account, mailbox);
        target.flags = flags(&["\\Deleted"]);
        let rounds = u64::from(postern::limits::CHANGE_LOG_ROWS_MAX) + 1;
        let first = expunge_each(&store, &target, rounds).await;
        expunge_each(&store, &target, 1).await;
        let status = store.status(account, mailbox).unwrap();
        assert_eq!(store.vanished_since(account, mailbox, first).unwrap(), None, "the older half is gone");
        let before = ModSeq::new(status.highest_modseq.get() - 1).unwrap();
        let last = Uid::new(status.uid_next.get() - 1).unwrap();
        assert_eq!(store.vanished_since(account, mailbox, before).unwrap(), Some(vec![last]));
        let store = reopen(store, folder.path()).await;
        assert_eq!(store.vanished_since(account, mailbox, first).unwrap(), None);
        assert_eq!(store.vanished_since(account, mailbox, status.highest_modseq).unwrap(), Some(Vec::new()));
        store.close().await;
    });
}

/// Appends and expunges messages, each expunge a row of the log; returns the mod-sequence of the first message.
async fn expunge_each(store: &Store, target: &postern::store::Target, rounds: u64) -> ModSeq {
    let mut first = None;
    let batch = 256;
    for start in (0..rounds).step_by(batch) {
        let count = (rounds - start).min(batch as u64);
        let letters = (0..count).map(|_| (message(&b"Subject: x\r\n\r\n"[..]), target.clone())).collect();
        let given = store.append_all(letters).await.unwrap();
        first = first.or(Some(given[0].modseq));
        let expunged: Vec<_> = given
            .iter()
            .map(|copy| {
                let (store, account, mailbox, uid) = (store.clone(), target.account, target.mailbox, copy.uid);
                tokio::spawn(async move { store.expunge(account, mailbox, Some(vec![uid])).await.unwrap() })
            })
            .collect();
        for expunge in expunged {
            assert_eq!(expunge.await.unwrap().len(), 1);
        }
    }
    first.unwrap()
}

#[test]
fn a_watch_sees_what_was_committed_after_it_began_and_nothing_twice() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let account = store.create_account().await.unwrap();
        let mailbox = inbox(&store, account);
        let mut watch = store.watch(account).unwrap();
        assert!(watch.changed().now_or_never().is_none(), "nothing has changed");
        let given = store.append(message(letter(1, 9)), vec![target(account, mailbox)]).await.unwrap();
        assert_eq!(watch.changed().await.unwrap(), given[0].modseq);
        for _ in 0..3 {
            store.change_flags(account, mailbox, vec![given[0].uid], add(&["\\Seen"])).await.unwrap();
        }
        let highest = store.status(account, mailbox).unwrap().highest_modseq;
        assert_eq!(watch.changed().await.unwrap(), highest, "one change, and two that changed nothing");
        assert!(watch.changed().now_or_never().is_none());
        store.close().await;
    });
}

#[test]
fn the_directory_writes_nothing_where_it_was_overtaken() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let put = |key: &str, value: &str| (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()));
        let expect = [(b"a".to_vec(), None)];
        assert!(store.directory().commit(&expect, vec![put("a", "1"), put("ab", "2"), put("b", "3")]).await.unwrap());
        assert!(!store.directory().commit(&expect, vec![put("a", "4")]).await.unwrap());
        let expect = [(b"a".to_vec(), Some(Bytes::from_static(b"1")))];
        assert!(store.directory().commit(&expect, vec![(b"b".to_vec(), None)]).await.unwrap());
        let store = reopen(store, folder.path()).await;
        let pairs = store.directory().scan(b"a").unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(pairs, [(&b"a"[..], &b"1"[..]), (b"ab", b"2")]);
        assert_eq!(store.directory().get(b"b").unwrap(), None);
        store.close().await;
    });
}

#[test]
fn a_store_is_open_once_and_closed_for_good() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let settings = postern::store::Settings {
            partitions: 4,
            cache_octets: 1 << 20,
            ..postern::store::Settings::at(folder.path())
        };
        let second = Store::open(settings, postern::clock::Clock::real()).await;
        assert!(matches!(second.map(drop), Err(StoreError::InUse)));
        let account = store.create_account().await.unwrap();
        let mailbox = inbox(&store, account);
        store.close().await;
        let refused = store.append(message(letter(1, 9)), vec![target(account, mailbox)]).await;
        assert!(matches!(refused, Err(StoreError::Closing)));
        assert_eq!(store.status(account, mailbox).unwrap().exists, 0);
        assert!(matches!(store.status(account, MailboxId::new(99).unwrap()), Err(StoreError::NoMailbox)));
    });
}

#[test]
fn a_mailbox_of_many_blocks_is_read_in_ranges() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let account = store.create_account().await.unwrap();
        let mailbox = inbox(&store, account);
        for _ in 0..3 {
            let letters = (0..300).map(|_| (message(&b"Subject: x\r\n\r\n"[..]), target(account, mailbox)));
            store.append_all(letters.collect()).await.unwrap();
        }
        let uid = |number| Uid::new(number).unwrap();
        let middle: Vec<Uid> = (200..=600).map(uid).collect();
        store.change_flags(account, mailbox, middle.clone(), add(&["\\Deleted"])).await.unwrap();
        assert_eq!(store.expunge(account, mailbox, None).await.unwrap(), middle);
        let store = reopen(store, folder.path()).await;
        let snapshot = store.snapshot(account, mailbox).unwrap();
        let between =
            |start, end| snapshot.rows_between(uid(start), uid(end)).map(|row| row.uid.get()).collect::<Vec<_>>();
        assert_eq!(between(198, 602), [198, 199, 601, 602]);
        assert_eq!(between(250, 500), Vec::<u32>::new());
        assert_eq!(between(900, u32::MAX), [900]);
        assert_eq!(between(5, 4), Vec::<u32>::new());
        let backwards: Vec<u32> = snapshot.rows().rev().take(2).map(|row| row.uid.get()).collect();
        assert_eq!(backwards, [900, 899]);
        assert_eq!((snapshot.row(uid(300)), snapshot.status().exists), (None, 499));
        store.close().await;
    });
}
