//! Exporting an account's mail into files.
//!
//! Promises: the archive is read back and compared, message by message, before the task is done; damaged messages are
//! named with mailbox, UID and reason and passed over, and hide no other (P12); so are blocks of rows and headers. Messages are written as clients see them, trace fields included.

use super::{
    Admin, AdminError, Done, Events, Item, Stage, account,
    archive::{Form, Outgoing, Survey, Writer, as_imported, as_written},
    import::{at, blocking},
};
use crate::{
    limits,
    mail::{AccountId, Address, Flags},
    store::{MailboxEntry, Row, StoreError},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, path::PathBuf};

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Mailboxes written.
    pub mailboxes: u64,
    /// Messages written and read back.
    pub messages: u64,
    /// Octets of these.
    pub octets: u64,
    /// Messages that the form could not hold octet for octet: their line ends were made regular.
    pub changed: u64,
    /// Messages, blocks of messages and headers of mailboxes that are damaged and were passed over.
    pub damaged: u64,
}

/// What goes where.
pub(super) struct Plan<'a> {
    pub(super) account: &'a Address,
    pub(super) destination: PathBuf,
    /// One mailbox, or all of them.
    pub(super) mailbox: Option<String>,
    pub(super) form: Form,
}

/// How often each content is expected in the archive.
type Contents = HashMap<[u8; 32], u64>;

struct Export<'a> {
    admin: &'a Admin,
    events: &'a Events,
    account: AccountId,
    plan: Plan<'a>,
    writer: Option<Writer>,
    exported: Exported,
    expected: Contents,
    total: u64,
}

/// Exports one mailbox or all.
pub(super) async fn export(admin: &Admin, plan: Plan<'_>, events: &Events) -> Result<Done, AdminError> {
    let account = account::find(admin, plan.account)?;
    let mut mailboxes = match admin.store.mailboxes(account) {
        Err(StoreError::Damaged(_) | StoreError::NoAccount) => admin.store.salvage_names(account)?,
        other => other?,
    };
    if let Some(name) = &plan.mailbox {
        let wanted = match admin.store.mailbox(account, name) {
            Ok(entry) => entry.name,
            Err(StoreError::Damaged(_)) => name.clone(),
            Err(error) => return Err(error.into()),
        };
        mailboxes.retain(|entry| entry.name == wanted);
    }
    let (root, form) = (plan.destination.clone(), plan.form);
    let writer = blocking(move || Writer::new(&root, form)).await?.map_err(at(&plan.destination))?;
    let (exported, expected) = (Exported::default(), Contents::new());
    let mut export = Export { admin, events, account, plan, writer: Some(writer), exported, expected, total: 0 };
    for entry in &mailboxes {
        // Only for the progress.
        export.total += admin.store.status(account, entry.id).map_or(0, |status| u64::from(status.exists));
    }
    for entry in mailboxes {
        export.mailbox(&entry).await?;
    }
    export.write(|writer| writer.finish()).await?;
    export.read_back().await?;
    Ok(Done::Exported(export.exported))
}

