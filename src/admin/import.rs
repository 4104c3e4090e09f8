//! Importing mail from files into an account.
//!
//! Promises: each message is read back from the store and compared before it counts; UIDs rise with dates, as clients
//! expect of mailboxes that grew; what cannot be imported is named and passed over. A task that stops on the way has
//! imported whole messages, oldest first, and says nothing of the rest.

use super::{
    Admin, AdminError, Done, Events, Item, Stage, account,
    archive::{Form, Found, Survey},
};
use crate::{
    clock::UnixMillis,
    limits,
    mail::{AccountId, Address, MailboxId},
    message,
    store::{Appended, NewMessage, StoreError, Target},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What was imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Mailboxes that the source has.
    pub mailboxes: u64,
    /// Messages stored and read back.
    pub messages: u64,
    /// Octets of these.
    pub octets: u64,
    /// Messages passed over.
    pub skipped: u64,
}

/// Where mail comes from and goes to.
pub(super) struct Plan<'a> {
    pub(super) account: &'a Address,
    pub(super) source: PathBuf,
    /// The mailbox that the source's root becomes; those below it go below it.
    pub(super) mailbox: Option<String>,
    pub(super) form: Option<Form>,
}

/// Messages that are stored together.
type Batch = Vec<(NewMessage, Target)>;

struct Import<'a> {
    admin: &'a Admin,
    events: &'a Events,
    account: AccountId,
    survey: Arc<Survey>,
    imported: Imported,
}

/// Imports everything that the source holds.
pub(super) async fn import(admin: &Admin, plan: Plan<'_>, events: &Events) -> Result<Done, AdminError> {
    let account = account::find(admin, plan.account)?;
    events.progress(Stage::Reading, 0, 0)?;
    let survey = blocking(move || Survey::of(&plan.source, plan.form)).await?;
    let survey = Arc::new(survey.map_err(|(file, error)| AdminError::File(file, error))?);
    let mut import = Import { admin, events, account, survey: Arc::clone(&survey), imported: Imported::default() };
    for mailbox in &survey.mailboxes {
        import.mailbox(mailbox, plan.mailbox.as_deref()).await?;
    }
    Ok(Done::Imported(import.imported))
}

impl Import<'_> {
    async fn mailbox(&mut self, name: &str, base: Option<&str>) -> Result<(), AdminError> {
        let target = self.open_mailbox(&name_in(base, name)).await?;
        self.imported.mailboxes += 1;
        let survey = Arc::clone(&self.survey);
        let start = survey.found.partition_point(|found| found.mailbox.as_str() < name);
        let end = survey.found.partition_point(|found| found.mailbox.as_str() <= name);
        let mut next = start;
        while next < end {
            let group = next..group_end(&survey, next, end);
            next = group.end;
            let (account, read) = (self.account, Arc::clone(&survey));
            let (batch, skipped) = blocking(move || read_group(&read, group, account, target)).await?;
            for (file, reason) in skipped {
                self.imported.skipped += 1;
                self.events.item(Item::Skipped { file, reason }).await?;
            }
            self.store(batch).await?;
            let done = self.imported.messages + self.imported.skipped;
            self.events.progress(Stage::Writing, done, survey.found.len() as u64)?;
        }
        Ok(())
    }

    /// The mailbox, made where it is missing.
    async fn open_mailbox(&self, name: &str) -> Result<MailboxId, AdminError> {
        let (store, account) = (&self.admin.store, self.account);
        match store.mailbox(account, name) {
            Ok(entry) => return Ok(entry.id),
            Err(StoreError::NoMailbox) => {}
            Err(error) => return Err(error.into()),
        }
        let made = store.create_mailbox(account, name, None).await;
        let entry = made.map_err(|error| AdminError::Mailbox(name.to_owned(), error))?;
        store.subscribe(account, name).await?;
        Ok(entry.id)
    }

    async fn store(&mut self, batch: Batch) -> Result<(), AdminError> {
        let octets: Vec<Bytes> = batch.iter().map(|(message, _)| message.raw.clone()).collect();
        let appended = self.admin.store.append_all(batch).await?;
        for (octets, appended) in octets.into_iter().zip(appended) {
            self.read_back(&octets, &appended).await?;
            self.imported.messages += 1;
            self.imported.octets += octets.len() as u64;
        }
        Ok(())
    }

    async fn read_back(&self, octets: &Bytes, appended: &Appended) -> Result<(), AdminError> {
        let store = &self.admin.store;
        let record = store.record(self.account, appended.number)?;
        if store.read(&record, 0..record.octets()).await? == *octets {
            return Ok(());
        }
        let what = format!("message {} reads back differently from how it was imported", appended.uid);
        Err(StoreError::Damaged(what).into())
    }
}

/// The mailbox that a mailbox of the source becomes.
fn name_in(base: Option<&str>, name: &str) -> String {
    match (base, name) {
        (None, "") => "INBOX".to_owned(),
        (None, name) => name.to_owned(),
        (Some(base), "") => base.to_owned(),
        (Some(base), name) => format!("{base}/{name}"),
    }
}

/// As many messages as fit one group of the store.
fn group_end(survey: &Survey, start: usize, end: usize) -> usize {
    let mut octets = 0;
    let rest = survey.found.get(start..end).unwrap_or_default();
    let fits = rest.iter().take(limits::IMPORT_GROUP_MESSAGES).take_while(|found| {
        octets += survey.octets(found);
        octets <= limits::IMPORT_GROUP_OCTETS
    });
    // A message larger than a group goes alone.
    start + fits.count().max(1)
}

fn read_group(
    survey: &Survey,
    group: std::ops::Range<usize>,
    account: AccountId,
    mailbox: MailboxId,
) -> (Batch, Vec<(PathBuf, String)>) {
    let (mut batch, mut skipped) = (Batch::new(), Vec::new());
    for found in survey.found.get(group).unwrap_or_default() {
        match read_one(survey, found) {
            ControlFlow::Continue(message) => {
                let target =
                    Target { account, mailbox, flags: found.flags.clone(), trace: Bytes::new(), verdict: None };
                batch.push((message, target));
            }
            ControlFlow::Break(reason) => skipped.push((survey.file(found).to_owned(), reason)),
        }
    }
    (batch, skipped)
}

/// A message, or why it is passed over.
fn read_one(survey: &Survey, found: &Found) -> ControlFlow<String, NewMessage> {
    let octets = survey.octets(found);
    if octets == 0 {
        return ControlFlow::Break("empty".to_owned());
    }
    if octets > limits::IMPORT_MESSAGE_OCTETS_MAX {
        return ControlFlow::Break(format!("{octets} octets; the most is {}", limits::IMPORT_MESSAGE_OCTETS_MAX));
    }
    match survey.read(found) {
        Ok(raw) => {
            let raw = Bytes::from(raw);
            let analysis = Arc::new(message::analyse(&raw));
            let internal_date = UnixMillis(found.seconds.saturating_mul(1000));
            ControlFlow::Continue(NewMessage { raw, analysis, internal_date, repeat: None })
        }
        Err(error) => ControlFlow::Break(error.to_string()),
    }
}

/// Runs file and CPU work off the reactor.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, AdminError> {
    Ok(crate::work::blocking(work).await.map_err(|error| StoreError::Failed(error.to_string()))?)
}

/// An error of the file system with its path.
pub(super) fn at(path: &Path) -> impl Fn(std::io::Error) -> AdminError + '_ {
    |error| AdminError::File(path.to_owned(), error)
}
