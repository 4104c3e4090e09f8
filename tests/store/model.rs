//! P4, P5, P6: after each of many random operations the store shows what the model says, in every
//! listing, and across restarts.

use super::{
    block_on, cases, open,
    operation::{Message, Model, Operation, Outcome, operation, perform, shown},
    reopen,
};
use postern::{
    mail::{AccountId, MailboxId, ModSeq, SystemFlags, Uid, UidValidity},
    store::{Scope, SearchKey, Store},
};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What was seen of a mailbox that a later look must agree with.
#[derive(Clone)]
struct Seen {
    id: MailboxId,
    uid_validity: UidValidity,
    highest: ModSeq,
    rows: BTreeMap<u32, (Message, ModSeq)>,
}

/// Checks the store against the model after each operation.
struct Watcher {
    account: AccountId,
    /// By the model's identity of a mailbox.
    seen: HashMap<u64, Seen>,
    highest: u64,
}

impl Watcher {
    async fn check(&mut self, store: &Store, model: &Model, operation: Option<&Operation>) {
        let account = self.account;
        assert_eq!(shown(store, account).await, model.shown(), "after {operation:?}");
        let subscriptions: Vec<String> = model.subscriptions.iter().cloned().collect();
        assert_eq!(store.subscriptions(account).unwrap(), subscriptions);
        let quota = store.quota(account).unwrap();
        assert_eq!(quota.usage, model.usage(), "after {operation:?}");
        assert_eq!(store.count_usage(account).unwrap(), quota.usage, "counted again after {operation:?}");
        let before = self.highest;
        for entry in store.mailboxes(account).unwrap() {
            assert_eq!(entry.subscribed, model.subscriptions.contains(&entry.name));
            let mailbox = &model.mailboxes[&entry.name];
            self.check_listings(store, entry.id, &mailbox.messages).await;
            let now = self.look(store, entry.id, &mailbox.messages);
            match self.seen.get(&mailbox.identity) {
                Some(then) => self.check_change(store, then, &now, before),
                None => self.check_new(&now),
            }
            self.highest = self.highest.max(now.highest.get());
            self.seen.insert(mailbox.identity, now);
        }
    }

    /// EXISTS, STATUS and SEARCH ALL are of one mind (P6).
    async fn check_listings(&self, store: &Store, mailbox: MailboxId, messages: &BTreeMap<u32, Message>) {
        let status = store.status(self.account, mailbox).unwrap();
        assert_eq!(&status, store.snapshot(self.account, mailbox).unwrap().status());
        let count = |keep: &dyn Fn(&Message) -> bool| messages.values().filter(|message| keep(message)).count() as u32;
        assert_eq!(status.exists, messages.len() as u32);
        assert_eq!(status.unseen, count(&|message| !message.flags.system.contains(SystemFlags::SEEN)));
        assert_eq!(status.deleted, count(&|message| message.flags.system.contains(SystemFlags::DELETED)));
        let octets = |message: &&Message| message.octets.len() as u64;
        let deleted = messages.values().filter(|message| message.flags.system.contains(SystemFlags::DELETED));
        assert_eq!(status.deleted_octets, deleted.map(|message| octets(&message)).sum::<u64>());
        assert_eq!(status.octets, messages.values().map(|message| message.octets.len() as u64).sum::<u64>());
        let hits = store.search(self.account, Scope::Mailbox(mailbox), &SearchKey::All).await.unwrap();
        assert_eq!(
            hits.iter().map(|hit| hit.uid.get()).collect::<Vec<_>>(),
            messages.keys().copied().collect::<Vec<_>>()
        );
    }

    fn look(&self, store: &Store, mailbox: MailboxId, messages: &BTreeMap<u32, Message>) -> Seen {
        let snapshot = store.snapshot(self.account, mailbox).unwrap();
        let rows = snapshot.rows().map(|row| {
            assert_eq!(snapshot.row(row.uid), Some(row));
            (row.uid.get(), (messages[&row.uid.get()].clone(), row.modseq))
        });
        let status = snapshot.status();
        Seen { id: mailbox, uid_validity: status.uid_validity, highest: status.highest_modseq, rows: rows.collect() }
    }

