//! Every figure of the store.

use super::{Admin, AdminError, Done};
use serde::{Deserialize, Serialize};

/// Figures of mailboxes and of what their contents take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Domains.
    pub domains: u64,
    /// Accounts.
    pub accounts: u64,
    /// Aliases.
    pub aliases: u64,
    /// Mailboxes of all accounts.
    pub mailboxes: u64,
    /// Messages in all mailboxes.
    pub messages: u64,
    /// Octets of these as clients see them.
    pub octets: u64,
    /// Octets as received, expunged messages included.
    pub raw_octets: u64,
    /// Octets that these take on disk.
    pub stored_octets: u64,
    /// Of `stored_octets`, those not yet packed.
    pub fresh_octets: u64,
    /// Packs.
    pub packs: u64,
    /// Attachments kept decoded, each as often as a message has it.
    pub attachments: u64,
    /// Octets of these.
    pub attachment_octets: u64,
    /// Distinct ones of these.
    pub unique_attachments: u64,
    /// Octets of those.
    pub unique_attachment_octets: u64,
}

/// Counts. Reads every location and no content.
pub(super) async fn statistics(admin: &Admin) -> Result<Done, AdminError> {
    let mail = admin.store.statistics()?;
    let contents = admin.store.content_statistics().await?;
    Ok(Done::Statistics(Figures {
        domains: admin.accounts.domains().len() as u64,
        accounts: mail.accounts,
        aliases: admin.accounts.aliases().len() as u64,
        mailboxes: mail.mailboxes,
        messages: mail.messages,
        octets: mail.octets,
        raw_octets: contents.raw_octets,
        stored_octets: contents.stored_octets,
        fresh_octets: contents.fresh_octets,
        packs: contents.packs,
        attachments: contents.parts,
        attachment_octets: contents.part_octets,
        unique_attachments: contents.unique_parts,
        unique_attachment_octets: contents.unique_part_octets,
    }))
}
