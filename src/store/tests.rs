//! What only shows inside: rows that are left, counts, the outage.

use super::{NewMessage, Settings, Store, StoreError, Target, metadata::Table, partition::Outage};
use crate::{
    clock::{Clock, UnixMillis},
    mail::{AccountId, Flags, MailboxId, SystemFlags},
    message::analyse,
};
use bytes::Bytes;
use std::{future::Future, sync::Arc};

fn with_store<F: Future<Output = Store>>(test: impl FnOnce(Store, AccountId, MailboxId) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        Settings { partitions: 2, pack_after_seconds: 3600, cache_octets: 1 << 20, ..Settings::at(folder.path()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(settings, Clock::real()).await.unwrap();
        let account = store.create_account().await.unwrap();
        let inbox = store.mailbox(account, "INBOX").unwrap().id;
        test(store, account, inbox).await.close().await;
    });
}

/// A letter with an attachment that all letters share, and text that takes several chunks.
fn letter(number: usize) -> NewMessage {
    let words: String = (0..20_000).map(|word| format!("{:x} ", word * 2_654_435_761_usize)).collect();
    let attachment = "QUJD".repeat(2000);
    let part = "--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    let raw = Bytes::from(format!(
        "Subject: {number}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{words}\r\n{part}{attachment}\r\n--b--\r\n"
    ));
    let analysis = Arc::new(analyse(&raw));
    NewMessage { raw, analysis, internal_date: UnixMillis(0), repeat: None }
}

fn deleted(account: AccountId, mailbox: MailboxId) -> Target {
    let flags = Flags { system: SystemFlags::DELETED, ..Flags::default() };
    Target { account, mailbox, flags, trace: Bytes::new(), verdict: None }
}

/// Rows that an account has in a table.
fn rows(store: &Store, account: AccountId, table: Table) -> usize {
    let mut count = 0;
    let visit = |_: &[u8], _: &[u8]| {
        count += 1;
        true
    };
    store.inner.engine.scan_prefix(table, &store.inner.place(account).prefix(), visit).unwrap();
    count
}

/// Each group of writes begins with a step of released messages.
async fn settle(store: &Store, account: AccountId) {
    for _ in 0..4 {
        store.write(account, |_| Ok(())).await.unwrap();
    }
}

#[test]
fn the_last_row_takes_record_references_and_text_with_it() {
    with_store(|store, account, inbox| async move {
        let archive = store.mailbox(account, "Archive").unwrap().id;
        for number in 0..2 {
            store.append(letter(number), vec![deleted(account, inbox)]).await.unwrap();
        }
        let [records, references, texts] =
            [Table::Record, Table::Reference, Table::Tail].map(|table| rows(&store, account, table));
        assert_eq!((records, references), (2, 3), "two skeletons and one attachment");
        assert!(texts > 2, "texts of several chunks");
        let uids = store.snapshot(account, inbox).unwrap().rows().map(|row| row.uid).collect();
        store.copy(account, inbox, uids, archive).await.unwrap();
        store.expunge(account, inbox, None).await.unwrap();
        settle(&store, account).await;
        assert_eq!(rows(&store, account, Table::Reference), references, "the copies need them");
        assert_eq!((rows(&store, account, Table::Record), rows(&store, account, Table::Tail)), (2, texts));
        store.expunge(account, archive, None).await.unwrap();
        settle(&store, account).await;
        for table in [Table::Record, Table::Reference, Table::Tail, Table::Row] {
            assert_eq!(rows(&store, account, table), 0, "{table:?}");
        }
        store
    });
}

#[test]
fn a_deleted_mailbox_and_a_removed_account_leave_no_row() {
    with_store(|store, account, _| async move {
        let mailbox = store.create_mailbox(account, "a/b", None).await.unwrap().id;
        for _ in 0..3 {
            let letters = (0..150).map(|_| {
                let raw = Bytes::from_static(b"Subject: x\r\n\r\n");
                let analysis = Arc::new(analyse(&raw));
                (NewMessage { raw, analysis, internal_date: UnixMillis(0), repeat: None }, deleted(account, mailbox))
            });
            store.append_all(letters.collect()).await.unwrap();
        }
        let some = store.snapshot(account, mailbox).unwrap().rows().map(|row| row.uid).take(5).collect();
        store.expunge(account, mailbox, Some(some)).await.unwrap();
        store.delete_mailbox(account, "a/b").await.unwrap();
        settle(&store, account).await;
        for table in [Table::Record, Table::Reference, Table::Tail, Table::Row, Table::Change] {
            assert_eq!(rows(&store, account, table), 0, "{table:?}");
        }
        let inbox = store.mailbox(account, "INBOX").unwrap().id;
        store.append(letter(1), vec![deleted(account, inbox)]).await.unwrap();
        store.expunge(account, inbox, None).await.unwrap();
        store.remove_account(account).await.unwrap();
        for table in Table::ALL {
            assert_eq!(rows(&store, account, table), 0, "{table:?}");
        }
        let mut outbox = Vec::new();
        let visit = |key: &[u8], _: &[u8]| {
            outbox.push(key.to_vec());
            true
        };
        store.inner.engine.scan_prefix(Table::Outbox, b"", visit).unwrap();
        assert_eq!(outbox, Vec::<Vec<u8>>::new());
        store
    });
}

#[test]
fn a_panic_fails_one_write_and_no_other() {
    with_store(|store, account, inbox| async move {
        let panics = store.write(account, move |transaction| -> Result<(), StoreError> {
            transaction.account_mut(account)?.take_modseq()?;
            panic!("a bug")
        });
        let (panicked, appended) = tokio::join!(panics, store.append(letter(1), vec![deleted(account, inbox)]));
        assert!(matches!(panicked, Err(StoreError::Failed(_))));
        assert_eq!(appended.unwrap()[0].uid, crate::mail::Uid::FIRST);
        assert_eq!(store.status(account, inbox).unwrap().exists, 1);
        store
    });
}

#[test]
fn after_a_commit_of_unknown_outcome_nothing_is_written() {
    with_store(|store, account, inbox| async move {
        store.inner.outage.set(Outage::Failed("input/output error".to_owned())).unwrap();
        let refused = store.append(letter(1), vec![deleted(account, inbox)]).await;
        assert!(matches!(refused, Err(StoreError::Failed(_))));
        assert_eq!(store.status(account, inbox).unwrap().exists, 0, "what is there is still read");
        store
    });
}
