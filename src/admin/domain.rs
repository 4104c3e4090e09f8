//! Domains: add, list, remove, and the DNS records to publish.

use super::{Admin, AdminError, Done, Events, Item, Run};
use crate::{accounts::AccountsError, mail::Domain};

/// Takes on a domain.
pub(super) async fn add(admin: &Admin, domain: &Domain) -> Result<Done, AdminError> {
    admin.accounts.add_domain(domain).await?;
    Ok(Done::Completed)
}

/// Lists the domains, oldest first.
pub(super) async fn list(admin: &Admin, events: &Events) -> Result<Done, AdminError> {
    let (accounts, aliases) = (admin.accounts.accounts(), admin.accounts.aliases());
    for domain in admin.accounts.domains() {
        let accounts = accounts.iter().filter(|account| *account.address.domain() == domain).count() as u64;
        let aliases = aliases.iter().filter(|alias| *alias.name.domain() == domain).count() as u64;
        events.item(Item::Domain { domain, accounts, aliases }).await?;
    }
    Ok(Done::Completed)
}

/// Gives up a domain that has no addresses left.
pub(super) async fn remove(admin: &Admin, domain: &Domain, run: Run) -> Result<Done, AdminError> {
    match run {
        Run::Really => {
            admin.accounts.remove_domain(domain).await?;
            Ok(Done::Completed)
        }
        Run::Dry => {
            admin.accounts.may_remove_domain(domain)?;
            Ok(Done::WouldRemove { mailboxes: 0, messages: 0, octets: 0 })
        }
    }
}

/// Lists what a domain should publish so that mail reaches it and is believed.
pub(super) async fn dns(admin: &Admin, domain: &Domain, events: &Events) -> Result<Done, AdminError> {
    if !admin.accounts.domains().contains(domain) {
        return Err(AccountsError::NoDomain(domain.clone()).into());
    }
    for record in records(domain, &admin.hostname) {
        events.item(record).await?;
    }
    Ok(Done::Completed)
}

fn records(domain: &Domain, hostname: &str) -> [Item; 5] {
    let record = |name: String, kind: &str, data: String, reason: &str| Item::Record {
        name,
        kind: kind.to_owned(),
        data,
        reason: reason.to_owned(),
    };
    let service = |name: &str, port: u16, reason: &str| {
        record(format!("{name}._tcp.{domain}."), "SRV", format!("0 1 {port} {hostname}."), reason)
    };
    [
        record(format!("{domain}."), "MX", format!("10 {hostname}."), "where mail for the domain goes (RFC 5321 §5.1)"),
        record(
            format!("{domain}."),
            "TXT",
            "\"v=spf1 mx -all\"".to_owned(),
            "who may send in the domain's name: its MX hosts alone (RFC 7208)",
        ),
        record(
            format!("_dmarc.{domain}."),
            "TXT",
            format!("\"v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}\""),
            "what others do with mail that is not the domain's own (RFC 9989)",
        ),
        service("_imaps", 993, "where clients find mailboxes (RFC 8314 §5.1)"),
        service("_submissions", 465, "where clients send (RFC 8314 §5.1)"),
    ]
}
