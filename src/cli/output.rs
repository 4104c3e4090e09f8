//! What is printed of a task's answer.

use super::blob;
use crate::admin::{
    Diagnosis, Done, Explained, Exported, Figures, FoundMessage, FromPacks, Item, QuotaFigures, Run, Shown,
};
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
///
/// Subjects and headers are a stranger's: control characters that would move the terminal are shown as such.
pub(super) fn line(text: &str) {
    let harmless = |character: char| match character {
        '\n' | '\t' => character,
        control if control.is_control() => '\u{fffd}',
        other => other,
    };
    let _ = writeln!(stdout(), "{}", text.chars().map(harmless).collect::<String>());
}

pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("answers are plain values")
}

fn item_text(item: &Item) -> String {
    match item {
        Item::Domain { domain, accounts, aliases } => {
            format!("{domain}\t{}\t{}", count(*accounts, "account"), count(*aliases, "alias"))
        }
        Item::Account { address, mailboxes, quota } => {
            let (mailboxes, messages) = (count(*mailboxes, "mailbox"), count(quota.messages, "message"));
            let full = quota.percent.map_or_else(String::new, |percent| format!("\t{}", bar(percent)));
            format!("{address}\t{mailboxes}\t{messages}\t{}{full}", size(quota.octets))
        }
        Item::Alias(alias) => {
            let targets: Vec<String> = alias.targets.iter().map(ToString::to_string).collect();
            format!("{}\t{}", alias.name, targets.join(" "))
        }
        // As it stands in a zone file, so that it can be pasted.
        Item::Found(found) => {
            let FoundMessage { mailbox, uid, date, from, subject, octets } = found;
            format!("{date}\t{mailbox}\t{uid}\t{from}\t{subject}\t{}", size(*octets))
        }
        Item::Deleted { deleted, mailbox, uid, new_uid, from, subject, octets } => {
            let uids = new_uid.map_or_else(|| uid.to_string(), |new_uid| format!("{uid} -> {new_uid}"));
            format!("{deleted}\t{mailbox}\t{uids}\t{from}\t{subject}\t{}", size(*octets))
        }
        Item::RemovedAccount { address, removed } => format!("{address}\tremoved {removed}"),
        Item::Skipped { file, reason } => format!("skipped {}: {reason}", file.display()),
        Item::NotExported { mailbox, place, reason } => format!("skipped\t{mailbox}\t{place}\t{reason}"),
        Item::Damage { place, what } => format!("damaged {place}: {what}"),
        Item::Finding { check, account, place, what, next, .. } => {
            let account = account.as_deref().unwrap_or("-");
            format!("{}\t{account}\t{place}\t{what}\t{next}", check.name())
        }
        Item::Examined { check, compared, wrong, mended, lost, listed } => {
            let name = check.name();
            let unlisted = if wrong > listed { format!("  (the first {listed} are listed)") } else { String::new() };
            format!("{name:<11}{compared:>10} compared{wrong:>8} wrong{mended:>8} mended{lost:>8} lost{unlisted}")
        }
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
        Done::Quota { figures, own_octets_max, own_messages_max } => {
            quota(figures, (*own_octets_max, *own_messages_max))
        }
        Done::Statistics(figures) => statistics(figures),
        Done::Found { found, shown } if found > shown => format!("{shown} of {}", count(*found, "message")),
        Done::Found { found, .. } => count(*found, "message"),
        Done::Message(shown) => message(shown),
        Done::Explained(explained) => explanation(explained),
        Done::Imported(imported) => format!(
            "imported {} ({}) into {}, each read back and compared; {} skipped",
            count(imported.messages, "message"),
            size(imported.octets),
            count(imported.mailboxes, "mailbox"),
            imported.skipped
        ),
        Done::Exported(exported) => exported_text(exported),
        Done::Undeleted { messages, octets, run } => {
            let messages = count(*messages, "message");
            match run {
                Run::Really => format!("brought back {messages} ({})", size(*octets)),
                Run::Dry => format!("{messages} ({}) can be brought back; nothing was changed", size(*octets)),
            }
        }
        Done::WouldReturn { address } => format!("{address} can be brought back; nothing was changed"),
        Done::Rebuilt { accounts, messages } => {
            format!("indexed {} of {} again", count(*messages, "message"), count(*accounts, "account"))
        }
        Done::Examined(diagnosis) => diagnosis_text(diagnosis),
        Done::Swept { run, swept } => blob::swept(*run, swept),
        Done::Content(explained) => blob::explained(explained),
        Done::BlobStatistics(figures) => blob::statistics(figures),
        Done::FromPacks(rebuilt) => from_packs_text(rebuilt),
        Done::Verified { contents, octets, damaged } => {
            format!("read {} ({}); {damaged} damaged", count(*contents, "content"), size(*octets))
        }
    }
}

fn diagnosis_text(diagnosis: &Diagnosis) -> String {
    let Diagnosis { compared, wrong, mended, mendable, lost } = diagnosis;
    match wrong {
        0 => format!("{compared} compared; everything agrees"),
        _ => format!("{compared} compared; {wrong} wrong: {mended} mended, {mendable} can be mended, {lost} lost"),
    }
}

