//! Deliveries whose sender may repeat them because it never saw our reply: what was given out for each.
//!
//! Each commit of a delivery has a row of its own in its partition. That of the first one says whether the
//! delivery is a repeat; those of further steps count for that delivery only.

use super::{Appended, Inner, RepeatKey, Store, StoreError, failpoint, metadata::Table, transaction::Transaction};
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
    recalled: Recalled,
    given: Vec<Given>,
}

/// What a remembered delivery had to do elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recalled {
    /// Its id in the outbox; zero where it had no row there.
    pub(super) delivery: u64,
    /// The partition of each further step; none in the rows of these.
    pub(super) elsewhere: Vec<u16>,
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

/// The key of the row of a delivery's first commit, in its partition.
fn first_key(partition: u16, repeat: RepeatKey) -> Vec<u8> {
    [&partition.to_be_bytes()[..], &repeat.0].concat()
}

/// The key of a further step's row, in its partition.
fn step_key(partition: u16, repeat: RepeatKey, step: u16) -> Vec<u8> {
    [&*first_key(partition, repeat), &step.to_be_bytes()].concat()
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

    fn copies(&self) -> Vec<(usize, Appended)> {
        self.given.iter().filter_map(Given::appended).collect()
    }

    fn copies_of(&self, delivery: u64) -> Option<Vec<(usize, Appended)>> {
        (self.recalled.delivery == delivery).then(|| self.copies())
    }
}

impl Transaction<'_> {
    fn remembered(&self, key: &[u8]) -> Result<Option<Remembered>, StoreError> {
        self.get(Table::Repeat, key)?.map(|value| Remembered::decode(&value)).transpose()
    }

    /// What was given out when the delivery came before, with the place of each copy among its targets.
    #[expect(clippy::type_complexity, reason = "what was done here, and what elsewhere")]
    pub(super) fn recall(
        &self,
        repeat: Option<RepeatKey>,
    ) -> Result<Option<(Vec<(usize, Appended)>, Recalled)>, StoreError> {
        let Some(repeat) = repeat else { return Ok(None) };
        let remembered = self.remembered(&first_key(self.partition(), repeat))?;
        let now = self.now().seconds();
        Ok(remembered.filter(|row| !row.is_old(now)).map(|row| (row.copies(), row.recalled)))
    }

    /// What a further step of this very delivery gave out.
    pub(super) fn recall_step(
        &self,
        repeat: Option<RepeatKey>,
        step: u16,
        delivery: u64,
    ) -> Result<Option<Vec<(usize, Appended)>>, StoreError> {
        let Some(repeat) = repeat else { return Ok(None) };
        let remembered = self.remembered(&step_key(self.partition(), repeat, step))?;
        Ok(remembered.and_then(|row| row.copies_of(delivery)))
    }

    /// Remembers what the first commit gave out, and what is left to do elsewhere.
    pub(super) fn remember(&mut self, repeat: Option<RepeatKey>, elsewhere: &Recalled, given: &[(usize, Appended)]) {
        let Some(repeat) = repeat else { return };
        self.put_remembered(first_key(self.partition(), repeat), elsewhere.clone(), given);
    }

    /// Remembers what a further step gave out.
    pub(super) fn remember_step(
        &mut self,
        repeat: Option<RepeatKey>,
        step: u16,
        delivery: u64,
        given: &[(usize, Appended)],
    ) {
        let Some(repeat) = repeat else { return };
        let recalled = Recalled { delivery, elsewhere: Vec::new() };
        self.put_remembered(step_key(self.partition(), repeat, step), recalled, given);
    }

    fn put_remembered(&mut self, key: Vec<u8>, recalled: Recalled, given: &[(usize, Appended)]) {
        let given = given.iter().map(|(index, copy)| Given::of(*index, copy)).collect();
        let remembered = Remembered { seconds: self.now().seconds(), recalled, given };
        self.put(Table::Repeat, key, remembered.encode());
    }

    /// Forgets the first commit, and leaves the others to their partitions. A row of these that stays because of a
    /// crash counts for nothing without the first, and goes when it is old.
    fn forget(&mut self, repeat: RepeatKey) -> Result<(), StoreError> {
        failpoint::reach("repeat.before_forget");
        let first = first_key(self.partition(), repeat);
        let Some(remembered) = self.remembered(&first)? else { return Ok(()) };
        self.delete(Table::Repeat, first);
        for (step, partition) in (0..).zip(remembered.recalled.elsewhere) {
            let key = step_key(partition, repeat, step);
            self.inner().partition(partition)?.post(move |transaction| {
                transaction.delete(Table::Repeat, key.clone());
                Ok(())
            });
        }
        Ok(())
    }
}

impl Store {
    /// Forgets a repeat key: the sender has shown that it saw our reply, so the same octets again
    /// are meant as a second copy. `first` is the account of the delivery's first copy. Does not wait for stable
    /// storage.
    pub fn acknowledge(&self, repeat: RepeatKey, first: AccountId) {
        if let Ok(home) = self.inner.partition(self.inner.place(first).partition) {
            home.post(move |transaction| transaction.forget(repeat));
        }
    }
}

impl Inner {
    /// Whether a delivery of this key, which began in this partition, was stored before.
    pub(super) fn is_remembered(&self, home: u16, repeat: RepeatKey) -> Result<bool, StoreError> {
        let Some(value) = self.engine.get(Table::Repeat, first_key(home, repeat))? else { return Ok(false) };
        Ok(!Remembered::decode(&value)?.is_old(self.clock.now().seconds()))
    }

    /// What the further steps of a delivery gave out, where all of them are done.
    pub(super) fn recall_steps(
        &self,
        repeat: RepeatKey,
        recalled: &Recalled,
    ) -> Result<Vec<(usize, Appended)>, StoreError> {
        let mut given = Vec::new();
        for (step, partition) in (0..).zip(&recalled.elsewhere) {
            let row = self.engine.get(Table::Repeat, step_key(*partition, repeat, step))?;
            let remembered = row.map(|row| Remembered::decode(&row)).transpose()?;
            given.extend(remembered.and_then(|row| row.copies_of(recalled.delivery)).unwrap_or_default());
        }
        Ok(given)
    }

    /// Forgets deliveries whose senders have given up long since. Each partition's writer does it, so that none is
    /// forgotten that is remembered anew at the same moment.
    pub(super) fn forget_old_repeats(&self) -> Result<(), StoreError> {
        let now = self.clock.now().seconds();
        let is_old = move |value: &[u8]| Remembered::decode(value).is_ok_and(|remembered| remembered.is_old(now));
        for partition in self.partition_numbers() {
            let (mut old, mut octets) = (Vec::new(), 0);
            self.engine.scan_prefix(Table::Repeat, &partition.to_be_bytes(), |key, value| {
                if is_old(value) {
                    octets += key.len();
                    old.push(key.to_vec());
                }
                octets < limits::GROUP_OCTETS_MAX
            })?;
            if old.is_empty() {
                continue;
            }
            self.partition(partition)?.post(move |transaction| {
                for key in &old {
                    if transaction.get(Table::Repeat, key)?.is_some_and(|value| is_old(&value)) {
                        transaction.delete(Table::Repeat, key.clone());
                    }
                }
                Ok(())
            });
        }
        Ok(())
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
