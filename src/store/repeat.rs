//! Deliveries whose sender may repeat them because it never saw our reply: what was given out for each.

use super::{
    Appended, Inner, RepeatKey, Store, StoreError, failpoint,
    metadata::{Batch, Durability, Table},
    transaction::Transaction,
};
use crate::{
    limits,
    mail::{AccountId, MailboxId, MessageNumber, ModSeq, Uid, UidValidity},
};
use serde::{Deserialize, Serialize};

/// Version of a row's encoding; its first octet.
const VERSION: u8 = 1;

/// The row of a delivery, for one of its commits.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    seconds: i64,
    /// Further steps that have a row of their own; empty in these.
    elsewhere: Vec<u16>,
    given: Vec<Given>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Given {
    /// Its place in the delivery's list of targets.
    index: usize,
    account: u64,
    mailbox: u64,
    uid_validity: u32,
    uid: u32,
    number: u32,
    modseq: u64,
}

/// Names the row of a delivery's first commit, or of a further step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    key: RepeatKey,
    step: Option<u16>,
}

impl Row {
    /// The first commit's.
    pub(super) fn first(key: RepeatKey) -> Self {
        Self { key, step: None }
    }

    /// A further step's.
    pub(super) fn further(key: RepeatKey, step: u16) -> Self {
        Self { key, step: Some(step) }
    }

    fn key(self) -> Vec<u8> {
        let mut key = self.key.0.to_vec();
        key.extend(self.step.into_iter().flat_map(u16::to_be_bytes));
        key
    }
}

impl Remembered {
    fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION]).expect("numbers always encode")
    }

    fn decode(octets: &[u8]) -> Result<Self, StoreError> {
        let row = octets.strip_prefix(&[VERSION]).and_then(|row| postcard::from_bytes(row).ok());
        row.ok_or_else(|| StoreError::Damaged("a remembered delivery".to_owned()))
    }

    fn is_old(&self, now_seconds: i64) -> bool {
        now_seconds - self.seconds > limits::REPEAT_DAYS * 86_400
    }
}

impl Transaction<'_> {
    /// What was given out when the delivery came before, with the place of each copy among its targets.
    pub(super) fn recall(&self, row: Option<Row>) -> Result<Option<Vec<(usize, Appended)>>, StoreError> {
        let Some(row) = row else { return Ok(None) };
        let Some(value) = self.get(Table::Repeat, &row.key())? else { return Ok(None) };
        let remembered = Remembered::decode(&value)?;
        if remembered.is_old(self.now().seconds()) {
            return Ok(None);
        }
        Ok(remembered.given.iter().map(Given::appended).collect())
    }

    /// Remembers what was given out.
    pub(super) fn remember(&mut self, row: Option<Row>, elsewhere: &[u16], given: &[(usize, Appended)]) {
        let Some(row) = row else { return };
        let given = given.iter().map(|(index, copy)| Given::of(*index, copy)).collect();
        let remembered = Remembered { seconds: self.now().seconds(), elsewhere: elsewhere.to_vec(), given };
        self.put(Table::Repeat, row.key(), remembered.encode());
    }

    fn forget(&mut self, repeat: RepeatKey) -> Result<(), StoreError> {
        failpoint::reach("repeat.before_forget");
        let first = Row::first(repeat).key();
        let Some(value) = self.get(Table::Repeat, &first)? else { return Ok(()) };
        self.delete(Table::Repeat, first);
        for step in Remembered::decode(&value)?.elsewhere {
            self.delete(Table::Repeat, Row::further(repeat, step).key());
        }
        Ok(())
    }
}

impl Store {
    /// Forgets a repeat key: the sender has shown that it saw our reply, so the same octets again
    /// are meant as a second copy. Does not wait for stable storage.
    pub fn acknowledge(&self, repeat: RepeatKey) {
        if let Ok(partition) = self.inner.partition_of_repeat(repeat) {
            partition.post(move |transaction| transaction.forget(repeat));
        }
    }
}

impl Inner {
    /// Whether a delivery of this key was stored before.
    pub(super) fn is_remembered(&self, repeat: RepeatKey) -> Result<bool, StoreError> {
        let Some(value) = self.engine.get(Table::Repeat, Row::first(repeat).key())? else { return Ok(false) };
        Ok(!Remembered::decode(&value)?.is_old(self.clock.now().seconds()))
    }

    /// Forgets deliveries whose senders have given up long since.
    pub(super) fn forget_old_repeats(&self) -> Result<(), StoreError> {
        let now = self.clock.now().seconds();
        let mut batch = Batch::default();
        self.engine.scan_prefix(Table::Repeat, b"", |key, value| {
            if Remembered::decode(value).is_ok_and(|remembered| remembered.is_old(now)) {
                batch.delete(Table::Repeat, key);
            }
            batch.octets() < limits::GROUP_OCTETS_MAX
        })?;
        self.engine.commit(batch, Durability::Buffered)
    }
}

impl Given {
    fn of(index: usize, copy: &Appended) -> Self {
        Self {
            index,
            account: copy.account.get(),
            mailbox: copy.mailbox.get(),
            uid_validity: copy.uid_validity.get(),
            uid: copy.uid.get(),
            number: copy.number.get(),
            modseq: copy.modseq.get(),
        }
    }

    fn appended(&self) -> Option<(usize, Appended)> {
        let copy = Appended {
            account: AccountId::new(self.account)?,
            mailbox: MailboxId::new(self.mailbox)?,
            uid_validity: UidValidity::new(self.uid_validity)?,
            uid: Uid::new(self.uid)?,
            number: MessageNumber::new(self.number)?,
            modseq: ModSeq::new(self.modseq)?,
            repeated: true,
        };
        Some((self.index, copy))
    }
}