/// What an account uses, and where each of its limits comes from.
fn quota(figures: &QuotaFigures, (own_octets_max, own_messages_max): (bool, bool)) -> String {
    let of = |used: String, most: Option<String>, own: bool| match (most, own) {
        (Some(most), true) => format!("{used} of {most}"),
        (Some(most), false) => format!("{used} of {most}, as for all accounts"),
        (None, true) => format!("{used}, unlimited"),
        (None, false) => format!("{used}, unlimited as for all accounts"),
    };
    let messages_max = figures.messages_max.map(|most| most.to_string());
    let mut lines = vec![
        row("storage", &of(size(figures.octets), figures.octets_max.map(size), own_octets_max)),
        row("messages", &of(figures.messages.to_string(), messages_max, own_messages_max)),
    ];
    lines.extend(figures.percent.map(|percent| row("full", &bar(percent))));
    lines.join("\n")
}

/// How full something is, drawn and in figures.
fn bar(percent: u64) -> String {
    const WIDTH: usize = 20;
    let filled = usize::try_from(percent).unwrap_or(usize::MAX).saturating_mul(WIDTH).div_ceil(100).min(WIDTH);
    format!("[{}{}] {percent} %", "#".repeat(filled), ".".repeat(WIDTH - filled))
}

fn from_packs_text(rebuilt: &FromPacks) -> String {
    let FromPacks { accounts, messages, damaged, removed, damaged_packs, directory, old_metadata } = rebuilt;
    let mut lines = vec![format!("brought back {} of {}", count(*messages, "message"), count(*accounts, "account"))];
    if damaged + damaged_packs > 0 {
        let (damaged, packs) = (count(*damaged, "message"), count(*damaged_packs, "pack"));
        lines.push(format!("not: {damaged} that are damaged, and what only {packs} with a damaged index name"));
    }
    if *removed > 0 {
        lines.push(format!("not: {} of removed accounts", count(*removed, "message")));
    }
    if !directory {
        lines.push("the copy of domains, addresses and passwords is gone: nobody can log in".to_owned());
    }
    if let Some(old) = old_metadata {
        lines.push(format!("the old metadata is kept in {}; remove it once all is well", old.display()));
    }
    lines.join("\n")
}

fn exported_text(exported: &Exported) -> String {
    let mut text = format!(
        "exported {} ({}) of {}, each read back and compared",
        count(exported.messages, "message"),
        size(exported.octets),
        count(exported.mailboxes, "mailbox")
    );
    if exported.changed > 0 {
        text += &format!("; {} with line ends made regular, which eml would keep", exported.changed);
    }
    text
}

fn message(shown: &Shown) -> String {
    let mut lines = vec![
        row("date", &shown.date),
        row("size", &size(shown.octets)),
        row("content", &shown.content),
        row("flags", &shown.flags.join(" ")),
    ];
    lines.extend(shown.parts.iter().map(|part| {
        let name = part.filename.as_deref().unwrap_or_default();
        row("part", format!("{} ({}) {name}", part.media_type, size(part.octets)).trim_end())
    }));
    format!("{}\n\n{}", lines.join("\n"), shown.header.replace("\r\n", "\n").trim_end())
}

fn explanation(explained: &Explained) -> String {
    let mut lines =
        vec![row("date", &explained.date), row("from", &explained.from), row("subject", &explained.subject)];
    let Some(judged) = &explained.verdict else {
        lines.push(row("verdict", "not judged: sent by a user, appended by a client, or imported"));
        return lines.join("\n");
    };
    let percent = judged.probability * 100.0;
    lines.push(row("verdict", &format!("{}, {percent:.2} % likely to be spam", judged.disposition)));
    lines.push(row("model", &judged.model));
    lines.extend(
        judged
            .authentication
            .iter()
            .map(|check| row(&check.method, format!("{} {}", check.outcome, check.domain).trim_end())),
    );
    lines.push("for spam (+) and against it (-), in log-odds:".to_owned());
    lines.extend(
        judged
            .reasons
            .iter()
            .map(|reason| format!("  {:+7.2}  {:<20} {}", reason.weight, reason.signal, reason.evidence)),
    );
    lines.join("\n")
}

pub(super) fn row(name: &str, value: &str) -> String {
    format!("{name:<16}{value}")
}

fn statistics(figures: &Figures) -> String {
    [
        ("domains", figures.domains.to_string()),
        ("accounts", figures.accounts.to_string()),
        ("aliases", figures.aliases.to_string()),
        ("mailboxes", figures.mailboxes.to_string()),
        ("messages", format!("{} ({})", figures.messages, size(figures.octets))),
        ("received", size(figures.raw_octets)),
        ("stored", format!("{} in {}", size(figures.stored_octets), count(figures.packs, "pack"))),
        ("of it unpacked", size(figures.fresh_octets)),
        ("attachments", format!("{} ({})", figures.attachments, size(figures.attachment_octets))),
        ("unique ones", format!("{} ({})", figures.unique_attachments, size(figures.unique_attachment_octets))),
    ]
    .map(|(name, value)| row(name, &value))
    .join("\n")
}

/// A number with its noun.
pub(super) fn count(number: u64, noun: &str) -> String {
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
    fn bars_show_how_full_something_is() {
        assert_eq!(bar(0), "[....................] 0 %");
        assert_eq!(bar(42), "[#########...........] 42 %");
        assert_eq!(bar(1), "[#...................] 1 %");
        assert_eq!(bar(130), "[####################] 130 %");
    }

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