    /// What changed has a mod-sequence above every earlier one, what did not keeps its own (RFC 7162 §3.1).
    fn check_change(&self, store: &Store, then: &Seen, now: &Seen, highest_before: u64) {
        assert_eq!((then.id, then.uid_validity), (now.id, now.uid_validity));
        assert!(now.highest >= then.highest);
        let is_changed = |uid: &u32, (message, _): &(Message, ModSeq)| {
            then.rows.get(uid).is_none_or(|(before, _)| before.flags != message.flags)
        };
        for (uid, row) in &now.rows {
            let (changed, modseq) = (is_changed(uid, row), row.1);
            assert!(!changed || modseq.get() > highest_before, "UID {uid} changed at {modseq}");
            assert!(changed || modseq == then.rows[uid].1, "UID {uid} was left alone");
            assert!(modseq <= now.highest);
        }
        let changed: Vec<u32> =
            now.rows.iter().filter(|(uid, row)| is_changed(uid, row)).map(|(uid, _)| *uid).collect();
        let snapshot = store.snapshot(self.account, now.id).unwrap();
        let told: Vec<u32> = snapshot.rows_changed_since(Some(then.highest)).map(|row| row.uid.get()).collect();
        assert_eq!(told, changed);
        let gone: Vec<u32> = then.rows.keys().filter(|uid| !now.rows.contains_key(uid)).copied().collect();
        let vanished = store.vanished_since(self.account, now.id, then.highest).unwrap().expect("a short log");
        assert_eq!(vanished.iter().map(|uid| uid.get()).collect::<Vec<_>>(), gone);
    }

    /// An id and a UIDVALIDITY that were never used before (P4).
    fn check_new(&self, new: &Seen) {
        assert!(self.seen.values().all(|seen| seen.id != new.id && seen.uid_validity != new.uid_validity));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Operation(Operation),
    Restart,
    Pack,
    /// The usage is counted again from the rows.
    RebuildUsage,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![30 => operation().prop_map(Step::Operation), 1 => Just(Step::Restart), 1 => Just(Step::Pack), 1 => Just(Step::RebuildUsage)]
}

async fn run(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    let account = store.create_account().await.unwrap();
    let (mut model, mut watcher) = (Model::new(), Watcher { account, seen: HashMap::new(), highest: 0 });
    watcher.check(&store, &model, None).await;
    for step in steps {
        match step {
            Step::Operation(operation) => {
                let before = model.clone();
                let expected = model.apply(&operation);
                assert_eq!(perform(&store, account, &before, &operation).await, expected, "{operation:?}");
                watcher.check(&store, &model, Some(&operation)).await;
            }
            Step::Restart => {
                store = reopen(store, folder.path()).await;
                watcher.check(&store, &model, None).await;
            }
            Step::Pack => {
                store.pack().await.unwrap();
            }
            Step::RebuildUsage => {
                assert_eq!(store.rebuild_usage(account).await.unwrap(), (model.usage(), model.usage()));
                watcher.check(&store, &model, None).await;
            }
        }
    }
    store = reopen(store, folder.path()).await;
    watcher.check(&store, &model, None).await;
    store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(6),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_does_what_the_model_says(steps in proptest::collection::vec(step(), 20..60)) {
        block_on(run(steps));
    }
}

/// The model itself would not notice a UID that is given out twice, were it wrong in the same way.
#[test]
fn uids_are_not_used_again_after_expunge_and_restart() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path()).await;
        let account = store.create_account().await.unwrap();
        let mut used = HashSet::new();
        for round in 0..4 {
            let inbox = super::inbox(&store, account);
            let mut target = super::target(account, inbox);
            target.flags = super::flags(&["\\Deleted"]);
            let given = store.append(super::message(super::letter(round, 10)), vec![target]).await.unwrap();
            assert!(used.insert(given[0].uid));
            assert_eq!(store.expunge(account, inbox, None).await.unwrap(), [given[0].uid]);
            store = reopen(store, folder.path()).await;
        }
        assert_eq!(used.len(), 4);
        store.close().await;
    });
}

#[test]
fn the_model_is_not_empty_handed() {
    let mut model = Model::new();
    assert_eq!(model.apply(&Operation::Append("inbox", vec![1, 2], 0)), Outcome::Uids(vec![1, 2]));
    assert_eq!(model.apply(&Operation::Move("INBOX", 0b110, "Trash")), Outcome::Pairs(vec![(2, 1)]));
    assert_eq!(model.mailboxes["INBOX"].messages.len(), 1);
    assert_eq!(Uid::new(model.mailboxes["INBOX"].uid_next), Uid::new(3));
}