impl Export<'_> {
    async fn mailbox(&mut self, entry: &MailboxEntry) -> Result<(), AdminError> {
        let name = entry.name.clone();
        self.write(move |writer| writer.mailbox(&name)).await?;
        self.exported.mailboxes += 1;
        let mut rows = self.rows(entry).await?.into_iter().peekable();
        while rows.peek().is_some() {
            let mut octets = 0;
            let group: Vec<(Row, Flags)> = std::iter::from_fn(|| {
                let (row, flags) =
                    rows.next_if(|(row, _)| octets == 0 || octets + row.octets <= limits::IMPORT_GROUP_OCTETS)?;
                octets += row.octets.max(1);
                Some((row, flags))
            })
            .take(limits::IMPORT_GROUP_MESSAGES)
            .collect();
            self.group(entry, group).await?;
            self.events.progress(Stage::Writing, self.exported.messages + self.exported.damaged, self.total)?;
        }
        Ok(())
    }

    /// The messages of a mailbox with their flags; where it is damaged, those that can be read.
    async fn rows(&mut self, entry: &MailboxEntry) -> Result<Vec<(Row, Flags)>, AdminError> {
        match self.admin.store.snapshot(self.account, entry.id) {
            Ok(snapshot) => return Ok(snapshot.rows().map(|row| (row, snapshot.flags(&row))).collect()),
            Err(StoreError::Damaged(_) | StoreError::NoMailbox | StoreError::NoAccount) => {}
            Err(error) => return Err(error.into()),
        }
        let (store, account, mailbox) = (self.admin.store.clone(), self.account, entry.id);
        let salvaged = blocking(move || store.salvage(account, mailbox)).await??;
        for (place, reason) in salvaged.damage {
            self.exported.damaged += 1;
            let mailbox = entry.name.clone();
            self.events.item(Item::NotExported { mailbox, place, reason }).await?;
        }
        Ok(salvaged.rows)
    }

    async fn group(&mut self, entry: &MailboxEntry, rows: Vec<(Row, Flags)>) -> Result<(), AdminError> {
        let mut group = Vec::with_capacity(rows.len());
        for (row, flags) in rows {
            let reason = match self.read(&row).await {
                Ok(octets) => {
                    self.expect(&octets);
                    group.push(Outgoing { uid: row.uid.get(), seconds: row.internal_seconds, flags, octets });
                    continue;
                }
                Err(StoreError::NoMessage) if !self.is_there(entry, &row) => continue,
                Err(StoreError::NoMessage) => {
                    "its record is missing; `postern doctor --repair` may bring it back".to_owned()
                }
                // One that cannot be read now hides no other either.
                Err(StoreError::Damaged(reason) | StoreError::Failed(reason)) => reason,
                Err(error) => return Err(error.into()),
            };
            self.exported.damaged += 1;
            let (mailbox, place) = (entry.name.clone(), format!("UID {} (message {})", row.uid, row.number));
            self.events.item(Item::NotExported { mailbox, place, reason }).await?;
        }
        self.write(move |writer| group.iter().try_for_each(|message| writer.message(message))).await
    }

    /// Whether a message is in its mailbox still, or was expunged meanwhile.
    fn is_there(&self, entry: &MailboxEntry, row: &Row) -> bool {
        let now = self.admin.store.snapshot(self.account, entry.id);
        now.map_or(true, |now| now.row(row.uid).is_some())
    }

    async fn read(&self, row: &Row) -> Result<Bytes, StoreError> {
        let record = self.admin.store.record(self.account, row.number)?;
        self.admin.store.read(&record, 0..record.octets()).await
    }

    /// Notes what the archive must hold afterwards.
    fn expect(&mut self, octets: &Bytes) {
        let mut held = match self.plan.form {
            Form::Eml => octets.to_vec(),
            Form::Mbox | Form::Maildir => as_written(octets),
        };
        if self.plan.form == Form::Mbox && !held.ends_with(b"\n") {
            held.push(b'\n');
        }
        let held = as_imported(held);
        self.exported.messages += 1;
        self.exported.octets += octets.len() as u64;
        self.exported.changed += u64::from(held != *octets);
        *self.expected.entry(*blake3::hash(&held).as_bytes()).or_default() += 1;
    }

    async fn write(
        &mut self,
        work: impl FnOnce(&mut Writer) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), AdminError> {
        let Some(mut writer) = self.writer.take() else { return Err(AdminError::Stopped) };
        let (writer, written) = blocking(move || {
            let written = work(&mut writer);
            (writer, written)
        })
        .await?;
        self.writer = Some(writer);
        written.map_err(at(&self.plan.destination))
    }

    /// Reads the archive and holds it against what was expected.
    async fn read_back(&mut self) -> Result<(), AdminError> {
        let (source, form, expected) =
            (self.plan.destination.clone(), self.plan.form, std::mem::take(&mut self.expected));
        let total = self.exported.messages;
        self.events.progress(Stage::Verifying, 0, total)?;
        let survey = blocking(move || Survey::of(&source, Some(form))).await?;
        let survey = std::sync::Arc::new(survey.map_err(|(file, error)| AdminError::File(file, error))?);
        let mut missing = expected;
        for start in (0..survey.found.len()).step_by(limits::IMPORT_GROUP_MESSAGES) {
            let group = std::sync::Arc::clone(&survey);
            let hashes = blocking(move || {
                let found = group.found.iter().skip(start).take(limits::IMPORT_GROUP_MESSAGES);
                found.map(|found| group.read(found).map(|octets| *blake3::hash(&octets).as_bytes())).collect()
            });
            let hashes: std::io::Result<Vec<[u8; 32]>> = hashes.await?;
            for hash in hashes.map_err(at(&self.plan.destination))? {
                let left = missing.get_mut(&hash).and_then(|left| left.checked_sub(1).map(|less| *left = less));
                left.ok_or_else(|| AdminError::ReadBack(self.plan.destination.clone()))?;
            }
            self.events.progress(Stage::Verifying, start as u64, total)?;
        }
        if missing.values().any(|left| *left > 0) {
            return Err(AdminError::ReadBack(self.plan.destination.clone()));
        }
        Ok(())
    }
}
