//! What a task answers, piece by piece.

use super::{
    AdminError, BlobFigures, Diagnosis, Explained, ExplainedContent, Exported, Failure, Figures, FoundMessage,
    Imported, QuotaFigures, Run, Shown, Swept,
};
use crate::{
    accounts::Alias,
    mail::{Address, Domain},
    store::{Check, FromPacks, Remedy},
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// One piece of a task's answer; one line on the control socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// How far it is.
    Progress(Progress),
    /// One thing of a list.
    Item(Item),
    /// It is done. Always the last.
    Done(Done),
    /// It has failed. Always the last.
    Failed(Failure),
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What it is at.
    pub stage: Stage,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do, as far as is known.
    pub total: u64,
}

/// What a long task is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Looking through the source.
    Reading,
    /// Storing or writing out.
    Writing,
    /// Reading back what was written.
    Verifying,
    /// Indexing.
    Indexing,
    /// Holding what is derived against what it derives from.
    Examining,
}

/// One thing of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "item", rename_all = "kebab-case")]
pub enum Item {
    /// A domain of ours.
    Domain {
        /// Its name.
        domain: Domain,
        /// Its accounts.
        accounts: u64,
        /// Its aliases.
        aliases: u64,
    },
    /// An account.
    Account {
        /// Its address.
        address: Address,
        /// Its mailboxes.
        mailboxes: u64,
        /// What it uses, and may use.
        #[serde(flatten)]
        quota: QuotaFigures,
    },
    /// An alias.
    Alias(Alias),
    /// A DNS record to publish.
    Record {
        /// Owner name, with its final dot.
        name: String,
        /// Type.
        kind: String,
        /// Data in zone file form.
        data: String,
        /// What it is for.
        reason: String,
    },
    /// A message found.
    Found(FoundMessage),
    /// A message that was deleted and comes back, or could.
    Deleted {
        /// When it was deleted (RFC 3339, UTC).
        deleted: String,
        /// The mailbox that it was in.
        mailbox: String,
        /// The UID that it had.
        uid: u32,
        /// The UID that it has now; `None` where it was not brought back.
        new_uid: Option<u32>,
        /// Its author; empty where its record is damaged.
        from: String,
        /// Its subject; empty where its record is damaged.
        subject: String,
        /// Octets as clients see them.
        octets: u64,
    },
    /// An account that was removed and can be brought back.
    RemovedAccount {
        /// The address that it had.
        address: Address,
        /// When it was removed (RFC 3339, UTC).
        removed: String,
    },
    /// Something that was not imported.
    Skipped {
        /// The file.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Something stored that is damaged.
    Damage {
        /// Which content or message.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// Something that could not be exported.
    NotExported {
        /// The mailbox.
        mailbox: String,
        /// What of it: a message by UID and number, UIDs, the mailbox itself.
        place: String,
        /// Why not.
        reason: String,
    },
    /// Something that does not agree with what it derives from.
    Finding {
        /// The check that found it.
        check: Check,
        /// Whose it is, by address where there is one.
        account: Option<String>,
        /// Which row, message, object.
        place: String,
        /// What is wrong.
        what: String,
        /// What can be done.
        remedy: Remedy,
        /// What to do next.
        next: String,
    },
    /// One check of the doctor's.
    Examined {
        /// The check.
        check: Check,
        /// Things compared.
        compared: u64,
        /// What does not agree.
        wrong: u64,
        /// What of it was mended.
        mended: u64,
        /// What of it nothing in the store can bring back.
        lost: u64,
        /// How many findings are listed, harmless ones among them.
        listed: u64,
    },
}

/// What a task has come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "kebab-case")]
pub enum Done {
    /// It was done; there is no more to say.
    Completed,
    /// A dry run: this would go.
    WouldRemove {
        /// Mailboxes.
        mailboxes: u64,
        /// Messages in them.
        messages: u64,
        /// Octets of these.
        octets: u64,
    },
    /// An account's quota.
    Quota {
        /// What it uses, and may use.
        #[serde(flatten)]
        figures: QuotaFigures,
        /// Whether the limit of octets is the account's own, and not that of all.
        own_octets_max: bool,
        /// The same for messages.
        own_messages_max: bool,
    },
    /// Every figure.
    Statistics(Figures),
    /// So many messages were found, and so many of them shown.
    Found {
        /// Found.
        found: u64,
        /// Shown.
        shown: u64,
    },
    /// A message.
    Message(Box<Shown>),
    /// A verdict.
    Explained(Box<Explained>),
    /// Mail was imported.
    Imported(Imported),
    /// Mail was exported.
    Exported(Exported),
    /// Messages were brought back, or could be.
    Undeleted {
        /// Messages.
        messages: u64,
        /// Octets of these.
        octets: u64,
        /// Whether it was done.
        run: Run,
    },
    /// An account could be brought back.
    WouldReturn {
        /// The address that it would have.
        address: Address,
    },
    /// Indexes were built again.
    Rebuilt {
        /// Accounts.
        accounts: u64,
        /// Messages in them.
        messages: u64,
    },
    /// Contents were swept, or a dry run says what would be.
    Swept {
        /// Whether it was done.
        run: Run,
        /// What was done.
        swept: Swept,
    },
    /// A content, explained.
    Content(Box<ExplainedContent>),
    /// Figures of contents.
    BlobStatistics(BlobFigures),
    /// Contents were verified.
    Verified {
        /// Contents and pack indexes read.
        contents: u64,
        /// Octets of these, decoded.
        octets: u64,
        /// How many are damaged.
        damaged: u64,
    },
    /// The store was examined.
    Examined(Diagnosis),
    /// Metadata was made again from packs.
    FromPacks(FromPacks),
}

/// Where a task puts its events. Waits where the receiver is slow.
pub(super) struct Events(mpsc::Sender<Event>);

impl Events {
    pub(super) fn new(sender: mpsc::Sender<Event>) -> Self {
        Self(sender)
    }

    /// One thing of a list.
    pub(super) async fn item(&self, item: Item) -> Result<(), AdminError> {
        self.0.send(Event::Item(item)).await.map_err(|_| AdminError::Stopped)
    }

    /// How far the task is. Passed over where the receiver has not taken the last ones yet.
    pub(super) fn progress(&self, stage: Stage, done: u64, total: u64) -> Result<(), AdminError> {
        match self.0.try_send(Event::Progress(Progress { stage, done, total })) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(AdminError::Stopped),
        }
    }

    pub(super) async fn end(self, last: Event) {
        // Whoever has gone away does not want to know.
        let _ = self.0.send(last).await;
    }
}
