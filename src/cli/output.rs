//! What is printed of a task's answer.

use crate::admin::{Done, Figures, Item};
use std::io::{Write as _, stdout};

/// The form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// For people, in lines that tools can cut.
    Text,
    /// One object a line.
    Json,
}

impl Output {
    /// One thing of a list.
    pub(super) fn item(self, item: &Item) {
        match self {
            Self::Json => line(&json(item)),
            Self::Text => line(&item_text(item)),
        }
    }

    /// The end of a task.
    pub(super) fn done(self, done: &Done) {
        match (self, done) {
            (_, Done::Completed) => {}
            (Self::Json, done) => line(&json(done)),
            (Self::Text, done) => line(&done_text(done)),
        }
    }
}

/// Prints a line. Whoever reads may have read enough, as `head` does: that is no error.
fn line(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("answers are plain values")
}

fn item_text(item: &Item) -> String {
    match item {
        Item::Domain { domain, accounts, aliases } => {
            format!("{domain}\t{}\t{}", count(*accounts, "account"), count(*aliases, "alias"))
        }
        Item::Account { address, mailboxes, messages, octets } => {
            let (mailboxes, messages) = (count(*mailboxes, "mailbox"), count(*messages, "message"));
            format!("{address}\t{mailboxes}\t{messages}\t{}", size(*octets))
        }
        Item::Alias(alias) => {
            let targets: Vec<String> = alias.targets.iter().map(ToString::to_string).collect();
            format!("{}\t{}", alias.name, targets.join(" "))
        }
        // As it stands in a zone file, so that it can be pasted.
        Item::Record { name, kind, data, reason } => format!("; {reason}\n{name}\tIN\t{kind}\t{data}"),
    }
}

fn done_text(done: &Done) -> String {
    match done {
        Done::Completed => String::new(),
        Done::WouldRemove { mailboxes: 0, .. } => "would be removed; nothing was changed".to_owned(),
        Done::WouldRemove { mailboxes, messages, octets } => {
            let (mailboxes, messages) = (count(*mailboxes, "mailbox"), count(*messages, "message"));
            format!("would be removed with {mailboxes} and {messages} ({}); nothing was changed", size(*octets))
        }
        Done::Statistics(figures) => statistics(figures),
    }
}

fn statistics(figures: &Figures) -> String {
    [
        ("domains", figures.domains.to_string()),
        ("accounts", figures.accounts.to_string()),
        ("aliases", figures.aliases.to_string()),
        ("mailboxes", figures.mailboxes.to_string()),
        ("messages", format!("{} ({})", figures.messages, size(figures.octets))),
        ("received", size(figures.raw_octets)),
        ("stored", format!("{} in {} and not yet packed", size(figures.stored_octets), count(figures.packs, "pack"))),
        ("not yet packed", size(figures.fresh_octets)),
        ("attachments", format!("{} ({})", figures.attachments, size(figures.attachment_octets))),
        ("unique ones", format!("{} ({})", figures.unique_attachments, size(figures.unique_attachment_octets))),
    ]
    .map(|(name, value)| format!("{name:<16}{value}"))
    .join("\n")
}

/// A number with its noun.
fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ if noun.ends_with('s') || noun.ends_with('x') => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

/// Octets as people read them.
pub(super) fn size(octets: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if octets < 1024 {
        return format!("{octets} octets");
    }
    let mut value = octets as f64 / 1024.0;
    let mut unit = UNITS.iter();
    let mut name = unit.next().unwrap_or(&"");
    while value >= 1024.0
        && let Some(next) = unit.next()
    {
        value /= 1024.0;
        name = next;
    }
    format!("{value:.1} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_read_well() {
        assert_eq!(size(1023), "1023 octets");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 << 30), "3.0 GiB");
        assert_eq!(
            [count(0, "alias"), count(1, "alias"), count(2, "mailbox")],
            ["0 aliases", "1 alias", "2 mailboxes"]
        );
        assert_eq!(count(3, "message"), "3 messages");
    }
}
